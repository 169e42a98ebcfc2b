//! `fairway run` as a controller of a real API server, from outside: what is applied is served, and told.
//!
//! Each test starts a replica of its own. All of them agree on one leader, which writes for all; a test that ends takes
//! its replica away, and another leads. So what is read back here was written by whoever leads just then.

use serde_json::Value;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fairway_tests::cluster::{
    Cluster, HOME, Namespace, Replica, Upstream, caddy_route, conditions, ingress, wait,
};
use serde_json::json;

/// How long is watched that something does not happen. A leader writes within a second.
const QUIET: Duration = Duration::from_secs(3);

/// The cluster of these tests, with our kinds and the class of these tests.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<&Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::shared().prepare())
}

/// Who leads, if anybody does.
fn holder(cluster: &Cluster) -> Option<String> {
    let lease = [
        "get",
        "leases",
        "--namespace",
        HOME,
        "--output=jsonpath={.items[*].spec.holderIdentity}",
    ];
    Some(cluster.expect(&lease, "").trim().to_owned()).filter(|holder| !holder.is_empty())
}

fn is_served(space: &Namespace, replica: &Replica, body: &str) {
    let host = format!("{}.test", space.name());
    replica.wait_for(&host, "/", 200, body);
}

#[test]
fn an_ingress_is_served_changed_and_taken_away() {
    let space = cluster().namespace("ingress");
    let replica = Replica::start(cluster());
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let host = format!("{}.test", space.name());
    assert_eq!(replica.http(&host, "/").expect("an answer").status, 404);

    space.serve("web", &blue);
    space.apply(&ingress("shop", &host, "/", "web").to_string());
    replica.wait_for(&host, "/cart", 200, "blue /cart");
    space.wait_for(
        "ingress/shop",
        "jsonpath={.status.loadBalancer.ingress[0].ip}=10.0.0.1",
    );

    // Only the endpoints change.
    space.point("web", Some(&green));
    replica.wait_for(&host, "/cart", 200, "green /cart");

    // Another path, another Service.
    space.serve("api", &blue);
    space.apply(&ingress("shop", &host, "/api", "api").to_string());
    replica.wait_for(&host, "/api/x", 200, "blue /api/x");
    replica.wait_for(&host, "/cart", 404, "");

    space.delete("ingress/shop");
    replica.wait_for(&host, "/api/x", 404, "");
}

/// The manifests of a page of the documentation.
fn manifests(page: &str) -> Vec<String> {
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned());
    blocks.filter(|block| block.contains("apiVersion:")).collect()
}

#[test]
fn manifests_of_the_documentation_are_taken_as_they_stand() {
    let _replica = Replica::start(cluster());
    let docs = fairway_tests::repository().join("docs");
    let mut routes = 0;
    for page in std::fs::read_dir(docs).expect("there are docs") {
        let page = page.expect("a page").path();
        if page.ends_with("diagnostics.md") {
            // Its manifests are wrong on purpose; tests/diagnostics.rs runs them.
            continue;
        }
        let page = std::fs::read_to_string(page).unwrap_or_default();
        for manifest in manifests(&page) {
            let shown = cluster().expect(
                &["create", "--dry-run=client", "--output=json", "-f", "-"],
                &manifest,
            );
            let object: Value = serde_json::from_str(&shown).expect("it prints JSON");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (
                text(&object["metadata"]["namespace"]),
                text(&object["metadata"]["name"]),
            );
            if !namespace.is_empty() {
                let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
                cluster().apply(&space.to_string()).expect("it is taken");
            }
            cluster()
                .apply(&manifest)
                .unwrap_or_else(|error| panic!("{error}\n{manifest}"));
            if object["kind"] == "CaddyRoute" {
                routes += 1;
                let space = Namespace::of(cluster(), &namespace);
                let route = format!("cdr/{name}");
                space.wait_for(&route, "condition=Accepted=True");
                let diagnostics = space.get(&route)["status"]["diagnostics"].clone();
                let mut diagnostics = diagnostics.as_array().into_iter().flatten();
                // A Secret that the page does not show is missing, and nothing else.
                assert!(
                    diagnostics.all(|one| one["severity"] != "Error" || one["code"] == "secret-not-found"),
                    "{:#}",
                    space.get(&route)
                );
            }
        }
    }
    assert!(routes > 0);
}

#[test]
fn a_service_without_endpoints_is_unavailable() {
    let space = cluster().namespace("empty");
    let replica = Replica::start(cluster());
    let blue = Upstream::start("blue");
    let host = format!("{}.test", space.name());
    space.serve("web", &blue);
    space.apply(&ingress("shop", &host, "/", "web").to_string());
    replica.wait_for(&host, "/", 200, "blue /");
    space.point("web", None);
    replica.wait_for(&host, "/", 503, "");
    space.point("web", Some(&blue));
    replica.wait_for(&host, "/", 200, "blue /");
}

#[test]
fn a_caddy_route_is_served_and_told_ready() {
    let space = cluster().namespace("route");
    let replica = Replica::start(cluster());
    let blue = Upstream::start("blue");
    let host = format!("{}.test", space.name());
    space.serve("web", &blue);
    let text = format!(
        "{host} {{\n\thandle_path /api/* {{\n\t\treverse_proxy web:http\n\t}}\n\trespond hello\n}}\n"
    );
    space.apply(&caddy_route("shop", &text).to_string());
    space.wait_for("cdr/shop", "condition=Ready");
    replica.wait_for(&host, "/api/cart", 200, "blue /cart");
    replica.wait_for(&host, "/", 200, "hello");
    let stored = space.get("cdr/shop");
    let expected = [
        "Accepted=True Accepted",
        "Programmed=True Programmed",
        "Ready=True Ready",
    ];
    assert_eq!(conditions(&stored), (expected.map(str::to_owned).to_vec(), true));
    assert_eq!(stored["status"]["hosts"][0]["host"], json!(host));
    assert!(space.kubectl(&["get", "cdr"], "").contains(&host));

    space.apply(&caddy_route("shop", &text.replace("hello", "goodbye")).to_string());
    is_served(&space, &replica, "goodbye");
    space.wait_until("cdr/shop", |stored| {
        stored["status"]["observedGeneration"] == 2
            && conditions(stored) == (expected.map(str::to_owned).to_vec(), true)
    });

    space.delete("cdr/shop");
    replica.wait_for(&host, "/", 404, "");
}

#[test]
fn a_broken_text_is_told_while_the_last_good_one_serves() {
    let space = cluster().namespace("broken");
    let replica = Replica::start(cluster());
    let host = format!("{}.test", space.name());
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond good\n}}\n")).to_string());
    is_served(&space, &replica, "good");
    space.wait_for("cdr/shop", "condition=Ready");

    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespnd bad\n}}\n")).to_string());
    space.wait_for("cdr/shop", "condition=Accepted=False");
    let stored = space.get("cdr/shop");
    let expected = [
        "Accepted=False UnknownDirective",
        "Programmed=False LastGood",
        "Ready=False UnknownDirective",
    ];
    assert_eq!(conditions(&stored), (expected.map(str::to_owned).to_vec(), true));
    let diagnostic = &stored["status"]["diagnostics"][0];
    assert_eq!(
        (
            &diagnostic["severity"],
            &diagnostic["code"],
            &diagnostic["line"],
            &diagnostic["column"]
        ),
        (&json!("Error"), &json!("unknown-directive"), &json!(2), &json!(2)),
        "{diagnostic}"
    );
    assert_eq!(diagnostic["help"], "did you mean `respond`?");
    is_served(&space, &replica, "good");
    // One that never saw the good text finds it in the status.
    is_served(&space, &Replica::start(cluster()), "good");
    space.wait_until("events", |events| {
        let mut events = events["items"].as_array().into_iter().flatten();
        events.any(|event| {
            event["reason"] == "UnknownDirective"
                && event["type"] == "Warning"
                && event["involvedObject"]["name"] == "shop"
                && event["message"].as_str().is_some_and(|note| note.contains("2:2"))
        })
    });

    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond mended\n}}\n")).to_string());
    is_served(&space, &replica, "mended");
    space.wait_for("cdr/shop", "condition=Ready");
    let stored = space.get("cdr/shop");
    let mut diagnostics = stored["status"]["diagnostics"].as_array().into_iter().flatten();
    assert!(
        diagnostics.all(|diagnostic| diagnostic["severity"] != "Error"),
        "{stored:#}"
    );
}

#[test]
fn a_broken_neighbour_changes_nothing() {
    let space = cluster().namespace("neighbour");
    let replica = Replica::start(cluster());
    let host = format!("{}.test", space.name());
    space.apply(&caddy_route("broken", "broken.test {\n\tnonsense\n").to_string());
    space.wait_for("cdr/broken", "condition=Accepted=False");
    space.apply(&caddy_route("good", &format!("{host} {{\n\trespond good\n}}\n")).to_string());
    is_served(&space, &replica, "good");
    space.wait_for("cdr/good", "condition=Ready");
}

#[test]
fn a_certificate_of_a_secret_is_served_and_renewed() {
    let space = cluster().namespace("tls");
    let replica = Replica::start(cluster());
    let blue = Upstream::start("blue");
    let host = format!("{}.test", space.name());
    space.serve("web", &blue);
    let first = space.certify("shop-tls", &host);
    let mut object = ingress("shop", &host, "/", "web");
    object["spec"]["tls"] = json!([{"hosts": [host], "secretName": "shop-tls"}]);
    space.apply(&object.to_string());
    replica.wait_for_https(&host, "/cart", &first, 200, "blue /cart");
    let redirect = replica.http(&host, "/cart").expect("an answer");
    assert_eq!(redirect.status, 308);
    let location = format!("location: https://{host}/cart");
    assert!(
        redirect.head.to_lowercase().contains(&location),
        "{}",
        redirect.head
    );

    // Whoever trusts the new authority alone sees that the certificate is a new one.
    let second = space.certify("shop-tls-2", &host);
    assert!(replica.https(&host, "/cart", &second).is_err());
    object["spec"]["tls"][0]["secretName"] = json!("shop-tls-2");
    space.apply(&object.to_string());
    replica.wait_for_https(&host, "/cart", &second, 200, "blue /cart");
    let third = space.certify("shop-tls-2", &host);
    replica.wait_for_https(&host, "/cart", &third, 200, "blue /cart");
}

#[test]
fn a_deleted_namespace_takes_its_sites_along() {
    let space = cluster().with_controllers().namespace("gone");
    let replica = Replica::start(cluster());
    let host = format!("{}.test", space.name());
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond here\n}}\n")).to_string());
    is_served(&space, &replica, "here");
    cluster().expect(&["delete", "namespace", space.name(), "--timeout=120s"], "");
    replica.wait_for(&host, "/", 404, "");
}

#[test]
fn it_needs_no_more_than_its_rights() {
    let space = cluster().namespace("rights");
    let replica = Replica::start(cluster());
    let host = format!("{}.test", space.name());
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond here\n}}\n")).to_string());
    space.wait_for("cdr/shop", "condition=Ready");
    is_served(&space, &replica, "here");
    let log = replica.log();
    assert!(!log.contains("forbidden"), "{log}");
    // It had these rights alone.
    let may = |verb: &str, kind: &str| {
        let user = format!("--as=system:serviceaccount:{HOME}:fairway");
        cluster()
            .kubectl(&["auth", "can-i", verb, kind, "--all-namespaces", &user], "")
            .is_ok()
    };
    assert!(may("list", "secrets") && may("watch", "caddyroutes.fairway.dev"));
    for (verb, kind) in [
        ("create", "secrets"),
        ("update", "caddyroutes.fairway.dev"),
        ("patch", "ingresses"),
        ("get", "leases"),
    ] {
        assert!(!may(verb, kind), "it may {verb} {kind}");
    }
}

#[test]
fn one_replica_writes_and_another_takes_over() {
    // Alone: who leads is what this is about.
    let cluster = Cluster::start();
    cluster.prepare();
    let space = cluster.namespace("leader");
    let host = format!("{}.test", space.name());
    let mut first = Replica::start(&cluster);
    let leader = wait("a leader", || holder(&cluster).ok_or_else(|| "nobody".to_owned()));
    let second = Replica::start(&cluster);
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond one\n}}\n")).to_string());
    is_served(&space, &first, "one");
    is_served(&space, &second, "one");
    space.wait_for("cdr/shop", "condition=Ready");

    // What all agree on is written once, and nobody writes it again.
    let version = |space: &Namespace| space.get("cdr/shop")["metadata"]["resourceVersion"].clone();
    let settled = version(&space);
    let begun = Instant::now();
    while begun.elapsed() < QUIET {
        assert_eq!(version(&space), settled);
    }
    assert_eq!(holder(&cluster), Some(leader.clone()));

    // The lease is let go at once, and does not have to run out.
    first.ask_to_end();
    assert!(first.wait_for_end().success());
    assert_ne!(holder(&cluster), Some(leader.clone()));
    wait("another leader", || {
        holder(&cluster)
            .filter(|holder| *holder != leader)
            .ok_or_else(|| leader.clone())
    });
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond two\n}}\n")).to_string());
    is_served(&space, &second, "two");
    space.wait_until("cdr/shop", |stored| stored["status"]["observedGeneration"] == 2);
}
