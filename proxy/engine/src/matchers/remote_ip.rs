//! `remote_ip` matches the address of the peer: who is connected, be it a proxy.
//!
//! ```caddyfile
//! remote_ip <ranges…>
//! ```
//!
//! A range is an address, or a network like `10.0.0.0/8`; `private_ranges` stands for those of private networks. One
//! of them must hold the address. An IPv6 range may end in a zone, `fe80::/10%2`, the number of the interface that the
//! peer must be reached by. Placeholders are filled when the config is loaded. JSON: `http.matchers.remote_ip`,
//! `{"ranges": […]}`.

use std::net::{IpAddr, SocketAddr};

use fairway_caddyfile::{Args, Diagnostic, Segment};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::compile::{CompileError, parse_range};
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::template::Template;

pub(crate) const MATCHER: Entry = Entry {
    name: "remote_ip",
    parse,
};

/// What `private_ranges` stands for.
pub(crate) const PRIVATE_RANGES: [&str; 6] = [
    "192.168.0.0/16",
    "172.16.0.0/12",
    "10.0.0.0/8",
    "127.0.0.1/8",
    "fd00::/8",
    "::1",
];

/// Where the peer must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses and networks, one of which must hold the peer's address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<String>,
}

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let ranges = &mut set.remote_ip.get_or_insert_default().ranges;
    for line in lines {
        for token in &line.args {
            if token.text == "forwarded" {
                let message = "`remote_ip` does not look at `X-Forwarded-For`";
                return Err(Diagnostic::error("invalid-value", token, message)
                    .help("use `client_ip`, with the server option `trusted_proxies`"));
            }
        }
        parse_ranges(line, ranges)?;
    }
    Ok(())
}

/// Reads the ranges of a line.
pub(super) fn parse_ranges(line: &Segment, ranges: &mut Vec<String>) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    for token in args.remaining_required("an address or a range")? {
        if token.text == "private_ranges" {
            ranges.extend(PRIVATE_RANGES.map(str::to_owned));
        } else {
            ranges.push(token.text.clone());
        }
    }
    args.no_block()
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct RemoteIp(Ranges);

impl Config {
    pub(crate) fn compile(&self) -> Result<RemoteIp, CompileError> {
        let ranges = Ranges::compile(&self.ranges).map_err(|error| error.within("remote_ip"))?;
        Ok(RemoteIp(ranges))
    }
}

impl RemoteIp {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let remote = exchange.connection.remote;
        let zone = match remote {
            SocketAddr::V6(remote) => remote.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        self.0.hold(remote.ip(), zone)
    }
}

/// Ranges, ready to be asked.
#[derive(Debug)]
pub(super) struct Ranges(Box<[(IpNet, Zone)]>);

/// Which zone of an IPv6 range is meant.
#[derive(Debug, PartialEq)]
enum Zone {
    Any,
    Number(u32),
    /// A name, which no address has here.
    Named,
}

impl Ranges {
    pub(super) fn compile(ranges: &[String]) -> Result<Self, CompileError> {
        let ranges = ranges.iter().map(|range| {
            let filled = Template::new(range).fill_global();
            let mut parts = filled.split('%');
            let range = parse_range(parts.next().unwrap_or_default()).map_err(CompileError::new)?;
            let zone = match parts.next().unwrap_or_default() {
                "" => Zone::Any,
                zone => zone.parse().map_or(Zone::Named, Zone::Number),
            };
            Ok((range, zone))
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them holds the address; `zone` is the number of its interface, 0 without.
    pub(super) fn hold(&self, address: IpAddr, zone: u32) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|(range, wanted)| {
            range.contains(&address) && (*wanted == Zone::Any || zone != 0 && *wanted == Zone::Number(zone))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check_json, check_not_compiled, check_refused, with_connection};

    #[test]
    fn lines_add_up() {
        check_json(
            "remote_ip 10.0.0.1 fd00::/8\nremote_ip private_ranges",
            r#"{"remote_ip": {"ranges": ["10.0.0.1", "fd00::/8", "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8",
                "127.0.0.1/8", "fd00::/8", "::1"]}}"#,
        );
        check_refused("remote_ip", "`remote_ip` needs an address or a range");
        check_refused("remote_ip ::1 {\n}", "`remote_ip` takes no block");
        check_refused(
            "remote_ip forwarded 10.0.0.0/8",
            "`remote_ip` does not look at `X-Forwarded-For`",
        );
    }

    #[test]
    fn ranges_must_be_ranges() {
        let reason = "is neither an IP address nor a range";
        for range in [
            "10.0.0",
            "localhost",
            "10.0.0.0/33",
            "{http.request.host}",
            "1.2.3.4-1.2.3.9",
        ] {
            check_not_compiled(&format!("remote_ip {range}"), reason);
        }
    }

    #[test]
    fn looks_at_the_peer() {
        #[track_caller]
        fn check(ranges: &str, remote: &str, expected: bool) {
            let mut exchange = with_connection("GET /\nX-Forwarded-For: 10.9.9.9", remote, None);
            exchange.client_ip = "10.9.9.9".parse().unwrap();
            let found = ask(&format!("remote_ip {ranges}"), &mut exchange);
            assert_eq!(found, Ok(expected), "{ranges} {remote}");
        }
        check("10.0.0.0/8", "10.255.0.1:1", true);
        check("10.0.0.0/8", "11.0.0.1:1", false);
        check("192.0.2.1", "192.0.2.1:1", true);
        check("192.0.2.1", "192.0.2.2:1", false);
        check("10.1.2.3/8", "10.0.0.1:1", true);
        check("192.0.2.1 2001:db8::/32", "[2001:db8::9]:1", true);
        check("0.0.0.0/0", "[2001:db8::9]:1", false);
        check("10.0.0.0/8", "[::ffff:10.0.0.1]:1", true);
        check("private_ranges", "127.5.5.5:1", true);
        check("private_ranges", "[fd12::1]:1", true);
        check("private_ranges", "169.254.1.1:1", false);
        check("private_ranges", "100.64.0.1:1", false);
        check("fe80::/10%3", "[fe80::1%3]:1", true);
        check("fe80::/10%3", "[fe80::1%4]:1", false);
        check("fe80::/10%eth0", "[fe80::1%3]:1", false);
        check("fe80::/10", "[fe80::1%3]:1", true);
    }
}
