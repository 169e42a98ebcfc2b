//! Network addresses: `network/host:port`, port ranges, Unix sockets and inherited file descriptors.

use std::fmt;
use std::str::FromStr;

use crate::paths::{AddressError, join_host_port, split_host_port};

/// The mode of a socket file that names none: its owner may connect.
const DEFAULT_MODE: u32 = 0o200;

/// One address, or as many as its range has ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetworkAddress {
    /// Such as `tcp`, `udp4`, `unix` or `fd`; lowercase.
    pub network: String,
    /// A name or IP address without brackets, a socket's path with its mode, or a descriptor's number. May be empty.
    pub host: String,
    /// The first port; 0 for none.
    pub start_port: u16,
    /// The last port, not below the first.
    pub end_port: u16,
}

/// Why a text is not a network address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkAddressError {
    /// Host and port cannot be told apart.
    #[error(transparent)]
    Split(#[from] AddressError),
    /// A port that is not a number from 0 to 65535.
    #[error("`{0}` is not a port number")]
    Port(String),
    /// A range that ends before it begins.
    #[error("the port range ends before it begins")]
    Range,
    /// A socket mode that is not octal.
    #[error("`{0}` is not an octal file mode")]
    Mode(String),
    /// A socket mode that locks out the socket's own owner.
    #[error("the mode of a socket must let its owner write, such as 0200")]
    OwnerWrite,
}

impl NetworkAddress {
    /// Reads `network/host:port`, of which every part may be missing: the network is `tcp` then, the port 0.
    pub fn parse(text: &str) -> Result<Self, NetworkAddressError> {
        Self::parse_with_defaults(text, "tcp", 0)
    }

    /// Like [`parse`](Self::parse), with a network and a port for texts without.
    pub fn parse_with_defaults(
        text: &str,
        default_network: &str,
        default_port: u16,
    ) -> Result<Self, NetworkAddressError> {
        let (network, host, port) = split_network_address(text)?;
        let network = if network.is_empty() {
            default_network.to_owned()
        } else {
            network
        };
        if is_unix_network(&network) {
            split_socket_mode(&host)?;
        }
        let (start_port, end_port) = if is_unix_network(&network) || is_fd_network(&network) {
            (0, 0)
        } else if port.is_empty() {
            (default_port, default_port)
        } else {
            let (start, end) = port.split_once('-').unwrap_or((&port, &port));
            (parse_port(start)?, parse_port(end)?)
        };
        if end_port < start_port {
            return Err(NetworkAddressError::Range);
        }
        Ok(NetworkAddress {
            network,
            host,
            start_port,
            end_port,
        })
    }

    /// Whether it is the path of a Unix socket.
    pub fn is_unix(&self) -> bool {
        is_unix_network(&self.network)
    }

    /// Whether it is an inherited file descriptor.
    pub fn is_fd(&self) -> bool {
        is_fd_network(&self.network)
    }

    /// How many ports the range has, at least 1.
    pub fn port_count(&self) -> u32 {
        u32::from(self.end_port.saturating_sub(self.start_port)) + 1
    }
}

impl FromStr for NetworkAddress {
    type Err = NetworkAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NetworkAddress::parse(text)
    }
}

impl fmt::Display for NetworkAddress {
    /// A form that reads back as the same address; `tcp` is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = if self.network == "tcp" { "" } else { &self.network };
        let port = if self.start_port == self.end_port {
            self.start_port.to_string()
        } else {
            format!("{}-{}", self.start_port, self.end_port)
        };
        f.write_str(&join_network_address(network, &self.host, &port))
    }
}

/// Whether a network is one of Unix sockets (`unix`, `unixgram`, `unix+h2c` …).
pub fn is_unix_network(network: &str) -> bool {
    network.starts_with("unix")
}

/// Whether a network is one of inherited file descriptors (`fd`, `fdgram`).
pub fn is_fd_network(network: &str) -> bool {
    network.starts_with("fd")
}

/// Splits an address into network (lowercase), host and port, each empty where missing. The port may be a range or
/// a placeholder: it is not looked at.
pub fn split_network_address(text: &str) -> Result<(String, String, String), AddressError> {
    let (network, rest) = match text.split_once('/') {
        Some((network, rest)) => (network.trim().to_lowercase(), rest),
        None => (String::new(), text),
    };
    if is_unix_network(&network) || is_fd_network(&network) {
        return Ok((network, rest.to_owned(), String::new()));
    }
    if let Ok((host, port)) = split_host_port(rest) {
        return Ok((network, host.to_owned(), port.to_owned()));
    }
    // Most often only the port is missing; an IPv6 address may come without brackets then.
    let with_port = join_host_port(rest.trim_matches(['[', ']']), "0");
    let (host, _) = split_host_port(&with_port)?;
    Ok((network, host.to_owned(), String::new()))
}

/// Joins network, host and port, each possibly empty, in the form that [`split_network_address`] takes apart.
pub fn join_network_address(network: &str, host: &str, port: &str) -> String {
    let prefix = if network.is_empty() {
        String::new()
    } else {
        format!("{network}/")
    };
    if is_unix_network(network) || is_fd_network(network) || port.is_empty() {
        prefix + host
    } else {
        prefix + &join_host_port(host, port)
    }
}

/// Splits a socket's `path|mode` into the path and the file mode, which is 0200 where none is given.
pub fn split_socket_mode(address: &str) -> Result<(&str, u32), NetworkAddressError> {
    let Some((path, mode)) = address.split_once('|') else {
        return Ok((address, DEFAULT_MODE));
    };
    let octal = !mode.starts_with('+');
    let bits = u32::from_str_radix(mode, 8).ok().filter(|_| octal);
    let bits = bits.ok_or_else(|| NetworkAddressError::Mode(mode.chars().take(20).collect()))?;
    // Go's file types are the 13 highest bits; more than one of them hides the owner's bit from Caddy's check.
    let types = (bits >> 19).count_ones();
    if types > 1 || bits & DEFAULT_MODE == 0 {
        return Err(NetworkAddressError::OwnerWrite);
    }
    Ok((path, bits))
}

fn parse_port(text: &str) -> Result<u16, NetworkAddressError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| NetworkAddressError::Port(text.chars().take(20).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, expected: NetworkAddressError) {
        assert_eq!(NetworkAddress::parse(text), Err(expected), "for {text:?}");
    }

    #[test]
    fn refusals_name_the_cause() {
        check_refused(":http", NetworkAddressError::Port("http".into()));
        check_refused(":1-", NetworkAddressError::Port(String::new()));
        check_refused(":2-1", NetworkAddressError::Range);
        check_refused("unix//x|rw", NetworkAddressError::Mode("rw".into()));
        check_refused("unix//x|0444", NetworkAddressError::OwnerWrite);
        check_refused("a[:80", NetworkAddressError::Split(AddressError::Bracket));
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        let address = NetworkAddress::parse_with_defaults("localhost", "udp", 53).unwrap();
        assert_eq!(address.to_string(), "udp/localhost:53");
        assert_eq!(address.port_count(), 1);
        assert_eq!(NetworkAddress::parse(":8000-8009").unwrap().port_count(), 10);
    }

    #[test]
    fn socket_modes_are_split_off() {
        assert_eq!(split_socket_mode("/run/x.sock|0222"), Ok(("/run/x.sock", 0o222)));
        assert_eq!(split_socket_mode("/run/x.sock"), Ok(("/run/x.sock", 0o200)));
    }
}
