//! The index over the hosts and paths of a server's top-level routes. Its only effect is to skip routes that cannot
//! match: the host is looked up as it is and as a wildcard, then, where a host has many routes, the path; the routes
//! found are tried in their order among those for every host and every path.

use std::collections::HashMap;

use smallvec::SmallVec;

use self::paths::Paths;
use crate::exchange::Target;
use crate::matchers::Set;

mod paths;

/// Something by host, or by the parent of hosts.
type ByHost<T> = HashMap<Box<str>, T, foldhash::fast::RandomState>;

/// Which top-level routes can match a request. Positions are those of the routes, ascending in every list.
#[derive(Debug, Default)]
pub struct Index {
    exact: ByHost<Routes>,
    /// By what follows the first label: `example.com` for `*.example.com`.
    wildcard: ByHost<Routes>,
    /// Routes whose hosts the index cannot tell.
    any: Routes,
}

impl Index {
    /// Of the matcher sets of each route, in order.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a [Set]>) -> Self {
        let mut exact: ByHost<Vec<u32>> = HashMap::default();
        let mut wildcard: ByHost<Vec<u32>> = HashMap::default();
        let mut any = Vec::new();
        let routes: Vec<&[Set]> = routes.into_iter().collect();
        for (position, sets) in routes.iter().enumerate() {
            let position = position as u32;
            let Some(hosts) = hosts(sets) else {
                any.push(position);
                continue;
            };
            for host in hosts {
                let list = match host {
                    Pattern::Exact(host) => exact.entry(host).or_default(),
                    Pattern::Wildcard(parent) => wildcard.entry(parent).or_default(),
                };
                if list.last() != Some(&position) {
                    list.push(position);
                }
            }
        }
        let freeze = |lists: ByHost<Vec<u32>>| {
            let lists = lists.into_iter();
            lists
                .map(|(host, list)| (host, Routes::new(list, &routes)))
                .collect()
        };
        Self {
            exact: freeze(exact),
            wildcard: freeze(wildcard),
            any: Routes::new(any, &routes),
        }
    }

    /// The positions of the routes that may match a request for `host` (lower case, without port), in order, each once.
    pub fn candidates(&self, host: &str, target: &Target) -> Candidates<'_> {
        let wildcards = Some(host).filter(|_| !self.wildcard.is_empty());
        let parent = wildcards
            .and_then(|host| host.split_once('.'))
            .map(|(_, parent)| parent);
        let found = [
            self.exact.get(host),
            parent.and_then(|parent| self.wildcard.get(parent)),
            Some(&self.any),
        ];
        let mut forms = paths::Forms::new(target);
        let mut candidates = Candidates::default();
        for routes in found.into_iter().flatten() {
            match &routes.paths {
                None => candidates.add(&routes.all),
                Some(paths) => {
                    if !paths.find(&mut forms, |list| candidates.add(list)) {
                        candidates.add(&routes.all);
                    }
                }
            }
        }
        candidates
    }
}

/// Merges ascending lists of an [`Index`]. There are more of them than have room in it only if rules lie deep in each
/// other.
#[derive(Debug, Clone, Default)]
pub struct Candidates<'t> {
    /// None is empty.
    lists: SmallVec<[&'t [u32]; 12]>,
}

impl<'t> Candidates<'t> {
    fn add(&mut self, list: &'t [u32]) {
        if !list.is_empty() {
            self.lists.push(list);
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let least = self.lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in &mut self.lists {
            if let [first, rest @ ..] = list
                && *first == least
            {
                *list = rest;
            }
        }
        Some(least as usize)
    }
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Routes {
    all: Box<[u32]>,
    /// The same by path, if there are many.
    paths: Option<Box<Paths>>,
}

impl Routes {
    fn new(all: Vec<u32>, routes: &[&[Set]]) -> Self {
        Self {
            paths: Paths::new(&all, routes).map(Box::new),
            all: all.into(),
        }
    }
}

enum Pattern {
    Exact(Box<str>),
    Wildcard(Box<str>),
}

/// The hosts of a route, if every one of its sets names hosts that a look-up can find.
fn hosts(sets: &[Set]) -> Option<Vec<Pattern>> {
    let mut patterns = Vec::new();
    if sets.is_empty() {
        return None;
    }
    for set in sets {
        for host in &set.host.as_ref()?.0 {
            let host = host.to_ascii_lowercase();
            let pattern = match host.strip_prefix("*.") {
                Some(parent) if !parent.contains(['*', '{']) => Pattern::Wildcard(parent.into()),
                None if !host.contains(['*', '{']) && host.is_ascii() => Pattern::Exact(host.into()),
                _ => return None,
            };
            patterns.push(pattern);
        }
    }
    Some(patterns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::matchers::Sets;
    use crate::paths::host_of;
    use crate::test_util::exchange;

    /// One set of matchers; empty matches everything.
    fn set(hosts: &[String], path: Option<Value>) -> Vec<Set> {
        let mut set = path.unwrap_or(json!({}));
        if !hosts.is_empty() {
            set["host"] = json!(hosts);
        }
        let is_empty = set.as_object().unwrap().is_empty();
        let sets = (!is_empty).then(|| serde_json::from_value(set).unwrap());
        sets.into_iter().collect()
    }

    /// The routes that match a request, or refuse it, as asking each in turn tells.
    fn plain(sets: &[Vec<Set>], request: &str) -> Vec<usize> {
        let answers = |sets: &[Set]| {
            let mut exchange = exchange(request);
            Sets::compile(sets).unwrap().match_any(&mut exchange) != Ok(false)
        };
        (0..sets.len())
            .filter(|&position| answers(&sets[position]))
            .collect()
    }

    fn asked(index: &Index, host: &str, path: &str) -> Vec<usize> {
        let exchange = exchange(&format!("GET {path}"));
        let host = host_of(host).to_ascii_lowercase();
        index.candidates(&host, exchange.target()).collect()
    }

    #[track_caller]
    fn check(sets: &[Vec<Set>], host: &str, path: &str) {
        let index = Index::new(sets.iter().map(Vec::as_slice));
        let all = plain(sets, &format!("GET {path}\nHost: {host}"));
        let asked = asked(&index, host, path);
        assert!(asked.is_sorted_by(|a, b| a < b), "{asked:?}");
        let kept: Vec<usize> = all
            .iter()
            .copied()
            .filter(|position| asked.contains(position))
            .collect();
        assert_eq!(kept, all);
    }

    fn hosts() -> impl Strategy<Value = Vec<String>> {
        let host = "(\\*|a|B|a\\*)(\\.(\\*|a|b)){0,2}|\\{http\\.request\\.host\\}|127\\.0\\.0\\.1|::1";
        prop::collection::vec(host, 0..3).prop_map(|mut hosts| {
            hosts.sort_by_key(|host| host.to_lowercase());
            hosts.dedup_by_key(|host| host.to_lowercase());
            hosts
        })
    }

    /// A matcher of paths, or none: often one that can be looked up, and that requests come upon.
    fn path() -> impl Strategy<Value = Option<Value>> {
        const ODD: &str =
            "(/|/|a|B|é|%2f|%61|\\.\\.|\\*|\\?|\\[ab\\]|\\{http\\.request\\.method\\}){1,5}\\*?";
        let caddy = prop_oneof![3 => "(/(a|B|ab)){0,2}/?\\*?", 1 => ODD];
        let ingress = prop_oneof![3 => "(/(a|B|ab)){0,2}/?", 1 => "(/|/|a|B|é|%2f|%61|\\.\\.|\\*|;|%){0,5}"];
        let compiles = |json: &Value| {
            let set: Set = serde_json::from_value(json.clone()).unwrap();
            set.compile().is_ok()
        };
        prop_oneof![
            1 => Just(None),
            3 => prop::collection::vec(caddy, 1..3).prop_map(|patterns| Some(json!({ "path": patterns }))),
            3 => (prop_oneof!["exact", "prefix"], ingress)
                .prop_map(|(kind, path)| json!({"ingress_path": { kind: format!("/{path}") }}))
                .prop_filter("a rule that compiles", compiles)
                .prop_map(Some),
        ]
    }

    const PATH: &str = "(/(a|B|b|A|ab)){1,3}/?|/(/|/|a|b|A|B|%C3%A9|%2f|%61|%2e|\\.|\\.\\.|;|%){0,7}";

    proptest! {
        #[test]
        fn the_index_only_skips_what_cannot_match(
            routes in prop::collection::vec((hosts(), path()), 0..8),
            host in "(a|b|A|c)(\\.(a|b)){0,2}\\.?(:80)?|127\\.0\\.0\\.1:8|\\[::1\\](:1)?|",
            request in PATH,
        ) {
            let sets: Vec<_> = routes.into_iter().map(|(hosts, path)| set(&hosts, path)).collect();
            check(&sets, &host, &request);
        }

        #[test]
        fn nor_does_it_where_a_host_has_many_routes(
            routes in prop::collection::vec((0..3_usize, path(), path()), 16..40),
            request in PATH,
        ) {
            let hosts = [vec![], vec!["a.b".to_owned()], vec!["*.b".to_owned()]];
            let sets = |(host, one, other): (usize, _, Option<Value>)| {
                let mut sets = set(&hosts[host], one);
                // Some routes have two sets.
                sets.extend(other.into_iter().flat_map(|other| set(&hosts[host], Some(other))));
                sets
            };
            let sets: Vec<_> = routes.into_iter().map(sets).collect();
            check(&sets, "a.b", &request);
        }
    }

    #[test]
    fn a_host_with_many_paths_costs_few_steps() {
        let hosts = ["shop.test".to_owned()];
        let rule = |rule: Value| set(&hosts, Some(rule));
        let mut sets: Vec<_> = (0..1000)
            .map(|number| rule(json!({"ingress_path": {"prefix": format!("/p{number}/api")}})))
            .collect();
        sets.push(rule(json!({"ingress_path": {"exact": "/p17/api"}})));
        sets.push(rule(json!({"path": ["/P17/*"]})));
        sets.push(rule(json!({"method": ["PUT"]})));
        sets.push(rule(json!({"ingress_path": {"prefix": "/"}})));
        let index = Index::new(sets.iter().map(Vec::as_slice));
        let check =
            |path: &str, expected: &[usize]| assert_eq!(asked(&index, "shop.test", path), expected, "{path}");
        check("/p17/api", &[17, 1000, 1001, 1002, 1003]);
        check("/p17/api/x", &[17, 1001, 1002, 1003]);
        check("/%7017//api/x", &[17, 1001, 1002, 1003]);
        check("/P17/api", &[1001, 1002, 1003]);
        check("/p17", &[1001, 1002, 1003]);
        check("/other", &[1002, 1003]);
        check("*", &[1002]);
        assert_eq!(
            asked(&index, "shop.test", "/..;/").len(),
            1004,
            "one may refuse it"
        );
        assert!(asked(&index, "other.test", "/p17/api").is_empty());
    }

    #[test]
    fn rules_that_lie_deep_are_found_with_their_parents() {
        let deep = "/a".repeat(100_000);
        let mut sets = vec![set(&[], Some(json!({"ingress_path": {"exact": deep}}))); 8];
        sets.push(set(&[], Some(json!({"ingress_path": {"prefix": "/a/a"}}))));
        let index = Index::new(sets.iter().map(Vec::as_slice));
        let request = "/a".repeat(1000);
        assert_eq!(asked(&index, "", &request).len(), 9);
        assert_eq!(asked(&index, "", "/a/a/a"), [8]);
        check(&sets, "a", &request);
    }
}
