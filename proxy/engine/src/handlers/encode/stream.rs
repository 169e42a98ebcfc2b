//! Compression of a body while it passes. What is there goes out as soon as nothing more is there to be read, so that
//! events and answers in pieces are not held back.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use compression_codecs::flate::params::FlateEncoderParams;
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{EncodeV2, GzipEncoder, ZstdEncoder};
use compression_core::Level;
use compression_core::util::{PartialBuffer, WriteBuffer};
use http::HeaderMap;
use http_body::{Body as _, Frame};

use crate::body::{Body, BodyError};

/// The largest frame that goes out.
const OUTPUT: usize = 16 * 1024;
/// How much is compressed before others get their turn.
const INPUT_PER_TURN: usize = 64 * 1024;
/// Up to this length a body that is there as a whole is compressed as a whole.
const AT_ONCE: usize = 64 * 1024;
/// The window of zstd, as a power of two: 128 KiB, so that small clients can decode it too.
const ZSTD_WINDOW: u32 = 17;

/// A format and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip { level: u32 },
    Zstd { level: i32, checksum: bool },
}

impl Format {
    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// The same body in this format.
    pub(super) fn compress(self, body: Body) -> Body {
        let compressed = Compressed::new(self.encoder(), body);
        match &compressed.inner {
            Body::Full(bytes) if bytes.len() <= AT_ONCE => compressed.whole(),
            _ => Body::stream(compressed),
        }
    }

    fn encoder(self) -> Box<dyn EncodeV2 + Send> {
        match self {
            Self::Gzip { level } => {
                let level = Level::Precise(i32::try_from(level).unwrap_or(5));
                Box::new(GzipEncoder::new(FlateEncoderParams::from(level)))
            }
            Self::Zstd { level, checksum } => {
                let params = [
                    CParameter::window_log(ZSTD_WINDOW),
                    CParameter::checksum_flag(checksum),
                ];
                Box::new(ZstdEncoder::new_with_params(level, &params))
            }
        }
    }
}

/// A body that compresses another.
struct Compressed {
    inner: Body,
    encoder: Box<dyn EncodeV2 + Send>,
    step: Step,
    /// Whether the encoder may hold back what it was given.
    held_back: bool,
    output: Output,
}

enum Step {
    /// More is wanted from the inner body.
    Read,
    /// This is to be compressed.
    Encode(Bytes),
    /// All that was given is to come out.
    Flush,
    /// The end is to come out, and then the trailers.
    Finish(Option<HeaderMap>),
    /// Only the trailers are left.
    Last(Option<HeaderMap>),
}

impl Compressed {
    fn new(encoder: Box<dyn EncodeV2 + Send>, inner: Body) -> Self {
        Self {
            inner,
            encoder,
            step: Step::Read,
            held_back: false,
            output: Output::default(),
        }
    }

    /// A body that is there as a whole, compressed as a whole.
    fn whole(mut self) -> Body {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut whole = Vec::new();
        loop {
            match Pin::new(&mut self).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(frame))) => {
                    whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                }
                Poll::Ready(None) => return Bytes::from(whole).into(),
                // Neither happens to bytes in memory; the client must not take a part for the whole.
                Poll::Ready(Some(Err(error))) => return Body::stream(Broken(Some(error))),
                Poll::Pending => {}
            }
        }
    }

    /// One call of the encoder, whose result says whether that step is done.
    fn run(
        &mut self,
        call: impl FnOnce(&mut dyn EncodeV2, &mut WriteBuffer<'_>) -> io::Result<bool>,
    ) -> Result<bool, BodyError> {
        let mut buffer = WriteBuffer::new_initialized(self.output.space());
        let done = call(&mut *self.encoder, &mut buffer)?;
        let written = buffer.written_len();
        self.output.filled += written;
        if !done && written == 0 && !self.output.is_full() {
            return Err(io::Error::other("the encoder makes no progress").into());
        }
        Ok(done)
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut budget = INPUT_PER_TURN;
        loop {
            if this.output.is_full() {
                return Poll::Ready(this.output.frame().map(Ok));
            }
            match &mut this.step {
                Step::Encode(chunk) if chunk.is_empty() => this.step = Step::Read,
                Step::Encode(_) if budget == 0 => {
                    if let Some(frame) = this.output.frame() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Encode(chunk) => {
                    let mut chunk = std::mem::take(chunk);
                    let part = chunk.len().min(budget);
                    let mut input = PartialBuffer::new(&chunk[..part]);
                    let result = this.run(|encoder, output| {
                        encoder.encode(&mut input, output)?;
                        Ok(input.written_len() > 0)
                    });
                    if let Err(error) = result {
                        this.step = Step::Last(None);
                        return Poll::Ready(Some(Err(error)));
                    }
                    let taken = input.written_len();
                    budget -= taken;
                    chunk.advance(taken);
                    this.held_back = true;
                    this.step = Step::Encode(chunk);
                }
                Step::Flush => match this.run(|encoder, output| encoder.flush(output)) {
                    Ok(true) => {
                        this.held_back = false;
                        this.step = Step::Read;
                        if let Some(frame) = this.output.frame() {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                    }
                    Ok(false) => {}
                    Err(error) => {
                        this.step = Step::Last(None);
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Step::Finish(trailers) => {
                    let trailers = trailers.take();
                    match this.run(|encoder, output| encoder.finish(output)) {
                        Ok(true) => this.step = Step::Last(trailers),
                        Ok(false) => this.step = Step::Finish(trailers),
                        Err(error) => {
                            this.step = Step::Last(None);
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                Step::Last(trailers) => {
                    let last = this
                        .output
                        .frame()
                        .or_else(|| trailers.take().map(Frame::trailers));
                    return Poll::Ready(last.map(Ok));
                }
                Step::Read => match Pin::new(&mut this.inner).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => this.step = Step::Encode(data),
                        Err(frame) => this.step = Step::Finish(frame.into_trailers().ok()),
                    },
                    Poll::Ready(Some(Err(error))) => {
                        // Without its end, what came out cannot be taken for the whole.
                        this.output = Output::default();
                        this.step = Step::Last(None);
                        return Poll::Ready(Some(Err(error)));
                    }
                    Poll::Ready(None) => this.step = Step::Finish(None),
                    Poll::Pending if this.held_back => this.step = Step::Flush,
                    Poll::Pending => {
                        return match this.output.frame() {
                            Some(frame) => Poll::Ready(Some(Ok(frame))),
                            None => Poll::Pending,
                        };
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.step, Step::Last(None)) && self.output.filled == 0
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressed")
    }
}

/// The frame that goes out next.
#[derive(Default)]
struct Output {
    buffer: Vec<u8>,
    filled: usize,
}

impl Output {
    fn space(&mut self) -> &mut [u8] {
        self.buffer.resize(OUTPUT, 0);
        &mut self.buffer[self.filled..]
    }

    fn is_full(&self) -> bool {
        self.filled == OUTPUT
    }

    /// What is there, if anything is. A small one does not keep the whole buffer alive.
    fn frame(&mut self) -> Option<Frame<Bytes>> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return None;
        }
        Some(Frame::data(if filled < OUTPUT / 4 {
            Bytes::copy_from_slice(&self.buffer[..filled])
        } else {
            let mut whole = std::mem::take(&mut self.buffer);
            whole.truncate(filled);
            Bytes::from(whole)
        }))
    }
}

/// A body that fails at once.
struct Broken(Option<BodyError>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

#[cfg(test)]
mod tests;
