//! Directives in annotations of an Ingress.

use fairway_tests::manifests::{get, upstream};
use serde_json::json;

use crate::Cluster;
use crate::objects::{changed, ingress, path, route, rule, serving};

const IMPORT: &str = "/metadata/annotations/fairway.dev~1import";
const CADDYFILE: &str = "/metadata/annotations/fairway.dev~1caddyfile";

#[tokio::test]
async fn directives_of_annotations_act_before_the_backends() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let lib = route(
        "shop/lib",
        "(secure) {\n\theader X-Safe yes\n}\n(old) {\n\tredir /old /new 301\n}",
    );
    let spec = json!({"rules": [rule("a.test", &[path("Prefix", "/", "web:http")])]});
    let plain = ingress("shop/web", &spec);
    let imports = changed(plain.clone(), IMPORT, "secure, old".into());
    let both = changed(
        imports.clone(),
        CADDYFILE,
        "rewrite /here /there\nrespond /teapot 418\n".into(),
    );
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("lib.yaml", &[lib]),
        ("ingress.yaml", &[both]),
    ])
    .await;
    cluster.judged("Ingress", "shop/web", "Accepted").await;
    cluster
        .check(&[
            ("a.test", "/page", "200 web sees /page"),
            ("a.test", "/old", "301"),
            ("a.test", "/here", "200 web sees /there"),
            ("a.test", "/teapot", "418"),
        ])
        .await;
    let answer = get(cluster.program.http, "a.test", "/").await.unwrap();
    assert_eq!(answer.header("x-safe"), "yes");

    cluster.put("ingress.yaml", &[imports]);
    cluster.becomes("a.test", "/teapot", "200 web sees /teapot").await;
    cluster.check(&[("a.test", "/old", "301")]).await;

    cluster.put("ingress.yaml", &[plain]);
    cluster.becomes("a.test", "/old", "200 web sees /old").await;
}

#[tokio::test]
async fn a_broken_annotation_answers_503_and_never_the_backend_alone() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let spec = json!({"rules": [rule("a.test", &[path("Prefix", "/", "web:http")])]});
    let good = ingress("shop/web", &spec);
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("ingress.yaml", std::slice::from_ref(&good)),
    ])
    .await;
    cluster.check(&[("a.test", "/", "200 web sees /")]).await;
    for (annotation, value, code) in [
        (IMPORT, "secure", "unknown-snippet"),
        (IMPORT, "secure}", "invalid-value"),
        (CADDYFILE, "basic_auth {\n", "unclosed-block"),
        (CADDYFILE, "respnd 1\n", "unknown-directive"),
        (CADDYFILE, "file_server\n", "operator-only"),
        (CADDYFILE, "@x path_regexp (\nrespond @x 403\n", "not-servable"),
    ] {
        cluster.put("ingress.yaml", &[changed(good.clone(), annotation, value.into())]);
        cluster
            .judged("Ingress", "shop/web", &format!("Unavailable: {code}"))
            .await;
        cluster.check(&[("a.test", "/", "503")]).await;
        cluster.put("ingress.yaml", std::slice::from_ref(&good));
        cluster.becomes("a.test", "/", "200 web sees /").await;
    }
}
