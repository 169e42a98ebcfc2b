//! Who vouches for a name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
pub(super) fn automated(config: &Config) -> HashSet<String> {
    let tls = config.apps.tls.as_ref();
    let names = tls.and_then(|tls| tls.certificates.as_ref()?.get("automate")?.as_array());
    names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// The issuer of each name. A name whose certificate stands in a Secret needs none; neither does one covered by a
/// wildcard among the others, unless it is automated by name.
pub(super) fn managed(names: &BTreeSet<String>, config: &Config) -> Vec<Managed> {
    let automated = automated(config);
    let policies = Policies::new(config);
    let names: BTreeMap<&str, Issuer> = names
        .iter()
        .filter_map(|name| Some((name.as_str(), policies.issuer(name)?)))
        .collect();
    let covered = |name: &str| {
        let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        parent.is_some_and(|wildcard| !name.starts_with("*.") && names.contains_key(&*wildcard))
    };
    let own = names
        .iter()
        .filter(|(name, _)| qualifies(name) && (!covered(name) || automated.contains(**name)));
    own.map(|(name, issuer)| Managed {
        name: (*name).to_owned(),
        issuer: *issuer,
    })
    .collect()
}

/// The policies by subject, so that many names and many policies cost no more than they are.
struct Policies<'a> {
    all: &'a [Policy],
    /// By subject in lower case: the place of the first policy that names it.
    first: HashMap<String, usize>,
    /// The subjects, in lower case, whose certificates stand in Secrets.
    secret: HashSet<String>,
    /// The first that is for all others.
    rest: Option<&'a Policy>,
}

impl<'a> Policies<'a> {
    fn new(config: &'a Config) -> Self {
        let tls = config.apps.tls.as_ref();
        let all = tls
            .and_then(|tls| tls.automation.as_ref())
            .map_or(&[][..], |automation| &automation.policies);
        let (mut first, mut secret) = (HashMap::new(), HashSet::new());
        for (place, policy) in all.iter().enumerate() {
            for subject in &policy.subjects {
                let subject = subject.to_ascii_lowercase();
                if policy.takes_secrets() {
                    secret.insert(subject.clone());
                }
                first.entry(subject).or_insert(place);
            }
        }
        Self {
            all,
            first,
            secret,
            rest: all.iter().find(|policy| policy.subjects.is_empty()),
        }
    }

    /// Who issues a name's certificate; nobody if it stands in a Secret.
    fn issuer(&self, name: &str) -> Option<Issuer> {
        let name = name.to_ascii_lowercase();
        if self.secret.contains(&name) {
            return None;
        }
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let places = [Some(&name), wildcard.as_ref()];
        let place = places
            .iter()
            .flatten()
            .filter_map(|subject| self.first.get(*subject))
            .min();
        let policy = place.map(|place| &self.all[*place]).or(self.rest);
        if policy.is_some_and(Policy::takes_secrets) {
            return None;
        }
        let module = policy.and_then(|policy| policy.issuers.first()?.get("module")?.as_str());
        Some(match module {
            Some("internal") => Issuer::Internal,
            None if is_internal(&name) => Issuer::Internal,
            _ => Issuer::Acme,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// The names that are issued, with `!` if by a public authority.
    #[track_caller]
    fn check(policies: &Json, names: &[&str], expected: &[&str]) {
        let tls = json!({ "automation": { "policies": policies } });
        let config: Config = serde_json::from_value(json!({ "apps": { "tls": tls } })).unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let told = managed(&names, &config)
            .into_iter()
            .map(|managed| match managed.issuer {
                Issuer::Internal => managed.name,
                Issuer::Acme => managed.name + "!",
            });
        assert_eq!(told.collect::<Vec<_>>(), expected, "{policies}");
    }

    fn secret(subjects: &[&str]) -> Json {
        let manager = json!({ "via": "kubernetes", "namespace": "shop", "name": "shop-tls" });
        json!({ "subjects": subjects, "get_certificate": [manager] })
    }

    fn internal(subjects: &[&str]) -> Json {
        json!({ "subjects": subjects, "issuers": [{ "module": "internal" }] })
    }

    #[test]
    fn the_first_policy_for_a_name_tells_its_issuer() {
        check(&json!([]), &["a.test", "localhost"], &["a.test!", "localhost"]);
        check(
            &json!([internal(&["A.test"])]),
            &["a.test", "b.test"],
            &["a.test", "b.test!"],
        );
        check(&json!([internal(&[])]), &["a.test"], &["a.test"]);
        let acme = json!({ "subjects": ["a.test"], "issuers": [{ "module": "acme" }] });
        check(&json!([internal(&["*.test"]), acme]), &["a.test"], &["a.test"]);
        check(&json!([acme, internal(&["*.test"])]), &["a.test"], &["a.test!"]);
        check(
            &json!([internal(&["*.test"])]),
            &["a.b.test", "test"],
            &["a.b.test!", "test!"],
        );
    }

    #[test]
    fn what_stands_in_a_secret_is_not_issued() {
        check(&json!([secret(&["a.test"])]), &["A.test", "b.test"], &["b.test!"]);
        check(
            &json!([secret(&["*.test"])]),
            &["a.test", "*.test", "a.b.test"],
            &["a.b.test!"],
        );
        check(&json!([secret(&[])]), &["a.test", "localhost"], &[]);
        check(
            &json!([secret(&[]), internal(&["a.test"])]),
            &["a.test", "b.test"],
            &["a.test"],
        );
        check(
            &json!([internal(&["*.test"]), secret(&["a.test"])]),
            &["a.test", "b.test"],
            &["b.test"],
        );
    }

    #[test]
    fn a_wildcard_in_a_secret_covers_no_name_that_is_issued() {
        let policies = json!([internal(&["a.test"]), secret(&["*.test"])]);
        check(&policies, &["a.test", "b.test", "*.test"], &["a.test"]);
        check(&json!([internal(&[])]), &["a.test", "*.test"], &["*.test"]);
    }
}
