//! `reverse_proxy` sends requests on to upstreams.
//!
//! ```caddyfile
//! reverse_proxy [<matcher>] [<upstreams…>] {
//!     to <upstreams…>
//!     lb_policy <name> [<options…>]
//!     health_uri <uri>
//!     header_up [+|-]<field> [<value> | <find> <replace>]
//!     transport http { … }
//!     …
//! }
//! ```
//!
//! An upstream is `[scheme://]host[:port]`, `host:first-last` or `unix//path`. All have the same scheme; `https://` means
//! TLS, `h2c://` HTTP/2 without it. Every option is described with its field in [`Config`].
//! Caddy: `http.handlers.reverse_proxy`.
//!
//! ```caddyfile
//! reverse_proxy app-1:8080 app-2:8080 {
//!     lb_policy least_conn
//!     fail_duration 10s
//! }
//! ```
//!
//! In the text of an object of a cluster an upstream is a Service, `[scheme://]name[.namespace[.svc]][:port]`, with the
//! port's number or name, and requests go straight to its endpoints. `first` and `weighted_round_robin` choose among
//! Services, then among the endpoints of one; other policies see all endpoints. With `https://` the certificate is to be
//! that of `name.namespace.svc`, and `Host` stays the client's. Other addresses are for the operator.
//!
//! What the [`World`] is asked to send has its target in origin form and its host in `Host`.

mod address;
mod body;
mod config;
mod dynamic;
mod forward;
pub(crate) mod handle_response;
pub mod health;
mod lane;
mod parse;
mod pool;
mod registry;
mod response;
mod retry;
mod selection;
mod sources;
mod told;
pub mod transport;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairway_caddyfile::{Args, Diagnostic};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::{HeaderMap, Method, Uri};
use ipnet::IpNet;
use xxhash_rust::xxh64::xxh64;

use self::handle_response::Responder;
use self::pool::{Chosen, Upstreams};
use self::registry::Balancer;
use self::response::Passed;
use self::retry::{Budget, Failure};
use self::transport::Transport;
use self::upstreams::{InFlight, Target, Upstream, now};
use crate::adapt::Scope;
use crate::body::Body;
use crate::compile::{CompileError, Compiler, parse_range};
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::handlers::headers::{Apart, CompiledOps, Ops};
use crate::handlers::rewrite::{self, Rewrite};
use crate::response_matcher::{self, ResponseMatcher};
use crate::table::Routes;
use crate::values::status_code_matches;
use crate::world::{Fresh, Network, SendError, World};

pub use config::{
    ActiveHealthChecks, Config, DynamicUpstreams, HealthChecks, KubernetesUpstreams, LoadBalancing,
    PassiveHealthChecks, ResponseHandler, Upstream as UpstreamConfig,
};
pub(crate) use forward::remove_hop_by_hop;
pub(crate) use parse::{parse as read, size as read_size};
pub(crate) use registry::BalancerKey;
pub use registry::Registry;
pub(crate) use response::Held;
pub use response::Tunnel;
pub use selection::Policy;
pub(crate) use told::Told;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "reverse_proxy",
    parse: Parse::Handler(parse_directive),
};

/// What `private_ranges` stands for.
const PRIVATE_RANGES: [&str; 6] = [
    "192.168.0.0/16",
    "172.16.0.0/12",
    "10.0.0.0/8",
    "127.0.0.1/8",
    "fd00::/8",
    "::1",
];

fn parse_directive(args: Args<'_>, scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    parse::parse(args, scope, Config::default(), &[])
        .map(|config| super::Config::ReverseProxy(Box::new(config)))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct ReverseProxy {
    upstreams: Upstreams,
    balancer: Arc<Balancer>,
    transport: Arc<Transport>,
    /// The ports that are spoken to without TLS, and how.
    plain: Option<(Box<[u16]>, Arc<Transport>)>,
    retries: retry::Policy,
    passive: Passive,
    trusted_proxies: Box<[IpNet]>,
    header_up: Option<CompiledOps>,
    header_down: Option<Arc<HeaderDown>>,
    rewrite: Option<Rewrite>,
    request_buffers: Option<usize>,
    response_buffers: Option<usize>,
    stream_timeout: Option<Duration>,
    responders: Box<[Responder]>,
}

/// Which responses are failures of their upstream.
#[derive(Debug, Default)]
struct Passive {
    statuses: Box<[u16]>,
    latency: Option<Duration>,
}

/// What is done to the headers of responses.
#[derive(Debug)]
struct HeaderDown {
    require: Option<ResponseMatcher>,
    ops: CompiledOps,
}

/// A request, ready for any upstream.
struct Outgoing {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    /// None: it was sent, and is gone.
    body: Option<Body>,
    /// The whole body, if it is held.
    replay: Option<Bytes>,
}

/// What became of one try.
enum Attempt<'t> {
    Done(Flow<'t>),
    Failed(Failure),
}

impl Config {
    pub(crate) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<ReverseProxy, CompileError> {
        self.compile_parts(compiler)
            .map_err(|error| error.within("reverse_proxy"))
    }

    fn compile_parts(&self, compiler: &mut Compiler<'_>) -> Result<ReverseProxy, CompileError> {
        let transport = match &self.transport {
            Some(config) => Arc::new(config.compile()?),
            None => Arc::new(Transport::default().with_id()),
        };
        let plain = self.plain_ports()?.map(|ports| {
            let plain = Transport {
                tls: None,
                ..(*transport).clone()
            };
            (ports, Arc::new(plain.with_id()))
        });
        let load_balancing = self.load_balancing.clone().unwrap_or_default();
        let key = compiler.balancer_key(hash(self) ^ transport.id);
        let (upstreams, check) = self.compile_upstreams(&transport, plain.as_ref(), compiler)?;
        let balancer = compiler.registry().balancer(key, || Balancer {
            check: check.map(Arc::new),
            ..Balancer::default()
        });
        compiler.add_check(balancer.check.as_ref());
        let headers = self.headers.clone().unwrap_or_default();
        let header_down = headers.response.as_ref().map(|response| {
            Ok(Arc::new(HeaderDown {
                require: response.require.as_ref().map(response_matcher::Config::compile),
                ops: response.ops.compile()?,
            }))
        });
        let ranges = self.trusted_proxies.iter();
        let ranges = ranges.map(|range| parse_range(range).map_err(CompileError::new));
        let responders = self.handle_response.iter();
        let responders = responders.map(|handler| Responder::compile(handler, compiler));
        Ok(ReverseProxy {
            responders: responders.collect::<Result<_, _>>()?,
            upstreams,
            balancer,
            plain,
            transport,
            retries: retry::Policy::compile(&load_balancing)?,
            passive: self.passive()?,
            trusted_proxies: ranges.collect::<Result<_, _>>()?,
            header_up: headers.request.as_ref().map(Ops::compile).transpose()?,
            header_down: header_down.transpose()?,
            rewrite: self.rewrite.as_ref().map(rewrite::Config::compile).transpose()?,
            request_buffers: buffers(self.request_buffers),
            response_buffers: buffers(self.response_buffers),
            stream_timeout: self.stream_timeout.to_std(),
        })
    }

    fn passive(&self) -> Result<Passive, CompileError> {
        let Some(passive) = self.passive_checks() else {
            return Ok(Passive::default());
        };
        let status = |&code: &i64| {
            u16::try_from(code).map_err(|_| CompileError::new(format!("{code} is no status code")))
        };
        Ok(Passive {
            statuses: passive
                .unhealthy_status
                .iter()
                .map(status)
                .collect::<Result<_, _>>()?,
            latency: passive.unhealthy_latency.to_std(),
        })
    }

    /// The ports that are spoken to without TLS although the others are with it.
    fn plain_ports(&self) -> Result<Option<Box<[u16]>>, CompileError> {
        let Some(transport::Config::Http(http)) = &self.transport else {
            return Ok(None);
        };
        let ports = http.tls.as_ref().map_or(&[][..], |tls| &tls.except_ports);
        let port = |text: &String| {
            text.parse()
                .map_err(|_| CompileError::new(format!("`{text}` is no port")))
        };
        let ports: Box<[u16]> = ports.iter().map(port).collect::<Result<_, _>>()?;
        Ok((!ports.is_empty()).then_some(ports))
    }
}

impl ReverseProxy {
    /// The routes of each `handle_response`, in the order of the config.
    pub(crate) fn responders(&self) -> impl Iterator<Item = Option<&Routes>> {
        self.responders.iter().map(Responder::routes)
    }

    /// Sends the request on, to several upstreams one after the other if need be. Dropping the future drops the
    /// request that is on its way; that is no failure of its upstream.
    pub(crate) async fn handle<W: World>(
        &self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Flow<'_>, HandlerError> {
        let mut outgoing = self.prepare(exchange).await?;
        let mut budget = Budget::new(&self.retries);
        let mut last = None;
        loop {
            let failure = match self.upstreams.choose(&self.balancer.robin, exchange) {
                Err(none) => last.take().unwrap_or(none),
                Ok(choice) => {
                    let attempt = self
                        .attempt(choice, &mut outgoing, &budget, exchange, world)
                        .await?;
                    match attempt {
                        Attempt::Failed(failure) => failure,
                        Attempt::Done(flow) => {
                            exchange.told.done = Some((budget.retries, budget.spent(exchange.told.latency)));
                            return Ok(flow);
                        }
                    }
                }
            };
            if outgoing.body.is_none()
                || !budget.allows_another()
                || !self.retries.may_repeat(&failure, &outgoing.method, exchange)
            {
                return Err(failure.into());
            }
            tracing::debug!(?failure, "trying again");
            last = Some(failure);
            budget.wait(world).await;
        }
    }

    /// What is done once, whatever the upstream.
    async fn prepare(&self, exchange: &mut Exchange) -> Result<Outgoing, HandlerError> {
        let (method, target) = match &self.rewrite {
            Some(rewrite) => rewritten(rewrite, exchange)?,
            None => (exchange.method.clone(), origin_form(exchange)?),
        };
        let mut headers = self.headers(exchange, &method);
        let mut body = if loses_body(exchange, &method) {
            // The request's own stays where it is, for those who come after an authorization.
            Body::Empty
        } else {
            exchange.body.take()
        };
        if let Some(limit) = self.request_buffers {
            let read = body::read_ahead(body, limit).await;
            body = read.map_err(|error| match exchange.fault() {
                Some(fault) => fault.into(),
                None => HandlerError::new(400, format!("reading the request's body: {error}")),
            })?;
            if let Body::Full(bytes) = &body {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
        }
        if body.is_empty() && matches!(method, Method::POST | Method::PUT | Method::PATCH) {
            // These methods have a body; upstreams may refuse them if nothing says that it is empty.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let replay = match &body {
            Body::Full(bytes) => Some(bytes.clone()),
            body => body.is_empty().then(Bytes::new),
        };
        Ok(Outgoing {
            method,
            target,
            headers,
            body: Some(body),
            replay,
        })
    }

    async fn attempt<W: World>(
        &self,
        choice: Chosen,
        outgoing: &mut Outgoing,
        budget: &Budget<'_>,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Attempt<'_>, HandlerError> {
        let upstream = &*choice.upstream;
        let target = upstream
            .target(exchange)
            .map_err(|message| HandlerError::new(502, format!("upstream {message}")))?;
        exchange.told.set_upstream(upstream, Arc::clone(&target));
        let mut request = self.request(&target, outgoing, exchange)?;
        let guard = upstream.endpoint.begin();
        let sent = budget.begins();
        let transport = match &upstream.transport {
            Some(transport) => transport,
            None => choose_transport(&self.transport, self.plain.as_ref(), &target),
        };
        let response = loop {
            match world.send(&target.dial, transport, request).await {
                Ok(response) => break response,
                Err(SendError::Lost { .. }) if outgoing.may_go_twice() => {
                    if self.retries.is_none() {
                        // They are gone; copying them for this rare case would cost every request.
                        outgoing.headers = self.headers(exchange, &outgoing.method);
                    }
                    request = self.request(&target, outgoing, exchange)?;
                    request.extensions_mut().insert(Fresh);
                }
                Err(error) => {
                    if let Some(fault) = exchange.fault() {
                        return Err(fault.into());
                    }
                    upstream.endpoint.fail(now());
                    return Ok(Attempt::Failed(outgoing.recover(error)));
                }
            }
        };
        let latency = sent.elapsed();
        exchange.told.latency = Some(latency);
        self.judge(upstream, &response, latency);
        let mut passed = Passed::new(response, guard);
        passed.read_ahead(self.response_buffers).await?;
        if !self.responders.is_empty() {
            // Nobody may read it: without a rest of it the connection is free for the next request.
            passed.read_short().await?;
        }
        let looks_at_responses = self.retries.looks_at_responses();
        passed.describe(
            exchange,
            looks_at_responses || self.header_down.is_some() || !self.responders.is_empty(),
        );
        if looks_at_responses
            && budget.allows_another()
            && outgoing.restore()
            && self.retries.wants_other_response(exchange)
        {
            return Ok(Attempt::Failed(Failure::Response(passed.status().as_u16())));
        }
        if let Some(cookie) = choice.cookie {
            exchange.response_headers.append(http::header::SET_COOKIE, cookie);
        }
        self.respond(passed, exchange).map(Attempt::Done)
    }

    /// The headers of the request, whatever the upstream.
    fn headers(&self, exchange: &Exchange, method: &Method) -> HeaderMap {
        let mut headers = forward::request_headers(exchange, &self.trusted_proxies);
        if loses_body(exchange, method) {
            headers.remove(CONTENT_LENGTH);
        }
        headers
    }

    /// The request as it goes to one upstream.
    fn request(
        &self,
        target: &Target,
        outgoing: &mut Outgoing,
        exchange: &Exchange,
    ) -> Result<http::Request<Body>, HandlerError> {
        let mut headers = if self.retries.is_none() {
            std::mem::take(&mut outgoing.headers)
        } else {
            outgoing.headers.clone()
        };
        let is_service = matches!(self.upstreams, Upstreams::Lane(_));
        let mut host = if self.transport.tls.is_some() && !is_service {
            &*target.dial.address
        } else {
            &*exchange.host
        };
        let changed = self.header_up.as_ref().and_then(|ops| {
            let mut place = Apart {
                headers: &mut headers,
                exchange,
            };
            ops.apply_to_request(&mut place, Some(host))
        });
        host = changed.as_deref().unwrap_or(host);
        if host.is_empty() {
            host = match target.dial.network {
                Network::Tcp => &target.dial.address,
                Network::Unix => "localhost",
            };
        }
        let host = if *host == *exchange.host {
            exchange.host_value()
        } else {
            HeaderValue::from_str(host).ok()
        };
        let host = host.ok_or_else(|| HandlerError::new(400, "the host cannot go upstream"))?;
        headers.insert(HOST, host);
        let mut request = http::Request::new(outgoing.body.take().unwrap_or_default());
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.target.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = exchange.extensions.clone();
        Ok(request)
    }

    /// Passive health checks of a response.
    fn judge(&self, upstream: &Upstream, response: &http::Response<Body>, latency: Duration) {
        let status = response.status().as_u16();
        for &code in &self.passive.statuses {
            if status_code_matches(status, code) {
                upstream.endpoint.fail(now());
            }
        }
        if self.passive.latency.is_some_and(|limit| latency >= limit) {
            upstream.endpoint.fail(now());
        }
    }
}

impl Outgoing {
    /// Takes back what a failed try left of the request.
    fn recover(&mut self, error: SendError) -> Failure {
        let message = error.to_string();
        match error {
            SendError::Connect { request, .. } => {
                self.body = Some(request.into_body());
                Failure::Connect(message)
            }
            SendError::Lost { .. } | SendError::Exchange { .. } => {
                self.restore();
                Failure::Exchange(message)
            }
            SendError::Timeout { .. } => {
                self.restore();
                Failure::Timeout(message)
            }
        }
    }

    /// Whether nothing can come of sending it twice: no body, and a method that changes nothing.
    fn may_go_twice(&self) -> bool {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        safe.contains(&self.method) && self.replay.as_ref().is_some_and(Bytes::is_empty)
    }

    /// Makes the body ready to be sent again, if it is held.
    fn restore(&mut self) -> bool {
        self.body = self.replay.clone().map(Body::from);
        self.body.is_some()
    }
}

/// Whether a rewrite changed the method to one without a body.
fn loses_body(exchange: &Exchange, method: &Method) -> bool {
    *method != exchange.method && (*method == Method::GET || *method == Method::HEAD)
}

/// Method and target as a rewrite has them; the exchange keeps its own.
fn rewritten(rewrite: &Rewrite, exchange: &mut Exchange) -> Result<(Method, Uri), HandlerError> {
    let (method, target) = (
        exchange.method.clone(),
        exchange.target().path_and_query().to_owned(),
    );
    let rewritten = rewrite.handle(exchange).and_then(|_| {
        let method = exchange.method.clone();
        origin_form(exchange).map(|target| (method, target))
    });
    exchange.set_method(method);
    exchange.set_target(&target)?;
    rewritten
}

/// The target as it goes upstream, with a slash in front even if a rewrite left none.
fn origin_form(exchange: &Exchange) -> Result<Uri, HandlerError> {
    if let Some(uri) = exchange.target().origin_form() {
        return Ok(uri);
    }
    let target = exchange.target().path_and_query();
    let parsed = if target.starts_with('/') || target == "*" {
        target.parse().ok()
    } else {
        crate::paths::to_uri(&format!("/{target}"))
    };
    parsed.ok_or_else(|| HandlerError::new(400, "the target cannot go upstream"))
}

fn choose_transport<'t>(
    transport: &'t Arc<Transport>,
    plain: Option<&'t (Box<[u16]>, Arc<Transport>)>,
    target: &Target,
) -> &'t Arc<Transport> {
    match plain {
        Some((ports, plain)) if ports.contains(&target.port) => plain,
        _ => transport,
    }
}

/// A number of bytes to read ahead; a negative one is all.
fn buffers(number: i64) -> Option<usize> {
    match number {
        0 => None,
        number => Some(usize::try_from(number).unwrap_or(usize::MAX)),
    }
}

/// A hash of a config's content.
fn hash(config: &impl serde::Serialize) -> u64 {
    xxh64(json(config).as_bytes(), 0)
}

/// A config's whole content.
fn json(config: &impl serde::Serialize) -> String {
    serde_json::to_string(config).expect("configs have text as keys, so they can always be written")
}

#[cfg(test)]
mod tests;
