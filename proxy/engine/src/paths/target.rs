//! Request targets and hosts.

use std::borrow::Cow;
use std::fmt::Write;

use http::Uri;

/// The decoded path of a request. Escapes that are broken, or would not give UTF-8, stay as they are.
pub fn decode_path(path: &str) -> Cow<'_, str> {
    super::path_unescape(path).unwrap_or(Cow::Borrowed(path))
}

/// A target of path and query. Bytes that may not stand in one are escaped; `None` if it is no target all the same.
pub fn to_uri(path_and_query: &str) -> Option<Uri> {
    if let Ok(uri) = path_and_query.parse::<http::uri::PathAndQuery>() {
        return Some(Uri::from(uri));
    }
    let mut escaped = String::with_capacity(path_and_query.len() + 8);
    for byte in path_and_query.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'#') {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped.parse::<http::uri::PathAndQuery>().ok().map(Uri::from)
}

/// The host of `host[:port]`, without brackets.
pub fn host_of(host: &str) -> &str {
    if !host.bytes().any(|byte| matches!(byte, b':' | b'[' | b']')) {
        return host;
    }
    match super::split_host_port(host) {
        Ok((host, _)) => host,
        Err(_) => host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host),
    }
}
