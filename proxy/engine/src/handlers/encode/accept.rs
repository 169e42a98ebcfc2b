//! What a client can decode, and what it likes best.

use http::header::{ACCEPT_ENCODING, HeaderMap, SEC_WEBSOCKET_KEY};

/// How many encodings of a client are looked at.
const MAX: usize = 100;

/// Weights closer than this are the same.
const CLOSE: f32 = 0.000_01;

/// The encodings that a client accepts, in lower case, best first. Among those of one weight those of the list come
/// first, in its order. A WebSocket handshake accepts none.
pub(crate) fn accepted_encodings(headers: &HeaderMap, prefer: &[Box<str>]) -> Vec<String> {
    let header = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let is_websocket = headers.get(SEC_WEBSOCKET_KEY).is_some_and(|key| !key.is_empty());
    let mut accepted: Vec<(String, f32, usize)> = Vec::new();
    for part in header.unwrap_or_default().split(',').take(MAX) {
        let mut parts = part.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.next().map_or(1.0, weight);
        if name.is_empty() || weight < CLOSE || is_websocket && name != "identity" {
            continue;
        }
        let rank = prefer.iter().position(|known| **known == *name);
        accepted.push((name, weight, rank.unwrap_or(usize::MAX)));
    }
    // Rounded, so that the order of three of them never depends on which two are compared first.
    accepted.sort_by_key(|(_, weight, rank)| (std::cmp::Reverse((weight / CLOSE).round() as u32), *rank));
    accepted.into_iter().map(|(name, _, _)| name).collect()
}

/// The weight of `q=0.5`; 1 if it is not understood.
fn weight(parameter: &str) -> f32 {
    let parameter = parameter.trim();
    let number = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="));
    number
        .and_then(|number| number.parse().ok())
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, prefer: &[&str], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        let prefer: Vec<Box<str>> = prefer.iter().map(|name| (*name).into()).collect();
        assert_eq!(accepted_encodings(&headers, &prefer), expected, "{accept}");
    }

    #[test]
    fn the_client_comes_first_then_the_order() {
        check("gzip, zstd", &["zstd", "gzip"], &["zstd", "gzip"]);
        check("gzip, zstd", &["gzip", "zstd"], &["gzip", "zstd"]);
        check("gzip, zstd", &[], &["gzip", "zstd"]);
        check("br, gzip", &["gzip"], &["gzip", "br"]);
        check("gzip;q=1.0, zstd;q=0.9", &["zstd", "gzip"], &["gzip", "zstd"]);
        check("zstd ;Q=0.5 , GZIP", &["zstd"], &["gzip", "zstd"]);
        check("gzip;q=0.000001,zstd;q=0", &[], &[]);
        check("", &["gzip"], &[]);
    }

    #[test]
    fn weights_that_make_no_sense_count_as_one() {
        for weight in ["q=2", "q=-1", "q=x", "q=", "q=NaN", "q=inf", "x=0"] {
            check(&format!("gzip;{weight}, zstd;q=0.9"), &[], &["gzip", "zstd"]);
        }
    }

    #[test]
    fn websockets_are_not_encoded() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, "gzip, identity".parse().unwrap());
        headers.insert(SEC_WEBSOCKET_KEY, "x".parse().unwrap());
        assert_eq!(accepted_encodings(&headers, &[]), ["identity"]);
    }
}
