//! Sites, snippets and named routes of CaddyRoutes.

use fairway_tests::manifests::upstream;
use serde_json::json;

use crate::Cluster;
use crate::objects::{changed, route, serving};

#[tokio::test]
async fn sites_of_an_object_answer_for_their_hosts() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let text = "http://a.test, http://www.a.test {\n\
                \thandle_path /api/* {\n\t\treverse_proxy web:http\n\t}\n\
                \thandle /gone {\n\t\terror 410\n\t}\n\
                \thandle {\n\t\trespond \"a {path}\"\n\t}\n\
                \thandle_errors {\n\t\trespond \"error {err.status_code}\"\n\t}\n}\n\
                http://*.b.test {\n\trespond \"b {labels.2}\"\n}\n\
                http://c.test {\n\theader X-C 1\n}\n";
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("route.yaml", &[route("shop/site", text)]),
    ])
    .await;
    cluster.judged("CaddyRoute", "shop/site", "Accepted").await;
    cluster
        .check(&[
            ("a.test", "/page", "200 a /page"),
            ("www.a.test", "/page", "200 a /page"),
            ("a.test", "/api/cart", "200 web sees /cart"),
            ("a.test", "/gone", "410 error 410"),
            ("x.b.test", "/", "200 b x"),
            ("b.test", "/", "404"),
            ("c.test", "/", "200"),
            ("d.test", "/", "404"),
        ])
        .await;
}

#[tokio::test]
async fn snippets_and_named_routes_are_shared_in_a_namespace() {
    let lib = "(hello) {\n\trespond /hello \"hello {args[0]}\"\n}\n&(api) {\n\trespond \"api {path}\"\n}";
    let site = |object: &str, host: &str, name: &str| {
        let text = format!(
            "http://{host} {{\n\troute {{\n\t\timport {name}hello you\n\t\tinvoke {name}api\n\t}}\n}}"
        );
        route(object, &text)
    };
    let exported = changed(route("shop/lib", lib), "/spec/exportTo", json!(["blog"]));
    let cluster = Cluster::start(&[
        ("lib.yaml", std::slice::from_ref(&exported)),
        (
            "sites.yaml",
            &[
                site("shop/one", "one.test", ""),
                site("shop/two", "two.test", "shop/"),
                site("blog/three", "three.test", "shop/"),
            ],
        ),
        ("thief.yaml", &[site("thief/four", "four.test", "shop/")]),
    ])
    .await;
    for host in ["one.test", "two.test", "three.test"] {
        cluster
            .check(&[
                (host, "/hello", "200 hello you"),
                (host, "/cart", "200 api /cart"),
            ])
            .await;
    }
    cluster.check(&[("four.test", "/cart", "503")]).await;
    cluster
        .judged(
            "CaddyRoute",
            "thief/four",
            "Unavailable: snippet-refused not-exported",
        )
        .await;

    // A change reaches all who use it; a grant that is revoked counts at once.
    let louder = lib.replace("api {path}", "API {path}");
    cluster.put("lib.yaml", &[route("shop/lib", &louder)]);
    cluster.becomes("one.test", "/cart", "200 API /cart").await;
    cluster
        .check(&[
            ("two.test", "/cart", "200 API /cart"),
            ("three.test", "/cart", "503"),
        ])
        .await;

    cluster.put("lib.yaml", &[exported]);
    cluster.becomes("three.test", "/cart", "200 api /cart").await;
}

#[tokio::test]
async fn a_broken_text_leaves_the_last_good_one_in_force() {
    let text = |body: &str| format!("http://a.test {{\n\t{body}\n}}");
    let cluster = Cluster::start(&[("route.yaml", &[route("shop/site", &text("respond first"))])]).await;
    cluster.check(&[("a.test", "/", "200 first")]).await;

    cluster.put("route.yaml", &[route("shop/site", &text("respnd second"))]);
    cluster
        .judged("CaddyRoute", "shop/site", "LastGood: unknown-directive")
        .await;
    cluster.check(&[("a.test", "/", "200 first")]).await;
    let verdict = cluster.program.verdict("CaddyRoute", "shop", "site").await;
    let verdict = verdict.unwrap();
    let finding = &verdict["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["column"]),
        (&json!(2), &json!(2)),
        "{verdict}"
    );

    cluster.put("route.yaml", &[route("shop/site", &text("respond third"))]);
    cluster.becomes("a.test", "/", "200 third").await;
    cluster.judged("CaddyRoute", "shop/site", "Accepted").await;

    // What breaks a rule has no last good text.
    cluster.put("route.yaml", &[route("shop/site", &text("file_server"))]);
    cluster
        .judged("CaddyRoute", "shop/site", "Unavailable: operator-only")
        .await;
    cluster.check(&[("a.test", "/", "503")]).await;
}
