//! The body of a response over HTTP/1.1, and the connection that it comes on.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::task::AbortHandle;

use super::driver::Driver;
use super::pool::{Http1, Pool};

/// A connection in use; back to its pool when request and response are complete, else closed.
pub(super) struct Lease(Option<Held>);

enum Held {
    /// The request is sent, and nothing but the response moves the connection on.
    Own {
        sender: http1::SendRequest<Body>,
        driver: Driver,
        pool: Arc<Pool>,
    },
    /// The upstream answered while there is more of the request's body to send, whoever reads the response. It may
    /// never read the rest; waiting for it would hold the client's body for ever, so this one is closed in the end.
    Task(AbortHandle),
}

impl Lease {
    /// Of a connection on which a response came. `unsent` lives while there is more of the request's body to send.
    pub(super) fn new(http: Http1, pool: &Arc<Pool>, unsent: &Weak<()>) -> Self {
        let Http1 { sender, driver } = http;
        Self(Some(if unsent.strong_count() > 0 {
            Held::Task(driver.spawn())
        } else {
            Held::Own {
                sender,
                driver,
                pool: Arc::clone(pool),
            }
        }))
    }

    /// The body of the response: all of it if it came together with the head, as small ones do. Then the connection
    /// is free at once, and nobody has to follow the body to its end.
    pub(super) fn body(self, body: Incoming) -> Body {
        use http_body::Body as _;
        let mut leased = Leased {
            first: None,
            broken: None,
            body,
            lease: self,
        };
        if leased.body.is_end_stream() {
            leased.lease.give_back();
            return Body::Empty;
        }
        if let Some(Held::Own { driver, .. }) = &leased.lease.0 {
            let body = Pin::new(&mut leased.body);
            match driver.poll_brought(|context| body.poll_frame(context)) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() && leased.body.is_end_stream() => {
                    leased.lease.give_back();
                    return frame.into_data().unwrap_or_default().into();
                }
                Poll::Ready(Some(Ok(first))) => leased.first = Some(first),
                Poll::Ready(Some(Err(error))) => leased.broken = Some(Broken::Untold(error.into())),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        Body::stream(leased)
    }

    /// Gives the connection back. It may have been closed since it brought the end of the response.
    fn finish(&mut self) {
        if let Some(Held::Own { driver, .. }) = &mut self.0 {
            driver.catch_up(false);
        }
        self.give_back();
    }

    /// Gives the connection back, of which the last thing asked was to do what it can.
    fn give_back(&mut self) {
        match self.0.take() {
            Some(Held::Own { sender, driver, pool }) => pool.put(Http1 { sender, driver }),
            Some(Held::Task(task)) => task.abort(),
            None => {}
        }
    }

    fn close(&mut self) {
        if let Some(Held::Task(task)) = self.0.take() {
            task.abort();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
    }
}

/// The body of a response, with the connection that it comes on.
struct Leased {
    /// What was read of it already.
    first: Option<Frame<Bytes>>,
    broken: Option<Broken>,
    body: Incoming,
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
        let this = &mut *self;
        let mut poll = |context: &mut Context<'_>| Pin::new(&mut this.body).poll_frame(context);
        let poll = match &mut this.lease.0 {
            Some(Held::Own { driver, .. }) => match driver.poll_brought(&mut poll) {
                Poll::Pending => driver.poll(context, poll),
                brought @ Poll::Ready(_) => brought,
            },
            Some(Held::Task(_)) | None => poll(context),
        };
        match poll {
            Poll::Ready(Some(Err(error))) => {
                self.lease.close();
                return self.delay(error.into(), context);
            }
            Poll::Ready(None) => self.lease.finish(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.lease.finish(),
            _ => {}
        }
        poll.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
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
