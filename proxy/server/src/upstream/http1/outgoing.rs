//! The request on its way out: its head, and its body as it comes (RFC 9112, 3 and 7).

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use fairway_engine::body::{Body, BodyError};
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request};
use http_body::Body as _;

use super::{Fault, Io, has_element};

/// What is to be sent of a request.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Text that comes before `data`.
    text: Vec<u8>,
    /// How much of `text` is sent.
    at: usize,
    /// A piece of the body.
    data: Bytes,
    /// What follows.
    rest: Rest,
    /// Whether something was written and not flushed.
    unflushed: bool,
}

/// What follows what is being written.
#[derive(Default)]
enum Rest {
    #[default]
    Nothing,
    /// As many bytes of a body.
    Length(Body, u64),
    Chunks {
        body: Body,
        /// Whether a chunk came before, whose line must end.
        behind: bool,
        /// The trailers that the head announces, as it writes them.
        trailers: Vec<u8>,
    },
}

/// A body of up to as many bytes goes out together with the head.
const SMALL: usize = 1024;

impl Outgoing {
    /// Begins with the head of a request.
    pub(super) fn begin(&mut self, request: Request<Body>) {
        let (parts, body) = request.into_parts();
        self.text.clear();
        self.at = 0;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        // Writing to a vector does not fail, here and below.
        let _ = write!(self.text, "{} {target} HTTP/1.1\r\n", parts.method);
        for (name, value) in &parts.headers {
            // How the body is framed is told from the body alone.
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                line(&mut self.text, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        match body {
            Body::Empty => {
                if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
                    line(&mut self.text, b"content-length", b"0");
                }
            }
            Body::Full(bytes) => {
                let _ = write!(self.text, "content-length: {}\r\n", bytes.len());
                self.data = bytes;
            }
            Body::Stream(_) => {
                if let Some(length) = body.size_hint().exact() {
                    let _ = write!(self.text, "content-length: {length}\r\n");
                    self.rest = Rest::Length(body, length);
                } else {
                    line(&mut self.text, b"transfer-encoding", b"chunked");
                    self.rest = Rest::Chunks {
                        body,
                        behind: false,
                        trailers: announced(&parts.headers),
                    };
                }
            }
        }
        self.text.extend_from_slice(b"\r\n");
        if self.data.len() <= SMALL {
            self.text.extend_from_slice(&self.data);
            self.data.clear();
        }
    }

    /// Whether all is sent.
    pub(super) fn is_done(&self) -> bool {
        !self.unflushed
            && matches!(self.rest, Rest::Nothing)
            && self.at == self.text.len()
            && self.data.is_empty()
    }

    /// Sends what the socket takes; ready when all is sent.
    pub(super) fn poll(&mut self, io: &mut dyn Io, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.is_done() {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_write(io, context))?;
            let poll = self.poll_rest(context)?;
            if poll != Poll::Ready(true) {
                // Nothing more for now: what was written is not to wait.
                ready!(Pin::new(&mut *io).poll_flush(context))?;
                self.unflushed = false;
                return poll.map(|_more| Ok(()));
            }
        }
    }

    /// Writes the text and the piece of the body.
    fn poll_write(&mut self, io: &mut dyn Io, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let text = &self.text[self.at..];
            let io = Pin::new(&mut *io);
            let written = match (text.is_empty(), self.data.is_empty()) {
                (true, true) => {
                    self.text.clear();
                    self.at = 0;
                    return Poll::Ready(Ok(()));
                }
                (false, true) => io.poll_write(context, text),
                (true, false) => io.poll_write(context, &self.data),
                (false, false) => {
                    io.poll_write_vectored(context, &[IoSlice::new(text), IoSlice::new(&self.data)])
                }
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(Fault::Io(io::ErrorKind::WriteZero.into())));
            }
            self.unflushed = true;
            let of_text = written.min(text.len());
            self.at += of_text;
            self.data.advance(written - of_text);
        }
    }

    /// Gets the next piece of the body; false if there is none.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let frame = match &mut self.rest {
            Rest::Nothing => return Poll::Ready(Ok(false)),
            Rest::Length(body, _) | Rest::Chunks { body, .. } => ready!(Pin::new(body).poll_frame(context)),
        };
        let frame = frame.transpose().map_err(Fault::Body)?;
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Length(body, left) => {
                let Some(frame) = frame else {
                    let complete = *left == 0;
                    self.rest = Rest::Nothing;
                    return Poll::Ready(if complete {
                        Ok(false)
                    } else {
                        Err(mismatch("short"))
                    });
                };
                if let Ok(data) = frame.into_data() {
                    *left = left
                        .checked_sub(data.len() as u64)
                        .ok_or_else(|| mismatch("long"))?;
                    self.data = data;
                }
                if *left == 0 && body.is_end_stream() {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunks { behind, trailers, .. } => {
                if std::mem::take(behind) {
                    self.text.extend_from_slice(b"\r\n");
                }
                match frame.map(http_body::Frame::into_data) {
                    Some(Ok(data)) if data.is_empty() => {}
                    Some(Ok(data)) => {
                        let _ = write!(self.text, "{:x}\r\n", data.len());
                        *behind = true;
                        self.data = data;
                    }
                    Some(Err(frame)) => {
                        self.text.extend_from_slice(b"0\r\n");
                        let found = frame.into_trailers().unwrap_or_default();
                        for (name, value) in &found {
                            if has_element(trailers, name.as_str()) {
                                line(&mut self.text, name.as_str().as_bytes(), value.as_bytes());
                            }
                        }
                        self.text.extend_from_slice(b"\r\n");
                        self.rest = Rest::Nothing;
                    }
                    None => {
                        self.text.extend_from_slice(b"0\r\n\r\n");
                        self.rest = Rest::Nothing;
                    }
                }
            }
        }
        Poll::Ready(Ok(true))
    }
}

fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

fn mismatch(how: &str) -> Fault {
    Fault::Body(BodyError::from(format!("it is too {how} for its Content-Length")))
}

/// The names in `Trailer`.
fn announced(headers: &HeaderMap) -> Vec<u8> {
    let lines: Vec<&[u8]> = headers
        .get_all(TRAILER)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    lines.join(&b',')
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body::{Frame, SizeHint};
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A body of frames, which tells its length or does not.
    struct Frames(VecDeque<Frame<Bytes>>, Option<u64>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn size_hint(&self) -> SizeHint {
            self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    fn stream(data: &[&'static str], length: Option<u64>) -> Body {
        let data = data
            .iter()
            .map(|data| Frame::data(Bytes::from_static(data.as_bytes())));
        Body::stream(Frames(data.collect(), length))
    }

    fn request(method: &str, headers: &[(&'static str, &'static str)], body: Body) -> Request<Body> {
        let mut request = Request::builder().method(method).uri("/p?q");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }

    /// Sends a request through a socket that takes a few bytes at a time.
    fn send(request: Request<Body>) -> (Result<(), String>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(7);
            let sending = async move {
                let mut outgoing = Outgoing::default();
                outgoing.begin(request);
                let sent = std::future::poll_fn(|context| outgoing.poll(&mut near, context)).await;
                assert_eq!(outgoing.is_done(), sent.is_ok());
                sent.map_err(|fault| fault.to_string())
            };
            let mut text = String::new();
            let (sent, _) = tokio::join!(sending, far.read_to_string(&mut text));
            (sent, text)
        })
    }

    #[track_caller]
    fn check(request: Request<Body>, expected: &str) {
        assert_eq!(send(request), (Ok(()), expected.replace('\n', "\r\n")));
    }

    #[test]
    fn a_request_without_a_body_is_a_head() {
        check(
            request("GET", &[("host", "a"), ("x", "1"), ("x", "2")], Body::Empty),
            "GET /p?q HTTP/1.1\nhost: a\nx: 1\nx: 2\n\n",
        );
        check(
            request("POST", &[], Body::Empty),
            "POST /p?q HTTP/1.1\ncontent-length: 0\n\n",
        );
    }

    #[test]
    fn the_body_alone_says_how_it_is_framed() {
        let lies = [("content-length", "99"), ("transfer-encoding", "chunked")];
        check(request("GET", &lies, Body::Empty), "GET /p?q HTTP/1.1\n\n");
        check(
            request("PUT", &lies, "hi".to_owned().into()),
            "PUT /p?q HTTP/1.1\ncontent-length: 2\n\nhi",
        );
        check(
            request("PUT", &lies, stream(&["ab", "", "c"], Some(3))),
            "PUT /p?q HTTP/1.1\ncontent-length: 3\n\nabc",
        );
        check(
            request("PUT", &lies, stream(&["ab", "", "0123456789"], None)),
            "PUT /p?q HTTP/1.1\ntransfer-encoding: chunked\n\n2\nab\na\n0123456789\n0\n\n",
        );
    }

    #[test]
    fn a_large_body_follows_its_head() {
        let large = "x".repeat(SMALL + 1);
        let expected = format!("PUT /p?q HTTP/1.1\ncontent-length: {}\n\n{large}", SMALL + 1);
        check(request("PUT", &[], large.into()), &expected);
    }

    #[test]
    fn trailers_go_out_if_they_are_announced() {
        let mut trailers = HeaderMap::new();
        trailers.insert("a", "1".parse().unwrap());
        trailers.insert("b", "2".parse().unwrap());
        let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)];
        let body = Body::stream(Frames(frames.into(), None));
        check(
            request("PUT", &[("trailer", "c, A")], body),
            "PUT /p?q HTTP/1.1\ntrailer: c, A\ntransfer-encoding: chunked\n\n1\nx\n0\na: 1\n\n",
        );
    }

    #[test]
    fn a_body_keeps_to_its_length() {
        let short = send(request("PUT", &[], stream(&["ab"], Some(3))));
        assert_eq!(
            short.0.unwrap_err(),
            "the request's body: it is too short for its Content-Length"
        );
        let long = send(request("PUT", &[], stream(&["ab", "cd"], Some(3))));
        assert_eq!(
            long.0.unwrap_err(),
            "the request's body: it is too long for its Content-Length"
        );
        assert!(long.1.ends_with("\r\n\r\nab"));
    }
}
