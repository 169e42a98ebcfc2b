//! Addresses of upstreams in a cluster: `[http|https|h2c://]NAME[.NS[.svc[.cluster.local]]][:PORT|:PORTNAME]`. All else
//! is for the operator.

use std::net::IpAddr;

use fairway_caddyfile::Tier;

use super::{Scheme, conflict, split_url_host};
use crate::cluster::{Notice, ServiceName};

/// The Service that an address of somebody's names. None: it names something else, and its author may.
pub(in super::super) fn parse(text: &str, tier: Tier) -> Result<Option<(Scheme, ServiceName<'_>)>, Notice> {
    match read(text, tier) {
        Ok(service) => Ok(Some(service)),
        Err(No::Mistake { message, help }) => Err(Notice {
            code: "invalid-value",
            message: format!("upstream `{text}`: {message}"),
            help,
        }),
        Err(No::Other { .. }) if tier == Tier::Operator => Ok(None),
        Err(No::Other { what, help }) => Err(Notice {
            code: "operator-only",
            message: format!("upstream `{text}`: {what} is for the operator of the cluster only"),
            help: Some(help.to_owned()),
        }),
    }
}

/// Why an address names no Service.
enum No {
    /// It names nothing.
    Mistake { message: String, help: Option<String> },
    /// It names something else: what it is, and what to write for it.
    Other { what: String, help: &'static str },
}

/// What to write for most of what is refused.
const NAME_A_SERVICE: &str =
    "upstreams are Services here: `NAME[.NAMESPACE][:PORT]`, such as `api:8080` or `api:http`";

/// What to write for an address outside the cluster.
const MAKE_A_SERVICE: &str = "a Service without a selector, with an EndpointSlice that holds the address, can be named here in its place";

fn read(text: &str, tier: Tier) -> Result<(Scheme, ServiceName<'_>), No> {
    if text.contains('{') {
        return Err(other("an address with placeholders", NAME_A_SERVICE));
    }
    let (scheme, rest) = read_scheme(text)?;
    if rest.parse::<IpAddr>().is_ok() {
        return Err(other("an IP address", MAKE_A_SERVICE));
    }
    if rest.contains('/') {
        return Err(other("an address with a network", NAME_A_SERVICE));
    }
    let no_host = || mistake(format!("`{rest}` is not a host and a port"));
    let (host, port) = split_url_host(rest).ok_or_else(no_host)?;
    let name = read_host(host, tier)?;
    let port = match port {
        "" if rest.ends_with(':') => return Err(mistake("there is no port after the colon")),
        "" => None,
        port => Some(read_port(port, tier)?),
    };
    match port.and_then(|port| conflict(scheme, port)) {
        Some(message) => Err(mistake(message)),
        None => Ok((scheme, ServiceName { port, ..name })),
    }
}

/// The scheme, and what follows it.
fn read_scheme(text: &str) -> Result<(Scheme, &str), No> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((Scheme::None, text));
    };
    let known = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "h2c" => Scheme::H2c,
        "srv" | "srv+http" | "srv+https" | "srv+h2c" => {
            return Err(other(format!("the scheme `{scheme}://`"), NAME_A_SERVICE));
        }
        _ => Scheme::None,
    };
    if known == Scheme::None || rest.contains(['/', '?', '#', '@']) {
        // What is wrong with it has nothing to do with clusters.
        let refused = super::parse(text).err();
        return Err(mistake(
            refused.unwrap_or_else(|| format!("`{rest}` is not a host and a port")),
        ));
    }
    Ok((known, rest))
}

/// The Service of a host, without its port.
fn read_host(host: &str, tier: Tier) -> Result<ServiceName<'_>, No> {
    if host.is_empty() {
        return Err(other("an address without a host", NAME_A_SERVICE));
    }
    if host.parse::<IpAddr>().is_ok() {
        return Err(other("an IP address", MAKE_A_SERVICE));
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    if last.eq_ignore_ascii_case("localhost") {
        return Err(other("`localhost`", NAME_A_SERVICE));
    }
    let labels: Vec<&str> = host.split('.').collect();
    let (name, namespace) = match labels[..] {
        [name] if is_label(name) => (name, None),
        [_] => {
            let message = format!("`{host}` cannot be the name of a Service");
            let help = "it is of lower-case letters, digits and hyphens, at most 63".to_owned();
            return Err(No::Mistake {
                message,
                help: Some(help),
            });
        }
        [name, namespace] if tier == Tier::Tenant => (name, Some(namespace)),
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => (name, Some(namespace)),
        _ => return Err(other("a host that is no Service", MAKE_A_SERVICE)),
    };
    if !is_label(name) || !namespace.is_none_or(is_label) {
        return Err(other("a host that is no Service", MAKE_A_SERVICE));
    }
    Ok(ServiceName {
        namespace,
        name,
        port: None,
    })
}

/// The number or name of a port.
fn read_port(port: &str, tier: Tier) -> Result<&str, No> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let range = port.split_once('-');
    if range.is_some_and(|(first, last)| is_number(first) && is_number(last)) {
        const HELP: &str = "write the Service once for each of its ports";
        return Err(match tier {
            Tier::Tenant => other("a range of ports", HELP),
            Tier::Operator => No::Mistake {
                message: "a Service has no ranges of ports".to_owned(),
                help: Some(HELP.to_owned()),
            },
        });
    }
    let is_valid = if is_number(port) {
        !port.starts_with('0') && port.parse::<u16>().is_ok()
    } else {
        is_label(port) && port.len() <= 15
    };
    if is_valid {
        Ok(port)
    } else {
        Err(mistake(format!(
            "`{port}` is neither the number nor the name of a port"
        )))
    }
}

/// Whether a text is a label of DNS, as names of Services, namespaces and ports are.
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn mistake(message: impl Into<String>) -> No {
    No::Mistake {
        message: message.into(),
        help: None,
    }
}

fn other(what: impl Into<String>, help: &'static str) -> No {
    No::Other {
        what: what.into(),
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Name<'t> = (&'t str, Option<&'t str>, Option<&'t str>);

    #[track_caller]
    fn check(text: &str, tier: Tier, scheme: Scheme, (name, namespace, port): Name<'_>) {
        let expected = ServiceName {
            namespace,
            name,
            port,
        };
        assert_eq!(parse(text, tier), Ok(Some((scheme, expected))), "{text}");
    }

    #[track_caller]
    fn check_both(text: &str, scheme: Scheme, name: Name<'_>) {
        check(text, Tier::Tenant, scheme, name);
        check(text, Tier::Operator, scheme, name);
    }

    #[track_caller]
    fn check_refused(text: &str, tier: Tier, code: &str, part: &str) {
        let notice = parse(text, tier).expect_err(text);
        assert_eq!(notice.code, code, "{text}: {notice:?}");
        assert!(notice.message.contains(part), "{text}: {notice:?}");
        assert!(notice.help.is_some() || code != "operator-only", "{text}");
    }

    #[test]
    fn services_are_named() {
        check_both("api", Scheme::None, ("api", None, None));
        check_both("api:8080", Scheme::None, ("api", None, Some("8080")));
        check_both("api:http", Scheme::None, ("api", None, Some("http")));
        check_both("api:http-2", Scheme::None, ("api", None, Some("http-2")));
        check_both("api.shop.svc", Scheme::None, ("api", Some("shop"), None));
        check_both(
            "api.shop.svc.cluster.local:80",
            Scheme::None,
            ("api", Some("shop"), Some("80")),
        );
        check_both("http://api", Scheme::Http, ("api", None, None));
        check_both("https://api:8443", Scheme::Https, ("api", None, Some("8443")));
        check_both("HTTPS://api", Scheme::Https, ("api", None, None));
        check_both("h2c://api:grpc", Scheme::H2c, ("api", None, Some("grpc")));
        check(
            "api.shop:80",
            Tier::Tenant,
            Scheme::None,
            ("api", Some("shop"), Some("80")),
        );
    }

    #[test]
    fn all_else_is_for_the_operator() {
        for (text, part) in [
            ("127.0.0.1:80", "an IP address"),
            ("10.0.0.1", "an IP address"),
            ("http://10.0.0.1:80", "an IP address"),
            ("[::1]:80", "an IP address"),
            ("::1", "an IP address"),
            ("localhost", "`localhost`"),
            ("LOCALHOST:80", "`localhost`"),
            ("http://a.localhost:80", "`localhost`"),
            (":8080", "without a host"),
            ("unix//run/a.sock", "a network"),
            ("unix+h2c//run/a.sock", "a network"),
            ("fd/3", "a network"),
            ("tcp/api:80", "a network"),
            ("{http.request.host}", "placeholders"),
            ("api:{port}", "placeholders"),
            ("http://{host}", "placeholders"),
            ("a.b.example.com", "no Service"),
            ("pod-0.db.shop.svc", "no Service"),
            ("api.shop.svc.", "no Service"),
        ] {
            check_refused(text, Tier::Tenant, "operator-only", part);
            assert_eq!(parse(text, Tier::Operator), Ok(None), "{text}");
        }
        check_refused("srv+http://a", Tier::Tenant, "operator-only", "`srv+http://`");
        check_refused("api:8000-8010", Tier::Tenant, "operator-only", "a range of ports");
        assert_eq!(parse("example.com:80", Tier::Operator), Ok(None));
    }

    #[test]
    fn mistakes_are_told_to_everybody() {
        for (text, part) in [
            ("API:80", "cannot be the name"),
            ("my_api", "cannot be the name"),
            ("-a", "cannot be the name"),
            ("api:", "no port after the colon"),
            ("api:0", "neither the number nor the name"),
            ("api:080", "neither the number nor the name"),
            ("api:99999", "neither the number nor the name"),
            ("api:HTTP", "neither the number nor the name"),
            ("api:name-of-sixteens", "neither the number nor the name"),
            ("api:1:2", "not a host and a port"),
            ("http://api/path", "without a path"),
            ("http://user@api", "not a host and a port"),
            ("ws://api", "use `http://`"),
            ("ftp://api", "not a scheme"),
            ("http://api:443", "conflicts with port 443"),
            ("https://api:80", "conflicts with port 80"),
        ] {
            check_refused(text, Tier::Tenant, "invalid-value", part);
            check_refused(text, Tier::Operator, "invalid-value", part);
        }
        check_refused("api:8000-8010", Tier::Operator, "invalid-value", "no ranges");
    }

    proptest::proptest! {
        #[test]
        fn tenants_get_services_or_nothing(text in "[a-z0-9A:/\\[\\]{}@.,+-]{0,24}") {
            proptest::prop_assert!(!matches!(parse(&text, Tier::Tenant), Ok(None)));
            let _ = parse(&text, Tier::Operator);
        }
    }
}
