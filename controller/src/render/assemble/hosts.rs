//! Hosts: how general they are, what covers them, and the matcher for some of them.

use std::collections::BTreeMap;

use fairway_engine::matchers::{Set, host};

use crate::render::part::Part;

/// How general a host is: exact, wildcard, every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Exact,
    Wildcard,
    Every,
}

impl Class {
    pub(super) fn of(host: &str) -> Self {
        match host {
            "" => Class::Every,
            host if host.starts_with("*.") => Class::Wildcard,
            _ => Class::Exact,
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Class::Exact => "",
            Class::Wildcard => "/wildcard",
            Class::Every => "/every",
        }
    }
}

/// Hosts by how general they are.
pub(super) fn by_class(hosts: &[Box<str>]) -> BTreeMap<Class, Vec<Box<str>>> {
    let mut classes: BTreeMap<Class, Vec<Box<str>>> = BTreeMap::new();
    for host in hosts {
        classes.entry(Class::of(host)).or_default().push(host.clone());
    }
    classes
}

/// The matcher for some hosts; none for every host.
pub(super) fn of_hosts(hosts: &[Box<str>]) -> Option<Set> {
    let hosts: Vec<String> = hosts
        .iter()
        .filter(|host| !host.is_empty())
        .map(ToString::to_string)
        .collect();
    (!hosts.is_empty()).then(|| Set {
        host: Some(host::Config(hosts)),
        ..Set::default()
    })
}

/// Whether a part names a Secret with the certificate of a host.
pub(in crate::render) fn has_secret(part: &Part, host: &str) -> bool {
    part.tls
        .iter()
        .any(|(hosts, secret)| !secret.is_empty() && covers(hosts, host))
}

/// Whether a list of hosts, wildcards among them, covers a host.
pub(super) fn covers(hosts: &[String], host: &str) -> bool {
    let wildcard = wildcard_of(host);
    hosts.iter().any(|known| {
        known.eq_ignore_ascii_case(host)
            || wildcard
                .as_ref()
                .is_some_and(|wildcard| known.eq_ignore_ascii_case(wildcard))
    })
}

/// The wildcard that a host falls under.
pub(super) fn wildcard_of(host: &str) -> Option<String> {
    host.split_once('.').map(|(_, parent)| format!("*.{parent}"))
}
