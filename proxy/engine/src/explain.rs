//! Which line answers a request: a request is served from a table in a world that only takes notes, and the notes are
//! held against the config that the table was made of. It is the walk that serves, so the two cannot disagree.
//!
//! Nothing is sent. An upstream is taken to answer 200 with nothing, at once, and whoever would wait waits for good.

mod recorder;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fairway_caddyfile::Span;
use http::StatusCode;

use self::recorder::{Recorder, Seen};
use crate::Registry;
use crate::body::Body;
use crate::compile::{CompileError, compile};
use crate::config::{Config, Route, Server};
use crate::exchange::{Connection, Exchange};
use crate::handlers::{Config as HandlerConfig, Handler};
use crate::serve::{Served, serve};
use crate::table::{self, Table};

pub use self::words::words;
pub use crate::serve::Outcome;

/// How many characters of an answer are shown.
const SHOWN: usize = 60;

/// A config, ready to be asked.
#[derive(Debug)]
pub struct Explainer<'c> {
    table: Table,
    /// What each compiled route was made of, by its address in the table.
    made_of: HashMap<usize, &'c Route>,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Explanation<'c> {
    /// The handlers that it meets, in this order.
    pub steps: Vec<Step<'c>>,
    /// How it ends.
    pub end: End,
}

/// A handler that a request meets.
#[derive(Debug)]
pub struct Step<'c> {
    /// The route that it belongs to.
    pub route: &'c Route,
    /// Whether this is the first handler of the route: its matchers have just chosen it.
    pub is_chosen: bool,
    /// What it is.
    pub handler: &'c HandlerConfig,
    /// Where it was written, if a Caddyfile says it.
    pub at: Option<&'c Span>,
    /// How it ended; none: it waits.
    pub outcome: Option<Outcome>,
    /// Method, path and query as it left them.
    pub request: String,
    /// The upstreams that it sent the request to.
    pub sent: Vec<String>,
}

/// How a request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The last step answers.
    Answered(Answer),
    /// An upstream does.
    Upstream,
    /// The last step failed and no error route answers: a bare status.
    Failed(StatusCode),
    /// The connection is closed.
    Aborted,
    /// Nobody answers: as in Caddy, an empty 200.
    Unanswered,
    /// It waits for an upstream that can be asked.
    Waits,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Where it sends the client, if it does.
    pub location: Option<String>,
    /// The beginning of its text, if it is known.
    pub text: Option<String>,
}

impl<'c> Explainer<'c> {
    /// Compiles a config. The endpoints of Services are those that the registry is told of, once this is done.
    pub fn new(config: &'c Config, registry: &Registry) -> Result<Self, CompileError> {
        let table = compile(config, registry)?;
        let mut made_of = HashMap::new();
        let servers = config.apps.http.iter().flat_map(|http| http.servers.values());
        for (server, config) in table.servers.iter().zip(servers) {
            let mut pairing = Pairing {
                server: config,
                made_of: &mut made_of,
            };
            for (route, config) in server.routes.iter().zip(&config.routes) {
                pairing.route(route, config);
            }
            let errors = config.errors.iter().flat_map(|errors| &errors.routes);
            pairing.routes(server.errors.as_deref(), errors);
        }
        Ok(Self { table, made_of })
    }

    /// What becomes of a request to a server; none if there is no such server.
    pub fn explain(
        &self,
        server: &str,
        request: http::Request<Body>,
        connection: Connection,
    ) -> Option<Explanation<'c>> {
        let server = self.table.servers.iter().find(|known| &*known.name == server)?;
        let recorder = Recorder::default();
        let mut exchange = Exchange::new(request, Arc::new(connection));
        let served = {
            let served = pin!(serve(Arc::clone(server), &mut exchange, &recorder));
            // Nothing in the recorder's world wakes anybody: what is not ready at once never is.
            served.poll(&mut Context::from_waker(Waker::noop()))
        };
        let steps: Vec<Step<'c>> = recorder
            .into_seen()
            .into_iter()
            .filter_map(|seen| self.step(seen))
            .collect();
        let end = end(served, steps.last());
        Some(Explanation { steps, end })
    }

    fn step(&self, seen: Seen) -> Option<Step<'c>> {
        let route = *self.made_of.get(&seen.route)?;
        Some(Step {
            route,
            is_chosen: seen.handler == 0,
            handler: route.handle.get(seen.handler)?,
            at: route.written_at(seen.handler),
            outcome: seen.outcome,
            request: seen.request,
            sent: seen.sent,
        })
    }
}

/// A table's routes and the config's, side by side.
struct Pairing<'c, 'm> {
    server: &'c Server,
    made_of: &'m mut HashMap<usize, &'c Route>,
}

impl<'c> Pairing<'c, '_> {
    fn routes(&mut self, routes: Option<&table::Routes>, configs: impl IntoIterator<Item = &'c Route>) {
        let routes = routes.iter().flat_map(|routes| &routes.0);
        for (route, config) in routes.zip(configs) {
            self.route(route, config);
        }
    }

    fn route(&mut self, route: &table::Route, config: &'c Route) {
        // A named route stands in as many places as invoke it.
        if self.made_of.insert(address(route), config).is_some() {
            return;
        }
        for (handler, config) in route.handlers.iter().zip(&config.handle) {
            match (handler, config) {
                (Handler::Subroute(handler), HandlerConfig::Subroute(config)) => {
                    self.routes(Some(handler.routes()), &config.routes);
                }
                (Handler::Invoke(handler), HandlerConfig::Invoke(config)) => {
                    let mut named = self.server.named_routes.iter();
                    let named = named.find_map(|named| named.get(&config.name));
                    self.routes(Some(handler.routes()), named.map(|named| &**named));
                }
                (Handler::ReverseProxy(handler), HandlerConfig::ReverseProxy(config)) => {
                    for (routes, config) in handler.responders().zip(&config.handle_response) {
                        self.routes(routes, &config.routes);
                    }
                }
                _ => {}
            }
        }
    }
}

fn end(served: Poll<Served>, last: Option<&Step<'_>>) -> End {
    let response = match served {
        Poll::Pending => return End::Waits,
        Poll::Ready(Served::Abort) => return End::Aborted,
        Poll::Ready(Served::Response(response)) => response,
    };
    let status = response.status();
    let Some(last) = last else {
        // Matchers may fail as well.
        return if status == StatusCode::OK {
            End::Unanswered
        } else {
            End::Failed(status)
        };
    };
    match last.outcome {
        Some(Outcome::Answers(_)) if is_upstream(last.handler) => End::Upstream,
        Some(Outcome::Answers(_)) => End::Answered(answer(&response)),
        _ if status == StatusCode::OK => End::Unanswered,
        _ => End::Failed(status),
    }
}

/// Whether what it answers is an upstream's.
fn is_upstream(handler: &HandlerConfig) -> bool {
    matches!(
        handler,
        HandlerConfig::ReverseProxy(_) | HandlerConfig::CopyResponse(_)
    )
}

fn answer(response: &http::Response<Body>) -> Answer {
    let headers = response.headers();
    let location = headers.get(http::header::LOCATION);
    let text = match response.body() {
        Body::Full(bytes) if !headers.contains_key(http::header::CONTENT_ENCODING) => {
            let text = String::from_utf8_lossy(bytes);
            let mut shown: String = text.chars().take(SHOWN).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            Some(shown)
        }
        _ => None,
    };
    Answer {
        status: response.status(),
        location: location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        text,
    }
}

/// By what the routes of a table are told apart.
fn address(route: &table::Route) -> usize {
    std::ptr::from_ref(route).addr()
}
