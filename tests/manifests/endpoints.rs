//! Endpoints come and go without a swap.

use fairway_tests::manifests::{get, upstream};
use serde_json::json;

use crate::Cluster;
use crate::objects::{changed, ingress, path, route, rule, service, slice};

#[tokio::test]
async fn a_change_of_endpoints_is_served_without_a_swap() {
    let (old, new) = (upstream("old").await.unwrap(), upstream("new").await.unwrap());
    let rules = json!({"rules": [rule("a.test", &[path("Prefix", "/", "web:http")])]});
    let cluster = Cluster::start(&[
        (
            "objects.yaml",
            &[
                service("shop/web"),
                ingress("shop/web", &rules),
                route("shop/site", "http://b.test {\n\treverse_proxy web:http\n}"),
            ],
        ),
        ("slice.yaml", &[slice("shop/web", old, old)]),
    ])
    .await;
    cluster
        .check(&[
            ("a.test", "/", "200 old sees /"),
            ("b.test", "/", "200 old sees /"),
        ])
        .await;

    cluster.put("slice.yaml", &[slice("shop/web", new, new)]);
    cluster.becomes("a.test", "/", "200 new sees /").await;
    cluster.check(&[("b.test", "/", "200 new sees /")]).await;

    // Not ready and not serving: nobody is asked.
    let conditions = json!([{"addresses": ["127.0.0.1"], "conditions": {"ready": false}}]);
    cluster.put(
        "slice.yaml",
        &[changed(slice("shop/web", new, new), "/endpoints", conditions)],
    );
    cluster.becomes("a.test", "/", "503").await;
    cluster.put("slice.yaml", &[slice("shop/web", old, old)]);
    cluster.becomes("a.test", "/", "200 old sees /").await;

    let applied = cluster.program.logged("applied");
    assert!(applied.len() >= 3, "{applied:?}");
    for line in applied {
        assert_eq!(
            (&line["swapped"], &line["rendered"], &line["endpoints"]),
            (&json!(false), &json!(0), &json!(1)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_service_that_comes_later_is_found() {
    let web = upstream("web").await.unwrap();
    let cluster = Cluster::start(&[(
        "route.yaml",
        &[route("shop/site", "http://a.test {\n\treverse_proxy web:http\n}")],
    )])
    .await;
    cluster.check(&[("a.test", "/", "503")]).await;
    cluster
        .judged("CaddyRoute", "shop/site", "Accepted: service-not-found")
        .await;
    cluster.put(
        "service.yaml",
        &[service("shop/web"), slice("shop/web", web, web)],
    );
    cluster.becomes("a.test", "/", "200 web sees /").await;
    cluster.judged("CaddyRoute", "shop/site", "Accepted").await;
    // A Service that goes keeps its last addresses until its slices go.
    cluster.put("service.yaml", &[slice("shop/web", web, web)]);
    cluster
        .judged("CaddyRoute", "shop/site", "Accepted: service-not-found")
        .await;
    let answer = get(cluster.program.http, "a.test", "/").await.unwrap();
    assert_eq!(answer.body, "web sees /");
    cluster.folder.remove("service.yaml").unwrap();
    cluster.becomes("a.test", "/", "503").await;
}
