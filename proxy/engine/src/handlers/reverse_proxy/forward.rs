//! What becomes of headers on their way through: those of one connection stop here, those that tell of the client are
//! added.

use std::net::IpAddr;

use http::header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE, VIA};
use http::{HeaderMap, Version};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::exchange::Exchange;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Room for the headers that are added to a request, with `Host`; a bit more, since less may be taken for no more than
/// what is there already.
const ADDED: usize = 8;

/// The headers of a request as they go to any upstream.
pub(super) fn request_headers(exchange: &Exchange, trusted: &[IpNet]) -> HeaderMap {
    let mut headers = exchange.headers.clone();
    let own = hop_by_hop(&headers);
    if !own.is_empty() {
        let upgrade = upgrade_type(&headers);
        let trailers = headers
            .get_all(TE)
            .iter()
            .any(|value| has_token(value, "trailers"));
        for name in own {
            headers.remove(name);
        }
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(upgrade) = upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, upgrade);
        }
    }
    headers.reserve(ADDED);
    add_forwarded(&mut headers, exchange, trusted);
    headers.append(VIA, via(exchange.version));
    headers
}

/// Removes from a response's headers what is between us and the upstream alone. `Trailer` stays: trailers are passed
/// on, and have to be announced.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in hop_by_hop(headers) {
        headers.remove(name);
    }
}

/// The names of the headers that are of one connection alone; few messages have any but `Connection`.
fn hop_by_hop(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let mut names: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys().filter(|name| is_hop_by_hop(name.as_str())) {
        if *name == CONNECTION {
            let lines = headers.get_all(name).iter();
            let usual = |line: &&HeaderValue| {
                let line = line.as_bytes();
                line.eq_ignore_ascii_case(b"keep-alive") || line.eq_ignore_ascii_case(b"close")
            };
            let named = lines
                .filter(|line| !usual(line))
                .filter_map(|line| line.to_str().ok())
                .flat_map(|line| line.split(','))
                .map(str::trim)
                .filter(|named| !is_hop_by_hop(named));
            names.extend(named.filter_map(|named| named.parse::<HeaderName>().ok()));
        }
        names.push(name.clone());
    }
    names
}

/// Of a name in lower case.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "alt-svc"
            | "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What a message asks its connection to be upgraded to, in lower case.
pub(super) fn upgrade_type(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(CONNECTION).iter();
    if !lines.any(|line| has_token(line, "upgrade")) {
        return None;
    }
    let upgrade = headers.get(UPGRADE)?.as_bytes().to_ascii_lowercase();
    HeaderValue::from_bytes(&upgrade)
        .ok()
        .filter(|upgrade| !upgrade.is_empty())
}

/// The value of `Via` for a message of a version.
pub(super) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 => "0.9 Fairway",
        Version::HTTP_10 => "1.0 Fairway",
        Version::HTTP_2 => "2.0 Fairway",
        Version::HTTP_3 => "3.0 Fairway",
        _ => "1.1 Fairway",
    })
}

/// Says who the client is. What the client itself says of that is believed only of trusted proxies.
fn add_forwarded(headers: &mut HeaderMap, exchange: &Exchange, trusted: &[IpNet]) {
    let peer: IpAddr = exchange.connection.remote.ip().to_canonical();
    let trusted = exchange.trusted_proxy || trusted.iter().any(|range| range.contains(&peer));
    let prior = if trusted {
        prior(headers, &FORWARDED_FOR)
    } else {
        None
    };
    match prior.filter(|prior| !prior.is_empty()) {
        Some(prior) => set(
            headers,
            &FORWARDED_FOR,
            HeaderValue::try_from(format!("{prior}, {peer}")).ok(),
        ),
        None => set(headers, &FORWARDED_FOR, Some(exchange.connection.forwarded_for())),
    }
    let scheme = HeaderValue::from_static(exchange.scheme());
    for (name, value) in [
        (&FORWARDED_PROTO, Some(scheme)),
        (&FORWARDED_HOST, exchange.host_value()),
    ] {
        let last = if trusted {
            headers.get_all(name).iter().next_back().cloned()
        } else {
            None
        };
        set(headers, name, last.filter(|last| !last.is_empty()).or(value));
    }
}

/// All values of a header in one.
fn prior(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let first = values.next()?.to_owned();
    Some(values.fold(first, |joined, value| joined + ", " + value))
}

/// Sets a header; a value that cannot be one removes it.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',')
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::exchange;

    #[track_caller]
    fn check(request: &str, trusted: &str, expected: &[(&str, &[&str])]) {
        let ranges: Vec<IpNet> = trusted
            .split_whitespace()
            .map(|range| range.parse().unwrap())
            .collect();
        let headers = request_headers(&exchange(request), &ranges);
        for (name, values) in expected {
            let found: Vec<&str> = headers
                .get_all(*name)
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect();
            assert_eq!(&found, values, "{name} of {request:?}");
        }
    }

    #[test]
    fn headers_of_the_connection_stop_here() {
        let request = "GET /\nConnection: close, X-Mine\nX-Mine: 1\nKeep-Alive: 5\nTE: gzip\nTransfer-Encoding: chunked\n\
            Proxy-Authorization: x\nProxy-Connection: y\nUpgrade: z\nAlt-Svc: a\nX-Other: 2";
        let expected: &[(&str, &[&str])] = &[
            ("connection", &[]),
            ("x-mine", &[]),
            ("keep-alive", &[]),
            ("te", &[]),
            ("transfer-encoding", &[]),
            ("proxy-authorization", &[]),
            ("proxy-connection", &[]),
            ("upgrade", &[]),
            ("alt-svc", &[]),
            ("x-other", &["2"]),
            ("via", &["1.1 Fairway"]),
        ];
        check(request, "", expected);
    }

    #[test]
    fn upgrades_and_trailers_stay() {
        let request = "GET /\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nTE: trailers, gzip";
        let expected: &[(&str, &[&str])] = &[
            ("connection", &["Upgrade"]),
            ("upgrade", &["websocket"]),
            ("te", &["trailers"]),
        ];
        check(request, "", expected);
    }

    #[test]
    fn clients_cannot_say_who_they_are() {
        let request =
            "GET /\nHost: h:1\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil";
        let own: &[(&str, &[&str])] = &[
            ("x-forwarded-for", &["192.0.2.1"]),
            ("x-forwarded-proto", &["http"]),
            ("x-forwarded-host", &["h:1"]),
        ];
        check(request, "", own);
        check(request, "10.0.0.0/8", own);
        let theirs: &[(&str, &[&str])] = &[
            ("x-forwarded-for", &["1.1.1.1, 192.0.2.1"]),
            ("x-forwarded-proto", &["https"]),
            ("x-forwarded-host", &["evil"]),
        ];
        check(request, "192.0.2.0/24", theirs);
        let several = "GET /\nHost: h\nX-Forwarded-For: a, b\nX-Forwarded-For: c\nX-Forwarded-Proto: x\nX-Forwarded-Proto: y";
        let joined: &[(&str, &[&str])] = &[
            ("x-forwarded-for", &["a, b, c, 192.0.2.1"]),
            ("x-forwarded-proto", &["y"]),
            ("x-forwarded-host", &["h"]),
        ];
        check(several, "192.0.2.1/32", joined);
    }
}
