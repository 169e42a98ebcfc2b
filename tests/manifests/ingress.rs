//! Hosts and paths of Ingresses.

use fairway_tests::manifests::upstream;
use serde_json::{Value, json};

use crate::Cluster;
use crate::objects::{backend, changed, ingress, path, route, rule, service, serving, slice};

/// Services of these names in the namespace `shop`, each answering with its name.
async fn services(names: &[&str]) -> Vec<Value> {
    let mut objects = Vec::new();
    for name in names {
        let address = upstream(name).await.unwrap();
        objects.extend(serving(&format!("shop/{name}"), address));
    }
    objects
}

#[tokio::test]
async fn the_longest_path_of_the_most_exact_host_answers() {
    let services = services(&["exact", "short", "long", "root", "wild", "any", "default"]).await;
    let rules = json!({"rules": [
        rule("", &[path("Prefix", "/any", "any:80")]),
        rule("*.test", &[path("Prefix", "/", "wild:80")]),
        rule("a.test", &[
            path("Prefix", "/", "root:80"),
            path("Prefix", "/shop", "short:80"),
            path("ImplementationSpecific", "/shop/cart", "long:80"),
            path("Exact", "/shop", "exact:80"),
        ]),
        rule("b.test", &[path("Exact", "/only", "exact:80")]),
    ]});
    let default = json!({"defaultBackend": backend("default:80")});
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        (
            "rules.yaml",
            &[ingress("shop/rules", &rules), ingress("shop/default", &default)],
        ),
    ])
    .await;
    cluster
        .check(&[
            ("a.test", "/shop", "200 exact sees /shop"),
            ("a.test", "/shop?q=1", "200 exact sees /shop?q=1"),
            ("a.test", "/shop/", "200 short sees /shop/"),
            ("a.test", "/shop/cartx", "200 short sees /shop/cartx"),
            ("a.test", "/shop/cart", "200 long sees /shop/cart"),
            ("a.test", "/shop/cart/1", "200 long sees /shop/cart/1"),
            ("a.test", "/shopping", "200 root sees /shopping"),
            ("a.test", "/", "200 root sees /"),
            ("A.Test", "/", "200 root sees /"),
            ("a.test:8080", "/", "200 root sees /"),
            // Paths are compared byte by byte.
            ("a.test", "/Shop", "200 root sees /Shop"),
            ("b.test", "/only", "200 exact sees /only"),
            ("b.test", "/other", "404"),
            ("c.test", "/shop", "200 wild sees /shop"),
            ("d.c.test", "/shop", "200 default sees /shop"),
            ("other.example", "/any/1", "200 any sees /any/1"),
            ("other.example", "/anyway", "200 default sees /anyway"),
        ])
        .await;
}

#[tokio::test]
async fn a_default_backend_takes_what_the_paths_of_its_hosts_leave() {
    let services = services(&["web", "rest"]).await;
    let spec = json!({
        "rules": [rule("a.test", &[path("Prefix", "/web", "web:80")])],
        "defaultBackend": backend("rest:80"),
    });
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("ingress.yaml", &[ingress("shop/web", &spec)]),
    ])
    .await;
    cluster
        .check(&[
            ("a.test", "/web", "200 web sees /web"),
            ("a.test", "/other", "200 rest sees /other"),
            ("b.test", "/other", "200 rest sees /other"),
        ])
        .await;
    cluster.folder.remove("ingress.yaml").unwrap();
    cluster.becomes("a.test", "/web", "404").await;
}

#[tokio::test]
async fn ports_are_known_by_number_and_name() {
    let (http, admin) = (upstream("http").await.unwrap(), upstream("admin").await.unwrap());
    let rules = json!({"rules": [rule("a.test", &[
        path("Exact", "/80", "web:80"),
        path("Exact", "/81", "web:81"),
        path("Exact", "/http", "web:http"),
        path("Exact", "/admin", "web:admin"),
        path("Exact", "/82", "web:82"),
        path("Exact", "/none", "none:80"),
    ])]});
    let cluster = Cluster::start(&[
        (
            "services.yaml",
            &[service("shop/web"), slice("shop/web", http, admin)],
        ),
        ("rules.yaml", &[ingress("shop/rules", &rules)]),
    ])
    .await;
    cluster
        .check(&[
            ("a.test", "/80", "200 http sees /80"),
            ("a.test", "/81", "200 admin sees /81"),
            ("a.test", "/http", "200 http sees /http"),
            ("a.test", "/admin", "200 admin sees /admin"),
            ("a.test", "/82", "503"),
            ("a.test", "/none", "503"),
        ])
        .await;
    cluster
        .judged(
            "Ingress",
            "shop/rules",
            "Accepted: port-not-found service-not-found",
        )
        .await;
}

#[tokio::test]
async fn a_path_may_point_at_a_named_route() {
    let resource =
        |name: &str| json!({"resource": {"apiGroup": "fairway.dev", "kind": "CaddyRoute", "name": name}});
    let with = |place: &str, name: &str| changed(path("Prefix", place, "web:80"), "/backend", resource(name));
    let rules = json!({"rules": [rule("a.test", &[
        with("/own", "lib"),
        with("/only", "single"),
        with("/missing", "missing"),
    ])]});
    let lib = "&(lib) {\n\trespond \"lib {path}\"\n}\n&(other) {\n\trespond other\n}";
    let cluster = Cluster::start(&[(
        "all.yaml",
        &[
            route("shop/lib", lib),
            route("shop/single", "&(one) {\n\trespond \"one {path}\"\n}"),
            ingress("shop/rules", &rules),
        ],
    )])
    .await;
    cluster
        .check(&[
            ("a.test", "/own/1", "200 lib /own/1"),
            ("a.test", "/only", "200 one /only"),
            ("a.test", "/missing", "503"),
        ])
        .await;
    cluster
        .judged("Ingress", "shop/rules", "PartiallyAccepted: unknown-backend")
        .await;
    cluster.put(
        "missing.yaml",
        &[route("shop/missing", "&(m) {\n\trespond found\n}")],
    );
    cluster.becomes("a.test", "/missing", "200 found").await;
}

#[tokio::test]
async fn the_older_object_keeps_a_host_and_the_younger_takes_over() {
    let services = services(&["web"]).await;
    let rules = json!({"rules": [rule("a.test", &[path("Prefix", "/", "web:80")])]});
    let old = ingress("shop/web", &rules);
    let young = changed(
        route("shop/site", "http://a.test {\n\trespond site\n}"),
        "/metadata/creationTimestamp",
        "2026-02-01T00:00:00Z".into(),
    );
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("old.yaml", &[old]),
        ("young.yaml", &[young]),
    ])
    .await;
    cluster.check(&[("a.test", "/", "200 web sees /")]).await;
    cluster
        .judged("CaddyRoute", "shop/site", "Refused: host-held-by")
        .await;
    cluster.folder.remove("old.yaml").unwrap();
    cluster.becomes("a.test", "/", "200 site").await;
    cluster.judged("CaddyRoute", "shop/site", "Accepted").await;
}
