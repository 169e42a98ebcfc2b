//! An open file as a response: conditions, ranges, and the headers that go with them (RFC 9110, sections 13 and 14,
//! as Go's standard library reads them).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};

use super::disk::Found;
use super::{media_type, set};
use crate::body::{Body, BodyError};
use crate::exchange::Exchange;
use crate::handlers::Response;
use crate::world::World;

/// Who asks for more parts than this gets the whole.
const MAX_PARTS: usize = 32;
/// The last second that a date in a header can name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// Answers with a file, or the part of it that was asked for, or the news that it is not needed.
pub(super) fn serve<W: World>(found: Found, exchange: &mut Exchange, world: &W) -> Response {
    let headers = &mut exchange.response_headers;
    let modified = found.modified.and_then(seconds);
    if let Some(etag) = &found.etag
        && headers.get(ETAG).is_none_or(HeaderValue::is_empty)
    {
        set(headers, ETAG, etag);
    }
    if let Some(format) = found.encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(format));
    }
    if headers.get(CONTENT_TYPE).is_none_or(HeaderValue::is_empty) {
        headers.remove(CONTENT_TYPE);
        if let Some(media_type) = media_type::of_name(&found.path) {
            set(headers, CONTENT_TYPE, &media_type);
        }
    }
    if let Some(date) = modified {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(date));
        set(headers, LAST_MODIFIED, &date);
    }
    let request = Request {
        is_readable: matches!(exchange.method, Method::GET | Method::HEAD),
        headers: &exchange.headers,
        etag: headers.get(ETAG).map_or(&b""[..], HeaderValue::as_bytes),
        modified,
    };
    match request.verdict() {
        Verdict::NotModified => not_modified(headers),
        Verdict::Failed => empty(StatusCode::PRECONDITION_FAILED),
        Verdict::Serve { range } => {
            match range.map_or(Ok(Vec::new()), |range| parse_ranges(range, found.length)) {
                Ok(ranges) => send(found, &ranges, &exchange.method, headers, world),
                Err(error) => not_satisfiable(error, found.length, headers),
            }
        }
    }
}

/// Whole seconds, if a date in a header can name them.
fn seconds(time: SystemTime) -> Option<u64> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds <= LAST_SECOND).then_some(seconds)
}

fn empty(status: StatusCode) -> Response {
    Response {
        status,
        body: Body::Empty,
    }
}

fn not_modified(headers: &mut HeaderMap) -> Response {
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
    empty(StatusCode::NOT_MODIFIED)
}

fn not_satisfiable(error: RangeError, length: u64, headers: &mut HeaderMap) -> Response {
    for name in [
        CACHE_CONTROL,
        CONTENT_ENCODING,
        ETAG,
        LAST_MODIFIED,
        CONTENT_LENGTH,
    ] {
        headers.remove(name);
    }
    if error == RangeError::NoOverlap {
        set(headers, CONTENT_RANGE, &format!("bytes */{length}"));
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Response {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        body: format!("{error}\n").into(),
    }
}

/// Sends the ranges, or the whole without any.
fn send<W: World>(
    found: Found,
    ranges: &[Range],
    method: &Method,
    headers: &mut HeaderMap,
    world: &W,
) -> Response {
    let length = found.length;
    // More bytes than there are: somebody means harm, or does not know better.
    let asked = ranges
        .iter()
        .fold(0_u64, |sum, range| sum.saturating_add(range.length));
    let ranges = if asked > length || ranges.len() > MAX_PARTS {
        &[]
    } else {
        ranges
    };
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let is_head = *method == Method::HEAD;
    let (body, sent, status) = match ranges {
        [] => {
            let body = if is_head {
                Body::Empty
            } else {
                world.file(found.file, 0, length)
            };
            (body, length, StatusCode::OK)
        }
        [range] => {
            set(headers, CONTENT_RANGE, &range.of(length));
            let body = if is_head {
                Body::Empty
            } else {
                world.file(found.file, range.start, range.length)
            };
            (body, range.length, StatusCode::PARTIAL_CONTENT)
        }
        ranges => {
            let Ok(parts) = Parts::new(&found, ranges, headers.get(CONTENT_TYPE), world) else {
                // No file descriptor is left for the parts.
                return empty(StatusCode::SERVICE_UNAVAILABLE);
            };
            set(headers, CONTENT_TYPE, &parts.media_type());
            let sent = parts.left;
            let body = if is_head { Body::Empty } else { Body::stream(parts) };
            (body, sent, StatusCode::PARTIAL_CONTENT)
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(sent));
    Response { status, body }
}

/// What conditions are asked of.
struct Request<'a> {
    /// Whether it is GET or HEAD.
    is_readable: bool,
    headers: &'a HeaderMap,
    /// The `ETag` of the file; empty without one.
    etag: &'a [u8],
    /// When it was changed, in seconds.
    modified: Option<u64>,
}

enum Verdict<'a> {
    Serve { range: Option<&'a [u8]> },
    NotModified,
    Failed,
}

impl<'a> Request<'a> {
    fn verdict(&self) -> Verdict<'a> {
        let wanted = self.matches_etag(IF_MATCH, Compare::Strong).or_else(|| {
            let (date, modified) = (self.date(IF_UNMODIFIED_SINCE)?, self.modified?);
            Some(modified <= date)
        });
        if wanted == Some(false) {
            return Verdict::Failed;
        }
        let known = match self.matches_etag(IF_NONE_MATCH, Compare::Weak) {
            Some(true) if !self.is_readable => return Verdict::Failed,
            Some(known) => known,
            None => {
                let dates = self.date(IF_MODIFIED_SINCE).zip(self.modified);
                self.is_readable && dates.is_some_and(|(date, modified)| modified <= date)
            }
        };
        if known {
            return Verdict::NotModified;
        }
        let range = self.get(RANGE).filter(|_| self.range_still_fits());
        Verdict::Serve { range }
    }

    /// Whether the client's other parts, if it has any, are of this file.
    fn range_still_fits(&self) -> bool {
        let Some(condition) = self.get(IF_RANGE).filter(|_| self.is_readable) else {
            return true;
        };
        match scan_etag(condition) {
            Some((etag, _)) => Compare::Strong.are_equal(etag, self.etag),
            None => self.modified.is_some() && self.date(IF_RANGE) == self.modified,
        }
    }

    fn get(&self, name: HeaderName) -> Option<&'a [u8]> {
        let value = self.headers.get(name)?.as_bytes();
        (!value.is_empty()).then_some(value)
    }

    /// A date in seconds; none if it is not understood.
    fn date(&self, name: HeaderName) -> Option<u64> {
        let text = std::str::from_utf8(self.get(name)?).ok()?;
        seconds(httpdate::parse_http_date(text).ok()?)
    }

    /// Whether the file has one of the `ETag` values in a header; none without the header.
    fn matches_etag(&self, name: HeaderName, compare: Compare) -> Option<bool> {
        let mut rest = self.get(name)?;
        loop {
            rest = rest.trim_ascii_start();
            match rest.first() {
                Some(b',') => rest = &rest[1..],
                Some(b'*') => return Some(true),
                _ => {
                    let Some((etag, after)) = scan_etag(rest) else {
                        return Some(false);
                    };
                    if compare.are_equal(etag, self.etag) {
                        return Some(true);
                    }
                    rest = after;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Compare {
    /// The same bytes.
    Strong,
    /// As good as the same.
    Weak,
}

impl Compare {
    fn are_equal(self, one: &[u8], other: &[u8]) -> bool {
        let without_mark = |etag| <[u8]>::strip_prefix(etag, b"W/").unwrap_or(etag);
        match self {
            Self::Strong => one == other && one.starts_with(b"\""),
            Self::Weak => without_mark(one) == without_mark(other),
        }
    }
}

/// The `ETag` at the beginning of a text, and what follows it.
fn scan_etag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let start = if text.starts_with(b"W/") { 2 } else { 0 };
    let inside = text.get(start..)?.strip_prefix(b"\"")?;
    let end = inside
        .iter()
        .position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    (inside[end] == b'"').then(|| text.split_at(start + end + 2))
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    length: u64,
}

impl Range {
    /// As `Content-Range` says it.
    fn of(self, length: u64) -> String {
        let end = i128::from(self.start) + i128::from(self.length) - 1;
        format!("bytes {}-{end}/{length}", self.start)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum RangeError {
    #[error("invalid range")]
    Invalid,
    #[error("invalid range: failed to overlap")]
    NoOverlap,
}

/// Reads a `Range` header. None at all is the whole file.
fn parse_ranges(header: &[u8], length: u64) -> Result<Vec<Range>, RangeError> {
    let text = std::str::from_utf8(header).map_err(|_| RangeError::Invalid)?;
    let list = text.strip_prefix("bytes=").ok_or(RangeError::Invalid)?;
    let number = |text: &str| {
        let number = text.parse::<i64>().map_err(|_| RangeError::Invalid)?;
        u64::try_from(number).map_err(|_| RangeError::Invalid)
    };
    let mut ranges = Vec::new();
    let mut is_beyond = false;
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (start, end) = part.split_once('-').ok_or(RangeError::Invalid)?;
        let (start, end) = (start.trim(), end.trim());
        if start.is_empty() {
            let last = number(end)?.min(length);
            ranges.push(Range {
                start: length - last,
                length: last,
            });
            continue;
        }
        let start = number(start)?;
        if start >= length {
            is_beyond = true;
            continue;
        }
        let end = if end.is_empty() {
            length - 1
        } else {
            number(end)?.min(length - 1)
        };
        let length = (end + 1).checked_sub(start).filter(|length| *length > 0);
        ranges.push(Range {
            start,
            length: length.ok_or(RangeError::Invalid)?,
        });
    }
    // Some clients ask everything for a range; an empty file has none.
    if is_beyond && ranges.is_empty() && length > 0 {
        return Err(RangeError::NoOverlap);
    }
    Ok(ranges)
}

/// A body of several ranges, each with headers of its own.
struct Parts {
    bodies: VecDeque<Body>,
    boundary: String,
    /// How many bytes are yet to come.
    left: u64,
}

impl Parts {
    fn new<W: World>(
        found: &Found,
        ranges: &[Range],
        media_type: Option<&HeaderValue>,
        world: &W,
    ) -> std::io::Result<Self> {
        let boundary = rand::random::<[u8; 30]>()
            .iter()
            .fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a string takes all that is written");
                text
            });
        let mut this = Self {
            bodies: VecDeque::new(),
            boundary,
            left: 0,
        };
        for range in ranges {
            let before = if this.bodies.is_empty() { "" } else { "\r\n" };
            let mut head = format!(
                "{before}--{}\r\nContent-Range: {}\r\n",
                this.boundary,
                range.of(found.length)
            )
            .into_bytes();
            if let Some(media_type) = media_type {
                head.extend_from_slice(b"Content-Type: ");
                head.extend_from_slice(media_type.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(b"\r\n");
            this.push_bytes(head);
            this.left += range.length;
            this.bodies
                .push_back(world.file(found.file.try_clone()?, range.start, range.length));
        }
        this.push_bytes(format!("\r\n--{}--\r\n", this.boundary).into_bytes());
        Ok(this)
    }

    fn push_bytes(&mut self, bytes: Vec<u8>) {
        self.left += bytes.len() as u64;
        self.bodies.push_back(Bytes::from(bytes).into());
    }

    fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        while let Some(part) = this.bodies.front_mut() {
            match std::task::ready!(Pin::new(part).poll_frame(context)) {
                None => {
                    this.bodies.pop_front();
                }
                Some(frame) => {
                    if let Ok(frame) = &frame {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        this.left = this.left.saturating_sub(length as u64);
                    }
                    return Poll::Ready(Some(frame));
                }
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, length: u64, expected: Result<&[(u64, u64)], RangeError>) {
        let ranges = parse_ranges(header.as_bytes(), length);
        let ranges = ranges.map(|ranges| ranges.iter().map(|range| (range.start, range.length)).collect());
        assert_eq!(ranges, expected.map(<[_]>::to_vec), "{header} of {length}");
    }

    #[test]
    fn ranges_lie_within_the_file() {
        check("bytes=0-3", 10, Ok(&[(0, 4)]));
        check("bytes=8-", 10, Ok(&[(8, 2)]));
        check("bytes=-2", 10, Ok(&[(8, 2)]));
        check("bytes=-20", 10, Ok(&[(0, 10)]));
        check("bytes=-0", 10, Ok(&[(10, 0)]));
        check("bytes=5-9223372036854775807", 10, Ok(&[(5, 5)]));
        check("bytes=0-1, 4-5 ,,20-", 10, Ok(&[(0, 2), (4, 2)]));
        check("bytes=", 10, Ok(&[]));
        check("bytes=0-3", 0, Ok(&[]));
        check("bytes=-3", 0, Ok(&[(0, 0)]));
        check("bytes=10-", 10, Err(RangeError::NoOverlap));
        for wrong in [
            "items=0-1",
            "bytes=5-3",
            "bytes=x",
            "bytes=-",
            "bytes=--1",
            "bytes=0-1;",
            "bytes=a-b",
            "",
        ] {
            check(wrong, 10, Err(RangeError::Invalid));
        }
        check("bytes=99999999999999999999-", 10, Err(RangeError::Invalid));
    }

    #[test]
    fn etags_end_where_they_should() {
        for (text, expected) in [
            ("\"a\"", Some(("\"a\"", ""))),
            (" W/\"a\", \"b\"", Some(("W/\"a\"", ", \"b\""))),
            ("\"\"x", Some(("\"\"", "x"))),
            ("\"a", None),
            ("a\"", None),
            ("\"a b\"", None),
            ("W/", None),
            ("", None),
        ] {
            let expected = expected.map(|(etag, rest)| (etag.as_bytes(), rest.as_bytes()));
            assert_eq!(scan_etag(text.as_bytes()), expected, "{text}");
        }
    }
}
