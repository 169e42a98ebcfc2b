//! What the engine knows of a cluster: the names of Service ports, and the questions that directives ask about other
//! objects while a text is adapted. The answers are the controller's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fairway_caddyfile::{Diagnostic, Origin, Token};
use serde::{Deserialize, Serialize};

/// A port of a Service: what a config names, and under what its endpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// Where the Service lives.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The number of the port, as the Service has it. As written while there is no such Service or port, and empty if
    /// nothing was written.
    pub port: Box<str>,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            port,
        } = self;
        write!(f, "{namespace}/{name}:{port}")
    }
}

/// A Service as a Caddyfile names it: `NAME[.NS[.svc[.cluster.local]]][:PORT|:PORTNAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceName<'t> {
    /// The namespace, if it is written.
    pub namespace: Option<&'t str>,
    /// The Service.
    pub name: &'t str,
    /// The port's number or name, if it is written.
    pub port: Option<&'t str>,
}

/// What the controller has to say about a name: why it may not be used, or what is wrong with it for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The code of the diagnostic.
    pub code: &'static str,
    /// A sentence without its full stop.
    pub message: String,
    /// The fix.
    pub help: Option<String>,
}

impl Notice {
    /// As a mistake at the name.
    pub fn error(self, at: &Token) -> Diagnostic {
        Diagnostic::error(self.code, at, self.message).help_if(self.help)
    }

    /// As a warning at the name.
    pub fn warning(self, at: &Token) -> Diagnostic {
        Diagnostic::warning(self.code, at, self.message).help_if(self.help)
    }
}

/// The other objects of a cluster, as the author of a text may see them.
pub trait Cluster {
    /// The Service port that `from` means. A Service that is not there yet is no refusal: its name comes back as
    /// written, with a notice for the author.
    fn service(&self, name: &ServiceName<'_>, from: &Origin)
    -> Result<(ServicePort, Option<Notice>), Notice>;

    /// The full name, `namespace/name`, of the named route that `from` means outside its own object.
    fn named_route(&self, name: &str, from: &Origin) -> Result<String, Notice>;
}

/// Why no request may be sent to an address that a tenant can influence, such as that of an endpoint; none if it may. The
/// reason completes `… is`: `a loopback address`. An IPv4 address within an IPv6 address is judged as itself.
pub fn is_forbidden_endpoint(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => is_forbidden_v6(address),
    }
}

/// Addresses at which clouds give away a machine's secrets, beside those that are link-local.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];

/// The same of IPv6.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn is_forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let kinds = [
        (address.is_loopback(), LOOPBACK),
        (address.is_link_local(), LINK_LOCAL),
        // All of them mean this machine, or nothing.
        (address.octets()[0] == 0, UNSPECIFIED),
        (address.is_multicast(), MULTICAST),
        (address.is_broadcast(), "the broadcast address"),
        (METADATA_V4.contains(&address), METADATA),
    ];
    reason(&kinds)
}

fn is_forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let kinds = [
        (address.is_loopback(), LOOPBACK),
        (address.is_unicast_link_local(), LINK_LOCAL),
        (address.is_unspecified(), UNSPECIFIED),
        (address.is_multicast(), MULTICAST),
        (METADATA_V6.contains(&address), METADATA),
    ];
    reason(&kinds).or_else(|| embedded(address).and_then(is_forbidden_v4))
}

/// The IPv4 address that packets to an IPv6 address end up at: a mapped or compatible one, or one behind NAT64 or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0, 0, 0, 0, 0, 0 | 0xffff, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x64, 0xff9b, 1, _, _, _, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

const LOOPBACK: &str = "a loopback address";
const LINK_LOCAL: &str = "a link-local address";
const UNSPECIFIED: &str = "an unspecified address";
const MULTICAST: &str = "a multicast address";
const METADATA: &str = "the address of a metadata service";

fn reason(kinds: &[(bool, &'static str)]) -> Option<&'static str> {
    kinds.iter().find(|(is_it, _)| *is_it).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, part: Option<&str>) {
        let found = is_forbidden_endpoint(address.parse().unwrap());
        match part {
            None => assert_eq!(found, None, "{address}"),
            Some(part) => assert!(
                found.is_some_and(|reason| reason.contains(part)),
                "{address}: {found:?}"
            ),
        }
    }

    #[test]
    fn pods_can_have_these_addresses() {
        for address in [
            "10.0.0.1",
            "172.16.3.4",
            "192.168.0.1",
            "100.64.0.1",
            "240.0.0.1",
            "203.0.113.9",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            check(address, None);
        }
    }

    #[test]
    fn endpoints_are_never_at_these_addresses() {
        for (address, part) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("169.254.0.1", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
        ] {
            check(address, Some(part));
        }
    }

    #[test]
    fn ipv4_within_ipv6_is_judged_as_itself() {
        for (address, part) in [
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0.0.0.0", "unspecified"),
            ("::ffff:224.0.0.1", "multicast"),
            ("::ffff:100.100.100.200", "metadata"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::a9fe:a9fe", "link-local"),
            ("2002:7f00:1::", "loopback"),
            ("2002:a9fe:a9fe::1", "link-local"),
        ] {
            check(address, Some(part));
        }
    }
}
