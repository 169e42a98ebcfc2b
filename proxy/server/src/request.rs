//! A request above the HTTP library: rules of targets and hosts, the engine, upgrades, the access log.

mod rules;
pub(crate) mod unread;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use base64::Engine;
use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use fairway_engine::error::HandlerError;
use fairway_engine::exchange::{Connection, Exchange};
use fairway_engine::handlers::reverse_proxy::Tunnel;
use fairway_engine::paths;
use fairway_engine::serve::{Served, refuse, serve};
use futures_util::FutureExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use crate::access_log::Record;
use crate::metrics::Counters;
use crate::plan::Settings;
use crate::traffic::Local;
use crate::tunnel::{self, Switched};
use crate::watched::{Busy, Watch};

/// Where requests come from.
pub(crate) struct Client {
    pub(crate) local: Rc<Local>,
    pub(crate) listener: usize,
    pub(crate) settings: Arc<Settings>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) watch: Arc<Watch>,
}

/// The client gets nothing: its connection is closed, or its stream reset.
#[derive(Debug, thiserror::Error)]
#[error("the request was aborted")]
pub(crate) struct Aborted;

/// Answers a request.
pub(crate) async fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Aborted> {
    let mut end = End::new(&client);
    let server = client.local.server(client.listener).ok_or(Aborted)?;
    let (mut parts, incoming) = request.into_parts();
    if let Err(refusal) = rules::check(&mut parts) {
        return Ok(end.answer(refusal.into_response()));
    }
    if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
        return Ok(end.answer(Response::new(Body::Empty)));
    }
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let is_http1 = parts.version < Version::HTTP_2;
    let headless = parts.method == Method::HEAD && parts.version == Version::HTTP_2;
    // Whoever waits for leave to send a body does not get it when there is an answer already.
    let waits = parts.headers.contains_key(EXPECT);
    let tunnelled = parts.method == Method::CONNECT;
    if tunnelled {
        as_upgrade(&mut parts);
    }
    let body = if tunnelled || http_body::Body::is_end_stream(&incoming) {
        Body::Empty
    } else if waits {
        Body::stream(incoming.map_err(BodyError::from))
    } else {
        Body::stream(unread::Guarded::new(incoming, client.local.unread.clone()))
    };
    let mut exchange = Exchange::new(Request::from_parts(parts, body), Arc::clone(&client.connection));
    exchange.set_server_name(HeaderValue::from_static("Fairway"));
    end.started = Some(exchange.started);
    let record = record(&client, &server.logs, &mut exchange);
    let services = &client.local.services;
    let served = if client.settings.strict_sni_host && !rules::names_same_host(&exchange) {
        let error = HandlerError::new(421, "the host is not the one that TLS was asked for");
        spare_the_rest(
            refuse(server, error, &mut exchange, services),
            &client.local.counters,
        )
        .await
    } else {
        spare_the_rest(serve(server, &mut exchange, services), &client.local.counters).await
    };
    if let Some(latency) = exchange.upstream_latency() {
        client.local.counters.upstream_durations.observe(latency);
    }
    let record = record.filter(|_| !is_kept_out_of_log(&exchange));
    let mut response = match served {
        Served::Response(response) => response,
        Served::Abort => {
            if let Some(mut record) = record {
                record.conclude(&exchange);
                record.write(0);
            }
            return Err(Aborted);
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        response = match (upgrade, response.extensions_mut().remove::<Switched>()) {
            (Some(client_side), Some(upstream)) => {
                let tunnel = response.extensions_mut().remove::<Tunnel>();
                tunnel::join(&client.local, client_side, &upstream, tunnel);
                switched(response, tunnelled)
            }
            _ => bare(StatusCode::BAD_GATEWAY),
        };
    } else if is_http1 && client.local.is_leaving.get() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if headless {
        without_body(&mut response);
    }
    end.record = record.map(|mut record| {
        record.conclude(&exchange);
        record.head(response.status(), response.headers());
        record
    });
    Ok(end.answer(response))
}

/// Answers 500 to a request whose handler panics; the connection and all others go on. Not an async function: that
/// would hold the future twice.
fn spare_the_rest(
    serving: impl Future<Output = Served>,
    counters: &Counters,
) -> impl Future<Output = Served> {
    AssertUnwindSafe(serving).catch_unwind().map(|ended| {
        ended.unwrap_or_else(|_| {
            tracing::error!("a handler panicked");
            counters.panics.one();
            Served::Response(bare(StatusCode::INTERNAL_SERVER_ERROR))
        })
    })
}

/// Leaves the head alone: over HTTP/2 nobody else takes the body off an answer to HEAD.
fn without_body(response: &mut Response<Body>) {
    let length = http_body::Body::size_hint(response.body()).exact();
    if let Some(length) = length.filter(|length| *length > 0) {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    *response.body_mut() = Body::Empty;
}

/// The record of a request that is logged. A request's body is counted only then.
fn record(
    client: &Client,
    logs: &fairway_engine::compile::AccessLogs,
    exchange: &mut Exchange,
) -> Option<Box<Record>> {
    let log = client.local.access_log.as_ref().filter(|_| logs.is_enabled())?;
    let host = paths::host_of(&exchange.host).to_ascii_lowercase();
    let loggers = logs.loggers(&host);
    if loggers.is_empty() {
        return None;
    }
    let record = Box::new(Record::new(
        Arc::clone(log),
        loggers,
        exchange,
        client.settings.log_credentials,
    ));
    exchange.body = record.count(exchange.body.take());
    Some(record)
}

/// Whether `log_skip` was for the request.
fn is_kept_out_of_log(exchange: &Exchange) -> bool {
    exchange.vars.get("log_skip") == Some(&fairway_engine::template::Value::Bool(true))
}

fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// Turns HTTP/2's way of asking for an upgrade into that of HTTP/1.1, which handlers and upstreams know.
fn as_upgrade(parts: &mut http::request::Parts) {
    let protocol = parts.extensions.remove::<Protocol>();
    let protocol = protocol.and_then(|protocol| HeaderValue::from_str(protocol.as_str()).ok());
    parts.method = Method::GET;
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
    }
    if let Ok(key) = HeaderValue::from_str(&websocket_key()) {
        parts.headers.insert(SEC_WEBSOCKET_KEY, key);
    }
}

/// A nonce: it need not be secret, only unlikely to come twice.
fn websocket_key() -> String {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(std::time::Instant::now());
    let bytes = [half().to_be_bytes(), half().to_be_bytes()].concat();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The response to an upgrade: as it is, or as HTTP/2 says it.
fn switched(mut response: Response<Body>, tunnelled: bool) -> Response<Body> {
    *response.body_mut() = Body::Empty;
    if tunnelled {
        *response.status_mut() = StatusCode::OK;
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove(name);
        }
    } else {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    response
}

/// The body of a response on its way out. When it is dropped the request is over.
pub(crate) struct Outgoing {
    body: Body,
    end: End,
}

/// What is done when a request is over, with a response or without.
struct End {
    local: Rc<Local>,
    /// The status of the response; 0 without one.
    status: u16,
    /// When the request's head was complete, if anything was done for it.
    started: Option<Instant>,
    record: Option<Box<Record>>,
    sent: u64,
    _busy: Busy,
}

impl End {
    fn new(client: &Client) -> Self {
        let local = Rc::clone(&client.local);
        local.counters.begun.one();
        Self {
            local,
            status: 0,
            started: None,
            record: None,
            sent: 0,
            _busy: client.watch.begin(),
        }
    }

    /// Goes out with a response.
    fn answer(mut self, response: Response<Body>) -> Response<Outgoing> {
        self.status = response.status().as_u16();
        response.map(|body| Outgoing { body, end: self })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let counters = &self.local.counters;
        if self.status == 0 {
            counters.aborted.one();
        } else {
            counters.response(self.status);
            let took = self.started.map(|started| started.elapsed());
            counters.durations.observe(took.unwrap_or_default());
            counters.response_bytes.add(self.sent);
        }
        if let Some(record) = self.record.take() {
            record.write(self.sent);
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &poll
            && let Some(data) = frame.data_ref()
        {
            self.end.sent += data.len() as u64;
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl rules::Refusal {
    fn into_response(self) -> Response<Body> {
        let text = format!("{}: {}", self.status, self.reason);
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if self.version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_answers_500() {
        let served = spare_the_rest(async { panic!("as a test") }, &Counters::default()).await;
        let Served::Response(response) = served else {
            panic!("no response")
        };
        assert_eq!(response.status(), 500);
    }

    #[test]
    fn answers_to_head_keep_the_length() {
        let mut response = Response::new(Body::from("abc".to_owned()));
        without_body(&mut response);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()[CONTENT_LENGTH], "3");
        let mut unknown = Response::new(Body::Empty);
        without_body(&mut unknown);
        assert!(unknown.headers().is_empty());
    }

    #[test]
    fn websocket_keys_are_sixteen_bytes() {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(websocket_key())
            .unwrap();
        assert_eq!(decoded.len(), 16);
        assert_ne!(websocket_key(), websocket_key());
    }
}
