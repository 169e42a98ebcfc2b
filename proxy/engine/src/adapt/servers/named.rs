//! Named routes, and which servers get them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, NamedRoute};
use indexmap::IndexMap;

use super::super::scope::{Scope, Shared};
use crate::config::{Route, Written};
use crate::handlers::{Config, subroute};

/// The named routes of a file.
#[derive(Debug, Default)]
pub(super) struct NamedRoutes(HashMap<String, Named>);

#[derive(Debug)]
struct Named {
    route: Arc<Route>,
    /// The named routes that it invokes itself.
    invoked: Vec<String>,
}

impl NamedRoutes {
    /// Reads them. Their groups are numbered apart from those of the sites.
    pub(super) fn read(written: &[NamedRoute], shared: &mut Shared) -> Self {
        let mut groups = 0;
        let mut named = HashMap::new();
        for route in written {
            let mut invoked = Vec::new();
            let mut scope = Scope::new(shared, &mut groups, &mut invoked);
            let routes = scope.routes(&route.block.segments);
            let mut flat = flatten(routes);
            flat.written = Written(Some(route.name.span.clone()));
            named.insert(
                route.name.text.clone(),
                Named {
                    route: Arc::new(flat),
                    invoked,
                },
            );
        }
        Self(named)
    }

    /// Warnings of those that invoke themselves, perhaps through others, if a site reaches them: Caddy adapts them and
    /// goes round while a request runs; here they cannot be compiled.
    pub(super) fn cycles<'n>(
        &'n self,
        written: &'n [NamedRoute],
        names: impl IntoIterator<Item = &'n String>,
    ) -> impl Iterator<Item = Diagnostic> + 'n {
        let cyclic: HashSet<&str> = self.cyclic().into_iter().collect();
        let reached = self.reached(names).unwrap_or_default();
        let names = written.iter().map(|route| &route.name);
        let names =
            names.filter(move |name| cyclic.contains(&*name.text) && reached.contains_key(&name.text));
        names.map(|name| {
            let message = format!(
                "the named route `{}` invokes itself, perhaps through others",
                name.text
            );
            Diagnostic::warning("named-route-cycle", name, message).label("has no end")
        })
    }

    /// The routes of some names and all that these invoke, by name; `None` without any.
    pub(super) fn reached<'n>(
        &'n self,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Option<IndexMap<String, Arc<Route>>> {
        let mut reached = BTreeMap::new();
        let mut pending: Vec<&String> = names.into_iter().collect();
        while let Some(name) = pending.pop() {
            if let Some(named) = self.0.get(name).filter(|_| !reached.contains_key(name)) {
                reached.insert(name.clone(), Arc::clone(&named.route));
                pending.extend(&named.invoked);
            }
        }
        (!reached.is_empty()).then(|| reached.into_iter().collect())
    }

    /// The names that lie on a cycle, or between two: what is left without those that lead to no end, and those that
    /// no end leads to.
    fn cyclic(&self) -> Vec<&str> {
        let edges = |name: &str| self.0.get(name).into_iter().flat_map(|named| &named.invoked);
        let mut forward: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut backward: HashMap<&str, Vec<&str>> = HashMap::new();
        for name in self.0.keys() {
            for to in edges(name).filter(|to| self.0.contains_key(*to)) {
                forward.entry(name).or_default().push(to);
                backward.entry(to).or_default().push(name);
            }
        }
        let ahead = endless(self.0.keys().map(String::as_str), &forward, &backward);
        endless(ahead.into_iter(), &backward, &forward)
    }
}

/// What is left when all that has nowhere to go is taken away, again and again.
fn endless<'n>(
    names: impl Iterator<Item = &'n str>,
    next: &HashMap<&'n str, Vec<&'n str>>,
    previous: &HashMap<&'n str, Vec<&'n str>>,
) -> Vec<&'n str> {
    let names: Vec<&str> = names.collect();
    let mut ways: HashMap<&str, usize> = names.iter().map(|name| (*name, 0)).collect();
    for name in &names {
        let out = next.get(name).into_iter().flatten();
        let out = out.filter(|to| ways.contains_key(*to)).count();
        ways.insert(name, out);
    }
    let mut pending: Vec<&str> = names.iter().copied().filter(|name| ways[name] == 0).collect();
    while let Some(ended) = pending.pop() {
        ways.remove(ended);
        for name in previous.get(ended).into_iter().flatten() {
            if let Some(out) = ways.get_mut(name) {
                *out -= 1;
                if *out == 0 {
                    pending.push(name);
                }
            }
        }
    }
    names.into_iter().filter(|name| ways.contains_key(name)).collect()
}

/// One route of all: if there is but one, and for all requests, it is that one.
pub(in crate::adapt) fn flatten(mut routes: Vec<Route>) -> Route {
    if let [only] = &mut *routes
        && only.matches.is_empty()
    {
        let mut joined = std::mem::take(&mut only.joined);
        joined.0.insert(0, (0, std::mem::take(&mut only.written)));
        return Route {
            handle: std::mem::take(&mut only.handle),
            joined,
            ..Route::default()
        };
    }
    let subroute = subroute::Config {
        routes,
        ..subroute::Config::default()
    };
    Route::new(None, Config::Subroute(subroute))
}
