//! The whole handler: from its line to what upstreams and clients get, in a world in memory.

mod cluster;
mod lane;

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};

use super::pool::Upstreams;
use super::upstreams::Endpoint;
use super::{Config, Registry, ReverseProxy, Tunnel};
use crate::body::Body;
use crate::compile::{Compiler, compile};
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::handlers::reverse_proxy::transport::Transport;
use crate::test_util::{check_handlers_refused as check_refused, exchange, handlers};
use crate::world::{Dial, Fresh, SendError, World};

/// What an upstream does with a request.
type Upstream<'a> = Box<dyn FnMut(&str, http::Request<Body>) -> Result<http::Response<Body>, SendError> + 'a>;

/// A world whose upstreams are a closure. Nobody waits in it: [`slept`](Self::slept) counts instead.
struct Memory<'a> {
    upstream: RefCell<Upstream<'a>>,
    slept: RefCell<Duration>,
    /// How the last request was sent.
    transport: RefCell<Option<Arc<Transport>>>,
}

impl<'a> Memory<'a> {
    fn new(
        upstream: impl FnMut(&str, http::Request<Body>) -> Result<http::Response<Body>, SendError> + 'a,
    ) -> Self {
        Self {
            upstream: RefCell::new(Box::new(upstream)),
            slept: RefCell::default(),
            transport: RefCell::default(),
        }
    }
}

impl World for Memory<'_> {
    async fn send(
        &self,
        dial: &Dial,
        transport: &Arc<Transport>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        *self.transport.borrow_mut() = Some(Arc::clone(transport));
        (self.upstream.borrow_mut())(&dial.address, request)
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

    async fn sleep(&self, duration: Duration) {
        *self.slept.borrow_mut() += duration;
    }
}

/// Runs what never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing waits in memory"),
    }
}

fn proxy(config: Json) -> ReverseProxy {
    let config: Config = serde_json::from_value(config).unwrap();
    config.compile(&mut Compiler::default()).unwrap()
}

/// What is known of an upstream that is there now.
fn endpoint(proxy: &ReverseProxy, index: usize) -> Arc<Endpoint> {
    let upstream = match &proxy.upstreams {
        Upstreams::Fixed(pool) => Arc::clone(&pool.members.upstreams[index]),
        Upstreams::Lane(lane) => Arc::clone(&lane.pool().members.upstreams[index]),
    };
    Arc::clone(&upstream.endpoint)
}

fn ok() -> http::Response<Body> {
    http::Response::new(Body::Empty)
}

fn refused(dial: &str, request: http::Request<Body>) -> SendError {
    SendError::Connect {
        address: dial.into(),
        source: "refused".into(),
        request: Box::new(request),
    }
}

fn broken(dial: &str) -> SendError {
    SendError::Exchange {
        address: dial.into(),
        source: "reset".into(),
    }
}

/// The status of the response, or of the error; the body is dropped.
fn status(proxy: &ReverseProxy, exchange: &mut Exchange, world: &Memory<'_>) -> u16 {
    match run(proxy.handle(exchange, world)) {
        Ok(Flow::Respond(response)) => response.status.as_u16(),
        Ok(Flow::Enter(_)) => 0,
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.status,
    }
}

/// Adapts the subdirectives of a `reverse_proxy`, without the handler's name.
#[track_caller]
fn check(line: &str, expected: &Json) {
    let mut found = handlers(line);
    assert!(found.is_array(), "{line}: {found}");
    let handler = found[0].as_object_mut().unwrap();
    assert_eq!(handler.remove("handler"), Some(json!("reverse_proxy")));
    let read: Config = serde_json::from_value(found[0].clone()).unwrap();
    assert_eq!(&found[0], expected, "{line}");
    assert_eq!(&json!(read), expected, "{line} reads back");
}

#[track_caller]
fn check_options(options: &str, mut expected: Json) {
    expected["upstreams"] = json!([{"dial": "a:80"}]);
    check(&format!("reverse_proxy a {{\n{options}\n}}"), &expected);
}

#[test]
fn upstreams_are_read() {
    check("reverse_proxy", &json!({}));
    check(
        "reverse_proxy a b:81",
        &json!({"upstreams": [{"dial": "a:80"}, {"dial": "b:81"}]}),
    );
    check(
        "reverse_proxy a {\nto b:1-2 unix//c\n}",
        &json!({"upstreams": [{"dial": "a:80"}, {"dial": "b:1"}, {"dial": "b:2"}, {"dial": "unix//c"}]}),
    );
    check(
        "reverse_proxy https://a",
        &json!({"upstreams": [{"dial": "a:443"}], "transport": {"protocol": "http", "tls": {}}}),
    );
    check(
        "reverse_proxy h2c://a",
        &json!({"upstreams": [{"dial": "a:80"}], "transport": {"protocol": "http", "versions": ["h2c", "2"]}}),
    );
    check(
        "reverse_proxy http://a {\ntransport http\n}",
        &json!({"upstreams": [{"dial": "a:80"}]}),
    );
    check(
        "reverse_proxy {http.vars.up}",
        &json!({"upstreams": [{"dial": "{http.vars.up}"}]}),
    );
}

#[test]
fn options_are_read() {
    let second = 1_000_000_000_i64;
    check_options(
        "lb_policy round_robin\nlb_retries 2\nlb_try_duration 5s\nlb_try_interval 1s",
        json!({"load_balancing": {"selection_policy": {"policy": "round_robin"}, "retries": 2,
            "try_duration": 5 * second, "try_interval": second}}),
    );
    check_options(
        "lb_policy cookie c s {\nmax_age 1s\nfallback header X {\nfallback first\n}\n}",
        json!({"load_balancing": {"selection_policy": {"policy": "cookie", "name": "c", "secret": "s",
            "max_age": second, "fallback": {"policy": "header", "field": "X", "fallback": {"policy": "first"}}}}}),
    );
    check_options(
        "lb_policy weighted_round_robin 1 0 2",
        json!({"load_balancing": {"selection_policy": {"policy": "weighted_round_robin", "weights": [1, 0, 2]}}}),
    );
    check_options(
        "lb_policy random_choose 3",
        json!({"load_balancing": {"selection_policy": {"policy": "random_choose", "choose": 3}}}),
    );
    check_options(
        "health_uri /x?y\nhealth_port 81\nhealth_interval 1s\nhealth_timeout 2s\nhealth_passes 2\nhealth_fails 3\n\
         health_status 2xx\nhealth_body ok\nhealth_method HEAD\nhealth_request_body b\nhealth_follow_redirects\n\
         health_headers {\nHost h\nX a b\nX c\nY\n}",
        json!({"health_checks": {"active": {"uri": "/x?y", "port": 81, "interval": second, "timeout": 2 * second,
            "passes": 2, "fails": 3, "expect_status": 2, "expect_body": "ok", "method": "HEAD", "body": "b",
            "follow_redirects": true, "headers": {"Host": ["h"], "X": ["a", "b", "c"], "Y": [""]}}}}),
    );
    check_options(
        "health_upstream b:1",
        json!({"health_checks": {"active": {"upstream": "b:1"}}}),
    );
    check_options(
        "fail_duration 1s\nmax_fails 2\nunhealthy_status 5xx 404\nunhealthy_latency 1s\nunhealthy_request_count 9",
        json!({"health_checks": {"passive": {"fail_duration": second, "max_fails": 2, "unhealthy_status": [5, 404],
            "unhealthy_latency": second, "unhealthy_request_count": 9}}}),
    );
    check_options(
        "flush_interval -1\nrequest_buffers 1KiB\nresponse_buffers unlimited\nstream_buffer_size 2\n\
         stream_timeout 1s\nstream_close_delay 5\nverbose_logs\ntrusted_proxies 1.2.3.4 private_ranges",
        json!({"flush_interval": -1, "request_buffers": 1024, "response_buffers": -1, "stream_buffer_size": 2,
            "stream_timeout": second, "stream_close_delay": 5, "verbose_logs": true,
            "trusted_proxies": ["1.2.3.4", "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8",
                "fd00::/8", "::1"]}),
    );
    check_options(
        "header_up Host x\nheader_up -A\nheader_down +B c\nheader_down D e f\nmethod GET\nrewrite /x",
        json!({"headers": {"request": {"set": {"Host": ["x"]}, "delete": ["A"]},
            "response": {"add": {"B": ["c"]}, "replace": {"D": [{"search_regexp": "e", "replace": "f"}]}}},
            "rewrite": {"method": "GET", "uri": "/x"}}),
    );
    check_options(
        "@bad status 5xx\nreplace_status 400\nreplace_status @bad 502",
        json!({"handle_response": [{"match": {"status_code": [5]}, "status_code": 502}, {"status_code": 400}]}),
    );
}

#[test]
fn transports_are_read() {
    let second = 1_000_000_000_i64;
    check_options(
        "transport http {\nread_buffer 1k\nwrite_buffer 2k\nmax_response_header 3k\nread_timeout 1s\n\
         write_timeout 1s\ndial_timeout 1s\ndial_fallback_delay 1s\nresponse_header_timeout 1s\n\
         expect_continue_timeout 1s\nresolvers 1.1.1.1\nkeepalive 1s\nkeepalive_interval 1s\n\
         keepalive_idle_conns 1\nkeepalive_idle_conns_per_host 2\nversions 1.1 2\ncompression off\n\
         max_conns_per_host 3\nlocal_address 1.2.3.4\nproxy_protocol v1\nnetwork_proxy none\n}",
        json!({"transport": {"protocol": "http", "read_buffer_size": 1000, "write_buffer_size": 2000,
            "max_response_header_size": 3000, "read_timeout": second, "write_timeout": second,
            "dial_timeout": second, "dial_fallback_delay": second, "response_header_timeout": second,
            "expect_continue_timeout": second, "resolver": {"addresses": ["1.1.1.1"]},
            "keep_alive": {"idle_timeout": second, "probe_interval": second, "max_idle_conns": 1,
                "max_idle_conns_per_host": 2},
            "versions": ["1.1", "2"], "compression": false, "max_conns_per_host": 3,
            "local_address": "1.2.3.4", "proxy_protocol": "v1", "network_proxy": {"from": "none"}}}),
    );
    check_options(
        "transport http {\nkeepalive off\ntls\ntls_client_auth c k\ntls_insecure_skip_verify\ntls_curves x25519\n\
         tls_timeout 1s\ntls_server_name n\ntls_renegotiation once\ntls_except_ports 80\n\
         tls_trust_pool file a {\npem_file b\n}\n}",
        json!({"transport": {"protocol": "http", "keep_alive": {"enabled": false}, "tls": {
            "client_certificate_file": "c", "client_certificate_key_file": "k", "insecure_skip_verify": true,
            "curves": ["x25519"], "handshake_timeout": second, "server_name": "n", "renegotiation": "once",
            "except_ports": ["80"], "ca": {"provider": "file", "pem_files": ["a", "b"]}}}}),
    );
    check_options(
        "transport http {\ntls_trusted_ca_certs a b\nforward_proxy_url u\n}",
        json!({"transport": {"protocol": "http", "tls": {"root_ca_pem_files": ["a", "b"]},
            "network_proxy": {"from": "url", "url": "u"}}}),
    );
}

#[test]
fn mistakes_are_refused() {
    let option = |line: &str| format!("reverse_proxy a {{\n{line}\n}}");
    check_refused(
        "reverse_proxy http://a/b",
        "Caddyfile:2:15: upstream `http://a/b`",
    );
    check_refused(
        "reverse_proxy http://a https://b",
        "all upstreams must have the same scheme",
    );
    check_refused("reverse_proxy http://a b", "lacks `http://`");
    check_refused("reverse_proxy a:1-65535 b:1-65535", "more than 65536 upstreams");
    for (line, expected) in [
        ("lb_polcy first", "did you mean `lb_policy`?"),
        ("to", "`to` needs an upstream"),
        ("lb_policy best", "there is no policy `best`"),
        (
            "lb_policy first\nlb_policy first",
            "Caddyfile:4:1: there is an `lb_policy` already",
        ),
        ("lb_policy first x", "takes no further argument"),
        ("lb_policy random_choose 1", "at least 2"),
        ("lb_policy weighted_round_robin 1 -1", "not a weight"),
        ("lb_policy cookie {\nmax_age 0s\n}", "above zero"),
        ("lb_policy header X {\nmax_age 1s\n}", "no subdirective `max_age`"),
        ("lb_retries x", "not a whole number"),
        ("lb_retries 1 2", "takes no further argument"),
        ("lb_try_duration x", "not a duration"),
        ("lb_retry_match nonsense", "there is no matcher `nonsense`"),
        ("health_status 2yy", "neither a status"),
        ("health_upstream a", "not a host with a port"),
        ("health_upstream a:1\nhealth_port 2", "means nothing"),
        ("health_nonsense x", "no subdirective `health_nonsense`"),
        ("request_buffers x", "not a size"),
        ("header_up", "needs a header field"),
        ("header_down ?X y", "default"),
        ("verbose_logs\nverbose_logs", "already"),
        ("dynamic x", "not known here"),
        ("transport fastcgi {\nx\n}", "Caddyfile:4:1"),
        ("transport carrier_pigeon", "there is no transport"),
        ("transport http\ntransport http", "already"),
        ("transport http {\nnonsense\n}", "no subdirective `nonsense`"),
        ("transport http {\ntls_renegotiation often\n}", "none of"),
        (
            "transport http {\ntls_trust_pool file\n}",
            "a block with `pem_file`",
        ),
        (
            "transport http {\ntls_trusted_ca_certs a\ntls_trust_pool file b\n}",
            "exclude each other",
        ),
        ("replace_status", "needs a status"),
        ("replace_status @x 400", "no response matcher `@x`"),
        ("replace_status x 400", "begins with `@`"),
        ("handle_response 1", "begins with `@`"),
        ("@a status 1\nhandle_response @a 2", "takes no further argument"),
        ("@a status 1\n@a status 2", "there already"),
        ("@a nonsense", "nonsense"),
    ] {
        check_refused(&option(line), expected);
    }
    check_refused(
        "reverse_proxy http://a {\ntransport http {\ntls\n}\n}",
        "speaks TLS",
    );
}

#[test]
fn response_handlers_have_their_order() {
    let found = handlers(
        "reverse_proxy a {\nhandle_response {\n}\nhandle_response @a {\n}\nreplace_status 300\n@a status 200\nreplace_status @a 301\n}",
    );
    let matches = json!({"status_code": [200]});
    assert_eq!(
        found[0]["handle_response"],
        json!([{"match": matches, "status_code": 301}, {"match": matches}, {"status_code": 300}, {}]),
    );
}

#[test]
fn unknown_fields_are_refused() {
    for config in [
        json!({"x": 1}),
        json!({"upstreams": [{"x": 1}]}),
        json!({"load_balancing": {"x": 1}}),
        json!({"health_checks": {"active": {"x": 1}}}),
        json!({"headers": {"response": {"x": 1}}}),
        json!({"circuit_breaker": {}}),
    ] {
        assert!(
            serde_json::from_value::<Config>(config.clone()).is_err(),
            "{config}"
        );
    }
    for config in [
        json!({"upstreams": [{"dial": "a:1-2"}]}),
        json!({"dynamic_upstreams": {"source": "a"}}),
        json!({"health_checks": {"passive": {"fail_duration": 1, "max_fails": 1_000_000}}}),
        json!({"health_checks": {"active": {"uri": "/", "expect_body": "("}}}),
        json!({"trusted_proxies": ["x"]}),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        assert!(parsed.compile(&mut Compiler::default()).is_err(), "{config}");
    }
}

#[test]
fn requests_go_up_and_responses_come_down() {
    let proxy = proxy(json!({
        "upstreams": [{"dial": "a:81"}],
        "headers": {"request": {"set": {"X-Up": ["{http.reverse_proxy.upstream.hostport}"]}},
            "response": {"delete": ["X-Secret"], "set": {"X-Down": ["{http.reverse_proxy.status_code}"]}}},
        "rewrite": {"uri": "/v1{http.request.uri}"},
    }));
    let world = Memory::new(|dial, request| {
        assert_eq!((dial, request.uri().to_string().as_str()), ("a:81", "/v1/x?y"));
        let headers = request.headers();
        assert_eq!(headers["host"], "h");
        assert_eq!(headers["x-up"], "a:81");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        let response = http::Response::builder().status(201).header("server", "theirs");
        Ok(response
            .header("x-secret", "s")
            .header("keep-alive", "1")
            .body(Body::Empty)
            .unwrap())
    });
    let mut exchange = exchange("GET /x?y\nHost: h");
    exchange
        .response_headers
        .insert("server", "ours".parse().unwrap());
    exchange
        .response_headers
        .insert("x-before", "kept".parse().unwrap());
    assert_eq!(status(&proxy, &mut exchange, &world), 201);
    let headers = &exchange.response_headers;
    assert_eq!(headers.get_all("server").iter().collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(
        (&headers["x-down"], &headers["x-before"]),
        (&"201".parse().unwrap(), &"kept".parse().unwrap())
    );
    assert_eq!(headers["via"], "1.1 Fairway");
    assert!(!headers.contains_key("x-secret") && !headers.contains_key("keep-alive"));
}

#[test]
fn host_is_the_upstreams_with_tls_only() {
    for (transport, header_up, expected) in [
        (json!({"protocol": "http"}), json!({}), "h"),
        (json!({"protocol": "http", "tls": {}}), json!({}), "a:81"),
        (
            json!({"protocol": "http", "tls": {}}),
            json!({"set": {"Host": ["{http.request.host}"]}}),
            "h",
        ),
    ] {
        let config = json!({"upstreams": [{"dial": "a:81"}], "transport": transport, "headers": {"request": header_up}});
        let world = Memory::new(|_, request| {
            assert_eq!(request.headers()["host"], expected);
            Ok(ok())
        });
        assert_eq!(
            status(&proxy(config), &mut exchange("GET /\nHost: h"), &world),
            200
        );
    }
}

#[test]
fn failures_have_their_status() {
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}]}));
    let world = Memory::new(|dial, request| Err(refused(dial, request)));
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 502);
    let world = Memory::new(|dial, _| Err(broken(dial)));
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 502);
    let world = Memory::new(|dial, _| {
        Err(SendError::Timeout {
            address: dial.into(),
            limit: Duration::from_secs(1),
        })
    });
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 504);
    let none = super::tests::proxy(json!({}));
    assert_eq!(status(&none, &mut exchange("GET /"), &world), 503);
}

/// How often upstreams were asked, and with what status it ended.
#[track_caller]
fn check_tries(load_balancing: &Json, request: &str, body: Body, sent: bool, expected: (usize, u16)) {
    let proxy =
        proxy(json!({"upstreams": [{"dial": "a:80"}, {"dial": "b:80"}], "load_balancing": load_balancing}));
    let mut tries = 0;
    let world = Memory::new(|dial, request| {
        tries += 1;
        Err(if sent {
            broken(dial)
        } else {
            refused(dial, request)
        })
    });
    let mut exchange = exchange(request);
    exchange.body = body;
    let found = status(&proxy, &mut exchange, &world);
    drop(world);
    assert_eq!((tries, found), expected, "{load_balancing} {request}");
}

fn streamed() -> Body {
    Body::stream(http_body_util::Full::new(Bytes::from("x")).map_err(|never| match never {}))
}

/// Sends a request whose first connection turns out to be closed; gives the status, and each try: whether it had to be
/// on a new connection, and its headers.
fn lost(config: Json, request: &str, body: Body) -> (u16, Vec<(bool, http::HeaderMap)>) {
    let mut tries = Vec::new();
    let world = Memory::new(|dial, request| {
        let fresh = request.extensions().get::<Fresh>().is_some();
        tries.push((fresh, request.headers().clone()));
        if fresh {
            return Ok(ok());
        }
        Err(SendError::Lost {
            address: dial.into(),
            source: "closed".into(),
        })
    });
    let mut exchange = exchange(request);
    exchange.body = body;
    let status = status(&proxy(config), &mut exchange, &world);
    drop(world);
    (status, tries)
}

#[test]
fn what_a_closed_connection_lost_goes_out_again_if_safe() {
    let config = |more: Json| {
        let mut config = json!({"upstreams": [{"dial": "a:80"}],
            "headers": {"request": {"set": {"X-Up": ["{http.request.header.X-A}"]}}}});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        config
    };
    for more in [
        json!({}),
        json!({"load_balancing": {"retries": 1}}),
        json!({"rewrite": {"method": "HEAD"}}),
    ] {
        let (status, tries) = lost(
            config(more.clone()),
            "GET /\nHost: h\nX-A: b\nConnection: close",
            Body::Empty,
        );
        let [(false, first), (true, second)] = &tries[..] else {
            panic!("{more}: {tries:?}")
        };
        assert_eq!((status, first), (200, second), "{more}");
        assert_eq!(first["x-up"], "b");
    }
    for (request, body) in [
        ("POST /", Body::Empty),
        ("DELETE /", Body::Empty),
        ("GET /", Body::from(Bytes::from("x"))),
        ("GET /", streamed()),
    ] {
        let (status, tries) = lost(config(json!({})), request, body);
        assert_eq!((status, tries.len()), (502, 1), "{request}");
    }
}

#[test]
fn only_what_is_safe_is_sent_again() {
    check_tries(&json!({}), "GET /", Body::Empty, false, (1, 502));
    check_tries(&json!({"retries": 2}), "GET /", Body::Empty, false, (3, 502));
    check_tries(&json!({"retries": 2}), "POST /", streamed(), false, (3, 502));
    check_tries(&json!({"retries": 2}), "GET /", Body::Empty, true, (3, 502));
    check_tries(&json!({"retries": 2}), "POST /", Body::Empty, true, (1, 502));
    check_tries(&json!({"retries": 2}), "GET /", streamed(), true, (1, 502));
    check_tries(
        &json!({"retries": 2}),
        "GET /",
        Body::from(Bytes::from("x")),
        true,
        (3, 502),
    );
    check_tries(
        &json!({"try_duration": "1s"}),
        "GET /",
        Body::Empty,
        false,
        (5, 502),
    );
    check_tries(
        &json!({"try_duration": "1s", "try_interval": "500ms"}),
        "GET /",
        Body::Empty,
        false,
        (3, 502),
    );
    check_tries(
        &json!({"try_duration": "1s", "retries": 1}),
        "GET /",
        Body::Empty,
        false,
        (2, 502),
    );
}

#[test]
fn matchers_say_what_is_sent_again() {
    let only_posts = json!({"retries": 1, "retry_match": [{"method": ["POST"]}]});
    check_tries(&only_posts, "POST /", Body::Empty, true, (2, 502));
    check_tries(&only_posts, "GET /", Body::Empty, true, (1, 502));
    check_tries(&only_posts, "GET /", Body::Empty, false, (2, 502));
    let expression = "{http.reverse_proxy.is_transport_error} || {http.reverse_proxy.status_code} == 503";
    let by_expression = json!({"retries": 1, "retry_match": [{"expression": expression}]});
    check_tries(&by_expression, "POST /", Body::Empty, true, (2, 502));
}

#[test]
fn responses_can_be_a_reason_to_send_again() {
    let expression = "{http.reverse_proxy.status_code} in [502, 503]";
    let load_balancing = json!({"retries": 2, "retry_match": [{"expression": expression}]});
    for (code, body, expected) in [
        (200, Body::Empty, 1),
        (503, Body::Empty, 3),
        (503, Body::from(Bytes::from("x")), 3),
        (503, streamed(), 1),
    ] {
        let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "load_balancing": load_balancing}));
        let mut tries = 0;
        let world = Memory::new(|_, _| {
            tries += 1;
            Ok(http::Response::builder().status(code).body(Body::Empty).unwrap())
        });
        let mut exchange = exchange("POST /");
        exchange.body = body;
        // The last response is the client's, whatever it is.
        assert_eq!(status(&proxy, &mut exchange, &world), code);
        drop(world);
        assert_eq!(tries, expected, "{code}");
    }
}

#[test]
fn retry_matchers_are_read() {
    check_options(
        "lb_retry_match method POST PUT\nlb_retry_match {\nmethod GET\nheader X *\n}\nlb_retry_match `{rp.status_code} == 504`",
        json!({"load_balancing": {"retry_match": [{"method": ["POST", "PUT"]},
            {"method": ["GET"], "header": {"X": ["*"]}}, {"expression": "{rp.status_code} == 504"}]}}),
    );
}

#[test]
fn another_upstream_takes_over() {
    let proxy = proxy(json!({
        "upstreams": [{"dial": "a:80"}, {"dial": "b:80"}],
        "load_balancing": {"selection_policy": {"policy": "first"}, "retries": 1},
        "health_checks": {"passive": {"fail_duration": "1h"}},
    }));
    let mut asked = Vec::new();
    let world = Memory::new(|dial, request| {
        asked.push(dial.to_owned());
        let body = run(request.into_body().collect()).unwrap().to_bytes();
        assert_eq!(body, "x");
        if dial == "a:80" {
            Err(broken(dial))
        } else {
            Ok(ok())
        }
    });
    for _ in 0..2 {
        let mut exchange = exchange("GET /");
        exchange.body = Body::from(Bytes::from("x"));
        assert_eq!(status(&proxy, &mut exchange, &world), 200);
    }
    drop(world);
    assert_eq!(asked, ["a:80", "b:80", "b:80"]);
}

#[test]
fn failed_upstreams_are_left_alone() {
    let proxy = proxy(json!({
        "upstreams": [{"dial": "a:80"}],
        "health_checks": {"passive": {"fail_duration": "1h", "max_fails": 2, "unhealthy_status": [5]}},
    }));
    let world = Memory::new(|_, _| Ok(http::Response::builder().status(500).body(Body::Empty).unwrap()));
    let found: Vec<u16> = (0..3)
        .map(|_| status(&proxy, &mut exchange("GET /"), &world))
        .collect();
    assert_eq!(found, [500, 500, 503]);
}

#[test]
fn slow_upstreams_are_left_alone() {
    let passive = json!({"fail_duration": "1h", "unhealthy_latency": 1});
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "health_checks": {"passive": passive}}));
    let world = Memory::new(|_, _| Ok(ok()));
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 200);
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 503);
}

#[test]
fn requests_are_in_flight_until_their_response_ends() {
    let passive = json!({"unhealthy_request_count": 1});
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "health_checks": {"passive": passive}}));
    let world = Memory::new(|_, _| Ok(http::Response::new(streamed())));
    let mut first = exchange("GET /");
    let Ok(Flow::Respond(response)) = run(proxy.handle(&mut first, &world)) else {
        panic!()
    };
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 503);
    assert_eq!(run(response.body.collect()).unwrap().to_bytes(), "x");
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 200);
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 200);
}

#[test]
fn bodies_are_read_ahead_where_wanted() {
    for (limit, length) in [(0, None), (1, None), (100, Some("1")), (-1, Some("1"))] {
        let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "request_buffers": limit}));
        let world = Memory::new(|_, request| {
            let found = request
                .headers()
                .get("content-length")
                .map(|value| value.to_str().unwrap());
            assert_eq!(found, length, "{limit}");
            assert_eq!(run(request.into_body().collect()).unwrap().to_bytes(), "x");
            Ok(ok())
        });
        let mut exchange = exchange("POST /");
        exchange.body = streamed();
        assert_eq!(status(&proxy, &mut exchange, &world), 200);
    }
}

#[test]
fn upgrades_pass() {
    #[derive(Clone)]
    struct Join;
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "stream_timeout": "1m"}));
    let world = Memory::new(|_, request| {
        assert!(request.extensions().get::<Join>().is_some());
        assert_eq!(request.headers()["upgrade"], "websocket");
        let response = http::Response::builder().status(101).extension(Join);
        let response = response
            .header("connection", "upgrade")
            .header("upgrade", "WebSocket");
        Ok(response.body(Body::Empty).unwrap())
    });
    let mut upgrading = exchange("GET /\nConnection: Upgrade\nUpgrade: websocket");
    upgrading.extensions.insert(Join);
    assert_eq!(status(&proxy, &mut upgrading, &world), 101);
    assert_eq!(upgrading.response_headers["upgrade"], "WebSocket");
    assert!(upgrading.response_extensions.get::<Join>().is_some());
    let tunnel = upgrading.response_extensions.get::<Tunnel>().unwrap();
    assert_eq!(tunnel.limit, Some(Duration::from_mins(1)));
    assert_eq!(endpoint(&proxy, 0).requests(), 1);
    drop(upgrading);
    assert_eq!(endpoint(&proxy, 0).requests(), 0);
    let world = Memory::new(|_, _| Ok(http::Response::builder().status(101).body(Body::Empty).unwrap()));
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 502);
}

#[test]
fn responses_are_handled() {
    let proxy = proxy(json!({
        "upstreams": [{"dial": "a:80"}],
        "handle_response": [
            {"match": {"status_code": [404]}, "status_code": "{http.request.header.X-Status}"},
            {"match": {"headers": {"X-Accel": ["*"]}}, "routes": [{"terminal": true}]},
        ],
    }));
    let answer = |code: u16, name: &'static str| {
        Memory::new(move |_, _| {
            Ok(http::Response::builder()
                .status(code)
                .header(name, "1")
                .body(Body::Empty)
                .unwrap())
        })
    };
    assert_eq!(
        status(
            &proxy,
            &mut exchange("GET /\nX-Status: 410"),
            &answer(404, "x-accel")
        ),
        410
    );
    assert_eq!(
        status(
            &proxy,
            &mut exchange("GET /\nX-Status: x"),
            &answer(404, "x-accel")
        ),
        500
    );
    assert_eq!(status(&proxy, &mut exchange("GET /"), &answer(200, "x-accel")), 0);
    assert_eq!(
        status(&proxy, &mut exchange("GET /"), &answer(200, "x-other")),
        200
    );
}

#[test]
fn a_held_response_is_copied_or_dropped() {
    use crate::handlers::copy_response::{Config as Copy, HeadersConfig};
    let proxy = proxy(json!({
        "upstreams": [{"dial": "a:80"}],
        "headers": {"response": {"set": {"X-Down": ["d"]}}},
        "handle_response": [{"routes": [{"terminal": true}]}],
    }));
    let world = Memory::new(|_, _| {
        let response = http::Response::builder()
            .header("x-one", "1")
            .header("x-two", "2")
            .header("connection", "close")
            .header("content-length", "4");
        Ok(response.body(Body::from("body".to_owned())).unwrap())
    });
    let entered = || {
        let mut exchange = exchange("GET /");
        assert_eq!(status(&proxy, &mut exchange, &world), 0);
        exchange
    };

    let copy: Copy = serde_json::from_value(json!({"status_code": 418})).unwrap();
    let mut copied = entered();
    let Ok(Flow::Respond(response)) = copy.compile().handle(&mut copied) else {
        panic!("no response")
    };
    assert_eq!(response.status, 418);
    assert_eq!(run(response.body.collect()).unwrap().to_bytes(), "body");
    assert_eq!(copied.response_headers["x-one"], "1");
    assert_eq!(copied.response_headers["x-down"], "d");
    copy.compile().handle(&mut copied).unwrap_err();

    let names = |config: Json| {
        let mut exchange = entered();
        let config: HeadersConfig = serde_json::from_value(config).unwrap();
        config.compile().unwrap().handle(&mut exchange).unwrap();
        let mut names: Vec<String> = exchange
            .response_headers
            .keys()
            .map(ToString::to_string)
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(json!({})), ["x-one", "x-two"]);
    assert_eq!(names(json!({"include": ["X-Two", "no name"]})), ["x-two"]);
    assert_eq!(names(json!({"exclude": ["X-Two"]})), ["x-one"]);
    // Whoever drops the exchange drops the response.
    assert_eq!(endpoint(&proxy, 0).requests(), 0);
}

fn config(header: &str) -> crate::config::Config {
    let handler = |dial: &str| {
        json!({"handler": "reverse_proxy", "upstreams": [{"dial": dial}],
            "load_balancing": {"selection_policy": {"policy": "round_robin"}},
            "headers": {"request": {"set": {"X": [header]}}},
            "health_checks": {"active": {"uri": "/h", "expect_body": "^fine$"}, "passive": {"fail_duration": "1h"}}})
    };
    let routes =
        json!([{"handle": [handler("a:80")]}, {"handle": [handler("a:80")]}, {"handle": [handler("b:80")]}]);
    serde_json::from_value(
        json!({"apps": {"http": {"servers": {"s": {"listen": [":80"], "routes": routes}}}}}),
    )
    .unwrap()
}

#[test]
fn state_outlives_a_swap() {
    let registry = Registry::default();
    let before = compile(&config("1"), &registry).unwrap();
    let same = compile(&config("1"), &registry).unwrap();
    assert_eq!(before.checks.len(), 3);
    let equal = before
        .checks
        .iter()
        .zip(&same.checks)
        .all(|(one, other)| Arc::ptr_eq(one, other));
    assert!(equal, "what did not change is the same");
    let other = compile(&config("2"), &registry).unwrap();
    assert!(
        !Arc::ptr_eq(&before.checks[0], &other.checks[0]),
        "what changed is new"
    );
}

#[test]
fn health_checks_judge_upstreams() {
    let table = compile(&config("1"), &Registry::default()).unwrap();
    let probe = |answer: &'static str, code: u16| {
        let world = Memory::new(move |dial, request| {
            assert_eq!(
                (request.uri().path(), dial),
                ("/h", request.headers()["host"].to_str().unwrap())
            );
            let body = Body::from(Bytes::from(answer));
            Ok(http::Response::builder().status(code).body(body).unwrap())
        });
        run(table.checks[0].probe(&world));
        table.checks[0].is_healthy()
    };
    assert!(probe("fine", 200));
    assert!(!probe("fine", 500));
    assert!(probe("fine", 204));
    assert!(!probe("ill", 200));
    let world = Memory::new(|dial, request| Err(refused(dial, request)));
    run(table.checks[0].probe(&world));
    assert!(!table.checks[0].is_healthy());
}

#[track_caller]
fn check_length_upstream(method: &str, expected: Option<&str>) {
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}]}));
    let world = Memory::new(|_, request| {
        let length = request.headers().get("content-length");
        assert_eq!(
            length.map(|length| length.to_str().unwrap()),
            expected,
            "{method}"
        );
        Ok(ok())
    });
    assert_eq!(status(&proxy, &mut exchange(&format!("{method} /")), &world), 200);
}

#[test]
fn methods_with_a_body_say_that_it_is_empty() {
    check_length_upstream("POST", Some("0"));
    check_length_upstream("PUT", Some("0"));
    check_length_upstream("PATCH", Some("0"));
    check_length_upstream("GET", None);
    check_length_upstream("DELETE", None);
}

#[track_caller]
fn check_length_of_buffered(headers: &[(&'static str, &'static str)], expected: Option<u64>) {
    let proxy = proxy(json!({"upstreams": [{"dial": "a:80"}], "response_buffers": -1}));
    let world = Memory::new(|_, _| {
        let body = http_body_util::Full::new(Bytes::from("body")).map_err(|never| match never {});
        let mut response = http::Response::new(Body::stream(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        Ok(response)
    });
    let mut exchange = exchange("GET /");
    let flow = run(proxy.handle(&mut exchange, &world)).unwrap();
    let Flow::Respond(response) = flow else {
        panic!("{flow:?}")
    };
    assert_eq!(http_body::Body::size_hint(&response.body).exact(), expected);
    assert_eq!(run(response.body.collect()).unwrap().to_bytes(), "body");
}

#[test]
fn a_buffered_response_has_a_length_only_if_the_upstream_gave_it() {
    check_length_of_buffered(&[("content-length", "4")], Some(4));
    check_length_of_buffered(&[], None);
}
