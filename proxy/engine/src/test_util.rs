//! What the tests of handlers and directives share: a directive alone, and a request in memory.

use std::sync::Arc;
use std::time::Instant;

use fairway_caddyfile::{Options, Origin, Segment, Source, parse};
use serde_json::{Value as Json, json};

use crate::adapt::Scope;
use crate::adapt::test_shared;
use crate::body::Body;
use crate::exchange::{Connection, Exchange};

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
    let connection = Connection {
        remote: "192.0.2.1:1234".parse().unwrap(),
        local: "192.0.2.2:80".parse().unwrap(),
        tls: None,
    };
    let mut exchange = Exchange::new(builder.body(Body::Empty).unwrap(), Arc::new(connection));
    exchange.started = Instant::now();
    exchange
}
