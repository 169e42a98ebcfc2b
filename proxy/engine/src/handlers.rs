//! Handlers: what a route does with a request. One file each, from syntax to test.
//!
//! A new handler is a file, a `mod` line, a variant of [`Config`] and of [`Handler`], and two match arms; the
//! compiler names each one that is forgotten.

pub mod acme_server;
pub mod authentication;
pub mod copy_response;
pub mod encode;
pub mod error;
pub mod file_server;
pub mod headers;
pub mod intercept;
pub mod invoke;
pub mod log_append;
pub mod map;
pub mod metrics;
pub mod push;
pub mod request_body;
pub mod respond;
pub mod reverse_proxy;
pub mod rewrite;
pub mod subroute;
pub mod templates;
pub mod timeouts;
pub mod tracing;
pub mod vars;

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::compile::{CompileError, Compiler};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::table::Routes;
use crate::world::World;

/// A handler as JSON: Caddy's `http.handlers.*`. Boxed where it is large, since most sites have only small ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "handler", rename_all = "snake_case")]
pub enum Config {
    /// `acme_server`
    AcmeServer(Box<acme_server::Config>),
    /// `basic_auth`
    Authentication(authentication::Config),
    /// `copy_response`
    CopyResponse(copy_response::Config),
    /// `copy_response_headers`
    CopyResponseHeaders(copy_response::HeadersConfig),
    /// `encode`
    Encode(Box<encode::Config>),
    /// `error`
    Error(error::Config),
    /// `file_server`
    FileServer(Box<file_server::Config>),
    /// `header`, `request_header`
    Headers(Box<headers::Config>),
    /// `intercept`
    Intercept(intercept::Config),
    /// `invoke`
    Invoke(invoke::Config),
    /// `log_append`
    LogAppend(log_append::Config),
    /// `map`
    Map(Box<map::Config>),
    /// `metrics`
    Metrics(metrics::Config),
    /// `push`
    Push(Box<push::Config>),
    /// `request_body`
    RequestBody(request_body::Config),
    /// `respond`, `redir`, `abort`
    StaticResponse(respond::Config),
    /// `reverse_proxy`
    ReverseProxy(Box<reverse_proxy::Config>),
    /// `rewrite`, `uri`, `method`
    Rewrite(Box<rewrite::Config>),
    /// `handle`, `route` and whatever else holds routes
    Subroute(subroute::Config),
    /// `templates`
    Templates(templates::Config),
    /// `timeouts`
    Timeouts(timeouts::Config),
    /// `tracing`
    Tracing(tracing::Config),
    /// `vars`, `root`, `fs`
    Vars(vars::Config),
}

/// A handler ready to run.
#[derive(Debug)]
pub(crate) enum Handler {
    Authentication(authentication::Authentication),
    CopyResponse(copy_response::CopyResponse),
    CopyResponseHeaders(copy_response::CopyResponseHeaders),
    Encode(encode::Encode),
    Error(error::Error),
    FileServer(file_server::FileServer),
    Headers(headers::Headers),
    Intercept(intercept::Intercept),
    Invoke(invoke::Invoke),
    LogAppend(log_append::LogAppend),
    Map(map::Map),
    Push,
    /// No handler of Caddy: reads the body for the placeholders of the next one.
    HoldBody,
    RequestBody(request_body::RequestBody),
    Respond(respond::Respond),
    ReverseProxy(Box<reverse_proxy::ReverseProxy>),
    Rewrite(rewrite::Rewrite),
    Subroute(subroute::Subroute),
    Vars(vars::Vars),
}

/// How the chain goes on after a handler.
#[derive(Debug)]
pub(crate) enum Flow<'t> {
    /// With the next handler.
    Next,
    /// Not at all: this is the response. Its headers are in [`Exchange::response_headers`].
    Respond(Response),
    /// Through these routes, then with the next handler.
    Enter(&'t Routes),
    /// Not at all, and the client gets nothing: the connection is closed.
    Abort,
}

/// A response without its headers.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: http::StatusCode,
    pub body: Body,
}

/// What is to be done with a finished response, before it goes out.
#[derive(Debug)]
pub enum Filter {
    /// Deferred header operations.
    Headers(headers::Deferred),
    /// Compression.
    Encode(encode::Pending),
    /// Another response in its place.
    Intercept(intercept::Pending),
}

impl Handler {
    /// Makes a handler of its JSON.
    pub(crate) fn compile(config: &Config, compiler: &mut Compiler<'_>) -> Result<Self, CompileError> {
        Ok(match config {
            Config::AcmeServer(_) => return Err(CompileError::not_served("acme_server")),
            Config::Authentication(config) => Self::Authentication(config.compile()?),
            Config::CopyResponse(config) => Self::CopyResponse(config.compile()),
            Config::CopyResponseHeaders(config) => Self::CopyResponseHeaders(config.compile()?),
            Config::Encode(config) => Self::Encode(config.compile()?),
            Config::Error(config) => Self::Error(config.compile()),
            Config::FileServer(config) => Self::FileServer(config.compile()?),
            Config::Headers(config) => Self::Headers(config.compile()?),
            Config::Intercept(config) => Self::Intercept(config.compile(compiler)?),
            Config::Invoke(config) => Self::Invoke(config.compile(compiler)?),
            Config::LogAppend(config) => Self::LogAppend(config.compile()?),
            Config::Map(config) => Self::Map(config.compile()?),
            Config::Metrics(_) => return Err(CompileError::not_served("metrics")),
            Config::Push(_) => Self::Push,
            Config::RequestBody(config) => Self::RequestBody(config.compile()?),
            Config::StaticResponse(config) => Self::Respond(config.compile()?),
            Config::ReverseProxy(config) => Self::ReverseProxy(Box::new(config.compile(compiler)?)),
            Config::Rewrite(config) => Self::Rewrite(config.compile()?),
            Config::Subroute(config) => Self::Subroute(config.compile(compiler)?),
            Config::Templates(_) => return Err(CompileError::not_served("templates")),
            Config::Timeouts(_) => return Err(CompileError::not_served("timeouts")),
            Config::Tracing(_) => return Err(CompileError::not_served("tracing")),
            Config::Vars(config) => Self::Vars(config.compile()?),
        })
    }

    /// Whether it neither looks at the headers of the response nor changes them, but for those of an upstream.
    fn leaves_response(&self) -> bool {
        matches!(
            self,
            Self::Invoke(_)
                | Self::Map(_)
                | Self::ReverseProxy(_)
                | Self::Rewrite(_)
                | Self::Subroute(_)
                | Self::Vars(_)
        )
    }

    /// Runs it. Rare work of some size is boxed: every connection has room for the future of a request. Dropping the future midway leaves the exchange half changed; it is dropped with it.
    pub(crate) async fn handle<'t, W: World>(
        &'t self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Flow<'t>, HandlerError> {
        if !self.leaves_response() {
            exchange.name_server();
        }
        match self {
            Self::Authentication(handler) => Box::pin(handler.handle(exchange, world)).await,
            Self::CopyResponse(handler) => handler.handle(exchange),
            Self::CopyResponseHeaders(handler) => handler.handle(exchange),
            Self::Encode(handler) => Ok(handler.handle(exchange)),
            Self::Error(handler) => handler.handle(exchange),
            Self::FileServer(handler) => Box::pin(handler.handle(exchange, world)).await,
            Self::Headers(handler) => {
                handler.handle(exchange);
                Ok(Flow::Next)
            }
            Self::Intercept(handler) => {
                handler.handle(exchange);
                Ok(Flow::Next)
            }
            Self::Invoke(handler) => Ok(handler.enter()),
            Self::LogAppend(handler) => {
                handler.handle(exchange);
                Ok(Flow::Next)
            }
            Self::Map(handler) => {
                handler.handle(exchange);
                Ok(Flow::Next)
            }
            Self::Push => Ok(Flow::Next),
            Self::HoldBody => Box::pin(request_body::hold(exchange)).await.map(|()| Flow::Next),
            Self::RequestBody(handler) => {
                handler.handle(exchange, world);
                Ok(Flow::Next)
            }
            Self::Respond(handler) => handler.handle(exchange),
            Self::ReverseProxy(handler) => handler.handle(exchange, world).await,
            Self::Rewrite(handler) => handler.handle(exchange),
            Self::Subroute(handler) => Ok(handler.enter()),
            Self::Vars(handler) => {
                handler.handle(exchange);
                Ok(Flow::Next)
            }
        }
    }
}
