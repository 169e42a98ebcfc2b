//! Who vouches for a name.

use std::collections::BTreeSet;

use super::{is_internal, qualifies};
use crate::config::{Config, Policy};

/// A name that needs a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// The name, or the wildcard that covers it.
    pub name: String,
    /// Who makes the certificate.
    pub issuer: Issuer,
}

/// Who makes a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// An authority of our own.
    Internal,
    /// A public one, over ACME.
    Acme,
}

/// The names that `tls.certificates.automate` lists.
pub(super) fn automated(config: &Config) -> Vec<String> {
    let tls = config.apps.tls.as_ref();
    let names = tls.and_then(|tls| tls.certificates.as_ref()?.get("automate")?.as_array());
    names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// The issuer of each name. A name covered by a wildcard among them needs no certificate of its own, unless it is
/// automated by name.
pub(super) fn managed(names: &BTreeSet<String>, config: &Config) -> Vec<Managed> {
    let automated = automated(config);
    let covered = |name: &str| {
        let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        parent.is_some_and(|wildcard| !name.starts_with("*.") && names.contains(&wildcard))
    };
    let own = names
        .iter()
        .filter(|name| qualifies(name) && (!covered(name) || automated.contains(name)));
    own.map(|name| Managed {
        name: name.clone(),
        issuer: issuer(name, config),
    })
    .collect()
}

fn issuer(name: &str, config: &Config) -> Issuer {
    let tls = config.apps.tls.as_ref();
    let policies = tls
        .and_then(|tls| tls.automation.as_ref())
        .map_or(&[][..], |automation| &automation.policies);
    let named = policies
        .iter()
        .find(|policy| policy.subjects.iter().any(|subject| covers(subject, name)));
    let policy: Option<&Policy> = named.or_else(|| policies.iter().find(|policy| policy.subjects.is_empty()));
    let module = policy.and_then(|policy| policy.issuers.first()?.get("module")?.as_str());
    match module {
        Some("internal") => Issuer::Internal,
        None if is_internal(name) => Issuer::Internal,
        _ => Issuer::Acme,
    }
}

fn covers(subject: &str, name: &str) -> bool {
    let wildcard = || {
        let (parent, rest) = (subject.strip_prefix("*.")?, name.split_once('.')?.1);
        Some(parent.eq_ignore_ascii_case(rest))
    };
    subject.eq_ignore_ascii_case(name) || wildcard().unwrap_or(false)
}
