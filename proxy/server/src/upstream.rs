//! Upstreams: pools of connections, each for one traffic thread, and requests on them.

mod connect;
mod deadline;
mod pool;
mod resolve;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use fairway_engine::handlers::reverse_proxy::transport::Transport;
use fairway_engine::world::{Dial, SendError};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use connect::Connector;
use pool::{Pool, Sender};

/// How often pools are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// The upstream connections of a traffic thread.
pub(crate) struct Upstreams {
    connector: Connector,
    /// By the transport's id, then by where to.
    pools: RefCell<HashMap<u64, HashMap<Dial, Arc<Pool>>>>,
    swept: RefCell<Instant>,
}

impl Upstreams {
    pub(crate) fn new(helpers: Handle) -> Self {
        Self {
            connector: Connector::new(helpers),
            pools: RefCell::default(),
            swept: RefCell::new(Instant::now()),
        }
    }

    /// Closes connections that have been idle for too long, and forgets pools without connections.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        if now.duration_since(*self.swept.borrow()) < SWEEP {
            return;
        }
        *self.swept.borrow_mut() = now;
        self.pools.borrow_mut().retain(|&id, pools| {
            pools.retain(|_, pool| {
                pool.sweep(now);
                !pool.is_empty() || Arc::strong_count(pool) > 1
            });
            if pools.is_empty() {
                self.connector.forget(id);
            }
            !pools.is_empty()
        });
    }

    fn pool(&self, dial: &Dial, transport: &Transport) -> Arc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let pools = pools.entry(transport.id).or_default();
        if let Some(pool) = pools.get(dial) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(transport.keepalive));
        pools.insert(dial.clone(), Arc::clone(&pool));
        pool
    }

    /// Sends a request, on a pooled connection if there is one.
    ///
    /// A pooled connection may turn out to be closed. If the request was not sent, or if nothing can have come of it
    /// (a safe method without a body), it goes out once more on another connection.
    ///
    /// Dropping the future closes the connection that the request is on.
    pub(crate) async fn send(
        &self,
        dial: &Dial,
        transport: &Arc<Transport>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        let pool = self.pool(dial, transport);
        let upgrade = request.headers().contains_key(UPGRADE);
        if !transport.keepalive.enabled && !upgrade {
            let close = HeaderValue::from_static("close");
            request.headers_mut().insert(CONNECTION, close);
        }
        let mut fresh_only = false;
        loop {
            let pooled = if fresh_only { None } else { pool.take(upgrade) };
            let reused = pooled.is_some();
            let sender = match pooled {
                Some(sender) => sender,
                None => match self.connector.connect(dial, transport, upgrade).await {
                    Ok(sender) => {
                        pool.share(&sender);
                        sender
                    }
                    Err(source) => {
                        return Err(SendError::Connect {
                            address: dial.address.clone(),
                            source,
                            request: Box::new(request),
                        });
                    }
                },
            };
            let copy = if reused { replayable(&request) } else { None };
            match exchange(sender, request, dial, transport, &pool).await {
                Ok(response) => return Ok(response),
                Err(Failure::Unsent(unsent, _)) if reused => request = *unsent,
                Err(Failure::Unsent(request, error)) => {
                    return Err(SendError::Connect {
                        address: dial.address.clone(),
                        source: error.into(),
                        request,
                    });
                }
                Err(Failure::Broken(error)) => match copy {
                    Some(copy) if lost_before_answer(&error) => {
                        request = copy;
                        fresh_only = true;
                    }
                    _ => {
                        return Err(SendError::Exchange {
                            address: dial.address.clone(),
                            source: error.into(),
                        });
                    }
                },
                Err(Failure::Timeout(limit)) => {
                    return Err(SendError::Timeout {
                        address: dial.address.clone(),
                        limit,
                    });
                }
            }
        }
    }
}

/// A copy of a request that may be sent twice: no body, and a method that changes nothing.
fn replayable(request: &Request<Body>) -> Option<Request<Body>> {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    if !safe || !matches!(request.body(), Body::Empty) {
        return None;
    }
    let mut copy = Request::new(Body::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// Whether a connection ended before any part of a response came.
fn lost_before_answer(error: &hyper::Error) -> bool {
    use std::error::Error;
    let reset = || {
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<std::io::Error>());
        cause.is_some_and(|cause| {
            matches!(
                cause.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            )
        })
    };
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || reset()
}

enum Failure {
    /// The request was not sent, and is whole.
    Unsent(Box<Request<Body>>, hyper::Error),
    Broken(hyper::Error),
    Timeout(Duration),
}

async fn exchange(
    sender: Sender,
    mut request: Request<Body>,
    dial: &Dial,
    transport: &Transport,
    pool: &Arc<Pool>,
) -> Result<Response<Body>, Failure> {
    let limit = transport.response_header_timeout;
    let (sent, unsent) = notice_end(&mut request);
    match sender {
        Sender::Http1(mut sender) => {
            as_http1(&mut request);
            let sending = sender.sender.try_send_request(request);
            let response =
                within(limit, sent, sending)
                    .await?
                    .map_err(|mut error| match error.take_message() {
                        Some(request) => Failure::Unsent(Box::new(request), error.into_error()),
                        None => Failure::Broken(error.into_error()),
                    })?;
            let (parts, body) = response.into_parts();
            if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Response::from_parts(parts, Body::Empty));
            }
            let mut lease = Lease {
                held: Some((sender, Arc::clone(pool))),
                unsent,
            };
            if http_body::Body::is_end_stream(&body) {
                lease.give_back();
                return Ok(Response::from_parts(parts, Body::Empty));
            }
            Ok(Response::from_parts(parts, Body::stream(Leased { body, lease })))
        }
        Sender::Http2(mut sender) => {
            as_http2(&mut request, dial, transport);
            let sending = sender.try_send_request(request);
            let response =
                within(limit, sent, sending)
                    .await?
                    .map_err(|mut error| match error.take_message() {
                        Some(request) => Failure::Unsent(Box::new(request), error.into_error()),
                        None => Failure::Broken(error.into_error()),
                    })?;
            Ok(response.map(|body| {
                if http_body::Body::is_end_stream(&body) {
                    Body::Empty
                } else {
                    Body::stream(http_body_util::BodyExt::map_err(body, BodyError::from))
                }
            }))
        }
    }
}

/// Waits for a response's head: without end, or for `limit` from the end of the request's body on, which `sent` tells.
async fn within<F: Future>(
    limit: Option<Duration>,
    sent: Option<oneshot::Receiver<()>>,
    sending: F,
) -> Result<F::Output, Failure> {
    let Some(limit) = limit else {
        return Ok(sending.await);
    };
    let too_late = async {
        if let Some(sent) = sent {
            let _ = sent.await;
        }
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        biased;
        response = sending => Ok(response),
        () = too_late => Err(Failure::Timeout(limit)),
    }
}

/// Gives what is told the end of a request's body (nothing if the body is all there), and what lives until then.
fn notice_end(request: &mut Request<Body>) -> (Option<oneshot::Receiver<()>>, Weak<()>) {
    if !matches!(request.body(), Body::Stream(_)) {
        return (None, Weak::new());
    }
    let (ended, receiver) = oneshot::channel();
    let unsent = Arc::new(());
    let left = Arc::downgrade(&unsent);
    let body = request.body_mut().take();
    *request.body_mut() = Body::stream(Noticed {
        body,
        _ended: ended,
        _unsent: unsent,
    });
    (Some(receiver), left)
}

/// HTTP/1.1 names the host in a header, the path alone in its first line.
fn as_http1(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    let Some(authority) = request.uri().authority() else {
        return;
    };
    if !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if let Ok(uri) = target.parse() {
        *request.uri_mut() = uri;
    }
}

/// HTTP/2 names scheme and host in the target, and knows no headers of the connection.
fn as_http2(request: &mut Request<Body>, dial: &Dial, transport: &Transport) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    let host = headers.remove(HOST);
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
    let named = request.uri().authority().map(ToString::to_string);
    let host = host.and_then(|host| host.to_str().map(ToOwned::to_owned).ok());
    let uri = Uri::builder()
        .scheme(if transport.tls.is_some() { "https" } else { "http" })
        .authority(host.or(named).unwrap_or_else(|| dial.address.to_string()))
        .path_and_query(
            request
                .uri()
                .path_and_query()
                .map_or("/", |target| target.as_str()),
        )
        .build();
    if let Ok(uri) = uri {
        *request.uri_mut() = uri;
    }
}

/// A connection in use; back to its pool when request and response are complete, else closed.
struct Lease {
    held: Option<(pool::Http1, Arc<Pool>)>,
    /// Lives while there is more of the request's body to send.
    unsent: Weak<()>,
}

impl Lease {
    /// The response is complete. An upstream that answered early may never read the rest of the request; waiting for
    /// it would hold the client's body for ever.
    fn give_back(&mut self) {
        if self.unsent.strong_count() > 0 {
            self.close();
        } else if let Some((sender, pool)) = self.held.take() {
            pool.put(sender);
        }
    }

    fn close(&mut self) {
        if let Some((sender, _)) = self.held.take() {
            sender.connection.abort();
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
    body: Incoming,
    lease: Lease,
}

impl http_body::Body for Leased {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        match &poll {
            Poll::Ready(None) => self.lease.give_back(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.lease.give_back(),
            Poll::Ready(Some(Err(_))) => self.lease.close(),
            _ => {}
        }
        poll.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, whose end is noticed by the loss of the others.
struct Noticed {
    body: Body,
    _ended: oneshot::Sender<()>,
    _unsent: Arc<()>,
}

impl http_body::Body for Noticed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
