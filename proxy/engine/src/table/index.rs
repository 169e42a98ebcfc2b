//! The index over the hosts of a server's top-level routes. Its only effect is to skip routes that cannot match:
//! the host is looked up as it is and as a wildcard, and the routes found are tried in their order among those for
//! every host.

use std::collections::HashMap;

use crate::matchers::Set;

/// Which top-level routes can match a host. Positions are those of the routes, ascending in every list.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<Box<str>, Box<[u32]>, foldhash::fast::RandomState>,
    /// By what follows the first label: `example.com` for `*.example.com`.
    wildcard: HashMap<Box<str>, Box<[u32]>, foldhash::fast::RandomState>,
    /// Routes whose hosts the index cannot tell.
    any: Box<[u32]>,
}

impl Index {
    /// Of the matcher sets of each route, in order.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a [Set]>) -> Self {
        let mut exact: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut any = Vec::new();
        for (position, sets) in routes.into_iter().enumerate() {
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
        let freeze = |lists: HashMap<Box<str>, Vec<u32>>| {
            lists
                .into_iter()
                .map(|(host, list)| (host, list.into()))
                .collect()
        };
        Self {
            exact: freeze(exact),
            wildcard: freeze(wildcard),
            any: any.into(),
        }
    }

    /// The positions of the routes that may match `host` (lower case, without port), in order, each once.
    pub fn candidates(&self, host: &str) -> Candidates<'_> {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        Candidates {
            lists: [
                self.exact.get(host).map_or(&[], |list| &**list),
                parent
                    .and_then(|parent| self.wildcard.get(parent))
                    .map_or(&[], |list| &**list),
                &self.any,
            ],
        }
    }
}

/// Merges the ascending lists of an [`Index`].
#[derive(Debug, Clone)]
pub struct Candidates<'t> {
    lists: [&'t [u32]; 3],
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
    use serde_json::json;

    use super::*;
    use crate::matchers::Sets;
    use crate::paths;
    use crate::test_util::exchange;

    /// Routes by their hosts; a route without any is for every host.
    fn sets(hosts: &[Vec<String>]) -> Vec<Vec<Set>> {
        let set = |hosts: &Vec<String>| match hosts.as_slice() {
            [] => Vec::new(),
            hosts => vec![serde_json::from_value(json!({ "host": hosts })).unwrap()],
        };
        hosts.iter().map(set).collect()
    }

    /// The routes that match a host, as asking each in turn tells.
    fn plain(sets: &[Vec<Set>], host: &str) -> Vec<usize> {
        let matches = |sets: &[Set]| {
            let mut exchange = exchange(&format!("GET /\nHost: {host}"));
            Sets::compile(sets).unwrap().match_any(&mut exchange).unwrap()
        };
        (0..sets.len())
            .filter(|&position| matches(&sets[position]))
            .collect()
    }

    proptest! {
        #[test]
        fn the_index_only_skips_what_cannot_match(
            hosts in prop::collection::vec(
                prop::collection::vec("(\\*|a|B|a\\*)(\\.(\\*|a|b)){0,2}|\\{http\\.request\\.host\\}|127\\.0\\.0\\.1|::1", 0..3),
                0..8,
            ),
            host in "(a|b|A|c)(\\.(a|b)){0,2}\\.?(:80)?|127\\.0\\.0\\.1:8|\\[::1\\](:1)?|",
        ) {
            let hosts: Vec<Vec<String>> = hosts.into_iter().map(|mut hosts| {
                hosts.sort_by_key(|host| host.to_lowercase());
                hosts.dedup_by_key(|host| host.to_lowercase());
                hosts
            }).collect();
            let sets = sets(&hosts);
            let index = Index::new(sets.iter().map(Vec::as_slice));
            let found = index.candidates(&paths::host_of(&host).to_ascii_lowercase());
            let all = plain(&sets, &host);
            let asked: Vec<usize> = found.collect();
            prop_assert!(asked.is_sorted_by(|a, b| a < b), "{asked:?}");
            let kept: Vec<usize> = all.iter().copied().filter(|position| asked.contains(position)).collect();
            prop_assert_eq!(kept, all);
        }
    }
}
