//! The upstream's response on its way to the client.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, VIA};
use http::{HeaderMap, StatusCode};

use super::body::{guarded, read_ahead, unsized_body};
use super::handle_response::Action;
use super::{Apart, HeaderDown, InFlight, ReverseProxy, forward};
use crate::body::Body;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::{Flow, Response};
use crate::response_matcher::ResponseMatcher;
use crate::template::{Unknown, Value};
use crate::values::canonical_header;

const HEADER: &str = "http.reverse_proxy.header.";

/// How many bytes of a body are read without need, to have done with it.
const SHORT: u64 = 4096;

/// What the server needs to know of an upgraded connection; among the extensions of a response with status 101. It
/// counts as a request in flight until it is dropped, so the server keeps it as long as the connections are joined.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// How long the connections may be joined; no limit without it.
    pub limit: Option<Duration>,
    _in_flight: Arc<InFlight>,
}

/// A response that came from an upstream.
#[derive(Debug)]
pub(super) struct Passed {
    parts: http::response::Parts,
    body: Body,
    guard: InFlight,
}

/// A response that waits for routes to do something with it; dropped with its connection if they do not.
#[derive(Debug)]
pub(crate) struct Held {
    passed: Passed,
    header_down: Option<Arc<HeaderDown>>,
    stream_timeout: Option<Duration>,
}

impl Held {
    /// Its headers as they came.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.passed.parts.headers
    }

    /// Hands it to the client after all, with another status if there is one.
    pub(crate) fn respond<'t>(
        mut self,
        status: Option<u16>,
        exchange: &mut Exchange,
    ) -> Result<Flow<'t>, HandlerError> {
        if let Some(status) = status {
            self.passed.replace_status(status)?;
        }
        self.passed
            .finish(self.header_down.as_deref(), self.stream_timeout, exchange)
    }
}

impl Passed {
    pub(super) fn new(response: http::Response<Body>, guard: InFlight) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts, body, guard }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// Reads of the body what is to be read before the client gets anything.
    pub(super) async fn read_ahead(&mut self, limit: Option<usize>) -> Result<(), HandlerError> {
        let Some(limit) = limit else { return Ok(()) };
        let read = read_ahead(self.body.take(), limit).await;
        let body =
            read.map_err(|error| HandlerError::new(502, format!("reading the response's body: {error}")))?;
        self.body = match body {
            // As in Caddy, the client learns the length only if the upstream told it.
            Body::Full(bytes) if !self.parts.headers.contains_key(CONTENT_LENGTH) => unsized_body(bytes),
            body => body,
        };
        Ok(())
    }

    /// Reads all of the body if it is known to be short.
    pub(super) async fn read_short(&mut self) -> Result<(), HandlerError> {
        let length = http_body::Body::size_hint(&self.body).exact();
        if length.is_some_and(|length| length <= SHORT) {
            self.read_ahead(Some(usize::MAX)).await?;
        }
        Ok(())
    }

    /// Placeholders that tell of the response; those of its headers only if somebody may ask for them.
    pub(super) fn describe(&self, exchange: &mut Exchange, with_headers: bool) {
        let status = self.parts.status;
        exchange.told.status = Some(status.as_u16());
        if !with_headers {
            return;
        }
        let values = &mut exchange.values;
        values.set(
            "http.reverse_proxy.status_text",
            Value::Text(status.to_string().into()),
        );
        let old: Vec<String> = values
            .iter()
            .filter(|(name, _)| name.starts_with(HEADER))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in &old {
            values.remove(name);
        }
        for name in self.parts.headers.keys() {
            let all = self.parts.headers.get_all(name).iter();
            let all: Vec<_> = all
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            let placeholder = format!("{HEADER}{}", canonical_header(name.as_str()));
            values.set(placeholder, Value::Text(all.join(",").into()));
        }
    }
}

impl ReverseProxy {
    /// Hands the response to the client, or to the routes that want it.
    pub(super) fn respond(
        &self,
        mut passed: Passed,
        exchange: &mut Exchange,
    ) -> Result<Flow<'_>, HandlerError> {
        let mut responders = self.responders.iter();
        let responder =
            responders.find(|responder| responder.matches(passed.parts.status, &passed.parts.headers));
        match responder.map(|responder| &responder.action) {
            None => {}
            Some(Action::Routes(routes)) => {
                exchange.held = Some(Box::new(Held {
                    passed,
                    header_down: self.header_down.clone(),
                    stream_timeout: self.stream_timeout,
                }));
                return Ok(Flow::Enter(routes));
            }
            Some(Action::ReplaceStatus(template)) => {
                let text = template.fill(exchange, Unknown::Empty);
                let status: u16 = text
                    .parse()
                    .map_err(|_| HandlerError::internal(format!("`{text}` is no status code")))?;
                if status != 0 {
                    passed.replace_status(status)?;
                }
            }
        }
        passed.finish(self.header_down.as_deref(), self.stream_timeout, exchange)
    }
}

impl Passed {
    fn replace_status(&mut self, status: u16) -> Result<(), HandlerError> {
        self.parts.status = StatusCode::from_u16(status)
            .map_err(|_| HandlerError::internal(format!("{status} is no status code")))?;
        Ok(())
    }

    /// The response as the client gets it.
    fn finish<'t>(
        mut self,
        header_down: Option<&HeaderDown>,
        stream_timeout: Option<Duration>,
        exchange: &mut Exchange,
    ) -> Result<Flow<'t>, HandlerError> {
        // Nobody asks any more for a response that an authorization left.
        exchange.held = None;
        if self.parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(stream_timeout, exchange);
        }
        let mut headers = std::mem::take(&mut self.parts.headers);
        forward::remove_hop_by_hop(&mut headers);
        if let Some(down) = header_down {
            let is_meant = |matcher: &ResponseMatcher| matcher.matches(self.parts.status, &headers);
            if down.require.as_ref().is_none_or(is_meant) {
                down.ops.apply(&mut Apart {
                    headers: &mut headers,
                    exchange,
                });
            }
        }
        exchange.unname_server();
        let ours = &mut exchange.response_headers;
        let via = forward::via(self.parts.version);
        if ours.is_empty() && !headers.contains_key(VIA) {
            // The usual case, without a move of each header.
            headers.insert(VIA, via);
            *ours = headers;
        } else {
            ours.append(VIA, via);
            append(ours, headers);
        }
        Ok(Flow::Respond(Response {
            status: self.parts.status,
            body: guarded(self.body, self.guard),
        }))
    }

    /// The upstream speaks another protocol from here on, and so does the client.
    fn switch<'t>(self, limit: Option<Duration>, exchange: &mut Exchange) -> Result<Flow<'t>, HandlerError> {
        let asked = forward::upgrade_type(&exchange.headers);
        if asked.is_none() || asked != forward::upgrade_type(&self.parts.headers) {
            return Err(HandlerError::new(
                502,
                "the upstream switched to a protocol that was not asked for",
            ));
        }
        exchange.name_server();
        append(&mut exchange.response_headers, self.parts.headers);
        exchange.response_extensions.extend(self.parts.extensions);
        exchange.response_extensions.insert(Tunnel {
            limit,
            _in_flight: Arc::new(self.guard),
        });
        Ok(Flow::Respond(Response {
            status: StatusCode::SWITCHING_PROTOCOLS,
            body: self.body,
        }))
    }
}

/// Adds an upstream's headers to those that are there. There is one length of a body, and it is the upstream's.
fn append(headers: &mut HeaderMap, new: HeaderMap) {
    if headers.is_empty() {
        *headers = new;
        return;
    }
    if new.contains_key(CONTENT_LENGTH) {
        headers.remove(CONTENT_LENGTH);
    }
    let mut last = None;
    for (name, value) in new {
        last = name.or(last);
        if let Some(name) = &last {
            headers.append(name, value);
        }
    }
}
