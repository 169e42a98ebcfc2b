//! How a server speaks TLS: its connection policies, and the hosts that stay out of automatic HTTPS.

mod join;

use std::collections::HashSet;

use fairway_caddyfile::{Diagnostic, Span};
use serde_json::json;

use super::super::address::{Address, Ports};
use super::super::{GlobalOptions, SiteValue, https};
use super::{SiteFacts, site};
use crate::config::{Server, TlsConnectionPolicy};
use crate::values::NetworkAddress;

/// The policies of a server while its sites are added.
#[expect(clippy::struct_field_names, reason = "they are what it is about")]
pub(super) struct Policies<'o> {
    options: &'o GlobalOptions,
    ports: Ports,
    /// Each with the directive that it comes from; the one for all hosts at the end comes from none.
    policies: Vec<(Option<Span>, TlsConnectionPolicy)>,
    /// Whether the last policy is for all hosts.
    ends_with_catch_all: bool,
    /// Whether an address is for HTTPS.
    any_https: bool,
    /// Whether automatic HTTPS will add a policy by itself.
    automatic: bool,
    /// Whether a listener has another port than that for HTTP.
    other_ports: bool,
    /// The hosts with `http://`.
    skipped: HashSet<String>,
}

impl<'o> Policies<'o> {
    pub(super) fn new(options: &'o GlobalOptions, ports: Ports, server: &Server) -> Self {
        let other = |listener: &String| {
            NetworkAddress::parse(listener)
                .is_ok_and(|address| ports.http < address.start_port || ports.http > address.end_port)
        };
        Self {
            options,
            ports,
            policies: Vec::new(),
            ends_with_catch_all: false,
            any_https: false,
            automatic: server
                .automatic_https
                .as_ref()
                .is_none_or(|automatic| !automatic.disable),
            other_ports: server.listen.iter().any(other),
            skipped: HashSet::new(),
        }
    }

    /// Whether there is a policy.
    pub(super) fn any(&self) -> bool {
        !self.policies.is_empty()
    }

    /// Adds the policies of a site, in the order in which sites are asked.
    pub(super) fn add_site(&mut self, keys: &[&Address], values: &[(Span, SiteValue)], server: &mut Server) {
        let has_policy = self.add_policies(site::hosts(keys), values);
        for key in keys {
            if self.other_ports
                && key.scheme == "http"
                && !key.host.is_empty()
                && self.skipped.insert(key.host.clone())
            {
                let automatic = server.automatic_https.get_or_insert_default();
                automatic.skip.push(key.host.clone());
            }
            let on_http_port = key.has_port(self.ports.http);
            let has_tls = has_policy || !key.host.is_empty() && !self.skipped.contains(&key.host);
            if key.scheme == "https" || key.scheme != "http" && !on_http_port && has_tls {
                self.any_https = true;
            }
            self.automatic &= key.has_port(self.ports.https) || !on_http_port && !key.host.is_empty();
        }
    }

    /// Adds those that change anything; the result is whether the site has any at all.
    fn add_policies(&mut self, mut hosts: Vec<String>, values: &[(Span, SiteValue)]) -> bool {
        let forced = values
            .iter()
            .any(|(_, value)| matches!(value, SiteValue::ForceAutomate));
        let forced = forced && !hosts.is_empty();
        let is = |name: &Option<String>, host: &str| !host.is_empty() && name.as_deref() == Some(host);
        let mut has_policy = false;
        for (span, value) in values {
            let SiteValue::TlsPolicy(policy) = value else {
                continue;
            };
            has_policy = true;
            let mut policy = policy.clone();
            let (default, fallback) = (&self.options.default_sni, &self.options.fallback_sni);
            if let Some(host) = hosts.iter().find(|host| is(default, host) || is(fallback, host)) {
                if is(default, host) {
                    policy.default_sni.clone_from(default);
                } else {
                    policy.fallback_sni.clone_from(fallback);
                }
                hosts.push(String::new());
            }
            if hosts.is_empty() {
                policy.default_sni.clone_from(default);
                policy.fallback_sni.clone_from(fallback);
            } else {
                hosts.sort();
                policy.matches = Some([("sni".to_owned(), json!(hosts))].into_iter().collect());
            }
            if forced || join::has_settings(&policy) {
                self.policies.push((Some(span.clone()), policy));
                self.ends_with_catch_all = hosts.is_empty();
            }
        }
        has_policy
    }

    /// Lets no site ask the clients of another for certificates, through a wildcard.
    pub(super) fn shield(&mut self, sites: &[SiteFacts]) {
        https::shield(&mut self.policies, sites);
    }

    /// All policies, those that can be joined joined, and one for all hosts at the end where it is needed: TLS must
    /// be spoken with everybody if it is with somebody.
    pub(super) fn finish(mut self, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<TlsConnectionPolicy>> {
        let names = (&self.options.default_sni, &self.options.fallback_sni);
        let needed = !self.policies.is_empty() || !self.automatic || names != (&None, &None);
        if self.any_https && !self.ends_with_catch_all && needed {
            let policy = TlsConnectionPolicy {
                default_sni: names.0.clone(),
                fallback_sni: names.1.clone(),
                ..TlsConnectionPolicy::default()
            };
            self.policies.push((None, policy));
        }
        let joined = join::join(self.policies, diagnostics);
        (!joined.is_empty()).then_some(joined)
    }
}

/// A listener speaks either HTTP or HTTPS. Finds the address that does not go with those before it.
pub(super) fn conflicting_schemes(
    sites: &[SiteFacts],
    server: &Server,
    ports: Ports,
    has_policies: bool,
) -> Option<Diagnostic> {
    let listen = server.listen.join(", ");
    let mut first: Option<(bool, &Address)> = None;
    for key in sites.iter().flat_map(|site| &site.keys) {
        let https = if key.scheme == "http" || key.has_port(ports.http) {
            false
        } else if key.scheme == "https" || key.has_port(ports.https) || has_policies {
            true
        } else if key.host.is_empty() {
            false
        } else {
            continue;
        };
        if !https && has_policies && first.is_none_or(|(first, _)| !first) {
            let message = format!("`{}` is for HTTP, but its site has TLS settings", key.original);
            return Some(
                Diagnostic::error("conflicting-addresses", &key.span, message)
                    .help("write `https://` in the address"),
            );
        }
        let (before, other) = *first.get_or_insert((https, key));
        if before != https {
            let names = if https {
                ["HTTPS", "HTTP"]
            } else {
                ["HTTP", "HTTPS"]
            };
            let message = format!(
                "`{}` is {}, but `{listen}` serves {}",
                key.original, names[0], names[1]
            );
            let hint = !https && key.scheme.is_empty() && key.host.is_empty();
            return Some(
                Diagnostic::error("conflicting-addresses", &key.span, message)
                    .context(&other.span, format!("{} because of this address", names[1]))
                    .help_if(hint.then_some("write `https://` in the address")),
            );
        }
    }
    None
}
