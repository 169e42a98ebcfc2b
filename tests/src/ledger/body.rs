//! Bodies: one that is fed while it travels, and one that is full of its number.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// Any body that is sent here.
pub(super) type Payload = UnsyncBoxBody<Bytes, Infallible>;

/// The length of a download, in records.
pub(super) const RECORDS: u64 = 16 * 1024;

/// How many records are sent at a time.
const AT_ONCE: u64 = 1024;

/// A body of which everything is known.
pub(super) fn full(bytes: impl Into<Bytes>) -> Payload {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is fed through the other end, which waits while the reader is slower.
pub(super) fn fed() -> (mpsc::Sender<Frame<Bytes>>, Payload) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Fed(receiver).boxed_unsync())
}

/// The download with this number, piece by piece.
pub(super) fn pieces(number: u64) -> impl Iterator<Item = Bytes> {
    (0..RECORDS / AT_ONCE).map(move |piece| {
        (piece * AT_ONCE..(piece + 1) * AT_ONCE)
            .flat_map(|place| record(number, place))
            .collect()
    })
}

/// What stands at a place of the download with this number.
pub(super) fn record(number: u64, place: u64) -> [u8; 16] {
    ((u128::from(number) << 64) | u128::from(place)).to_be_bytes()
}

struct Fed(mpsc::Receiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}
