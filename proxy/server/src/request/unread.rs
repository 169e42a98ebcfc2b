//! What nobody reads of a request's body.
//!
//! A handler may answer before it has read the body, and an upstream may too. The rest is read beside the response, so
//! that an HTTP/1 connection can carry another request, and an HTTP/2 stream ends by itself: the library would reset
//! it, sometimes before the response was written. A body that is too long, or does not come, ends as the library ends
//! it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fairway_engine::body::BodyError;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How much is read at most, in bytes. It is thrown away as it comes; a client that cannot get rid of its body over
/// HTTP/2 may overlook that there is an answer.
const LIMIT: usize = 64 << 20;

/// And for how long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where bodies go that were let go of before their end. There are never more than requests under way.
pub(crate) type Sender = mpsc::UnboundedSender<Incoming>;

/// A request's body, the rest of which is not lost.
pub(super) struct Guarded {
    /// None once it ended, or was let go of.
    body: Option<Incoming>,
    unread: Sender,
}

impl Guarded {
    pub(super) fn new(body: Incoming, unread: Sender) -> Self {
        Self {
            body: Some(body),
            unread,
        }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
        }
        polled.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            // At the end of the thread nobody receives; then the body goes as the connection does.
            let _ = self.unread.send(body);
        }
    }
}

/// Reads what comes, until the thread ends. Dropping it lets go of what waits.
pub(crate) async fn receive(mut bodies: mpsc::UnboundedReceiver<Incoming>, tasks: TaskTracker) {
    while let Some(body) = bodies.recv().await {
        tasks.spawn_local(read(body));
    }
}

async fn read(mut body: Incoming) {
    let mut left = LIMIT;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(left) => left,
                None => break,
            };
        }
    };
    // Either way the body is let go of.
    let _ = tokio::time::timeout(PATIENCE, reading).await;
}
