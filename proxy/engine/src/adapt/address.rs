//! Site addresses: `[scheme://][host][:port][/path]`.
//!
//! Read as Caddy does: only the port is checked; the host is compared byte by byte later, and so it is lowercased,
//! but for placeholders, and an IPv6 address is written in its shortest form.

use std::net::Ipv6Addr;

use fairway_caddyfile::{Diagnostic, Span, Token};

use crate::paths::{join_host_port, split_host_port};

/// Bytes of an address that are read; the rest is dropped, as in Caddy.
const LONGEST: usize = 4096;

/// The address of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As written.
    pub original: String,
    /// `http`, `https` or nothing.
    pub scheme: String,
    /// A name, an IP address without brackets, a pattern; nothing for every host.
    pub host: String,
    /// As written; nothing for the scheme's.
    pub port: String,
    /// With its slash, or nothing.
    pub path: String,
    /// Where it is written.
    pub span: Span,
}

impl Address {
    /// Reads an address.
    pub(crate) fn parse(key: &Token) -> Result<Self, Diagnostic> {
        let refuse = |message: String| Err(Diagnostic::error("invalid-address", key, message));
        let mut end = key.text.len().min(LONGEST);
        while !key.text.is_char_boundary(end) {
            end -= 1;
        }
        let original = key.text[..end].trim();
        let (scheme, rest) = original.split_once("://").unwrap_or(("", original));
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let with_colon = format!("{authority}:");
        let (host, port) = split_host_port(authority)
            .or_else(|_| split_host_port(&with_colon))
            .unwrap_or((authority, ""));
        let digits = port.strip_prefix(['+', '-']).unwrap_or(port);
        if !port.is_empty() && (digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit())) {
            return refuse(format!("`{port}` is not a port number"));
        }
        if !port.is_empty() && port != "-0" && port.parse::<u16>().is_err() {
            return refuse(format!("the port {port} is out of range"));
        }
        let scheme = lower_except_placeholders(scheme);
        match scheme.as_str() {
            "" | "http" | "https" => {}
            "ws" | "wss" => {
                let instead = if scheme == "ws" { "http" } else { "https" };
                let message = format!("the scheme {scheme}:// is only for browsers");
                return Err(Diagnostic::error("invalid-address", key, message)
                    .help(format!("write `{instead}://`; WebSockets are served as well")));
            }
            _ => {
                let message = format!("the scheme {scheme}:// is not supported");
                let help = "write `http://` or `https://`, or leave it out";
                return Err(Diagnostic::error("invalid-address", key, message).help(help));
            }
        }
        Ok(Self {
            original: original.into(),
            scheme,
            host: normal_host(host),
            port: port.into(),
            path: path.into(),
            span: key.span.clone(),
        })
    }

    /// The port that it is served on.
    pub(crate) fn listener_port(&self, ports: Ports) -> u16 {
        if !self.port.is_empty() {
            // Checked when it was read; `-0` is the one text that Go takes and Rust does not.
            return self.port.parse().unwrap_or(0);
        }
        if self.scheme == "http" {
            ports.http
        } else {
            ports.https
        }
    }

    /// Whether a port is written and it is this one.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.port == port.to_string()
    }

    /// The host as a `Host` header names it: with the port, if that is not one of the usual.
    pub(crate) fn logged_host(&self) -> String {
        match self.port.as_str() {
            "" | "80" | "443" => self.host.clone(),
            port => join_host_port(&self.host, port),
        }
    }
}

/// The ports that count as HTTP and HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub http: u16,
    pub https: u16,
}

fn normal_host(host: &str) -> String {
    let host = host.trim();
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => (address, Some(zone)),
        _ => (host, None),
    };
    let normal = match address.parse::<Ipv6Addr>() {
        Ok(ip) if ip.to_ipv4_mapped().is_none() => match zone {
            Some(zone) => format!("{ip}%{zone}"),
            None => ip.to_string(),
        },
        _ => host.to_owned(),
    };
    lower_except_placeholders(&normal)
}

/// Lowercases all but what stands in braces.
fn lower_except_placeholders(text: &str) -> String {
    let mut lowered = String::with_capacity(text.len());
    let (mut escaped, mut inside) = (false, false);
    for letter in text.chars() {
        match letter {
            '\\' if !escaped => {
                escaped = true;
                lowered.push(letter);
                continue;
            }
            '{' if !escaped => inside = true,
            '}' if !escaped => inside = false,
            _ => {}
        }
        if inside {
            lowered.push(letter);
        } else {
            lowered.extend(letter.to_lowercase());
        }
        escaped = false;
    }
    lowered
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};

    use super::*;

    fn read(key: &str) -> Result<Address, Diagnostic> {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!("{key} {{\n}}\n"),
        );
        Address::parse(&parse(source, &Options::default()).file.sites[0].keys[0])
    }

    /// The expected parts: scheme, host, port, path.
    #[track_caller]
    fn check(key: &str, expected: [&str; 4]) {
        let address = read(key).unwrap();
        let parts = [&*address.scheme, &address.host, &address.port, &address.path];
        assert_eq!(parts, expected, "{key}");
    }

    #[track_caller]
    fn check_refused(key: &str, expected: &str) {
        assert_eq!(read(key).unwrap_err().message, expected, "{key}");
    }

    #[test]
    fn parts_of_an_address() {
        check("example.com", ["", "example.com", "", ""]);
        check(
            "http://example.com:8080/a/b",
            ["http", "example.com", "8080", "/a/b"],
        );
        check("https://", ["https", "", "", ""]);
        check(":443", ["", "", "443", ""]);
        check("example.com/", ["", "example.com", "", "/"]);
        check("*", ["", "*", "", ""]);
        check("*.example.com:0", ["", "*.example.com", "0", ""]);
    }

    #[test]
    fn hosts_are_normal() {
        check("EXAMPLE.com", ["", "example.com", "", ""]);
        check("HTTPS://Ä.Example", ["https", "ä.example", "", ""]);
        check("{env.HOST}.Example.com", ["", "{env.HOST}.example.com", "", ""]);
        check("[::1]", ["", "::1", "", ""]);
        check("[0:0:0:0:0:0:0:1]:80", ["", "::1", "80", ""]);
        check("::1", ["", "::1", "", ""]);
        check("[::ffff:1.2.3.4]", ["", "::ffff:1.2.3.4", "", ""]);
        check("127.0.0.1:8080", ["", "127.0.0.1", "8080", ""]);
    }

    #[test]
    fn refuses_schemes_and_ports() {
        check_refused("ftp://a.test", "the scheme ftp:// is not supported");
        check_refused("ws://a.test", "the scheme ws:// is only for browsers");
        check_refused("wss://a.test", "the scheme wss:// is only for browsers");
        check_refused("a.test:65536", "the port 65536 is out of range");
        check_refused("a.test:-1", "the port -1 is out of range");
        check_refused("a.test:http", "`http` is not a port number");
        check_refused("a.test:80-90", "`80-90` is not a port number");
        check_refused("localhost:{env.PORT}", "`{env.PORT}` is not a port number");
    }
}
