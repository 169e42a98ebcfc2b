//! Addresses of upstreams as a Caddyfile has them: `[scheme://]host[:port]`, `host:first-last`, `unix//path`.

pub(super) mod service;

use crate::paths::join_host_port;
use crate::values::{
    NetworkAddress, is_fd_network, is_unix_network, join_network_address, split_network_address,
};

/// How many upstreams one `reverse_proxy` may have.
pub(super) const MAX_UPSTREAMS: usize = 65_536;

/// How an upstream is spoken to, as its address says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The address does not say.
    None,
    Http,
    Https,
    H2c,
}

impl Scheme {
    /// As written in front of an address.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }
}

/// Reads one address: its scheme, and what to dial; several for a range of ports. An error says what is wrong.
pub(super) fn parse(text: &str) -> Result<(Scheme, Vec<String>), String> {
    let address = match text.split_once("://") {
        Some((scheme, rest)) => parse_url(text, scheme, rest)?,
        None => parse_plain(text),
    };
    let dial = address.dial();
    if address.port.contains('{') && address.port.contains('}') {
        return Ok((address.scheme, vec![dial]));
    }
    let parsed = NetworkAddress::parse(&dial).map_err(|error| error.to_string())?;
    if is_unix_network(&address.network) || !address.port.contains('-') {
        return Ok((address.scheme, vec![dial]));
    }
    let ports = parsed.start_port..=parsed.end_port;
    let dials = ports.map(|port| join_network_address("", &parsed.host, &port.to_string()));
    Ok((address.scheme, dials.collect()))
}

struct Address {
    scheme: Scheme,
    network: String,
    host: String,
    port: String,
}

impl Address {
    fn dial(&self) -> String {
        if !self.network.is_empty() {
            return join_network_address(&self.network, &self.host, &self.port);
        }
        if self.port.is_empty() && self.host.contains('{') {
            return self.host.clone();
        }
        join_host_port(&self.host, &self.port)
    }
}

fn parse_url(text: &str, scheme: &str, rest: &str) -> Result<Address, String> {
    if text.contains('{') {
        return Err("placeholders are not possible in an address with a scheme".to_owned());
    }
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "h2c" => Scheme::H2c,
        "ws" => return Err("`ws://` is for browsers; use `http://`".to_owned()),
        "wss" => return Err("`wss://` is for browsers; use `https://`".to_owned()),
        other => return Err(format!("`{other}://` is not a scheme of upstreams")),
    };
    if rest.contains(['/', '?', '#']) {
        return Err(
            "an upstream is a scheme, a host and a port, without a path, query or fragment".to_owned(),
        );
    }
    if rest.contains('@') || rest.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err(format!("`{rest}` is not a host and a port"));
    }
    let (host, port) = split_url_host(rest).ok_or_else(|| format!("`{rest}` is not a host and a port"))?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = match port.split_once('-') {
        Some((first, last)) => !first.is_empty() && !last.is_empty() && digits(first) && digits(last),
        None => digits(port),
    };
    if !is_port {
        return Err(format!("`{port}` is neither a port nor a range of ports"));
    }
    if let Some(message) = conflict(scheme, port) {
        return Err(message);
    }
    let default = if scheme == Scheme::Https { "443" } else { "80" };
    Ok(Address {
        scheme,
        network: String::new(),
        host: host.to_owned(),
        port: if port.is_empty() { default } else { port }.to_owned(),
    })
}

/// What is wrong with a scheme and a port together.
fn conflict(scheme: Scheme, port: &str) -> Option<String> {
    let owner = match (scheme, port) {
        (Scheme::Http | Scheme::H2c, "443") => "HTTPS",
        (Scheme::Https, "80") => "HTTP",
        _ => return None,
    };
    let scheme = scheme.as_str();
    Some(format!(
        "the scheme `{scheme}://` conflicts with port {port}, the {owner} port"
    ))
}

/// `host`, `host:port` or `[host]:port`; the port may be missing.
fn split_url_host(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, port)),
            None => after.is_empty().then_some((host, "")),
        };
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

fn parse_plain(text: &str) -> Address {
    let (mut network, host, mut port) =
        split_network_address(text).unwrap_or_else(|_| (String::new(), text.to_owned(), String::new()));
    if port.is_empty() && !host.contains('{') && !is_unix_network(&network) && !is_fd_network(&network) {
        "80".clone_into(&mut port);
    }
    let mut scheme = Scheme::None;
    if network == "unix+h2c" {
        "unix".clone_into(&mut network);
        scheme = Scheme::H2c;
    }
    Address {
        scheme,
        network,
        host,
        port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, scheme: Scheme, dials: &[&str]) {
        let dials: Vec<String> = dials.iter().map(|&dial| dial.to_owned()).collect();
        assert_eq!(parse(text), Ok((scheme, dials)), "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = parse(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn addresses_get_their_ports() {
        check("localhost", Scheme::None, &["localhost:80"]);
        check("localhost:8080", Scheme::None, &["localhost:8080"]);
        check(":8080", Scheme::None, &[":8080"]);
        check("[::1]:9000", Scheme::None, &["[::1]:9000"]);
        check("[::1]", Scheme::None, &["[::1]:80"]);
        check("http://a", Scheme::Http, &["a:80"]);
        check("https://a", Scheme::Https, &["a:443"]);
        check("https://a:8443", Scheme::Https, &["a:8443"]);
        check("http://[::1]", Scheme::Http, &["[::1]:80"]);
        check("h2c://a", Scheme::H2c, &["a:80"]);
        check("tcp/a:1", Scheme::None, &["tcp/a:1"]);
        check("unix//run/a.sock", Scheme::None, &["unix//run/a.sock"]);
        check("unix+h2c//run/a.sock", Scheme::H2c, &["unix//run/a.sock"]);
    }

    #[test]
    fn ranges_are_as_many_upstreams_as_ports() {
        check("a:8001-8003", Scheme::None, &["a:8001", "a:8002", "a:8003"]);
        check("https://a:8001-8002", Scheme::Https, &["a:8001", "a:8002"]);
    }

    #[test]
    fn placeholders_stay() {
        check("{http.vars.up}", Scheme::None, &["{http.vars.up}"]);
        check("{http.vars.up}:80", Scheme::None, &["{http.vars.up}:80"]);
        check("a:{http.vars.port}", Scheme::None, &["a:{http.vars.port}"]);
    }

    #[test]
    fn contradictions_are_refused() {
        check_refused("http://a:443", "conflicts with port 443");
        check_refused("https://a:80", "conflicts with port 80");
        check_refused("h2c://a:443", "conflicts with port 443");
        check_refused("http://a/b", "without a path");
        check_refused("http://a?b", "without a path");
        check_refused("http://a/", "without a path");
        check_refused("ws://a", "use `http://`");
        check_refused("wss://a", "use `https://`");
        check_refused("ftp://a", "not a scheme");
        check_refused("http://{host}", "placeholders");
        check_refused("http://a:b", "neither a port");
        check_refused("http://a:1-2-3", "neither a port");
        check_refused("http://a b", "not a host");
        check_refused("http://::1", "not a host");
        check_refused("a:99999", "port");
        check_refused("a:20-10", "ends before");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9:/\\[\\]{}@.,-]{0,24}") {
            let _ = parse(&text);
        }
    }
}
