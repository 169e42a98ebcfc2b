//! Bodies on their way through: read ahead where the config wants it, and counted as in flight until they end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::upstreams::InFlight;
use crate::body::{Body, BodyError};

/// Reads up to `limit` bytes of a body. One that ends before is whole then; of a longer one the rest follows as it
/// comes. Dropping the future loses what was read.
pub(super) async fn read_ahead(body: Body, limit: usize) -> Result<Body, BodyError> {
    let Body::Stream(mut stream) = body else {
        return Ok(body);
    };
    let mut read = BytesMut::new();
    while let Some(frame) = stream.frame().await {
        let frame = match frame?.into_data() {
            Ok(data) => {
                read.extend_from_slice(&data);
                if read.len() < limit {
                    continue;
                }
                None
            }
            Err(trailers) => Some(trailers),
        };
        return Ok(Body::stream(Ahead {
            read: read.freeze(),
            frame,
            rest: Body::Stream(stream),
        }));
    }
    Ok(read.freeze().into())
}

/// A body that does not tell its length.
pub(super) fn unsized_body(bytes: Bytes) -> Body {
    Body::stream(Unsized(Some(bytes)))
}

struct Unsized(Option<Bytes>);

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// What was read of a body, then its rest.
struct Ahead {
    read: Bytes,
    frame: Option<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = std::mem::take(&mut self.read);
        if !read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        if let Some(frame) = self.frame.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        Pin::new(&mut self.rest).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.frame.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.size_hint();
        let read = self.read.len() as u64;
        match hint.exact() {
            Some(rest) => hint.set_exact(rest.saturating_add(read)),
            None => hint.set_lower(hint.lower().saturating_add(read)),
        }
        hint
    }
}

/// A body that counts as a request in flight until it ends or is dropped.
pub(super) fn guarded(body: Body, guard: InFlight) -> Body {
    match body {
        Body::Stream(_) if !body.is_empty() => Body::stream(Guarded {
            body,
            guard: Some(guard),
        }),
        whole => whole,
    }
}

struct Guarded {
    body: Body,
    guard: Option<InFlight>,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
