//! How a request walks through the routes.
//!
//! Routes are an ordered list; matchers are asked when the list comes to them, so they see what earlier handlers
//! changed. Lists within lists are kept on a stack of frames instead of being called: no handler waits for another,
//! and a request costs no allocation for its way. Work on the response is pushed as a filter and done at the end.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use smallvec::SmallVec;

use crate::body::Body;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::{Filter, Flow, Response, log_append};
use crate::paths;
use crate::table::{Route, Routes, Server};
use crate::world::World;

/// How deep lists may lie in lists while a request runs; compiled configs stay below.
const DEPTH: usize = 256;

/// The end of a request.
#[derive(Debug)]
pub enum Served {
    /// With this response.
    Response(http::Response<Body>),
    /// Without a response: the connection is to be closed, or the stream reset.
    Abort,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next handler goes on.
    Passes,
    /// The routes that lie in it go on.
    Enters,
    /// It answers, with this status.
    Answers(StatusCode),
    /// It closes the connection.
    Aborts,
    /// It fails; error routes go on, if there are any. The status is theirs to know.
    Fails(u16),
}

impl Outcome {
    fn of(flow: &Result<Flow<'_>, HandlerError>) -> Self {
        match flow {
            Ok(Flow::Next) => Self::Passes,
            Ok(Flow::Enter(_)) => Self::Enters,
            Ok(Flow::Respond(response)) => Self::Answers(response.status),
            Ok(Flow::Abort) => Self::Aborts,
            Err(error) => Self::Fails(error.status),
        }
    }
}

/// Answers a request. The server is let go of as soon as a route was chosen.
///
/// Dropping the future abandons the request; nothing of it is left.
pub async fn serve<W: World>(server: Arc<Server>, exchange: &mut Exchange, world: &W) -> Served {
    let errors = server.errors.clone();
    prepare(&server, exchange);
    let ended = match walk_server(server, exchange, world).await {
        Ok(End::Response(response)) => finish(exchange, response, world).await,
        Ok(End::Abort) => Ok(abort(exchange)),
        Ok(End::Unanswered) => Ok(finish_unanswered(exchange, StatusCode::OK)),
        Err(error) => Err(error),
    };
    match ended {
        Ok(served) => served,
        Err(error) => {
            // Filters wait for the response of the routes that failed.
            exchange.filters.clear();
            Box::pin(serve_error(errors.as_deref(), error, exchange, world)).await
        }
    }
}

/// Answers a request that no route may see, as if its error had come of one.
///
/// Dropping the future abandons the request; nothing of it is left.
pub async fn refuse<W: World>(
    server: Arc<Server>,
    error: HandlerError,
    exchange: &mut Exchange,
    world: &W,
) -> Served {
    let errors = server.errors.clone();
    prepare(&server, exchange);
    drop(server);
    serve_error(errors.as_deref(), error, exchange, world).await
}

enum End {
    Response(Response),
    Abort,
    /// No route answered; as in Caddy it becomes an empty 200.
    Unanswered,
}

/// What is known of the client before any route is asked.
fn prepare(server: &Server, exchange: &mut Exchange) {
    let peer = exchange.connection.remote.ip();
    if server.trusted_proxies.trusts(peer) {
        exchange.trusted_proxy = true;
        if let Some(address) = server.trusted_proxies.client_ip(peer, &exchange.headers) {
            exchange.client_ip = address;
        }
    }
}

async fn walk_server<W: World>(
    server: Arc<Server>,
    exchange: &mut Exchange,
    world: &W,
) -> Result<End, HandlerError> {
    match choose(&server, exchange, world).await? {
        Choice::None => Ok(End::Unanswered),
        Choice::One(route) => {
            drop(server);
            let mut walk = Walk::default();
            walk.enter_route(&route);
            walk.run(exchange, world).await
        }
        Choice::From(rest, position) => {
            drop(server);
            walk_list(&rest[position..], exchange, world).await
        }
    }
}

enum Choice {
    None,
    /// A terminal route: nothing else can run.
    One(Arc<Route>),
    /// The first route that matches is not the last that may run: routes, and its place among them.
    From(Arc<[Arc<Route>]>, usize),
}

/// The first route that matches. Its matchers have been asked, and are not asked again.
async fn choose<W: World>(
    server: &Server,
    exchange: &mut Exchange,
    world: &W,
) -> Result<Choice, HandlerError> {
    let host = paths::host_of(&exchange.host);
    let candidates = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        server
            .index
            .candidates(&host.to_ascii_lowercase(), exchange.target())
    } else {
        server.index.candidates(host, exchange.target())
    };
    for position in candidates {
        let route = &server.routes[position];
        if route.matchers.ask(exchange, world).await? {
            return Ok(if route.terminal {
                Choice::One(Arc::clone(route))
            } else {
                let before = server.routes.len() - server.rest.len();
                Choice::From(Arc::clone(&server.rest), position - before)
            });
        }
    }
    Ok(Choice::None)
}

/// The top-level routes from one that matched on, as a plain list. They may change the request for each other, so the
/// index is of no use.
async fn walk_list<W: World>(
    routes: &[Arc<Route>],
    exchange: &mut Exchange,
    world: &W,
) -> Result<End, HandlerError> {
    let mut groups: SmallVec<[u16; 4]> = SmallVec::new();
    for (position, route) in routes.iter().enumerate() {
        if route.group.is_some_and(|group| groups.contains(&group))
            || position != 0 && !route.matchers.ask(exchange, world).await?
        {
            continue;
        }
        groups.extend(route.group);
        let mut walk = Walk::default();
        walk.enter_route(route);
        if let Some(end) = walk.run_part(exchange, world).await? {
            return Ok(end);
        }
        if route.terminal {
            break;
        }
    }
    Ok(End::Unanswered)
}

/// Sends an error through the error routes. Without any, or if they fail too, it is a bare status.
async fn serve_error<W: World>(
    errors: Option<&Routes>,
    error: HandlerError,
    exchange: &mut Exchange,
    world: &W,
) -> Served {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    exchange.error = Some(error);
    let Some(routes) = errors else {
        return finish_unanswered(exchange, status);
    };
    exchange.restore_original();
    let mut walk = Walk::default();
    walk.frames.push(Frame::new(routes));
    let ended = match walk.run_part(exchange, world).await {
        Ok(Some(End::Response(response))) => finish(exchange, response, world).await,
        Ok(Some(End::Abort)) => Ok(abort(exchange)),
        Ok(None | Some(End::Unanswered)) => Ok(finish_unanswered(exchange, status)),
        Err(error) => Err(error),
    };
    ended.unwrap_or_else(|_| finish_unanswered(exchange, status))
}

/// A bare status. Filters wait for the answer of a route, and there is none.
fn finish_unanswered(exchange: &mut Exchange, status: StatusCode) -> Served {
    exchange.filters.clear();
    let response = Response {
        status,
        body: Body::Empty,
    };
    put_together(exchange, response)
}

/// Runs the filters, innermost first.
async fn finish<W: World>(
    exchange: &mut Exchange,
    mut response: Response,
    world: &W,
) -> Result<Served, HandlerError> {
    while let Some(filter) = exchange.filters.pop() {
        match filter {
            Filter::Headers(filter) => filter.apply(exchange, &mut response),
            Filter::Encode(filter) => filter.apply(exchange, &mut response),
            Filter::Intercept(filter) => {
                let Some(routes) = filter.routes(exchange, &mut response) else {
                    continue;
                };
                if let End::Abort = Box::pin(intercept(routes, exchange, &mut response, world)).await? {
                    return Ok(abort(exchange));
                }
            }
        }
    }
    Ok(put_together(exchange, response))
}

/// Has routes handle a response. What they do not say stays as it is. [`End::Abort`] means that nothing is sent at all.
async fn intercept<W: World>(
    routes: &Routes,
    exchange: &mut Exchange,
    response: &mut Response,
    world: &W,
) -> Result<End, HandlerError> {
    let outer = exchange.filters.len();
    let length = exchange.response_headers.remove(CONTENT_LENGTH);
    let mut walk = Walk::default();
    walk.frames.push(Frame::new(routes));
    let mut replaced = false;
    match walk.run_part(exchange, world).await? {
        Some(End::Abort) => return Ok(End::Abort),
        Some(End::Response(new)) => {
            replaced = !new.body.is_empty();
            response.status = new.status;
            if replaced {
                response.body = new.body;
            }
        }
        // Those that wait for an answer of the routes wait in vain.
        None | Some(End::Unanswered) => exchange.filters.truncate(outer),
    }
    if let StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED = response.status {
        response.body = Body::Empty;
    } else if let Some(length) = length.filter(|_| !replaced) {
        exchange.response_headers.insert(CONTENT_LENGTH, length);
    }
    Ok(End::Unanswered)
}

/// No response.
fn abort(exchange: &mut Exchange) -> Served {
    log_append::finish(exchange);
    Served::Abort
}

/// Puts head and body together.
fn put_together(exchange: &mut Exchange, response: Response) -> Served {
    exchange.name_server();
    log_append::finish(exchange);
    if response.status == StatusCode::NOT_MODIFIED {
        // There is no content that it could be the type or the length of.
        for name in [CONTENT_TYPE, CONTENT_LENGTH] {
            exchange.response_headers.remove(name);
        }
    }
    let mut message = http::Response::new(response.body);
    *message.status_mut() = response.status;
    *message.headers_mut() = std::mem::take(&mut exchange.response_headers);
    *message.extensions_mut() = std::mem::take(&mut exchange.response_extensions);
    Served::Response(message)
}

/// The lists that a request is in, innermost last.
#[derive(Default)]
struct Walk<'t> {
    frames: SmallVec<[Frame<'t>; 6]>,
}

/// A list of routes, and how far it was walked.
struct Frame<'t> {
    routes: &'t [Route],
    /// The route that runs now, or the next to ask.
    route: usize,
    /// The next handler of the route that runs now; none: the route has yet to be asked.
    handler: Option<usize>,
    /// The groups of which a route has run.
    groups: SmallVec<[u16; 4]>,
}

impl<'t> Frame<'t> {
    fn new(routes: &'t Routes) -> Self {
        Self {
            routes: &routes.0,
            route: 0,
            handler: None,
            groups: SmallVec::new(),
        }
    }
}

impl<'t> Walk<'t> {
    /// Enters a route whose matchers have been asked.
    fn enter_route(&mut self, route: &'t Route) {
        self.frames.push(Frame {
            routes: std::slice::from_ref(route),
            route: 0,
            handler: Some(0),
            groups: SmallVec::new(),
        });
    }

    /// Walks to the end.
    async fn run<W: World>(&mut self, exchange: &mut Exchange, world: &W) -> Result<End, HandlerError> {
        let end = self.run_part(exchange, world).await?;
        Ok(end.unwrap_or(End::Unanswered))
    }

    /// Walks until somebody answers; `None` if nobody does and more may follow.
    async fn run_part<W: World>(
        &mut self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<Option<End>, HandlerError> {
        while let Some(frame) = self.frames.last_mut() {
            let Some(route) = frame.routes.get(frame.route) else {
                self.frames.pop();
                continue;
            };
            let Some(at) = frame.handler else {
                let passed = route.group.is_some_and(|group| frame.groups.contains(&group));
                if passed || !route.matchers.ask(exchange, world).await? {
                    frame.route += 1;
                    continue;
                }
                frame.groups.extend(route.group);
                frame.handler = Some(0);
                continue;
            };
            let Some(handler) = route.handlers.get(at) else {
                if route.terminal {
                    return Ok(Some(End::Unanswered));
                }
                frame.route += 1;
                frame.handler = None;
                continue;
            };
            frame.handler = Some(at + 1);
            world.begins(route, at);
            let flow = handler.handle(exchange, world).await;
            world.ended(Outcome::of(&flow), exchange);
            match flow? {
                Flow::Next => {}
                Flow::Respond(response) => return Ok(Some(End::Response(response))),
                Flow::Abort => return Ok(Some(End::Abort)),
                Flow::Enter(routes) => {
                    if self.frames.len() == DEPTH {
                        return Err(HandlerError::internal("routes lie too deep in routes"));
                    }
                    self.frames.push(Frame::new(routes));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::test_util::answer;

    #[track_caller]
    fn check(text: &str, request: &str, status: u16, headers: &str) {
        assert_eq!(answer(text, request), (status, headers.to_owned()), "{text}");
    }

    const PLAIN: &str = "content-type: text/plain; charset=utf-8";

    #[test]
    fn filters_wait_for_an_answer() {
        let both = "header >A later\nheader B now\n";
        check(both, "GET /", 200, "b: now");
        check(&format!("{both}respond 204"), "GET /", 204, "a: later\nb: now");
        check(&format!("{both}error 418"), "GET /", 418, "b: now");
        let handled = format!("{both}error 418\nhandle_errors {{\nheader >C last\nrespond err\n}}");
        check(&handled, "GET /", 418, &format!("b: now\nc: last\n{PLAIN}"));
    }

    #[test]
    fn not_modified_has_no_content_to_describe() {
        let text = "header Content-Type text/css\nheader ETag x\n";
        check(&format!("{text}respond 304"), "GET /", 304, "etag: x");
        check(
            &format!("{text}respond 204"),
            "GET /",
            204,
            "content-type: text/css\netag: x",
        );
    }

    #[test]
    fn an_error_keeps_its_status() {
        check("error 404\nhandle_errors {\nheader A b\n}", "GET /", 404, "a: b");
        check("error 404\nhandle_errors {\nerror 500\n}", "GET /", 404, "");
        check("error 404\nhandle_errors {\nrespond 200\n}", "GET /", 200, "");
    }

    #[test]
    fn directives_work_together() {
        let text = "vars a {path}\nuri strip_prefix /api\nmethod put\nheader X \"{vars.a} {uri} {method}\"\nrespond ok";
        check(text, "GET /api/b", 200, &format!("{PLAIN}\nx: /api/b /api/b GET"));
        check(
            "redir https://a.test{uri} permanent",
            "GET /b?c",
            301,
            "location: https://a.test/b?c",
        );
    }
}
