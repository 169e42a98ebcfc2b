//! Upstreams: pools of connections, each for one traffic thread, and requests on them.

mod connect;
mod deadline;
mod http1;
mod leased;
mod pool;
mod resolve;
mod tls;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use fairway_engine::handlers::reverse_proxy::transport::Transport;
use fairway_engine::world::{Dial, Fresh, SendError};
use foldhash::fast::RandomState;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use hyper::client::conn::TrySendError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use connect::Connector;
use http1::Fault;
pub(crate) use http1::{Http1, Io};
use leased::Lease;
use pool::{Pool, Sender};

use crate::tunnel::Switched;
use crate::watched;

/// How often pools are looked through, in milliseconds.
const SWEEP: u64 = 5000;

/// The pools of one transport.
type Pools = HashMap<Dial, Arc<Pool>, RandomState>;

/// The upstream connections of a traffic thread.
pub(crate) struct Upstreams {
    connector: Connector,
    /// By the transport's id, then by where to.
    pools: RefCell<HashMap<u64, Pools, RandomState>>,
    /// In milliseconds of [`watched::recent`].
    swept: Cell<u64>,
}

impl Upstreams {
    pub(crate) fn new(helpers: Handle) -> Self {
        Self {
            connector: Connector::new(helpers),
            pools: RefCell::default(),
            swept: Cell::new(watched::recent()),
        }
    }

    /// Closes connections that have been idle for too long, and forgets pools without connections.
    pub(crate) fn sweep(&self) {
        let (before, now) = (self.swept.get(), watched::recent());
        if now.saturating_sub(before) < SWEEP {
            return;
        }
        self.swept.set(now);
        self.pools.borrow_mut().retain(|&id, pools| {
            pools.retain(|_, pool| {
                pool.sweep(before, now);
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
    /// A pooled connection may turn out to be closed. If the request was not sent, it goes out on another one.
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
        let fresh = request.extensions_mut().remove::<Fresh>().is_some();
        loop {
            let pooled = if fresh { None } else { pool.take(upgrade) };
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
                Err(Failure::Lost(source)) if reused => {
                    let address = dial.address.clone();
                    return Err(SendError::Lost { address, source });
                }
                Err(Failure::Lost(source) | Failure::Broken(source)) => {
                    let address = dial.address.clone();
                    return Err(SendError::Exchange { address, source });
                }
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

enum Failure {
    /// The request was not sent, and is whole.
    Unsent(Box<Request<Body>>, hyper::Error),
    /// Or that the connection ended before any part of a response.
    Lost(BodyError),
    Broken(BodyError),
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
    let sent = limit.and_then(|_| notice_end(&mut request));
    match sender {
        Sender::Http1(mut http) => {
            as_http1(&mut request);
            let response = within(limit, sent, http.send(request)).await?.map_err(broken)?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let mut response = response.map(|()| Body::Empty);
                response.extensions_mut().insert(Switched::new(*http));
                return Ok(response);
            }
            let body = Lease::new(http, pool).body();
            Ok(response.map(|()| body))
        }
        Sender::Http2(mut sender) => {
            as_http2(&mut request, dial, transport);
            let sending = sender.try_send_request(request);
            let response = within(limit, sent, sending).await?.map_err(failure)?;
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

fn failure(mut error: TrySendError<Request<Body>>) -> Failure {
    let unsent = error.take_message();
    let error = error.into_error();
    if let Some(request) = unsent {
        Failure::Unsent(Box::new(request), error)
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_reset(&error) {
        Failure::Lost(error.into())
    } else {
        Failure::Broken(error.into())
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(http1::is_loss)
}

fn broken(fault: Fault) -> Failure {
    if fault.is_loss() {
        Failure::Lost(fault.into())
    } else {
        Failure::Broken(fault.into())
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

/// Gives what is told the end of a request's body; nothing if the body is all there.
fn notice_end(request: &mut Request<Body>) -> Option<oneshot::Receiver<()>> {
    if !matches!(request.body(), Body::Stream(_)) {
        return None;
    }
    let (ended, receiver) = oneshot::channel();
    let body = request.body_mut().take();
    *request.body_mut() = Body::stream(Noticed { body, _ended: ended });
    Some(receiver)
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

/// The body of a request, whose end is noticed by the loss of the others.
struct Noticed {
    body: Body,
    _ended: oneshot::Sender<()>,
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
