//! Upstreams that are the endpoints of Services.

use std::net::SocketAddr;

use super::*;
use crate::cluster::ServicePort;
use crate::serve::{Served, serve};
use crate::table::Table;

fn port(service: &str) -> ServicePort {
    let (namespace, rest) = service.split_once('/').unwrap();
    let (name, port) = rest.split_once(':').unwrap();
    ServicePort {
        namespace: namespace.into(),
        name: name.into(),
        port: port.into(),
    }
}

fn set(registry: &Registry, service: &str, addresses: &[&str]) -> bool {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    registry.set_endpoints(&port(service), &addresses)
}

/// Names of Services, as `dynamic_upstreams`.
fn source(services: &[&str]) -> Json {
    let services: Vec<Json> = services.iter().map(|service| json!(port(service))).collect();
    json!({"source": "kubernetes", "services": services})
}

/// A handler with other fields as well, and the registry behind it.
fn lane(services: &[&str], fields: &Json) -> (ReverseProxy, Registry) {
    let mut compiler = Compiler::default();
    let registry = compiler.registry().clone();
    (compiled(services, fields, &mut compiler), registry)
}

fn compiled(services: &[&str], fields: &Json, compiler: &mut Compiler<'_>) -> ReverseProxy {
    let mut config = fields.clone();
    config["dynamic_upstreams"] = source(services);
    let config: Config = serde_json::from_value(config).unwrap();
    config.compile(compiler).unwrap()
}

/// A table with a server of such handlers, one for each host `0`, `1`, ….
fn table(handlers: &[(&str, Json)], registry: &Registry) -> Table {
    let route = |(index, (service, fields)): (usize, &(&str, Json))| {
        let mut handler = fields.clone();
        handler["handler"] = json!("reverse_proxy");
        handler["dynamic_upstreams"] = source(&[service]);
        json!({"match": [{"host": [index.to_string()]}], "handle": [handler]})
    };
    let routes: Vec<Json> = handlers.iter().enumerate().map(route).collect();
    let servers = json!({"s": {"listen": [":80"], "routes": routes}});
    let config = serde_json::from_value(json!({"apps": {"http": {"servers": servers}}})).unwrap();
    compile(&config, registry).unwrap()
}

/// Where requests go, one after the other, and what the last error says, if one fails.
fn sent(proxy: &ReverseProxy, requests: &[&str]) -> Result<Vec<String>, (u16, String)> {
    let dials = RefCell::new(Vec::new());
    let world = Memory::new(|dial, _| {
        dials.borrow_mut().push(dial.to_owned());
        Ok(ok())
    });
    for request in requests {
        run(proxy.handle(&mut exchange(request), &world))
            .map_err(|error| (error.status, error.message.into_owned()))?;
    }
    drop(world);
    Ok(dials.into_inner())
}

#[track_caller]
fn check_sent(proxy: &ReverseProxy, expected: &[&str]) {
    let found = sent(proxy, &vec!["GET /"; expected.len()]).unwrap();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_none(proxy: &ReverseProxy, expected: &str) {
    assert_eq!(sent(proxy, &["GET /"]), Err((503, expected.to_owned())));
}

fn passive(fields: &Json) -> Json {
    json!({"health_checks": {"passive": fields}})
}

fn robin() -> Json {
    json!({"load_balancing": {"selection_policy": {"policy": "round_robin"}}})
}

#[test]
fn requests_see_endpoints_as_soon_as_they_are_set() {
    let (proxy, registry) = lane(&["shop/api:80"], &robin());
    assert!(set(&registry, "shop/api:80", &["10.0.0.1:8080"]));
    check_sent(&proxy, &["10.0.0.1:8080"]);
    assert!(set(&registry, "shop/api:80", &["[fd00::2]:8080"]));
    check_sent(&proxy, &["[fd00::2]:8080"]);
    assert!(set(
        &registry,
        "shop/api:80",
        &["10.0.0.3:1", "10.0.0.2:1", "10.0.0.2:1"]
    ));
    check_sent(&proxy, &["10.0.0.3:1", "10.0.0.2:1", "10.0.0.3:1"]);
}

#[test]
fn a_service_without_endpoints_is_unavailable() {
    let (proxy, registry) = lane(&["shop/api:80"], &json!({}));
    check_none(&proxy, "no endpoints for Service shop/api:80");
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    set(&registry, "shop/api:80", &[]);
    check_none(&proxy, "no endpoints for Service shop/api:80");
    let (proxy, registry) = lane(&["shop/api:80", "shop/web:http"], &json!({}));
    check_none(&proxy, "no endpoints for Services shop/api:80, shop/web:http");
    set(&registry, "shop/web:http", &["10.0.0.1:80"]);
    check_sent(&proxy, &["10.0.0.1:80"]);
}

#[test]
fn endpoints_that_are_not_available_are_told_apart_from_none() {
    let (proxy, registry) = lane(&["shop/api:80"], &passive(&json!({"fail_duration": "1h"})));
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    endpoint(&proxy, 0).fail(crate::handlers::reverse_proxy::now());
    check_none(&proxy, "no upstreams available");
}

#[test]
fn a_service_is_known_while_somebody_names_it() {
    let registry = Registry::default();
    assert!(
        !set(&registry, "shop/api:80", &["10.0.0.1:80"]),
        "nobody names it"
    );
    let handlers = [("shop/web:80", json!({})), ("shop/api:80", json!({}))];
    let both = table(&handlers, &registry);
    let api = port("shop/api:80");
    assert_eq!(registry.named_services(), [api.clone(), port("shop/web:80")]);
    assert!(!registry.has_answer(&api), "what was set before is not kept");
    assert!(set(&registry, "shop/api:80", &[]));
    assert!(registry.has_answer(&api), "none is an answer");
    assert!(!registry.has_answer(&port("shop/web:80")));
    let web = table(&handlers[..1], &registry);
    assert!(registry.has_answer(&api), "the older table names it");
    drop(both);
    assert_eq!(registry.named_services(), [port("shop/web:80")]);
    assert!(!registry.has_answer(&api));
    let _both = table(&handlers, &registry);
    assert!(!registry.has_answer(&api), "nobody followed it meanwhile");
    drop(web);
}

#[test]
fn another_table_has_the_answers_of_the_first() {
    let registry = Registry::default();
    let before = table(&[("shop/api:80", json!({}))], &registry);
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    let other = passive(&json!({"fail_duration": "1h"}));
    let after = table(&[("shop/api:80", other)], &registry);
    drop(before);
    assert_eq!(serves(&after, "0"), "10.0.0.1:80");
}

/// Where a table sends a request for a host.
fn serves(table: &Table, host: &str) -> String {
    let dials = RefCell::new(String::new());
    let world = Memory::new(|dial, _| {
        dial.clone_into(&mut dials.borrow_mut());
        Ok(ok())
    });
    let request = format!("GET /\nHost: {host}");
    let served = run(serve(
        Arc::clone(&table.servers[0]),
        &mut exchange(&request),
        &world,
    ));
    assert!(matches!(served, Served::Response(_)), "{served:?}");
    drop(world);
    dials.into_inner()
}

#[test]
fn a_retry_sees_endpoints_set_meanwhile() {
    let balancing = json!({"load_balancing": {"retries": 1, "selection_policy": {"policy": "first"}}});
    let (proxy, registry) = lane(&["shop/api:80"], &balancing);
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    let dials = RefCell::new(Vec::new());
    let world = Memory::new(|dial, request| {
        dials.borrow_mut().push(dial.to_owned());
        if dial == "10.0.0.1:80" {
            set(&registry, "shop/api:80", &["10.0.0.2:80"]);
            return Err(refused(dial, request));
        }
        Ok(ok())
    });
    assert_eq!(status(&proxy, &mut exchange("POST /"), &world), 200);
    assert_eq!(*dials.borrow(), ["10.0.0.1:80", "10.0.0.2:80"]);
}

#[test]
fn a_request_waits_for_the_first_endpoint_as_long_as_it_may_try() {
    struct Waking<'a>(Memory<'a>, Registry);

    impl World for Waking<'_> {
        async fn send(
            &self,
            dial: &Dial,
            transport: &Arc<Transport>,
            request: http::Request<Body>,
        ) -> Result<http::Response<Body>, SendError> {
            self.0.send(dial, transport, request).await
        }

        async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
            work()
        }

        fn file(&self, _file: std::fs::File, _offset: u64, _length: u64) -> Body {
            Body::Empty
        }

        fn within(&self, body: Body, _limit: Duration) -> Body {
            body
        }

        async fn sleep(&self, _duration: Duration) {
            set(&self.1, "shop/api:80", &["10.0.0.1:80"]);
        }
    }

    let (proxy, registry) = lane(
        &["shop/api:80"],
        &json!({"load_balancing": {"try_duration": "5s"}}),
    );
    let world = Waking(Memory::new(|_, _| Ok(ok())), registry);
    let mut exchange = exchange("GET /");
    let flow = run(proxy.handle(&mut exchange, &world)).unwrap();
    assert!(matches!(flow, Flow::Respond(_)));
}

#[test]
fn requests_in_flight_count_for_an_endpoint_that_comes_back() {
    let (proxy, registry) = lane(&["shop/api:80"], &passive(&json!({"unhealthy_request_count": 1})));
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    let world = Memory::new(|_, _| Ok(http::Response::new(streamed())));
    let mut under_way = exchange("GET /");
    let flow = run(proxy.handle(&mut under_way, &world)).unwrap();
    assert_eq!(endpoint(&proxy, 0).requests(), 1);
    set(&registry, "shop/api:80", &["10.0.0.2:80"]);
    assert_eq!(endpoint(&proxy, 0).requests(), 0);
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    check_none(&proxy, "no upstreams available");
    drop(flow);
    check_sent(&proxy, &["10.0.0.1:80"]);
}

#[test]
fn endpoints_that_stay_keep_their_failures() {
    let (proxy, registry) = lane(&["shop/api:80"], &passive(&json!({"fail_duration": "1h"})));
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    let world = Memory::new(|dial, request| Err(refused(dial, request)));
    assert_eq!(status(&proxy, &mut exchange("GET /"), &world), 502);
    set(&registry, "shop/api:80", &["10.0.0.1:80", "10.0.0.2:80"]);
    check_sent(&proxy, &["10.0.0.2:80"; 8]);
    set(&registry, "shop/api:80", &["10.0.0.2:80"]);
    set(&registry, "shop/api:80", &["10.0.0.1:80"]);
    check_sent(&proxy, &["10.0.0.1:80"]);
}

#[test]
fn health_belongs_to_service_port_and_checks() {
    let mut compiler = Compiler::default();
    let registry = compiler.registry().clone();
    let hour = passive(&json!({"fail_duration": "1h"}));
    let other = passive(&json!({"fail_duration": "2h"}));
    let mut proxy = |service, fields: &Json| compiled(&[service], fields, &mut compiler);
    let first = proxy("shop/api:80", &hour);
    let mut with_policy = robin();
    with_policy["health_checks"] = hour["health_checks"].clone();
    let same = proxy("shop/api:80", &with_policy);
    let others = [
        proxy("shop/api:80", &other),
        proxy("shop/api:80", &json!({})),
        proxy("shop/api:81", &hour),
        proxy("web/api:80", &hour),
    ];
    for service in ["shop/api:80", "shop/api:81", "web/api:80"] {
        assert!(set(&registry, service, &["10.0.0.1:80"]));
    }
    assert!(Arc::ptr_eq(&endpoint(&first, 0), &endpoint(&same, 0)));
    for (index, other) in others.iter().enumerate() {
        assert!(!Arc::ptr_eq(&endpoint(&first, 0), &endpoint(other, 0)), "{index}");
    }
}

#[test]
fn health_checks_follow_endpoints() {
    let registry = Registry::default();
    let active = json!({"health_checks": {"active": {"uri": "/h", "port": 9}}});
    let mut named = active.clone();
    named["headers"] = json!({"request": {"set": {"X": ["1"]}}});
    let handlers = [("shop/api:80", active), ("shop/api:80", named)];
    let first = table(&handlers, &registry);
    assert_eq!(
        first.checks.len(),
        1,
        "one prober for all handlers with these checks"
    );
    let probe = |table: &Table| {
        let mut dials = Vec::new();
        let world = Memory::new(|dial, _| {
            dials.push(dial.to_owned());
            let status = if dial == "10.0.0.1:9" { 500 } else { 200 };
            let response = http::Response::builder().status(status);
            Ok(response.body(Body::Empty).unwrap())
        });
        run(table.checks[0].probe(&world));
        drop(world);
        dials
    };
    assert_eq!(probe(&first), [""; 0]);
    set(&registry, "shop/api:80", &["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(probe(&first), ["10.0.0.1:9", "10.0.0.2:9"]);
    for _ in 0..8 {
        assert_eq!(serves(&first, "0"), "10.0.0.2:80");
        assert_eq!(serves(&first, "1"), "10.0.0.2:80");
    }
    set(&registry, "shop/api:80", &["10.0.0.1:80", "10.0.0.3:80"]);
    assert_eq!(serves(&first, "0"), "10.0.0.3:80", "the verdict stays");
    let second = table(&handlers[1..], &registry);
    assert!(
        Arc::ptr_eq(&first.checks[0], &second.checks[0]),
        "the round goes on"
    );
    drop(first);
    assert_eq!(
        serves(&second, "0"),
        "10.0.0.3:80",
        "the verdict outlives the table"
    );
    assert_eq!(probe(&second), ["10.0.0.1:9", "10.0.0.3:9"]);
}

#[test]
fn cookies_lead_back_while_others_come_and_go() {
    let policy = json!({"load_balancing": {"selection_policy": {"policy": "cookie", "fallback": {"policy": "first"}}}});
    let (proxy, registry) = lane(&["shop/api:80"], &policy);
    set(&registry, "shop/api:80", &["10.0.0.2:80"]);
    let world = Memory::new(|_, _| Ok(ok()));
    let mut first = exchange("GET /");
    assert_eq!(status(&proxy, &mut first, &world), 200);
    let cookie = first.response_headers["set-cookie"].to_str().unwrap();
    let pair = cookie.split(';').next().unwrap();
    let again = format!("GET /\nCookie: {pair}");
    set(
        &registry,
        "shop/api:80",
        &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"],
    );
    assert_eq!(
        sent(&proxy, &[&again, &again]).unwrap(),
        ["10.0.0.2:80", "10.0.0.2:80"]
    );
    set(&registry, "shop/api:80", &["10.0.0.3:80"]);
    assert_eq!(sent(&proxy, &[&again]).unwrap(), ["10.0.0.3:80"]);
}

#[test]
fn hashes_stay_while_others_come_and_go() {
    let policy = json!({"load_balancing": {"selection_policy": {"policy": "ip_hash"}}});
    let (proxy, registry) = lane(&["shop/api:80", "shop/web:80"], &policy);
    set(&registry, "shop/api:80", &["10.0.0.1:80", "10.0.0.2:80"]);
    set(&registry, "shop/web:80", &["10.0.0.3:80", "10.0.0.4:80"]);
    let chosen = sent(&proxy, &["GET /"]).unwrap().remove(0);
    let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
    for gone in all.iter().filter(|address| **address != chosen) {
        let without = |range: &[&'static str]| -> Vec<&str> {
            range.iter().copied().filter(|address| address != gone).collect()
        };
        set(&registry, "shop/api:80", &without(&all[..2]));
        set(&registry, "shop/web:80", &without(&all[2..]));
        check_sent(&proxy, &[&chosen]);
    }
}

#[track_caller]
fn check_tls(services: &[&str], tls: &Json, expected: Option<&str>) {
    let (proxy, registry) = lane(services, &json!({"transport": {"protocol": "http", "tls": tls}}));
    set(&registry, services[0], &["10.0.0.1:8443"]);
    let world = Memory::new(|dial, request| {
        assert_eq!(dial, "10.0.0.1:8443");
        assert_eq!(request.headers()["host"], "shop.test");
        Ok(ok())
    });
    assert_eq!(
        status(&proxy, &mut exchange("GET /\nHost: shop.test"), &world),
        200
    );
    let transport = world.transport.take().unwrap();
    let name = transport.tls.as_ref().map(|tls| {
        assert!(!tls.insecure_skip_verify);
        tls.server_name.as_deref().unwrap()
    });
    assert_eq!(name, expected, "{tls}");
}

#[test]
fn tls_verifies_the_name_of_the_service() {
    check_tls(&["shop/api:443"], &json!({}), Some("api.shop.svc"));
    check_tls(
        &["shop/api:443", "shop/web:443"],
        &json!({}),
        Some("api.shop.svc"),
    );
    check_tls(
        &["shop/api:443"],
        &json!({"server_name": "api.test"}),
        Some("api.test"),
    );
    check_tls(&["shop/api:80"], &json!({"except_ports": ["80"]}), None);
    check_tls(
        &["shop/api:443"],
        &json!({"except_ports": ["8443"]}),
        Some("api.shop.svc"),
    );
}

#[track_caller]
fn check_refused(config: Json, part: &str) {
    let config: Config = serde_json::from_value(config).unwrap();
    let error = config
        .compile(&mut Compiler::default())
        .expect_err(part)
        .to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn sources_that_cannot_be_are_refused() {
    check_refused(
        json!({"dynamic_upstreams": {"source": "srv"}}),
        "`dynamic` is not served",
    );
    check_refused(json!({"dynamic_upstreams": source(&[])}), "no Service");
    let twice = source(&["shop/api:80", "shop/web:80", "shop/api:80"]);
    check_refused(
        json!({"dynamic_upstreams": twice}),
        "Service shop/api:80 is named twice",
    );
    let both = json!({"dynamic_upstreams": source(&["a/b:1"]), "upstreams": [{"dial": "a:80"}]});
    check_refused(both, "both `upstreams` and `dynamic_upstreams`");
    let many: Vec<String> = (0..257).map(|number| format!("a/b:{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check_refused(
        json!({"dynamic_upstreams": source(&many)}),
        "more than 256 Services",
    );
    let policy = json!({"selection_policy": {"policy": "random_choose", "choose": 1}});
    check_refused(
        json!({"dynamic_upstreams": source(&["a/b:1"]), "load_balancing": policy}),
        "random_choose",
    );
}

/// Where a handler could send a request now.
fn dials(proxy: &ReverseProxy) -> Vec<String> {
    let Upstreams::Lane(lane) = &proxy.upstreams else {
        panic!("it has Services")
    };
    let pool = lane.pool();
    let upstreams = pool.members.upstreams.iter();
    upstreams.map(|upstream| upstream.text.to_string()).collect()
}

/// What the test below does next.
#[derive(Clone, Debug)]
enum Step {
    /// Endpoints of one of two Services.
    Set(usize, Vec<u8>),
    /// A request begins.
    Begin(usize),
    /// The oldest request ends.
    End,
    /// A config with another handler for the same Services is compiled, and its table dropped.
    Swap(bool),
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        (0..2usize, proptest::collection::vec(1..5u8, 0..5))
            .prop_map(|(service, hosts)| Step::Set(service, hosts)),
        (0..8usize).prop_map(Step::Begin),
        Just(Step::End),
        any::<bool>().prop_map(Step::Swap),
    ]
}

proptest::proptest! {
    /// Whatever comes and goes in whatever order, a handler sees the endpoints that were set last, in the order of its
    /// Services, and the requests that are under way to each.
    #[test]
    fn handlers_see_what_was_set_last(steps in proptest::collection::vec(step(), 1..40)) {
        let names = ["shop/api:80", "shop/web:80"];
        let mut compiler = Compiler::default();
        let registry = compiler.registry().clone();
        let first = compiled(&names, &json!({}), &mut compiler);
        let mut expected = [Vec::new(), Vec::new()];
        let mut under_way = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::Set(service, hosts) => {
                    let mut addresses: Vec<String> = hosts.iter().map(|host| format!("10.0.{service}.{host}:80")).collect();
                    let given: Vec<&str> = addresses.iter().map(String::as_str).collect();
                    assert!(set(&registry, names[service], &given));
                    addresses.sort();
                    addresses.dedup();
                    expected[service] = addresses;
                }
                Step::Begin(index) => {
                    let count = dials(&first).len();
                    if count > 0 {
                        let index = index % count;
                        under_way.push_back((dials(&first)[index].clone(), endpoint(&first, index).begin()));
                    }
                }
                Step::End => drop(under_way.pop_front()),
                Step::Swap(is_same) => {
                    let fields = if is_same { json!({}) } else { robin() };
                    let second = compiled(&names, &fields, &mut compiler);
                    assert_eq!(dials(&second), expected.concat());
                    registry.prune();
                }
            }
            let found = dials(&first);
            assert_eq!(found, expected.concat());
            for (index, dial) in found.iter().enumerate() {
                let requests = under_way.iter().filter(|(to, _)| to == dial).count();
                assert_eq!(endpoint(&first, index).requests(), requests, "{dial}");
            }
        }
    }
}
