use std::collections::VecDeque;
use std::task::Waker;

use compression_codecs::{Decode, GzipDecoder, ZstdDecoder};

use super::*;

const GZIP: Format = Format::Gzip { level: 5 };
const ZSTD: Format = Format::Zstd {
    level: 3,
    checksum: true,
};

/// What a body does when it is polled; none: it pends.
struct Script(VecDeque<Option<Result<Frame<Bytes>, BodyError>>>);

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(None) => Poll::Pending,
            Some(Some(frame)) => Poll::Ready(Some(frame)),
        }
    }
}

fn script(steps: impl IntoIterator<Item = Option<Result<Frame<Bytes>, BodyError>>>) -> Body {
    Body::stream(Script(steps.into_iter().collect()))
}

#[expect(clippy::unnecessary_wraps, reason = "a step of a script")]
fn data(bytes: &[u8]) -> Option<Result<Frame<Bytes>, BodyError>> {
    Some(Ok(Frame::data(Bytes::copy_from_slice(bytes))))
}

fn decode(format: Format, compressed: &[u8]) -> (Vec<u8>, bool) {
    fn run(mut decoder: impl Decode, compressed: &[u8]) -> (Vec<u8>, bool) {
        let mut input = PartialBuffer::new(compressed);
        let mut all = Vec::new();
        loop {
            let mut output = PartialBuffer::new(vec![0; 100_000]);
            let result = decoder.decode(&mut input, &mut output);
            assert!(result.is_ok() || input.unwritten().is_empty(), "{result:?}");
            let done = result.unwrap_or(false);
            let written = output.written().len();
            all.extend_from_slice(output.written());
            if done || written == 0 && input.unwritten().is_empty() {
                return (all, done);
            }
        }
    }
    match format {
        Format::Gzip { .. } => run(GzipDecoder::new(), compressed),
        Format::Zstd { .. } => run(ZstdDecoder::new(), compressed),
    }
}

/// What the body gives until it pends or ends, and whether it ended.
fn read(body: &mut Body, frames: &mut Vec<u8>) -> Result<Option<HeaderMap>, BodyError> {
    let mut context = Context::from_waker(Waker::noop());
    let mut pending = 0;
    loop {
        match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => match frame?.into_data() {
                Ok(data) => {
                    assert!(data.len() <= OUTPUT.max(AT_ONCE + 1024));
                    frames.extend_from_slice(&data);
                }
                Err(frame) => return Ok(frame.into_trailers().ok()),
            },
            Poll::Ready(None) => return Ok(None),
            // Once for a turn that is over, again for want of input.
            Poll::Pending if pending == 100 => return Err("pending".into()),
            Poll::Pending => pending += 1,
        }
    }
}

/// Bytes that do not shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_goes_in_comes_out() {
    for format in [GZIP, ZSTD, Format::Gzip { level: 9 }] {
        for length in [0, 1, 600, OUTPUT, AT_ONCE, AT_ONCE + 1, 1_000_000] {
            for text in [vec![b'a'; length], noise(length)] {
                let whole = Body::Full(Bytes::from(text.clone()));
                let pieces = script(text.chunks(70_001).map(data));
                for body in [whole, pieces] {
                    let mut body = format.compress(body);
                    let mut compressed = Vec::new();
                    assert!(matches!(read(&mut body, &mut compressed), Ok(None)));
                    assert_eq!(
                        decode(format, &compressed),
                        (text.clone(), true),
                        "{format:?} {length}"
                    );
                }
            }
        }
    }
}

#[test]
fn short_bodies_keep_a_length() {
    let body = GZIP.compress(Body::Full(Bytes::from(vec![b'a'; 1000])));
    assert!(matches!(body, Body::Full(ref bytes) if bytes.len() < 100));
}

#[test]
fn what_is_there_is_not_held_back() {
    for format in [GZIP, ZSTD] {
        let mut body = format.compress(script([data(b"one"), None, None, data(b"two"), None]));
        let mut context = Context::from_waker(Waker::noop());
        let mut compressed = Vec::new();
        for expected in ["one", "onetwo"] {
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
                panic!("held back");
            };
            compressed.extend_from_slice(frame.data_ref().unwrap());
            assert_eq!(decode(format, &compressed), (expected.as_bytes().to_vec(), false));
            if expected == "one" {
                assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
            }
        }
    }
}

#[test]
fn trailers_come_last() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x", "y".parse().unwrap());
    let mut body = GZIP.compress(script([
        data(b"one"),
        Some(Ok(Frame::trailers(trailers.clone()))),
    ]));
    let mut compressed = Vec::new();
    assert_eq!(read(&mut body, &mut compressed).unwrap(), Some(trailers));
    assert_eq!(decode(GZIP, &compressed), (b"one".to_vec(), true));
    assert_eq!(read(&mut body, &mut compressed).unwrap(), None);
}

#[test]
fn a_broken_body_never_looks_whole() {
    for format in [GZIP, ZSTD] {
        let mut body = format.compress(script([data(b"one"), Some(Err("gone".into()))]));
        let mut compressed = Vec::new();
        assert_eq!(read(&mut body, &mut compressed).unwrap_err().to_string(), "gone");
        assert!(!decode(format, &compressed).1);
    }
}
