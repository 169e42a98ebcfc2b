//! What a request must be before anybody looks at it: the layer above HTTP's framing.

use fairway_engine::exchange::Exchange;
use fairway_engine::paths;
use http::header::{HOST, HeaderName, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use hyper::ext::Protocol;

/// A request that is answered right away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) version: Version,
}

/// Judges a request, and drops headers whose names hold `_`: upstreams that map names to variables would take
/// `X_Real_Ip` for `X-Real-Ip`.
pub(crate) fn check(parts: &mut Parts) -> Result<(), Refusal> {
    let version = parts.version;
    let refuse = |(status, reason)| Refusal {
        status,
        reason,
        version,
    };
    target(parts).map_err(refuse)?;
    host(parts).map_err(refuse)?;
    framing(parts).map_err(refuse)?;
    let odd = |name: &&HeaderName| name.as_str().as_bytes().contains(&b'_');
    if parts.headers.keys().any(|name| odd(&name)) {
        let names: Vec<_> = parts.headers.keys().cloned().collect();
        for name in names.iter().filter(odd) {
            parts.headers.remove(name);
        }
    }
    Ok(())
}

/// Whether the host is the name that TLS was asked for.
pub(crate) fn names_same_host(exchange: &Exchange) -> bool {
    let Some(tls) = &exchange.connection.tls else {
        return true;
    };
    paths::host_of(&exchange.host).eq_ignore_ascii_case(&tls.server_name)
}

type Fault = (StatusCode, &'static str);

const fn bad(reason: &'static str) -> Fault {
    (StatusCode::BAD_REQUEST, reason)
}

fn target(parts: &Parts) -> Result<(), Fault> {
    let uri = &parts.uri;
    if parts.method == Method::CONNECT {
        return if parts.extensions.get::<Protocol>().is_some() {
            Ok(())
        } else {
            Err((StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served"))
        };
    }
    let scheme_fits = uri
        .scheme()
        .is_none_or(|scheme| *scheme == http::uri::Scheme::HTTP || *scheme == http::uri::Scheme::HTTPS);
    let form_fits = match uri.path() {
        "*" => parts.method == Method::OPTIONS,
        path => path.starts_with('/') && (uri.scheme().is_some() || uri.authority().is_none()),
    };
    if scheme_fits && form_fits {
        Ok(())
    } else {
        Err(bad("malformed request target"))
    }
}

fn host(parts: &Parts) -> Result<(), Fault> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("too many Host headers"));
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err(bad("missing required Host header"));
    }
    let authority = parts.uri.authority();
    let malformed = host.is_some_and(|host| !host.as_bytes().iter().all(|&byte| fits_host(byte)))
        || authority.is_some_and(|authority| !authority.as_str().bytes().all(fits_host));
    if malformed {
        return Err(bad("malformed Host header"));
    }
    Ok(())
}

/// Whether a byte may stand in a host: what RFC 3986 has for hosts and ports, and nothing that separates.
fn fits_host(byte: u8) -> bool {
    HOST_BYTES[usize::from(byte)]
}

const HOST_BYTES: [bool; 256] = {
    let marks = b"!$%&'()*+,-.:;=[]_~";
    let mut fits = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        fits[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        fits[marks[at] as usize] = true;
        at += 1;
    }
    fits
};

fn framing(parts: &Parts) -> Result<(), Fault> {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() {
        return Err(bad("too many transfer encodings"));
    }
    if parts.version < Version::HTTP_11 {
        return Err(bad("transfer encoding in HTTP/1.0"));
    }
    if coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        Ok(())
    } else {
        Err((StatusCode::NOT_IMPLEMENTED, "unsupported transfer encoding"))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    /// Judges a request line with headers; gives the status and reason of a refusal.
    #[track_caller]
    fn check(method: &str, target: &str, headers: &[(&str, &str)], expected: Option<(u16, &str)>) {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let refusal = super::check(&mut parts).err();
        let got = refusal
            .as_ref()
            .map(|refusal| (refusal.status.as_u16(), refusal.reason));
        assert_eq!(got, expected, "{method} {target} {headers:?}");
    }

    #[test]
    fn usual_requests_pass() {
        check("GET", "/", &[("host", "a.example")], None);
        check("GET", "/", &[("host", "a.example:8080")], None);
        check("GET", "/", &[("host", "[::1]:8080")], None);
        check("GET", "/", &[("host", "")], None);
        check("GET", "http://a.example/x", &[("host", "b")], None);
        check("OPTIONS", "*", &[("host", "a")], None);
        check(
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "Chunked")],
            None,
        );
    }

    #[test]
    fn hosts_are_strict() {
        check("GET", "/", &[], Some((400, "missing required Host header")));
        let twice = [("host", "a"), ("host", "a")];
        check("GET", "/", &twice, Some((400, "too many Host headers")));
        for host in ["a b", "a/b", "a@b", "a#b", "a?b", "a\\b", "a\"b"] {
            check(
                "GET",
                "/",
                &[("host", host)],
                Some((400, "malformed Host header")),
            );
        }
        let user = "http://u@a.example/";
        check(
            "GET",
            user,
            &[("host", "a")],
            Some((400, "malformed Host header")),
        );
    }

    #[test]
    fn targets_are_strict() {
        let malformed = Some((400, "malformed request target"));
        check("GET", "foo", &[("host", "a")], malformed);
        check("GET", "*", &[("host", "a")], malformed);
        check("GET", "ftp://a/x", &[("host", "a")], malformed);
        let refused = Some((405, "CONNECT is not served"));
        check("CONNECT", "a:443", &[("host", "a")], refused);
    }

    #[test]
    fn transfer_encodings_are_strict() {
        let twice = [
            ("host", "a"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        check("POST", "/", &twice, Some((400, "too many transfer encodings")));
        let unsupported = Some((501, "unsupported transfer encoding"));
        check(
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "chunked, chunked")],
            unsupported,
        );
        check(
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            unsupported,
        );
    }

    #[test]
    fn headers_with_underscores_are_dropped() {
        let request = Request::builder()
            .uri("/")
            .header("host", "a")
            .header("x_real_ip", "1.2.3.4")
            .header("x-real-ip", "5.6.7.8");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        super::check(&mut parts).unwrap();
        assert!(!parts.headers.contains_key("x_real_ip"));
        assert_eq!(parts.headers["x-real-ip"], "5.6.7.8");
    }
}
