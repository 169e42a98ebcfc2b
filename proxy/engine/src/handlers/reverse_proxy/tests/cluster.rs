//! `reverse_proxy` in the text of a cluster's object.

use std::rc::Rc;

use fairway_caddyfile::{Options, Origin, Source, Tier};

use super::*;
use crate::adapt::object::adapt_object;
use crate::cluster::{Cluster, Notice, ServiceName, ServicePort};

/// A cluster in which every Service but `secret` is there or not yet: `gone` is not, and has a warning.
struct Two;

impl Cluster for Two {
    fn service(
        &self,
        name: &ServiceName<'_>,
        from: &Origin,
    ) -> Result<(ServicePort, Option<Notice>), Notice> {
        let notice = |code: &'static str| Notice {
            code,
            message: format!("about `{}`", name.name),
            help: None,
        };
        if name.name == "secret" {
            return Err(notice("no-grant"));
        }
        let number = |port| if port == "http" { "80" } else { port };
        let port = ServicePort {
            namespace: name.namespace.or(from.namespace.as_deref()).unwrap().into(),
            name: name.name.into(),
            port: name.port.map_or("8080", number).into(),
        };
        let warning = (name.name == "gone").then(|| notice("service-not-found"));
        Ok((port, warning))
    }

    fn named_route(&self, _name: &str, _from: &Origin) -> Result<String, Notice> {
        unreachable!("nothing here invokes")
    }
}

fn operator() -> Arc<Origin> {
    Arc::new(Origin {
        tier: Tier::Operator,
        ..(*Origin::tenant("CaddyRoute fairway/operator", "fairway")).clone()
    })
}

fn tenant() -> Arc<Origin> {
    Origin::tenant("CaddyRoute shop/api", "shop")
}

/// The handler, if one was made, and the codes of all diagnostics.
fn adapted(origin: Arc<Origin>, line: &str) -> (Json, Vec<&'static str>) {
    let source = Source::new(origin, "spec.caddyfile", format!("a.test {{\n{line}\n}}\n"));
    let object = adapt_object(source, &Options::default(), Rc::new(Two));
    let codes = object
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    let routes = serde_json::to_value(&object.sites[0].routes).unwrap();
    let handler = routes.pointer("/0/handle/0").cloned();
    (handler.unwrap_or_default(), codes)
}

#[track_caller]
fn check_services(origin: Arc<Origin>, line: &str, services: &[&str]) -> Json {
    let (handler, codes) = adapted(origin, line);
    assert_eq!(codes, [""; 0], "{line}");
    assert_eq!(handler["upstreams"], Json::Null, "{line}");
    let source = &handler["dynamic_upstreams"];
    assert_eq!(source["source"], "kubernetes", "{line}");
    let found: Vec<ServicePort> = serde_json::from_value(source["services"].clone()).unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, services, "{line}");
    handler
}

#[track_caller]
fn check_refused(origin: Arc<Origin>, line: &str, codes: &[&str]) {
    assert_eq!(adapted(origin, line).1, codes, "{line}");
}

#[test]
fn upstreams_of_tenants_are_services() {
    let check = |line: &str, services: &[&str]| {
        check_services(tenant(), line, services);
    };
    check("reverse_proxy api", &["shop/api:8080"]);
    check("reverse_proxy /x/* api:http", &["shop/api:80"]);
    check("reverse_proxy api.web:81", &["web/api:81"]);
    check("reverse_proxy api.web.svc.cluster.local:81", &["web/api:81"]);
    check(
        "reverse_proxy api:1 {\nto api:2 web\nlb_policy first\n}",
        &["shop/api:1", "shop/api:2", "shop/web:8080"],
    );
}

#[test]
fn the_operator_names_services_in_its_namespace() {
    check_services(operator(), "reverse_proxy api:1", &["fairway/api:1"]);
    check_services(operator(), "reverse_proxy api.shop.svc:1", &["shop/api:1"]);
}

#[test]
fn the_operator_may_name_other_upstreams() {
    for (upstream, dial) in [
        ("localhost:9000", "localhost:9000"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("unix//run/a.sock", "unix//run/a.sock"),
        ("{http.request.host}:80", "{http.request.host}:80"),
        ("api.example.com:80", "api.example.com:80"),
        ("pod-0.db.shop.svc:80", "pod-0.db.shop.svc:80"),
    ] {
        let (handler, codes) = adapted(operator(), &format!("reverse_proxy {upstream}"));
        assert_eq!(codes, [""; 0], "{upstream}");
        assert_eq!(handler["upstreams"], json!([{"dial": dial}]));
        check_refused(tenant(), &format!("reverse_proxy {upstream}"), &["operator-only"]);
    }
}

#[test]
fn schemes_choose_the_transport() {
    let handler = check_services(tenant(), "reverse_proxy https://api", &["shop/api:8080"]);
    assert_eq!(handler["transport"], json!({"protocol": "http", "tls": {}}));
    let handler = check_services(tenant(), "reverse_proxy h2c://api:1", &["shop/api:1"]);
    assert_eq!(handler["transport"]["versions"], json!(["h2c", "2"]));
    let named = "reverse_proxy https://api:1 {\ntransport http {\ntls_server_name x.test\n}\n}";
    let handler = check_services(tenant(), named, &["shop/api:1"]);
    assert_eq!(handler["transport"]["tls"]["server_name"], "x.test");
    check_refused(
        tenant(),
        "reverse_proxy https://api web",
        &["conflicting-options"],
    );
}

#[test]
fn health_checks_are_of_endpoints() {
    let line = "reverse_proxy api {\nhealth_uri /h\nhealth_port 9\nfail_duration 1s\n}";
    let handler = check_services(tenant(), line, &["shop/api:8080"]);
    assert_eq!(
        handler["health_checks"]["active"],
        json!({"uri": "/h", "port": 9})
    );
}

#[test]
fn the_cluster_has_its_say() {
    check_refused(tenant(), "reverse_proxy secret:1", &["no-grant"]);
    let (handler, codes) = adapted(tenant(), "reverse_proxy gone:1");
    assert_eq!(codes, ["service-not-found"]);
    assert_eq!(handler["dynamic_upstreams"]["services"][0]["name"], "gone");
}

#[test]
fn tenants_cannot_lead_requests_elsewhere() {
    for line in [
        "reverse_proxy 169.254.169.254",
        "reverse_proxy api {\nto localhost:1\n}",
        "reverse_proxy api {\nhealth_uri /\nhealth_upstream 10.0.0.1:80\n}",
        "reverse_proxy {\ndynamic a 10.0.0.1 80\n}",
        "reverse_proxy {http.request.header.x}",
        "reverse_proxy api:80-90",
    ] {
        check_refused(tenant(), line, &["operator-only"]);
    }
}

#[test]
fn mixtures_are_refused() {
    for line in ["reverse_proxy api localhost:1", "reverse_proxy localhost:1 api"] {
        check_refused(operator(), line, &["conflicting-options"]);
    }
    check_refused(tenant(), "reverse_proxy api:80 api:http", &["duplicate-option"]);
    let many: Vec<String> = (1..=257).map(|port| format!("api:{port}")).collect();
    check_refused(
        tenant(),
        &format!("reverse_proxy {}", many.join(" ")),
        &["invalid-value"],
    );
}

#[test]
fn a_word_is_judged_by_who_wrote_it() {
    let line = "(up) {\nreverse_proxy {args[0]}:9000\n}\na.test {\nimport up localhost\n}\n";
    let source = Source::new(tenant(), "spec.caddyfile", line);
    let object = adapt_object(source, &Options::default(), Rc::new(Two));
    let codes: Vec<_> = object
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert_eq!(codes, ["operator-only"]);
}

#[test]
fn standalone_texts_know_no_services() {
    check(
        "reverse_proxy api:8080",
        &json!({"upstreams": [{"dial": "api:8080"}]}),
    );
}
