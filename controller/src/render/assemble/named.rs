//! The named routes that servers need: those of all parts, and those that they invoke themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use fairway_engine::config::Route;
use indexmap::IndexMap;

use crate::render::caddy_route::unavailable;
use crate::render::part::{Named, Part};

/// The named routes of all parts, and the sites that stand in several routes.
pub(super) struct NamedRoutes<'p> {
    by_name: HashMap<&'p str, &'p Named>,
    /// Those that invoke themselves, perhaps through others.
    pub cyclic: BTreeSet<String>,
    missing: Arc<Route>,
}

impl<'p> NamedRoutes<'p> {
    pub(super) fn new(parts: &'p [Rc<Part>], bodies: &'p [Named]) -> Self {
        let mut by_name: HashMap<&str, &Named> = HashMap::new();
        for named in parts.iter().flat_map(|part| &part.named_routes).chain(bodies) {
            // The older object keeps the name.
            by_name.entry(&named.name).or_insert(named);
        }
        let cyclic = cyclic(&by_name);
        let missing = Arc::new(Route {
            id: Some("missing".into()),
            ..Route::new(None, unavailable())
        });
        Self {
            by_name,
            cyclic,
            missing,
        }
    }

    /// Some named routes and all that they invoke themselves. Those that are missing, or have no end, answer 503.
    pub(super) fn reached(&self, names: BTreeSet<String>) -> Option<IndexMap<String, Arc<Route>>> {
        let mut reached = BTreeMap::new();
        let mut pending: Vec<String> = names.into_iter().collect();
        while let Some(name) = pending.pop() {
            if reached.contains_key(&name) {
                continue;
            }
            let named = self.by_name.get(&*name).filter(|_| !self.cyclic.contains(&name));
            let (route, invoked) = named.map_or((&self.missing, &[][..]), |named| {
                (&named.route, &named.invoked[..])
            });
            reached.insert(name, Arc::clone(route));
            pending.extend(invoked.iter().cloned());
        }
        (!reached.is_empty()).then(|| reached.into_iter().collect())
    }
}

/// The named routes that invoke themselves, perhaps through others.
fn cyclic(by_name: &HashMap<&str, &Named>) -> BTreeSet<String> {
    let mut cyclic = BTreeSet::new();
    let mut done: HashSet<&str> = HashSet::new();
    let mut names: Vec<&&str> = by_name.keys().collect();
    names.sort();
    for name in names {
        let mut path: Vec<(&str, usize)> = vec![(name, 0)];
        while let Some((current, next)) = path.last_mut() {
            let invoked = by_name.get(current).map_or(&[][..], |named| &named.invoked);
            let Some(to) = invoked.get(*next).filter(|_| !done.contains(*current)) else {
                done.insert(current);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(at) = path.iter().position(|(name, _)| name == to) {
                cyclic.extend(path[at..].iter().map(|(name, _)| (*name).to_owned()));
            } else if !done.contains(&**to) {
                path.push((to, 0));
            }
        }
    }
    cyclic
}
