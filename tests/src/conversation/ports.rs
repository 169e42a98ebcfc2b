//! The ports of one case, and their names in configs and records.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Names of ports on which the server may listen, and of one on which nobody does.
const NAMES: [&str; 7] = ["HTTP", "HTTPS", "P1", "P2", "P3", "P4", "DOWN"];

/// Ports are taken from here upwards: below the range from which systems give ports to clients, so that no
/// connection of a neighbour takes one away between its choice and its use.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

pub(super) struct Ports {
    /// Names with ports; those of upstreams and `DOWN` stand for host and port in configs.
    named: Vec<(String, u16)>,
}

impl Ports {
    /// Free ports for a server, and those of its upstreams.
    pub(super) fn take(upstreams: &[u16]) -> Self {
        let mut named: Vec<_> = NAMES.iter().map(|name| ((*name).to_owned(), free())).collect();
        named.extend(
            upstreams
                .iter()
                .enumerate()
                .map(|(index, port)| (format!("UP{}", index + 1), *port)),
        );
        Self { named }
    }

    pub(super) fn port(&self, name: &str) -> Option<u16> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, port)| *port)
    }

    pub(super) fn fill_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, port) in &self.named {
            let value = if has_host(name) {
                format!("127.0.0.1:{port}")
            } else {
                port.to_string()
            };
            text = text
                .replace(&format!("@{name}@"), &value)
                .replace(&format!("@{name}_PORT@"), &port.to_string());
        }
        text
    }

    pub(super) fn abstracted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, port) in &self.named {
            let port = port.to_string();
            if has_host(name) {
                text = replace_number(&text, &format!("127.0.0.1:{port}"), &format!("@{name}@"));
                text = replace_number(&text, &port, &format!("@{name}_PORT@"));
            } else {
                text = replace_number(&text, &port, &format!("@{name}@"));
            }
        }
        text
    }
}

fn has_host(name: &str) -> bool {
    name.starts_with("UP") || name == "DOWN"
}

/// A port that is free now and that this process has not given out before.
pub(crate) fn free() -> u16 {
    let span = LAST - FIRST;
    let start = (std::process::id() % u32::from(span)) as u16;
    for _ in 0..span {
        let port = FIRST + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % span);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}

/// Replaces a number wherever it does not stand inside a longer one.
fn replace_number(text: &str, number: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(number) {
        let end = at + number.len();
        let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let longer = inside(rest.as_bytes()[..at].last()) || inside(rest.as_bytes()[end..].first());
        out.push_str(&rest[..at]);
        out.push_str(if longer { number } else { by });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_turn_into_each_other() {
        let ports = Ports {
            named: vec![("HTTP".to_owned(), 20_001), ("UP1".to_owned(), 40_001)],
        };
        let text = "http://a:@HTTP@ to @UP1@, @UP1_PORT@";
        let filled = ports.fill_in(text);
        assert_eq!(filled, "http://a:20001 to 127.0.0.1:40001, 40001");
        assert_eq!(ports.abstracted(&filled), text);
        assert_eq!(ports.abstracted("120001 200010"), "120001 200010");
    }
}
