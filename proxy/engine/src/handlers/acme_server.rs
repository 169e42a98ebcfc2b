//! `acme_server` gives certificates of one's own authority to ACME clients.
//!
//! ```caddyfile
//! acme_server [<matcher>] {
//!     ca <name>
//!     lifetime <duration>
//!     resolvers <addresses…>
//!     challenges <names…>
//!     allow_wildcard_names
//!     allow|deny {
//!         domains <domains…>
//!         ip_ranges <ranges…>
//!     }
//!     sign_with_root
//! }
//! ```
//!
//! The authority that `ca` names is one of the config's if the directive stands directly in a site; in a block of it,
//! the global option `pki` has to say so. It adapts; Fairway does not serve it yet, and says so when the config is
//! compiled. Caddy: `http.handlers.acme_server`.
//!
//! ```caddyfile
//! acme_server {
//!     lifetime 24h
//! }
//! ```

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::adapt::settings::{duration, flag, text, texts};
use crate::adapt::{Scope, SiteValue};
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::matchers::Set;
use crate::values::Duration;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "acme_server",
    parse: Parse::RoutesAndSite(parse),
};

/// A server of ACME.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the authority; `local` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// How long the certificates are valid; 12 h by default.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub lifetime: Duration,
    /// The host in its URLs; that of the request by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// What its paths begin with; `/acme/` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// Whether the root signs, and not the intermediate certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sign_with_root: bool,
    /// DNS servers that are asked when a DNS challenge is verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<String>,
    /// `http-01`, `dns-01`, `tls-alpn-01`; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<String>,
    /// Who gets a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// Who gets a certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Only these names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Names>,
    /// None of these names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Names>,
    /// Wildcards too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_wildcard_names: bool,
}

/// Names that certificates are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// Domains; `*` in front of one stands for a label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Addresses and ranges in CIDR form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<String>,
}

const KNOWN: [&str; 8] = [
    "allow",
    "allow_wildcard_names",
    "ca",
    "challenges",
    "deny",
    "lifetime",
    "resolvers",
    "sign_with_root",
];

fn parse(
    args: Args<'_>,
    set: Option<Set>,
    _scope: &mut Scope<'_>,
) -> Result<(Vec<Route>, Vec<SiteValue>), Diagnostic> {
    args.finish()?;
    let mut config = Config::default();
    let mut authority = None;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "ca" => {
                config.ca = text(&mut words, "the name of an authority")?;
                authority = Some(SiteValue::Authority(config.ca.clone()));
            }
            "lifetime" => config.lifetime = duration(&mut words)?,
            "resolvers" => config.resolvers = texts(&mut words, "addresses of DNS servers")?,
            "challenges" => {
                let names = words.remaining().iter().map(|token| token.text.clone());
                config.challenges.extend(names);
                words.no_block()?;
            }
            "allow_wildcard_names" => config.policy().allow_wildcard_names = flag(&words)?,
            "allow" => config.policy().allow = Some(names(line)?),
            "deny" => config.policy().deny = Some(names(line)?),
            "sign_with_root" => config.sign_with_root = flag(&words)?,
            _ => return Err(args.unknown_subdirective(line, KNOWN)),
        }
    }
    let route = Route::new(set, super::Config::AcmeServer(Box::new(config)));
    Ok((vec![route], authority.into_iter().collect()))
}

impl Config {
    fn policy(&mut self) -> &mut Policy {
        self.policy.get_or_insert_default()
    }
}

/// `allow { … }`, `deny { … }`
fn names(line: &Segment) -> Result<Names, Diagnostic> {
    let args = Args::new(line);
    args.finish()?;
    let mut names = Names::default();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "domains" => names.domains.extend(texts(&mut words, "domains")?),
            "ip_ranges" => names.ip_ranges.extend(texts(&mut words, "addresses")?),
            _ => return Err(args.unknown_subdirective(line, ["domains", "ip_ranges"])),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::adapt::tests::{adapt, mistakes};
    use crate::test_util::{check_not_served, handlers};

    #[track_caller]
    fn check(line: &str, expected: &serde_json::Value) {
        assert_eq!(&handlers(line), expected, "{line}");
    }

    #[test]
    fn reads_every_line() {
        check("acme_server", &json!([{"handler": "acme_server"}]));
        check(
            "acme_server {\nchallenges\n}",
            &json!([{"handler": "acme_server"}]),
        );
        check(
            "acme_server /a {\nca x\nlifetime 1h\nresolvers a b\nresolvers c\nchallenges http-01\nchallenges x y\n\
             allow_wildcard_names\nallow {\ndomains a b\ndomains c\nip_ranges 10.0.0.0/8\n}\ndeny {\n}\nsign_with_root\n}",
            &json!([{
                "handler": "acme_server", "ca": "x", "lifetime": 3_600_000_000_000_i64, "resolvers": ["c"],
                "challenges": ["http-01", "x", "y"], "sign_with_root": true,
                "policy": {
                    "allow_wildcard_names": true, "deny": {},
                    "allow": {"domains": ["a", "b", "c"], "ip_ranges": ["10.0.0.0/8"]}
                }
            }]),
        );
    }

    #[test]
    fn its_authority_is_one_of_the_config() {
        let authorities = |text: &str| adapt(text)["apps"]["pki"].take();
        assert_eq!(authorities("a.test {\nacme_server\n}"), json!(null));
        assert_eq!(
            authorities("a.test {\nacme_server {\nca x\n}\n}\nb.test {\nacme_server {\nca y\n}\n}"),
            json!({"certificate_authorities": {"x": {}, "y": {}}}),
        );
        assert_eq!(
            authorities(
                "{\nskip_install_trust\npki {\nca x {\nname X\n}\n}\n}\na.test {\nacme_server {\nca x\n}\n}"
            ),
            json!({"certificate_authorities": {"x": {"name": "X", "install_trust": false}}}),
        );
        assert_eq!(
            authorities("a.test {\nhandle {\nacme_server {\nca x\n}\n}\n}"),
            json!(null)
        );
        let nested = "a.test {\nroute {\nacme_server {\nca x\n}\n}\n}";
        assert_eq!(
            mistakes(nested),
            ["Caddyfile:3:1: `acme_server` belongs directly into a site, not into a block of it"]
        );
        adapt("a.test {\nroute {\nacme_server\n}\n}");
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "acme_server a",
                "2:13: `acme_server` takes no further argument, but `a` follows",
            ),
            ("acme_server {\nca\n}", "3:1: `ca` needs the name of an authority"),
            (
                "acme_server {\nlifetime x\n}",
                "3:10: `x` is no duration: a duration is one or more numbers, each with a unit, such as `1m30s`",
            ),
            (
                "acme_server {\nresolvers\n}",
                "3:1: `resolvers` needs addresses of DNS servers",
            ),
            (
                "acme_server {\nallow {\ndomains\n}\n}",
                "4:1: `domains` needs domains",
            ),
            (
                "acme_server {\nallow {\ndomain a\n}\n}",
                "4:1: `allow` has no subdirective `domain`; did you mean `domains`?",
            ),
            (
                "acme_server {\nallow a\n}",
                "3:7: `allow` takes no further argument, but `a` follows",
            ),
            (
                "acme_server {\nchallenge a\n}",
                "3:1: `acme_server` has no subdirective `challenge`; did you mean `challenges`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("acme_server", "acme_server");
    }
}
