//! The body of a response over HTTP/1.1, and the connection that it comes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;

use super::http1::{Framing, Http1};
use super::pool::Pool;

/// A connection in use; back to its pool when request and response are complete, else closed.
pub(super) struct Lease {
    held: Option<Held>,
    pool: Arc<Pool>,
}

enum Held {
    /// The request is sent, and nothing but the response moves the connection on.
    Own(Box<Http1>),
    /// The upstream answered while there is more of the request's body to send, whoever reads the response; a task
    /// sends it. The upstream may never read the rest; waiting for it would hold the client's body for ever, so this
    /// connection is closed in the end.
    Shared(Arc<Mutex<Http1>>, AbortHandle),
}

impl Lease {
    /// Of a connection on which the head of a response came.
    pub(super) fn new(http: Box<Http1>, pool: &Arc<Pool>) -> Self {
        let held = if http.is_sent() {
            Held::Own(http)
        } else {
            let http = Arc::new(Mutex::new(*http));
            let sending = Arc::clone(&http);
            let task = tokio::task::spawn_local(async move {
                if let Err(fault) = poll_fn(|context| lock(&sending).poll_send(context)).await {
                    tracing::debug!(error = %fault, "the rest of a request was not sent");
                }
            });
            Held::Shared(http, task.abort_handle())
        };
        Self {
            held: Some(held),
            pool: Arc::clone(pool),
        }
    }

    /// The body of the response: all of it if it came together with the head, as small ones do. Then the connection
    /// is free at once, and nobody has to follow the body to its end.
    pub(super) fn body(mut self) -> Body {
        let (mut first, mut broken) = (None, None);
        if let Some(Held::Own(http)) = &mut self.held {
            match http.brought() {
                Some(Ok(frame)) => first = Some(frame),
                Some(Err(fault)) => broken = Some(Broken::Untold(fault.into())),
                None => {}
            }
        }
        self.release();
        if self.held.is_none() && broken.is_none() {
            match first.map(Frame::into_data) {
                None => return Body::Empty,
                Some(Ok(data)) => return data.into(),
                Some(Err(frame)) => first = Some(frame),
            }
        }
        Body::stream(Leased {
            first,
            broken,
            lease: self,
        })
    }

    /// Gives the connection back, or closes it, if there is nothing to come of the response.
    fn release(&mut self) {
        let complete = self.with(|http| matches!(http.incoming(), Framing::None));
        if complete == Some(true) {
            match self.held.take() {
                Some(Held::Own(http)) => self.pool.put(http),
                Some(Held::Shared(_, task)) => task.abort(),
                None => {}
            }
        }
    }

    fn close(&mut self) {
        if let Some(Held::Shared(_, task)) = self.held.take() {
            task.abort();
        }
    }

    /// Works with the connection, if it is held still.
    fn with<T>(&mut self, work: impl FnOnce(&mut Http1) -> T) -> Option<T> {
        match self.held.as_mut()? {
            Held::Own(http) => Some(work(http)),
            Held::Shared(http, _) => Some(work(&mut lock(http))),
        }
    }

    /// What is to come of the body.
    fn hint(&self) -> SizeHint {
        match &self.held {
            Some(Held::Own(http)) => http.incoming().hint(),
            Some(Held::Shared(http, _)) => lock(http).incoming().hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
    }
}

/// Never waits: all who come here are on one thread.
fn lock(http: &Mutex<Http1>) -> MutexGuard<'_, Http1> {
    http.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a response, with the connection that it comes on.
struct Leased {
    /// What was read of it already.
    first: Option<Frame<Bytes>>,
    broken: Option<Broken>,
    lease: Lease,
}

/// Why a body breaks off. It is told one turn later: the client is to get what came before, the head above all, and what
/// is still to be written is lost with the error.
enum Broken {
    Untold(BodyError),
    Due(BodyError),
}

impl Leased {
    fn delay<T>(&mut self, error: BodyError, context: &Context<'_>) -> Poll<T> {
        self.broken = Some(Broken::Due(error));
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl http_body::Body for Leased {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.broken.take() {
            Some(Broken::Due(error)) => return Poll::Ready(Some(Err(error))),
            Some(Broken::Untold(error)) => return self.delay(error, context),
            None => {}
        }
        let Some(poll) = self.lease.with(|http| http.poll_frame(context)) else {
            return Poll::Ready(None);
        };
        match poll {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Err(fault))) => {
                self.lease.close();
                self.delay(fault.into(), context)
            }
            Poll::Ready(frame) => {
                self.lease.release();
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.broken.is_none() && self.lease.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.lease.hint();
        if let Some(first) = &self.first {
            let read = first.data_ref().map_or(0, Bytes::len) as u64;
            match hint.exact() {
                Some(rest) => hint.set_exact(rest + read),
                None => hint.set_lower(hint.lower() + read),
            }
        }
        hint
    }
}
