//! What the tests of handlers and directives share: a directive alone, and a request in memory.

use std::future::Future as _;
use std::sync::Arc;
use std::time::Instant;

use fairway_caddyfile::{Options, Origin, Segment, Source, parse};
use serde_json::{Value as Json, json};

use crate::adapt::Scope;
use crate::adapt::test_shared;
use crate::body::Body;
use crate::exchange::{Connection, Exchange};
use crate::handlers::reverse_proxy::transport::Transport;
use crate::world::{Dial, SendError, World};

/// The first line of a site that begins on line 2.
#[track_caller]
pub(crate) fn segment(line: &str) -> Segment {
    segments(line).remove(0)
}

fn segments(text: &str) -> Vec<Segment> {
    let origin = Origin::operator("Caddyfile");
    let source = Source::new(origin, "Caddyfile", format!(":80\n{text}\n"));
    let mut parsed = parse(source, &Options::default());
    assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
    parsed.file.sites.remove(0).block.segments
}

/// The routes that lines of a site become, or the first mistake in one line.
#[track_caller]
pub(crate) fn routes(text: &str) -> Json {
    let mut shared = test_shared();
    let (mut groups, mut invoked) = (0, Vec::new());
    let segments = segments(text);
    let mut scope = Scope::new(&mut shared, &mut groups, &mut invoked);
    let (items, _) = scope.items(&segments);
    let routes = scope.assemble(items, true);
    match shared.diagnostics.first() {
        Some(mistake) => json!(mistake.one_line()),
        None => json!(routes),
    }
}

/// The handlers of the only route that a line becomes, or the first mistake in one line.
#[track_caller]
pub(crate) fn handlers(line: &str) -> Json {
    let mut routes = routes(line);
    match routes.as_array_mut() {
        Some(list) => {
            assert_eq!(list.len(), 1, "{line}");
            list[0]["handle"].take()
        }
        None => routes,
    }
}

/// Holds the handlers of the only route that a line becomes, or the first mistake, whole.
#[track_caller]
pub(crate) fn check_handlers(line: &str, expected: &Json) {
    assert_eq!(&handlers(line), expected, "{line}");
}

/// Holds that a line is refused, and words of the first mistake.
#[track_caller]
pub(crate) fn check_handlers_refused(line: &str, expected: &str) {
    let found = handlers(line);
    let found = found.as_str().unwrap_or_else(|| panic!("{line}: {found}"));
    assert!(found.contains(expected), "{line}: {found}");
}

/// A request from 192.0.2.1: method and target, then headers, one a line.
#[track_caller]
pub(crate) fn exchange(request: &str) -> Exchange {
    let mut lines = request.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap();
    let mut builder = http::Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    let (remote, local) = ("192.0.2.1:1234", "192.0.2.2:80");
    let connection = Connection::new(remote.parse().unwrap(), local.parse().unwrap(), None);
    let mut exchange = Exchange::new(builder.body(Body::Empty).unwrap(), Arc::new(connection));
    exchange.started = Instant::now();
    exchange
}

/// Adapts a site, compiles it, and sends it a request: the status, and the headers in order of their names, one a line.
#[track_caller]
pub(crate) fn answer(text: &str, request: &str) -> (u16, String) {
    let origin = Origin::operator("Caddyfile");
    let source = Source::new(origin, "Caddyfile", format!(":80 {{\n{text}\n}}\n"));
    let adapted = crate::adapt(source, &Options::default());
    assert!(!adapted.has_errors(), "{text}: {:?}", adapted.diagnostics);
    let table = crate::compile(&adapted.config, &crate::Registry::default()).unwrap();
    let server = Arc::clone(&table.servers[0]);
    let mut exchange = exchange(request);
    let served = {
        let served = std::pin::pin!(crate::serve(server, &mut exchange, &NoWorld));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        served.poll(&mut context)
    };
    let std::task::Poll::Ready(crate::serve::Served::Response(response)) = served else {
        panic!("{text}: {served:?}");
    };
    let headers = response.headers().iter();
    let mut lines: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    (response.status().as_u16(), lines.join("\n"))
}

/// Adapts a site, and holds that compiling it is refused with the name of a part that is not served.
#[track_caller]
pub(crate) fn check_not_served(text: &str, name: &str) {
    let origin = Origin::operator("Caddyfile");
    let source = Source::new(origin, "Caddyfile", format!(":80 {{\n{text}\n}}\n"));
    let adapted = crate::adapt(source, &Options::default());
    assert!(!adapted.has_errors(), "{text}: {:?}", adapted.diagnostics);
    let error = crate::compile(&adapted.config, &crate::Registry::default()).unwrap_err();
    assert_eq!(
        error.message,
        format!("`{name}` is not served by Fairway yet"),
        "{text}"
    );
}

/// A world in which nothing can be asked for.
pub(crate) struct NoWorld;

impl World for NoWorld {
    async fn send(
        &self,
        _dial: &Dial,
        _transport: &Arc<Transport>,
        _request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        panic!("no test here has an upstream")
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }

    fn file(&self, _file: std::fs::File, _offset: u64, _length: u64) -> Body {
        Body::Empty
    }

    fn within(&self, body: Body, _limit: std::time::Duration) -> Body {
        body
    }

    async fn sleep(&self, _duration: std::time::Duration) {}
}
