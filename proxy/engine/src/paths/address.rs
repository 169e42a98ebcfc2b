//! Splitting and joining `host:port`.

/// Why a text is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no colon that a port could follow.
    #[error("the address has no port")]
    MissingPort,
    /// A host with colons stands outside of brackets.
    #[error("the address has too many colons; an IPv6 address goes in brackets")]
    TooManyColons,
    /// `[` without `]`, or a bracket where none belongs.
    #[error("the address has an unpaired or misplaced bracket")]
    Bracket,
}

/// Splits `host:port`, `[host]:port` or `:port` into host and port, neither of which is checked.
///
/// Brackets are removed from the host; either part may come out empty.
pub fn split_host_port(address: &str) -> Result<(&str, &str), AddressError> {
    let last_colon = address.rfind(':').ok_or(AddressError::MissingPort)?;
    let (host, port) = (&address[..last_colon], &address[last_colon + 1..]);
    if !address.starts_with('[') {
        return match host {
            host if host.contains(':') => Err(AddressError::TooManyColons),
            _ if address.contains(['[', ']']) => Err(AddressError::Bracket),
            host => Ok((host, port)),
        };
    }
    let end = address.find(']').ok_or(AddressError::Bracket)?;
    if end + 1 != last_colon {
        return match address.as_bytes().get(end + 1) {
            Some(b':') => Err(AddressError::TooManyColons),
            _ => Err(AddressError::MissingPort),
        };
    }
    let inner = &address[1..end];
    if inner.contains('[') || port.contains(['[', ']']) {
        return Err(AddressError::Bracket);
    }
    Ok((inner, port))
}

/// Joins host and port, with brackets around a host that has colons.
pub fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(address: &str, expected: AddressError) {
        assert_eq!(split_host_port(address), Err(expected), "for {address:?}");
    }

    #[test]
    fn refusals_name_the_cause() {
        check_refused("a", AddressError::MissingPort);
        check_refused("[::1]", AddressError::MissingPort);
        check_refused("[::1]80", AddressError::MissingPort);
        check_refused("::1", AddressError::TooManyColons);
        check_refused("[::1]:80:90", AddressError::TooManyColons);
        check_refused("[::1", AddressError::Bracket);
        check_refused("a]:80", AddressError::Bracket);
    }
}
