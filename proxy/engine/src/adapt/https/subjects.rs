//! Names for which certificates are got.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::paths::split_host_port;

/// Whether it could be in a certificate at all.
pub(super) fn qualifies(subject: &str) -> bool {
    const FORBIDDEN: &[char] = &[
        '(', ')', '[', ']', '{', '}', '<', '>', ' ', '\t', '\n', '"', '\\', '!', '@', '#', '$', '%', '^',
        '&', '|', ';', '\'', '+', '=',
    ];
    !subject.trim().is_empty()
        && !subject.starts_with('.')
        && !subject.ends_with('.')
        && (!subject.contains('*') || subject.starts_with("*.") || subject == "*")
        && !subject.contains(FORBIDDEN)
}

/// Whether a public authority could certify it.
pub(super) fn qualifies_for_public(subject: &str) -> bool {
    let wildcard = !subject.contains('*')
        || (subject.matches('*').count() == 1
            && subject.matches('.').count() > 1
            && subject.starts_with("*."));
    qualifies(subject) && !is_internal(subject) && wildcard
}

/// Whether a public authority is asked without being named: IP addresses and names with more than one `*` are not for
/// it, the latter unless the certificate comes at the first handshake, when the name is known.
pub(super) fn is_public(subject: &str, on_demand: bool) -> bool {
    subject.parse::<IpAddr>().is_err()
        && !is_internal(subject)
        && (subject.matches("*.").count() < 2 || on_demand)
}

/// Whether it means something within a network only.
pub(super) fn is_internal(subject: &str) -> bool {
    const SUFFIXES: [&str; 4] = [".localhost", ".local", ".internal", ".home.arpa"];
    let host = host_only(subject);
    let name = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    name == "localhost" || SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) || is_internal_ip(host)
}

/// Whether another program of the machine has its certificate.
pub(super) fn is_tailscale(subject: &str) -> bool {
    subject.to_lowercase().ends_with(".ts.net")
}

/// Whether a pattern, the labels of which may be `*` from the left, is for a subject.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    if pattern.eq_ignore_ascii_case(subject) {
        return true;
    }
    if !pattern.starts_with('*') {
        return false;
    }
    let (mut labels, mut names) = (pattern.split('.'), subject.split('.'));
    let mut leading = true;
    loop {
        match (labels.next(), names.next()) {
            (None, None) => return true,
            (Some("*"), Some(name)) if leading && !name.is_empty() => {}
            (Some(label), Some(name)) if label.eq_ignore_ascii_case(name) => leading = false,
            _ => return false,
        }
    }
}

fn is_internal_ip(host: &str) -> bool {
    const NETWORKS: [&str; 9] = [
        "127.0.0.0/8",
        "0.0.0.0/16",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::/7",
        "fe80::/10",
        "fc00::/7",
    ];
    let Ok(address) = host.parse::<IpAddr>() else {
        return false;
    };
    let mut networks = NETWORKS
        .iter()
        .filter_map(|network| network.parse::<IpNet>().ok());
    networks.any(|network| network.contains(&address.to_canonical()))
}

fn host_only(subject: &str) -> &str {
    let bare = || subject.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match split_host_port(subject) {
        Ok((host, _)) => host,
        Err(_) => bare().unwrap_or(subject),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_network_are_internal() {
        for name in [
            "localhost",
            "a.LOCALHOST",
            "a.local.",
            "b.internal",
            "c.home.arpa",
            "10.1.2.3",
            "[::1]",
            "::1",
        ] {
            assert!(is_internal(name), "{name}");
            assert!(!is_public(name, false), "{name}");
        }
        for name in [
            "example.com",
            "localhost.example.com",
            "1.1.1.1",
            "2606:4700::1111",
        ] {
            assert!(!is_internal(name), "{name}");
        }
    }

    #[test]
    fn patterns_cover_names() {
        for (pattern, name) in [
            ("a.com", "A.com"),
            ("*.a.com", "b.a.com"),
            ("*.*.com", "b.a.com"),
            ("*.a.com", "*.a.com"),
        ] {
            assert!(covers(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.a.com", "a.com"),
            ("*.a.com", "c.b.a.com"),
            ("*", "a.com"),
            ("b.*.com", "b.a.com"),
        ] {
            assert!(!covers(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn not_every_text_can_be_certified() {
        for subject in ["a.com", "*.a.com", "*", "localhost"] {
            assert!(qualifies(subject), "{subject}");
        }
        for subject in ["", ".a", "a.", "a*.com", "a b", "{env.X}"] {
            assert!(!qualifies(subject), "{subject}");
        }
        assert!(!qualifies_for_public("*.com"));
        assert!(qualifies_for_public("*.a.com"));
        assert!(is_public("*.*.a.com", true) && !is_public("*.*.a.com", false));
    }
}
