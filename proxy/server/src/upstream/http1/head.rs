//! The head of a response.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use smallvec::SmallVec;

use super::body::Framing;
use super::{Fault, has_element};

/// A head, and what it says of the message and the connection.
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(super) reusable: bool,
}

impl Head {
    /// Takes a head off the front of `read`; none if it is not all there yet. `max` bytes are allowed.
    pub(super) fn take(read: &mut BytesMut, max: usize) -> Result<Option<Self>, Fault> {
        let mut lines = Lines::new();
        let parsed = match parse(read, &mut [const { MaybeUninit::uninit() }; FEW], &mut lines) {
            Err(httparse::Error::TooManyHeaders) => {
                let mut many = vec![MaybeUninit::uninit(); read.len().min(max) / SHORTEST + 1];
                parse(read, &mut many, &mut lines)
            }
            parsed => parsed,
        };
        match parsed.map_err(|error| Fault::Response(reason(error)))? {
            Some(first) if first.length > max => Err(Fault::TooLarge),
            Some(first) => {
                let bytes = read.split_to(first.length).freeze();
                Self::understand(&first, &lines, &bytes).map(Some)
            }
            None if read.len() > max => Err(Fault::TooLarge),
            None => Ok(None),
        }
    }

    fn understand(first: &First, lines: &[Line], bytes: &Bytes) -> Result<Self, Fault> {
        let mut headers = HeaderMap::with_capacity(lines.len());
        for line in lines {
            let name = HeaderName::from_bytes(&bytes[line.name.clone()])
                .map_err(|_| Fault::Response("a header's name"))?;
            let value = HeaderValue::from_maybe_shared(bytes.slice(line.value.clone()))
                .map_err(|_| Fault::Response("a header's value"))?;
            headers.append(name, value);
        }
        let framing = framing(&mut headers, first.version)?;
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(first.status).map_err(|_| Fault::Response("its status"))?;
        *response.version_mut() = first.version;
        let reusable = if first.version == Version::HTTP_11 {
            !names_option(&headers, "close")
        } else {
            names_option(&headers, "keep-alive")
        };
        *response.headers_mut() = headers;
        Ok(Self {
            response,
            framing,
            reusable,
        })
    }
}

/// As many headers are parsed without an allocation.
const FEW: usize = 32;

/// The length of the shortest line of a header.
const SHORTEST: usize = "a:\r\n".len();

/// The first line of a head, and the length of the head.
struct First {
    length: usize,
    status: u16,
    version: Version,
}

/// Where a header is in the head.
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

type Lines = SmallVec<[Line; FEW]>;

fn parse<'b>(
    bytes: &'b [u8],
    room: &mut [MaybeUninit<httparse::Header<'b>>],
    lines: &mut Lines,
) -> Result<Option<First>, httparse::Error> {
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, room)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
        if part.is_empty() {
            0..0
        } else {
            start..start + part.len()
        }
    };
    lines.extend(response.headers.iter().map(|header| Line {
        name: place(header.name.as_bytes()),
        value: place(header.value),
    }));
    Ok(Some(First {
        length,
        status: response.code.unwrap_or_default(),
        version: match response.version {
            Some(1) => Version::HTTP_11,
            _ => Version::HTTP_10,
        },
    }))
}

fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a header's name",
        httparse::Error::HeaderValue => "a header's value",
        httparse::Error::NewLine => "a line's end",
        httparse::Error::Status => "its status",
        httparse::Error::Token => "a character",
        httparse::Error::TooManyHeaders => "too many headers",
        httparse::Error::Version => "its version",
    }
}

/// How the body of a response ends, unless it has none by its nature (RFC 9112, 6.3). What contradicts itself is
/// refused, since others may understand it otherwise.
fn framing(headers: &mut HeaderMap, version: Version) -> Result<Framing, Fault> {
    if headers.contains_key(TRANSFER_ENCODING) {
        if version == Version::HTTP_10 {
            return Err(Fault::Response("a transfer encoding in HTTP/1.0"));
        }
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let chunked = codings
            .next()
            .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            return Err(Fault::Response("its transfer encoding is not `chunked`"));
        }
        headers.remove(CONTENT_LENGTH);
        return Ok(Framing::chunked());
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return Ok(Framing::Close);
    };
    let length = length(first).ok_or(Fault::Response("its content length"))?;
    let mut others = 0;
    for other in lengths {
        if other != first {
            return Err(Fault::Response("its content lengths differ"));
        }
        others += 1;
    }
    if others > 0 {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(Framing::length(length))
}

/// Digits alone.
fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Whether `Connection` names an option.
fn names_option(headers: &HeaderMap, option: &str) -> bool {
    let mut lines = headers.get_all(CONNECTION).iter();
    lines.any(|line| has_element(line.as_bytes(), option))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: fn() -> Framing = Framing::chunked;

    fn take(text: &str) -> (Result<Option<Head>, Fault>, String) {
        let mut read = BytesMut::from(text);
        let taken = Head::take(&mut read, 4096);
        (taken, String::from_utf8(read.to_vec()).unwrap())
    }

    /// Reads the lines of a head, which come piece by piece, and what follows it.
    #[track_caller]
    fn check(lines: &str, framing: &Framing, reusable: bool) {
        let head = format!("{lines}\r\n\r\n")
            .replace('\n', "\r\n")
            .replace("\r\r", "\r");
        for cut in 1..head.len() {
            assert!(take(&head[..cut]).0.unwrap().is_none(), "{:?}", &head[..cut]);
        }
        let (taken, rest) = take(&format!("{head}rest"));
        let taken = taken.unwrap().unwrap();
        assert_eq!(
            (&taken.framing, taken.reusable, &*rest),
            (framing, reusable, "rest"),
            "{lines}"
        );
    }

    #[track_caller]
    fn check_refused(lines: &str, expected: &str) {
        let head = format!("{lines}\n\n").replace('\n', "\r\n");
        let fault = take(&head).0.err().unwrap().to_string();
        assert!(fault.ends_with(expected), "{lines}: {fault}");
    }

    #[test]
    fn the_framing_follows_from_the_head() {
        check("HTTP/1.1 200 OK\ncontent-length: 5", &Framing::Length(5), true);
        check("HTTP/1.1 200\nContent-Length: 0", &Framing::None, true);
        check(
            "HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 5",
            &Framing::Length(5),
            true,
        );
        check("HTTP/1.1 200 OK\ntransfer-encoding: Chunked", &CHUNKED(), true);
        check(
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\ncontent-length: 5",
            &CHUNKED(),
            true,
        );
        check("HTTP/1.1 200 OK", &Framing::Close, true);
        check("HTTP/1.0 200 OK\ncontent-length: 5", &Framing::Length(5), false);
    }

    #[test]
    fn the_connection_follows_from_the_head() {
        check(
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close",
            &Framing::None,
            false,
        );
        check(
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: x, Close",
            &Framing::None,
            false,
        );
        check(
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: closed",
            &Framing::None,
            true,
        );
        check(
            "HTTP/1.0 200 OK\ncontent-length: 0\nconnection: keep-alive",
            &Framing::None,
            true,
        );
    }

    #[test]
    fn a_length_is_gone_where_chunks_rule() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = take(text).0.unwrap().unwrap();
        assert!(!head.response.headers().contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn contradictions_are_refused() {
        check_refused(
            "HTTP/1.1 200 OK\ncontent-length: 5\ncontent-length: 6",
            "its content lengths differ",
        );
        check_refused("HTTP/1.1 200 OK\ncontent-length: 5, 5", "its content length");
        check_refused("HTTP/1.1 200 OK\ncontent-length: +5", "its content length");
        check_refused(
            "HTTP/1.1 200 OK\ncontent-length: 99999999999999999999",
            "its content length",
        );
        check_refused("HTTP/1.1 200 OK\ncontent-length:", "its content length");
        let encoding = "its transfer encoding is not `chunked`";
        check_refused("HTTP/1.1 200 OK\ntransfer-encoding: gzip, chunked", encoding);
        check_refused(
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\ntransfer-encoding: chunked",
            encoding,
        );
        check_refused("HTTP/1.1 200 OK\ntransfer-encoding: identity", encoding);
        check_refused(
            "HTTP/1.0 200 OK\ntransfer-encoding: chunked",
            "a transfer encoding in HTTP/1.0",
        );
    }

    #[test]
    fn what_is_no_head_is_refused() {
        check_refused("HTTP/2.0 200 OK", "its version");
        check_refused("HTTP/1.1 2000 OK", "its status");
        check_refused("HTTP/1.1 099 OK", "its status");
        check_refused("ICY 200 OK", "its version");
        check_refused("HTTP/1.1 200 OK\nna me: x", "a header's name");
        check_refused("HTTP/1.1 200 OK\nname: a\u{1}b", "a header's value");
        check_refused("HTTP/1.1 200 OK\nname: a\n folded", "a header's name");
    }

    #[test]
    fn a_head_is_bounded_and_may_have_many_lines() {
        let many = "x: y\r\n".repeat(500);
        let head = take(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"))
            .0
            .unwrap()
            .unwrap();
        assert_eq!(head.response.headers().get_all("x").iter().count(), 500);
        for (lines, end) in [(700, "\r\n"), (700, ""), (1400, "\r\n")] {
            let many = "x: y\r\n".repeat(lines);
            let taken = take(&format!("HTTP/1.1 200 OK\r\n{many}{end}")).0;
            assert!(taken.is_err(), "{lines} lines");
        }
    }
}
