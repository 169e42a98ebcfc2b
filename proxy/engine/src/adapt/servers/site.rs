//! A site, read once, however many servers have it.

use std::cmp::Reverse;
use std::rc::Rc;

use fairway_caddyfile::{Site as Written, Span};
use indexmap::{IndexMap, IndexSet};

use super::super::SiteValue;
use super::super::address::Address;
use super::super::order::{Item, go_sort};
use super::super::scope::{Scope, Shared};
use crate::config::Errors;
use crate::matchers::{Set, host, path};

/// A site.
#[derive(Debug)]
pub(in crate::adapt) struct Site {
    /// Its addresses; those that cannot be read are left out.
    pub keys: Vec<Address>,
    /// Its routes. Each server that has the site sorts them again.
    pub items: Vec<Item>,
    /// Its error routes. Each server that has the site sorts them again.
    pub errors: Vec<Errors>,
    /// What it says beside.
    pub values: Rc<Vec<(Span, SiteValue)>>,
    /// The named routes that it invokes.
    pub invoked: Vec<String>,
}

impl Site {
    /// Reads a site.
    pub(in crate::adapt) fn read(site: &Written, shared: &mut Shared, groups: &mut u32) -> Self {
        let mut keys = Vec::new();
        for key in &site.keys {
            match Address::parse(key) {
                Ok(address) => keys.push(address),
                Err(mistake) => shared.diagnostics.push(mistake),
            }
        }
        let known = shared.diagnostics.len();
        let mut invoked = Vec::new();
        let (items, read) = Scope::new(shared, groups, &mut invoked).items(&site.block.segments);
        if !site.has_braces {
            hint_at_second_site(site, shared, known);
        }
        let (mut errors, mut values) = (Vec::new(), Vec::new());
        for (segment, given) in read {
            for value in given {
                match value {
                    SiteValue::Errors(routes) => errors.push(routes),
                    value => values.push((segment.name.span.clone(), value)),
                }
            }
        }
        Self {
            keys,
            items,
            errors,
            values: Rc::new(values),
            invoked,
        }
    }

    /// Sorts the error routes: those for all errors last, the others in reverse.
    pub(in crate::adapt) fn sort_errors(&mut self) {
        let is_for_all = |errors: &Errors| errors.routes.first().is_none_or(|route| route.matches.is_empty());
        go_sort(&mut self.errors, |a, b| !is_for_all(a) || is_for_all(b));
    }
}

/// Without braces there is one site only; what looks like the address of a second is an unknown directive.
fn hint_at_second_site(site: &Written, shared: &mut Shared, known: usize) {
    for diagnostic in &mut shared.diagnostics[known..] {
        let of_site = |name: &Span| name.start == diagnostic.span.start;
        let mut names = site.block.segments.iter().map(|segment| &segment.name.span);
        if diagnostic.code == "unknown-directive" && names.any(of_site) {
            let note =
                "if a second site was meant to begin here, each site needs braces around its directives";
            diagnostic.notes.push(note.into());
        }
    }
}

/// What sites are sorted by: those for every host last, those with a pattern before them, then the longest host and
/// the longest path first.
pub(super) fn precedence(keys: &[&Address]) -> impl Ord + use<> {
    let longest = |part: fn(&Address) -> &str| {
        let mut longest = "";
        for key in keys {
            if specificity(part(key)) > specificity(longest) {
                longest = part(key);
            }
        }
        longest
    };
    let host = specificity(longest(|key| &key.host));
    if host == 0 {
        return (true, false, Reverse(0), Reverse(0));
    }
    let pattern = keys
        .iter()
        .any(|key| key.host.is_empty() || key.host.contains('*'));
    (
        false,
        pattern,
        Reverse(host),
        Reverse(longest(|key| &key.path).len()),
    )
}

/// The bytes that are neither `*` nor part of a placeholder; never less than none.
fn specificity(text: &str) -> usize {
    let mut vague = text.matches('*').count();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}').map(|close| close + 1) else {
            break;
        };
        vague += length;
        rest = &rest[open + length..];
    }
    text.len().saturating_sub(vague)
}

/// The matchers for the addresses of a site: a set for each path, unless one address is for everything.
pub(super) fn matchers(keys: &[&Address]) -> Vec<Set> {
    let mut hosts_by_path: IndexMap<&str, IndexSet<&str>> = IndexMap::new();
    let mut every_host = false;
    for key in keys {
        let hosts = hosts_by_path.entry(&key.path).or_default();
        if key.host.is_empty() && !every_host {
            hosts.clear();
            every_host = true;
        }
        if !every_host {
            hosts.insert(&key.host);
        }
    }
    let sets = hosts_by_path.into_iter().map(|(path, hosts)| {
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        Set {
            host: (!hosts.is_empty()).then_some(host::Config(hosts)),
            path: (!path.is_empty()).then(|| path::Config(vec![path.to_owned()])),
            ..Set::default()
        }
    });
    sets.filter(|set| !set.is_empty()).collect()
}

/// The hosts of some addresses, each once; none if one of them is for every host.
pub(super) fn hosts(keys: &[&Address]) -> Vec<String> {
    if keys.iter().any(|key| key.host.is_empty()) {
        return Vec::new();
    }
    let hosts: IndexSet<&str> = keys.iter().map(|key| &*key.host).collect();
    hosts.into_iter().map(str::to_owned).collect()
}
