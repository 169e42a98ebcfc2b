//! The body of a response: how it is framed, and its pieces (RFC 9112, 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};

use super::Fault;

/// What is to come of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing.
    None,
    /// As many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All until the connection is closed.
    Close,
}

/// Where in a chunked body reading is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Before the line with the size of a chunk.
    Size,
    /// As many bytes are left of a chunk, at least one.
    Data(u64),
    /// Before the end of the line behind a chunk.
    End,
    /// Before the trailers, or the empty line in their place.
    Trailers,
}

/// What was taken of what was read.
pub(super) enum Taken {
    Frame(Frame<Bytes>),
    /// The body is complete.
    End,
    /// More must be read.
    More,
}

/// How long the line with the size of a chunk may be. Extensions are of no use to anybody.
const LINE: usize = 1024;

/// How many trailers there may be.
const TRAILERS: usize = 64;

impl Framing {
    pub(super) fn length(length: u64) -> Self {
        if length == 0 {
            Self::None
        } else {
            Self::Length(length)
        }
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Whether so much is to come that it is worth a large buffer.
    pub(super) fn is_long(&self) -> bool {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => *left > super::SCRATCH_LENGTH as u64,
            _ => false,
        }
    }

    /// How many bytes are to come, as far as that is known.
    pub(crate) fn hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::Close => SizeHint::default(),
        }
    }

    /// Takes the next piece off the front of `read`. The trailers may have `max` bytes.
    pub(super) fn take(&mut self, read: &mut BytesMut, max: usize) -> Result<Taken, Fault> {
        match self {
            Self::None => Ok(Taken::End),
            _ if read.is_empty() => Ok(Taken::More),
            Self::Close => Ok(Taken::Frame(Frame::data(read.split().freeze()))),
            Self::Length(left) => {
                let data = data(left, read);
                if *left == 0 {
                    *self = Self::None;
                }
                Ok(Taken::Frame(Frame::data(data)))
            }
            Self::Chunked(chunk) => {
                let taken = chunk.take(read, max)?;
                // The end of a body may be here already, and then nobody has to ask for it.
                if let Taken::Frame(_) = &taken
                    && *chunk == Chunk::End
                    && read[..].starts_with(b"\r\n0\r\n\r\n")
                {
                    read.advance(b"\r\n0\r\n\r\n".len());
                    *self = Self::None;
                } else if is_last(&taken) {
                    *self = Self::None;
                }
                Ok(taken)
            }
        }
    }
}

/// Whether nothing of a chunked body comes after it.
fn is_last(taken: &Taken) -> bool {
    match taken {
        Taken::Frame(frame) => frame.is_trailers(),
        Taken::End => true,
        Taken::More => false,
    }
}

impl Chunk {
    fn take(&mut self, read: &mut BytesMut, max: usize) -> Result<Taken, Fault> {
        loop {
            match self {
                Self::Size => {
                    let size = httparse::parse_chunk_size(read)
                        .map_err(|_| Fault::Response("the size of a chunk"))?;
                    match size {
                        httparse::Status::Complete((length, _)) if length > LINE => {
                            return Err(Fault::TooLarge);
                        }
                        httparse::Status::Complete((length, size)) => {
                            read.advance(length);
                            *self = if size == 0 {
                                Self::Trailers
                            } else {
                                Self::Data(size)
                            };
                        }
                        httparse::Status::Partial if read.len() > LINE => return Err(Fault::TooLarge),
                        httparse::Status::Partial => return Ok(Taken::More),
                    }
                }
                Self::Data(_) if read.is_empty() => return Ok(Taken::More),
                Self::Data(left) => {
                    let data = data(left, read);
                    if *left == 0 {
                        *self = Self::End;
                    }
                    return Ok(Taken::Frame(Frame::data(data)));
                }
                Self::End if read.len() < 2 => return Ok(Taken::More),
                Self::End if read.starts_with(b"\r\n") => {
                    read.advance(2);
                    *self = Self::Size;
                }
                Self::End => return Err(Fault::Response("the end of a chunk")),
                Self::Trailers => return trailers(read, max),
            }
        }
    }
}

/// What is there of as many bytes as are left.
fn data(left: &mut u64, read: &mut BytesMut) -> Bytes {
    let length = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= length as u64;
    read.split_to(length).freeze()
}

fn trailers(read: &mut BytesMut, max: usize) -> Result<Taken, Fault> {
    let mut room = [httparse::EMPTY_HEADER; TRAILERS];
    let parsed = httparse::parse_headers(read, &mut room).map_err(|_| Fault::Response("its trailers"))?;
    let httparse::Status::Complete((length, lines)) = parsed else {
        return if read.len() > max {
            Err(Fault::TooLarge)
        } else {
            Ok(Taken::More)
        };
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line.value)) else {
            return Err(Fault::Response("its trailers"));
        };
        trailers.append(name, value);
    }
    if length > max {
        return Err(Fault::TooLarge);
    }
    read.advance(length);
    Ok(if trailers.is_empty() {
        Taken::End
    } else {
        Taken::Frame(Frame::trailers(trailers))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that comes in pieces of each length; what is left behind it, and the trailers, at the end.
    fn read(
        framing: impl Fn() -> Framing,
        bytes: &str,
        step: usize,
    ) -> Result<(String, String, usize), String> {
        let (mut framing, mut read) = (framing(), BytesMut::new());
        let (mut body, mut trailers) = (Vec::new(), 0);
        let mut pieces = bytes.as_bytes().chunks(step);
        loop {
            match framing.take(&mut read, 100).map_err(|fault| fault.to_string())? {
                Taken::Frame(frame) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers += frame.into_trailers().unwrap().len(),
                },
                Taken::End => break,
                Taken::More => match pieces.next() {
                    Some(piece) => read.extend_from_slice(piece),
                    None => return Err("cut".into()),
                },
            }
        }
        read.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((text(&body), text(&read), trailers))
    }

    #[track_caller]
    fn check(framing: impl Fn() -> Framing, bytes: &str, expected: Result<(&str, &str, usize), &str>) {
        for step in 1..=bytes.len() {
            let found = read(&framing, bytes, step);
            let found = found
                .as_ref()
                .map(|(body, rest, trailers)| (&**body, &**rest, *trailers));
            assert_eq!(found.map_err(String::as_str), expected, "{bytes:?} by {step}");
        }
    }

    #[test]
    fn a_length_is_kept_to() {
        check(|| Framing::length(5), "hello", Ok(("hello", "", 0)));
        check(|| Framing::length(5), "hello, world", Ok(("hello", ", world", 0)));
        check(|| Framing::length(0), "hello", Ok(("", "hello", 0)));
        check(|| Framing::length(6), "hello", Err("cut"));
        check(|| Framing::length(u64::MAX), "hello", Err("cut"));
    }

    #[test]
    fn chunks_are_put_together() {
        let check = |bytes, expected| check(Framing::chunked, bytes, expected);
        check("0\r\n\r\n", Ok(("", "", 0)));
        check("5\r\nhello\r\n0\r\n\r\n", Ok(("hello", "", 0)));
        check("5\r\nhello\r\n0\r\n\r\nnext", Ok(("hello", "next", 0)));
        check(
            "5;a=b\r\nhello\r\nA\r\n, worlds!!\r\n000\r\n\r\n",
            Ok(("hello, worlds!!", "", 0)),
        );
        check("1\r\na\r\n0\r\nx: 1\r\ny: 2\r\n\r\n", Ok(("a", "", 2)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        let check = |bytes: &str, expected| check(Framing::chunked, bytes, Err(expected));
        let invalid = "the upstream's response is not valid: the size of a chunk";
        check("x\r\n", invalid);
        check("-1\r\na", invalid);
        check("fffffffffffffffff\r\na", invalid);
        check(
            "1\r\nabc",
            "the upstream's response is not valid: the end of a chunk",
        );
        check("5\r\nhell", "cut");
        check("5\r\nhello\r\n0\r\n", "cut");
        check(
            "0\r\nx y: 1\r\n\r\n",
            "the upstream's response is not valid: its trailers",
        );
        let long = "the head of the upstream's response is too long";
        check(&format!("0\r\nx: {}", "v".repeat(200)), long);
        check(&format!("1;{}\r\na", "v".repeat(LINE)), long);
        check(&format!("1;{}", "v".repeat(LINE)), long);
    }
}
