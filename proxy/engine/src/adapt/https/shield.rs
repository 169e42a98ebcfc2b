//! Hosts that lie under a wildcard of another site, which asks clients for certificates.

use std::collections::HashSet;

use fairway_caddyfile::Span;
use serde_json::Value as Json;

use super::{hosts, subjects};
use crate::adapt::servers::SiteFacts;
use crate::config::TlsConnectionPolicy;

/// Puts a policy for such hosts before that of the wildcard, if they have none of their own: the same without the
/// certificates of clients, for which their own site does not ask.
pub(crate) fn shield(policies: &mut Vec<(Option<Span>, TlsConnectionPolicy)>, sites: &[SiteFacts]) {
    let asks = |policy: &TlsConnectionPolicy| {
        policy.client_authentication.is_some() && names(policy).any(|name| name.contains('*'))
    };
    if !policies.iter().any(|(_, policy)| asks(policy)) {
        return;
    }
    let named = policies.iter().flat_map(|(_, policy)| names(policy));
    let mut named: HashSet<String> = named.map(str::to_owned).collect();
    for (span, policy) in std::mem::take(policies) {
        if asks(&policy) {
            let patterns: Vec<&str> = names(&policy).filter(|name| name.contains('*')).collect();
            let covered = |host: &String| patterns.iter().any(|pattern| subjects::covers(pattern, host));
            let hosts = sites.iter().flat_map(hosts).filter(covered);
            let mut bare: Vec<String> = hosts.filter(|host| named.insert(host.clone())).collect();
            bare.sort();
            if !bare.is_empty() {
                let matches = [("sni".to_owned(), Json::from(bare))];
                let shielding = TlsConnectionPolicy {
                    matches: Some(matches.into_iter().collect()),
                    client_authentication: None,
                    ..policy.clone()
                };
                policies.push((span.clone(), shielding));
            }
        }
        policies.push((span, policy));
    }
}

/// The names that a policy is for.
fn names(policy: &TlsConnectionPolicy) -> impl Iterator<Item = &str> {
    let sni = policy.matches.as_ref().and_then(|matches| matches.get("sni"));
    let names = sni.and_then(Json::as_array).into_iter().flatten();
    names.filter_map(Json::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::adapt::tests::adapt;

    #[track_caller]
    fn check(text: &str, expected: Json) {
        let config = adapt(text);
        let policies = &config["apps"]["http"]["servers"]["srv0"]["tls_connection_policies"];
        assert_eq!((policies.clone(), text), (expected, text));
    }

    #[test]
    fn a_host_under_a_wildcard_is_not_asked_for_a_certificate() {
        let wildcard = "*.a.test {\ntls {\nalpn h2\nclient_auth {\nmode require\n}\n}\n}\n";
        let policy = |name: &str| json!({"match": {"sni": [name]}, "alpn": ["h2"]});
        let mut asking = policy("*.a.test");
        asking["client_authentication"] = json!({"mode": "require"});
        check(
            &format!("{wildcard}b.a.test {{\n}}\n"),
            json!([policy("b.a.test"), asking, {}]),
        );
        check(&format!("{wildcard}b.test {{\n}}\n"), json!([asking, {}]));
        // Who says something about TLS is taken at their word.
        let mut own = policy("b.a.test");
        own["alpn"] = json!(["http/1.1"]);
        check(
            &format!("{wildcard}b.a.test {{\ntls {{\nalpn http/1.1\n}}\n}}\n"),
            json!([own, asking, {}]),
        );
    }
}
