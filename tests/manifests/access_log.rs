//! `--access-log`: a line for each request, with the object and the upstream.

use std::collections::BTreeMap;

use fairway_tests::manifests::upstream;
use fairway_tests::wait_for;
use serde_json::{Value, json};

use crate::Cluster;
use crate::objects::{ingress, path, route, rule, service, slice};

/// Asks for all pages, and waits for a line about each; gives them by host and path.
async fn logged(cluster: &Cluster, pages: &[(&str, &str)]) -> BTreeMap<String, Value> {
    for (host, path) in pages {
        cluster.ask(host, path).await;
    }
    let lines = async || Some(cluster.program.printed()).filter(|lines| lines.len() >= pages.len());
    let lines = wait_for("the lines", lines).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |line: &Value| text(&line["request"]["host"]) + &text(&line["request"]["uri"]);
    lines.into_iter().map(|line| (name(&line), line)).collect()
}

#[tokio::test]
async fn each_request_tells_its_object_and_upstream() {
    let web = upstream("web").await.unwrap();
    let rules = json!({"rules": [rule("a.test", &[path("Prefix", "/", "web:http")])]});
    let site = "http://b.test {\n\tlog_append object Ingress/shop/web\n\tlog_append colour blue\n\tlog_skip /quiet\n\trespond hello 201\n}";
    let objects = [
        service("shop/web"),
        slice("shop/web", web, web),
        ingress("shop/web", &rules),
        route("shop/site", site),
    ];
    let cluster = Cluster::start_with(&[("objects.yaml", &objects)], &["--access-log"]).await;
    cluster.ask("b.test", "/quiet").await;
    let lines = logged(
        &cluster,
        &[("a.test", "/cart"), ("b.test", "/"), ("nobody.test", "/")],
    )
    .await;
    let told = |page: &str| {
        let line = &lines[page];
        assert_eq!(line["logger"], "http.log.access");
        [
            &line["status"],
            &line["object"],
            &line["upstream"],
            &line["colour"],
        ]
        .map(Clone::clone)
    };
    let port = format!("127.0.0.1:{}", web.port());
    assert_eq!(
        told("a.test/cart"),
        [json!(200), json!("Ingress/shop/web"), json!(port), Value::Null]
    );
    // Nobody passes for another.
    let [status, object, _, colour] = told("b.test/");
    assert_eq!(
        [status, object, colour],
        [json!(201), json!("CaddyRoute/shop/site"), json!("blue")]
    );
    assert_eq!(
        told("nobody.test/"),
        [json!(404), Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn without_the_flag_nothing_is_logged() {
    let objects = [route("shop/site", "http://b.test {\n\trespond hello\n}")];
    let cluster = Cluster::start(&[("objects.yaml", &objects)]).await;
    cluster.check(&[("b.test", "/", "200 hello")]).await;
    let Cluster {
        program,
        folder: _folder,
    } = cluster;
    assert!(program.printed().is_empty());
    program.stop().await.unwrap();
}
