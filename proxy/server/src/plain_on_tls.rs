//! What is said to those who speak HTTP where TLS is spoken: that they do, or where to go.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// That they do.
const REFUSAL: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// How long the head of a request that is redirected may be.
const HEAD: usize = 16 * 1024;

/// Answers, and waits until the client closes. With `redirect`, whoever sends a whole head is sent to HTTPS at the same
/// host and port. `prefix` was read from the stream already.
pub(crate) async fn answer<S>(stream: &mut S, prefix: Bytes, redirect: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let redirection = if redirect {
        head(stream, prefix).await.and_then(|head| redirection(&head))
    } else {
        None
    };
    let answer = redirection.as_ref().map_or(REFUSAL, |text| text.as_bytes());
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    // Closing with unread bytes would reset the connection before the client reads the answer.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

/// Reads the head of a request; none if it is too long, or breaks off.
async fn head<S: AsyncRead + Unpin>(stream: &mut S, prefix: Bytes) -> Option<BytesMut> {
    let mut read = BytesMut::from(prefix);
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            read.truncate(end);
            return Some(read);
        }
        let room = HEAD.checked_sub(read.len()).filter(|room| *room > 0)?;
        let mut rest = (&mut *stream).take(room as u64);
        if rest.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// The redirection for the head of a request to one host.
fn redirection(head: &[u8]) -> Option<String> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (_method, target, _version) = (words.next()?, words.next()?, words.next()?);
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    let host = hosts.next()?;
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let whole = words.next().is_none() && hosts.next().is_none() && !host.is_empty();
    if !(whole && target.starts_with('/') && visible(target) && visible(host)) {
        return None;
    }
    Some(format!(
        "HTTP/1.0 308 Permanent Redirect\r\nLocation: https://{host}{target}\r\nContent-Length: 0\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a request in two parts, of which the first was read already; gives the first line and the location.
    fn answered(prefix: &str, rest: &str, redirect: bool) -> (String, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut written = Vec::new();
        let mut stream = tokio::io::join(rest.as_bytes(), &mut written);
        runtime.block_on(answer(&mut stream, Bytes::from(prefix.to_owned()), redirect));
        let text = String::from_utf8(written).unwrap();
        let location = text.lines().find_map(|line| line.strip_prefix("Location: "));
        let first = text.lines().next().unwrap_or_default();
        (first.to_owned(), location.unwrap_or_default().to_owned())
    }

    #[track_caller]
    fn check(request: &str, location: &str) {
        let expected = if location.is_empty() {
            "HTTP/1.0 400 Bad Request"
        } else {
            "HTTP/1.0 308 Permanent Redirect"
        };
        let expected = (expected.to_owned(), location.to_owned());
        for at in [0, 2] {
            let (prefix, rest) = request.split_at(at);
            assert_eq!(answered(prefix, rest, true), expected, "{request}");
        }
    }

    #[test]
    fn a_request_is_sent_to_https() {
        check("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "https://a.test/");
        check(
            "PUT /a?b=%20 HTTP/1.0\r\nX: y\r\nhost:a.test:8443\r\n\r\nbody",
            "https://a.test:8443/a?b=%20",
        );
    }

    #[test]
    fn whoever_cannot_be_redirected_is_told_why() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            &long,
        ] {
            check(request, "");
        }
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(answered("", request, false).0, "HTTP/1.0 400 Bad Request");
    }
}
