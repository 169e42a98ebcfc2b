//! From a Caddyfile or JSON to a config and a table.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fairway_caddyfile::{Limits, Options, Source, Tier};
use fairway_engine::adapt::object::{adapt_lines, adapt_object};
use fairway_engine::body::Body;
use fairway_engine::config::Config;
use fairway_engine::exchange::{Connection, Exchange};
use fairway_engine::handlers::reverse_proxy::transport::Transport;
use fairway_engine::world::{Dial, SendError};
use fairway_engine::{Registry, compile};
use serde_json::json;

use crate::caddyfile::check_diagnostics;
use crate::world::{Services, World, origin};

/// What comes out of an operator's text without mistakes can be printed, loaded again as the same, and is compiled or
/// refused.
pub(crate) fn adapt(input: &str) {
    let world = World::new(input);
    let options = options(&world);
    let source = Source::from_file(origin(Tier::Operator), "/etc/caddy/Caddyfile", world.text);
    let adapted = fairway_engine::adapt(source, &options);
    check_diagnostics(&adapted.diagnostics);
    let printed = serde_json::to_value(&adapted.config).expect("a config is printed as JSON");
    if !adapted.has_errors() {
        match serde_json::from_value::<Config>(printed.clone()) {
            Ok(loaded) => assert_eq!(serde_json::to_value(loaded).expect("as above"), printed),
            Err(error) => panic!("what was adapted cannot be loaded: {error}\n{printed}"),
        }
    }
    let _ = compile(&adapted.config, &Registry::default());
}

/// A tenant's text, as an object and as the lines of an annotation.
pub(crate) fn tenant(input: &str) {
    let world = World::new(input);
    let options = options(&world);
    let source = Source::new(origin(Tier::Tenant), "CaddyRoute shop/api", world.text);
    let object = adapt_object(Arc::clone(&source), &options, Rc::new(Services));
    check_diagnostics(&object.diagnostics);
    let lines = adapt_lines(source, &options, Rc::new(Services));
    check_diagnostics(&lines.diagnostics);
    let mut config = Config::default();
    let sites = object.sites.into_iter().flat_map(|site| site.routes);
    let routes = sites.chain(lines.routes).map(Arc::new).collect();
    let http = config.apps.http.get_or_insert_default();
    http.servers.entry("http".to_owned()).or_default().routes = routes;
    let _ = compile(&config, &Registry::default());
}

fn options<'w>(world: &'w World<'_>) -> Options<'w> {
    Options {
        environment: world,
        files: world,
        library: world,
        limits: Limits {
            tokens: 20_000,
            imported_bytes: 1 << 20,
            imports: 1000,
            ..Limits::object()
        },
    }
}

/// A config in JSON is refused, or is printed as what can be loaded again; it is compiled or refused.
pub(crate) fn json(text: &str) {
    let Ok(config) = serde_json::from_str::<Config>(text) else {
        return;
    };
    let printed = serde_json::to_string(&config).expect("a config is printed as JSON");
    let again: Config = serde_json::from_str(&printed).expect("what is printed can be loaded");
    assert_eq!(serde_json::to_string(&again).expect("as above"), printed);
    let _ = compile(&config, &Registry::default());
}

/// The first line is a regular expression, the rest an expression in CEL: what compiles answers a request.
pub(crate) fn matchers(text: &str) {
    let (pattern, expression) = text.split_once('\n').unwrap_or((text, ""));
    let _ = fairway_engine::go_regex::compile(pattern);
    for matcher in [
        json!({"path_regexp": {"name": "n", "pattern": pattern}}),
        json!({"expression": expression}),
    ] {
        let config = json!({"apps": {"http": {"servers": {"s": {"listen": [":80"], "routes": [
            {"match": [matcher], "handle": [{"handler": "static_response", "body": "{http.regexp.n.1}"}]},
        ]}}}}});
        let config: Config = serde_json::from_value(config).expect("the config is well formed");
        let Ok(table) = compile(&config, &Registry::default()) else {
            continue;
        };
        let request = http::Request::get("http://a.test/a/b.html?a=1&b=c")
            .header("x-a", "1")
            .body(Body::Empty)
            .expect("the request is well formed");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let connection = Arc::new(Connection::new(address, address, None));
        let mut exchange = Exchange::new(request, connection);
        let served = fairway_engine::serve(Arc::clone(&table.servers[0]), &mut exchange, &Memory);
        let mut served = pin!(served);
        let mut context = Context::from_waker(Waker::noop());
        let ended = (0..10).any(|_| matches!(served.as_mut().poll(&mut context), Poll::Ready(_)));
        assert!(ended, "nothing here has to wait");
    }
}

/// Nothing can be sent, and nothing takes time.
struct Memory;

impl fairway_engine::world::World for Memory {
    async fn send(
        &self,
        dial: &Dial,
        _transport: &Arc<Transport>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        Err(SendError::Connect {
            address: dial.address.clone(),
            source: "there is nobody".into(),
            request: Box::new(request),
        })
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> {
        std::future::ready(work())
    }

    fn file(&self, _file: std::fs::File, _offset: u64, _length: u64) -> Body {
        Body::Empty
    }

    fn within(&self, body: Body, _limit: Duration) -> Body {
        body
    }

    async fn sleep(&self, _duration: Duration) {}
}
