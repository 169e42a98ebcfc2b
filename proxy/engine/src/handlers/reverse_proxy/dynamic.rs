//! `dynamic`: upstreams that are looked up while the proxy runs.
//!
//! ```caddyfile
//! dynamic a [<name> [<port>]] {
//!     name <name>
//!     port <port>
//!     refresh <duration>
//!     resolvers <addresses…>
//!     dial_timeout <duration>
//!     dial_fallback_delay <duration>
//!     versions ipv4|ipv6…
//! }
//! dynamic srv [<name>] {
//!     service <service>
//!     proto <protocol>
//!     name <name>
//!     refresh <duration>
//!     resolvers <addresses…>
//!     dial_timeout <duration>
//!     dial_fallback_delay <duration>
//!     grace_period <duration>
//! }
//! dynamic multi {
//!     <source> …
//! }
//! ```
//!
//! It adapts; Fairway does not serve it yet, and says so when the config is compiled. Only the operator of a cluster
//! may write it, since it names any host. Caddy: `http.reverse_proxy.upstreams.*`.

use fairway_caddyfile::{Args, Diagnostic, Segment, Token};
use serde::{Deserialize, Serialize};

use super::transport::Resolver;
use crate::adapt::settings::{duration, one_of, single, texts};
use crate::values::Duration;

/// Where upstreams come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Config {
    /// The addresses of a name.
    A(A),
    /// The services of a name.
    Srv(Srv),
    /// All of several.
    Multi(Multi),
    /// The endpoints of Services.
    Kubernetes(super::config::KubernetesUpstreams),
}

/// The addresses of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct A {
    /// The name; may be a placeholder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The port of all of them; 80 by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub port: String,
    /// How long an answer is kept; a minute by default.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub refresh: Duration,
    /// Who is asked; those of the machine without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// How long to wait for a connection with a resolver.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
    /// How long IPv6 is ahead of IPv4 when resolvers are connected to.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_fallback_delay: Duration,
    /// Which addresses; both by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,
}

/// Versions of IP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Versions {
    /// Addresses of IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<bool>,
    /// Addresses of IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
}

/// The services of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Srv {
    /// The service: `http` of `_http._tcp.example.com`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The protocol: `tcp` of the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proto: String,
    /// The name; with the other two in front of it, if they are not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How long an answer is kept; a minute by default.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub refresh: Duration,
    /// How much longer it is kept if the next question fails.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub grace_period: Duration,
    /// Who is asked; those of the machine without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// How long to wait for a connection with a resolver.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
    /// How long IPv6 is ahead of IPv4 when resolvers are connected to.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_fallback_delay: Duration,
    /// The network of the upstreams; `tcp` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dial_network: String,
}

/// All of several sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Multi {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Config>,
}

/// Reads what follows `dynamic`.
pub(super) fn parse(mut args: Args<'_>) -> Result<Config, Diagnostic> {
    let source = args.required("a source: `a`, `srv` or `multi`")?;
    read(source, args)
}

fn read(source: &Token, args: Args<'_>) -> Result<Config, Diagnostic> {
    match one_of(source, &["a", "srv", "multi"])? {
        "a" => a(args).map(Config::A),
        "srv" => srv(args).map(Config::Srv),
        _ => multi(&args).map(Config::Multi),
    }
}

fn a(mut args: Args<'_>) -> Result<A, Diagnostic> {
    const KNOWN: [&str; 7] = [
        "dial_fallback_delay",
        "dial_timeout",
        "name",
        "port",
        "refresh",
        "resolvers",
        "versions",
    ];
    let argument = |token: Option<&Token>| token.map(|token| token.text.clone()).unwrap_or_default();
    let mut config = A {
        name: argument(args.next_arg()),
        port: argument(args.next_arg()),
        ..A::default()
    };
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "name" => once(&mut config.name, line)?,
            "port" => once(&mut config.port, line)?,
            "refresh" => config.refresh = duration(&mut words)?,
            "resolvers" => config.resolver = Some(resolver(words)?),
            "dial_timeout" => config.dial_timeout = duration(&mut words)?,
            "dial_fallback_delay" => config.dial_fallback_delay = duration(&mut words)?,
            "versions" => {
                let versions = config.versions.get_or_insert_default();
                for version in words.remaining_required("`ipv4` or `ipv6`")? {
                    match one_of(version, &["ipv4", "ipv6"])? {
                        "ipv4" => versions.ipv4 = Some(true),
                        _ => versions.ipv6 = Some(true),
                    }
                }
                words.no_block()?;
            }
            _ => return Err(args.unknown_subdirective(line, KNOWN)),
        }
    }
    Ok(config)
}

fn srv(mut args: Args<'_>) -> Result<Srv, Diagnostic> {
    const KNOWN: [&str; 8] = [
        "dial_fallback_delay",
        "dial_timeout",
        "grace_period",
        "name",
        "proto",
        "refresh",
        "resolvers",
        "service",
    ];
    let mut config = Srv {
        name: args
            .next_arg()
            .map(|token| token.text.clone())
            .unwrap_or_default(),
        ..Srv::default()
    };
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "service" => once(&mut config.service, line)?,
            "proto" => once(&mut config.proto, line)?,
            "name" => once(&mut config.name, line)?,
            "refresh" => config.refresh = duration(&mut words)?,
            "resolvers" => config.resolver = Some(resolver(words)?),
            "dial_timeout" => config.dial_timeout = duration(&mut words)?,
            "dial_fallback_delay" => config.dial_fallback_delay = duration(&mut words)?,
            "grace_period" => config.grace_period = duration(&mut words)?,
            _ => return Err(args.unknown_subdirective(line, KNOWN)),
        }
    }
    Ok(config)
}

fn multi(args: &Args<'_>) -> Result<Multi, Diagnostic> {
    args.finish()?;
    let sources = args.block().iter();
    let sources = sources.map(|line| read(&line.name, Args::new(line)));
    Ok(Multi {
        sources: sources.collect::<Result<_, _>>()?,
    })
}

/// A value that is said once, be it behind the source.
fn once(value: &mut String, line: &Segment) -> Result<(), Diagnostic> {
    let name = &line.name.text;
    let token = single(&mut Args::new(line), &format!("a {name}"))?;
    if !value.is_empty() {
        let message = format!("the {name} is already given");
        return Err(Diagnostic::error("duplicate-option", line, message));
    }
    value.clone_from(&token.text);
    Ok(())
}

fn resolver(mut args: Args<'_>) -> Result<Resolver, Diagnostic> {
    let addresses = texts(&mut args, "the address of a resolver")?;
    Ok(Resolver { addresses })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::{check_not_served, handlers};

    #[track_caller]
    fn check(lines: &str, expected: &serde_json::Value) {
        let found = handlers(&format!("reverse_proxy {{\n{lines}\n}}"));
        let expected = json!([{"handler": "reverse_proxy", "dynamic_upstreams": expected}]);
        assert_eq!(found, expected, "{lines}");
    }

    #[track_caller]
    fn check_refused(lines: &str, mistake: &str) {
        let found = handlers(&format!("reverse_proxy {{\n{lines}\n}}"));
        assert_eq!(found, json!(format!("Caddyfile:{mistake}")), "{lines}");
    }

    #[test]
    fn reads_addresses() {
        check("dynamic a", &json!({"source": "a"}));
        check(
            "dynamic a n 90",
            &json!({"source": "a", "name": "n", "port": "90"}),
        );
        check(
            "dynamic a {\nname n\nport 90\nrefresh 1s\nresolvers a b\ndial_timeout 2s\ndial_fallback_delay -1s\n\
             versions ipv4\nversions ipv6\n}",
            &json!({
                "source": "a", "name": "n", "port": "90", "refresh": 1_000_000_000,
                "resolver": {"addresses": ["a", "b"]}, "dial_timeout": 2_000_000_000,
                "dial_fallback_delay": -1_000_000_000, "versions": {"ipv4": true, "ipv6": true}
            }),
        );
    }

    #[test]
    fn reads_services() {
        check("dynamic srv n", &json!({"source": "srv", "name": "n"}));
        check(
            "dynamic srv {\nservice s\nproto tcp\nname n\nrefresh 1s\nresolvers a\ndial_timeout 2s\n\
             dial_fallback_delay 3s\ngrace_period 4s\n}",
            &json!({
                "source": "srv", "service": "s", "proto": "tcp", "name": "n", "refresh": 1_000_000_000,
                "resolver": {"addresses": ["a"]}, "dial_timeout": 2_000_000_000,
                "dial_fallback_delay": 3_000_000_000_i64, "grace_period": 4_000_000_000_i64
            }),
        );
    }

    #[test]
    fn reads_several() {
        check("dynamic multi", &json!({"source": "multi"}));
        check(
            "dynamic multi {\na n 90\nsrv s\nmulti {\na m\n}\n}",
            &json!({"source": "multi", "sources": [
                {"source": "a", "name": "n", "port": "90"}, {"source": "srv", "name": "s"},
                {"source": "multi", "sources": [{"source": "a", "name": "m"}]}
            ]}),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (lines, mistake) in [
            ("dynamic", "3:1: `dynamic` needs a source: `a`, `srv` or `multi`"),
            ("dynamic dns", "3:9: `dns` is not known here"),
            (
                "dynamic a b c d",
                "3:15: `dynamic` takes no further argument, but `d` follows",
            ),
            ("dynamic a b {\nname c\n}", "4:1: the name is already given"),
            ("dynamic a {\nport\n}", "4:1: `port` needs a port"),
            (
                "dynamic a {\nversions ipv5\n}",
                "4:10: `ipv5` is not known here; did you mean `ipv4`?",
            ),
            (
                "dynamic srv {\nresolvers\n}",
                "4:1: `resolvers` needs the address of a resolver",
            ),
            (
                "dynamic srv {\nport 1\n}",
                "4:1: `dynamic` has no subdirective `port`; did you mean `proto`?",
            ),
            (
                "dynamic multi a",
                "3:15: `dynamic` takes no further argument, but `a` follows",
            ),
            ("dynamic a\ndynamic a", "4:1: there is a `dynamic` already"),
        ] {
            check_refused(lines, mistake);
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("reverse_proxy {\ndynamic a n\n}", "dynamic");
    }
}
