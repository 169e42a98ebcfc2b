//! The kind `CaddyRoute` as a real API server has it: what it explains, prints, takes and refuses.

use std::process::Command;
use std::sync::OnceLock;

use fairway_tests::cluster::{Cluster, Namespace};
use serde_json::{Value, json};

/// The most characters that a text may have.
const MOST: usize = 131_072;

/// The cluster of these tests, which knows the kind: applied as old scripts do first, as newer ones do afterwards.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<&Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::shared();
        let printed = cluster.expect(&["apply", "-f", "-"], &definitions());
        assert!(printed.contains("caddyroutes.fairway.dev created"), "{printed}");
        let printed = cluster.expect(&["apply", "--server-side", "-f", "-"], &definitions());
        assert!(printed.contains("serverside-applied"), "{printed}");
        cluster.teach_kinds()
    })
}

fn definitions() -> String {
    let program = fairway_tests::fairway().expect("`make test` builds it");
    let printed = Command::new(program).arg("crd").output().expect("it starts");
    String::from_utf8(printed.stdout).expect("it prints text")
}

fn route(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": name}, "spec": spec})
}

/// Makes an object with this spec, and gives the spec as it is stored.
#[track_caller]
fn check(space: &Namespace, name: &str, spec: &Value) -> Value {
    if let Err(error) = space.create(&route(name, spec)) {
        panic!("{name} is refused: {error}");
    }
    space.get(&format!("cdr/{name}"))["spec"].clone()
}

/// The API server has this against a spec.
#[track_caller]
fn check_refused(space: &Namespace, spec: &Value, expected: &str) {
    let error = space.create(&route("refused", spec)).expect_err(expected);
    assert!(error.contains(expected), "{expected:?} is not in: {error}");
}

/// A spec with a certificate.
fn tls(tls: &Value) -> Value {
    json!({"caddyfile": "respond ok", "tls": tls})
}

#[test]
fn applying_the_kind_again_changes_nothing() {
    let cluster = cluster();
    let printed = |path: &str| cluster.expect(&["get", "crd/caddyroutes.fairway.dev", "-o", path], "");
    let generation = printed("jsonpath={.metadata.generation}");
    cluster.expect(&["apply", "-f", "-"], &definitions());
    cluster.expect(&["apply", "--server-side", "-f", "-"], &definitions());
    assert_eq!(printed("jsonpath={.metadata.generation}"), generation);
    let conditions = printed("jsonpath={.status.conditions[?(@.status==\"True\")].type}");
    let mut conditions: Vec<&str> = conditions.split(' ').collect();
    conditions.sort_unstable();
    assert_eq!(conditions, ["Established", "NamesAccepted"]);
}

#[test]
fn every_field_is_explained() {
    let explained = cluster().expect(&["explain", "caddyroute.spec"], "");
    for expected in [
        "caddyfile",
        "ingressClassName",
        "exportTo",
        "tls",
        "-required-",
        "snippets",
    ] {
        assert!(
            explained.contains(expected),
            "{expected:?} is not in: {explained}"
        );
    }
    let all = cluster().expect(&["explain", "caddyroute", "--recursive"], "");
    for expected in [
        "lastGood",
        "diagnostics",
        "observedGeneration",
        "secretName",
        "namedRoutes",
    ] {
        assert!(all.contains(expected), "{expected:?} is not in: {all}");
    }
}

#[test]
fn the_short_name_prints_columns() {
    let space = cluster().namespace("columns");
    check(
        &space,
        "shop",
        &json!({"caddyfile": "respond ok", "ingressClassName": "fairway"}),
    );
    let printed = space.kubectl(&["get", "cdr"], "");
    let head: Vec<&str> = printed
        .lines()
        .next()
        .expect("a head")
        .split_whitespace()
        .collect();
    assert_eq!(
        head,
        [
            "NAME",
            "HOSTS",
            "ACCEPTED",
            "PROGRAMMED",
            "READY",
            "REASON",
            "AGE"
        ]
    );
    assert!(printed.contains("shop"), "{printed}");
    let wide = space.kubectl(&["get", "fairway", "--output=wide"], "");
    assert!(wide.contains("CLASS") && wide.contains("fairway"), "{wide}");
}

#[test]
fn objects_are_found_by_their_class() {
    let space = cluster().namespace("class");
    check(
        &space,
        "ours",
        &json!({"caddyfile": "respond ok", "ingressClassName": "fairway"}),
    );
    check(
        &space,
        "other",
        &json!({"caddyfile": "respond ok", "ingressClassName": "other"}),
    );
    let found = space.kubectl(
        &[
            "get",
            "cdr",
            "--field-selector=spec.ingressClassName=fairway",
            "--output=name",
        ],
        "",
    );
    assert_eq!(found.trim(), "caddyroute.fairway.dev/ours");
}

#[test]
fn good_specs_are_taken() {
    let space = cluster().namespace("good");
    let least = json!({"caddyfile": "respond ok", "exportTo": [], "tls": []});
    assert_eq!(check(&space, "least", &json!({"caddyfile": "respond ok"})), least);
    // A template that leaves a field empty writes null; that is the same as leaving it out.
    let empty = json!({"caddyfile": "respond ok", "ingressClassName": null, "tls": null, "exportTo": null});
    assert_eq!(check(&space, "empty", &empty), least);
    let everybody = json!({"caddyfile": "respond ok", "exportTo": ["*"], "tls": []});
    assert_eq!(check(&space, "everybody", &everybody), everybody);
    let wildcard = json!([{"secretName": "a.b", "hosts": ["a.example.com", "*.example.com"]}]);
    let wildcard = json!({"caddyfile": "respond ok", "exportTo": [], "tls": wildcard});
    assert_eq!(check(&space, "wildcard", &wildcard), wildcard);
}

#[test]
fn the_largest_spec_is_taken() {
    let space = cluster().namespace("largest");
    let entry = |entry: usize| {
        let hosts: Vec<String> = (0..64)
            .map(|host| format!("h{entry}-{host}.example.com"))
            .collect();
        json!({"secretName": format!("s{entry}"), "hosts": hosts})
    };
    let largest = json!({
        "caddyfile": "\u{e4}".repeat(MOST),
        "tls": (0..64).map(entry).collect::<Vec<_>>(),
        "exportTo": (0..256).map(|number| format!("n{number}")).collect::<Vec<_>>(),
    });
    assert!(
        check(&space, "largest", &largest) == largest,
        "it is stored otherwise"
    );
}

#[test]
fn bad_specs_are_refused() {
    let space = cluster().namespace("bad");
    let text = |text: Value| json!({"caddyfile": text});
    check_refused(&space, &json!({}), "spec.caddyfile: Required value");
    check_refused(&space, &text(json!("")), "spec.caddyfile");
    check_refused(&space, &text(json!(" \n\t\n")), "must not be blank");
    check_refused(&space, &text(json!(1)), "spec.caddyfile");
    check_refused(
        &space,
        &text(json!("x".repeat(MOST + 1))),
        "spec.caddyfile: Too long",
    );
    let class = json!({"caddyfile": "respond ok", "ingressClassName": "Fairway"});
    check_refused(&space, &class, "spec.ingressClassName");
    let exports = |list: Value| json!({"caddyfile": "respond ok", "exportTo": list});
    check_refused(&space, &exports(json!(["a.b"])), "spec.exportTo[0]");
    check_refused(&space, &exports(json!(["*", "blog"])), "name no other beside it");
    check_refused(&space, &exports(json!(["a", "a"])), "Duplicate value");
    let hosts = |hosts: Value| tls(&json!([{"secretName": "s", "hosts": hosts}]));
    check_refused(&space, &hosts(json!(["https://a"])), "spec.tls[0].hosts[0]");
    check_refused(&space, &hosts(json!(["a", "a"])), "Duplicate value");
    check_refused(&space, &hosts(json!([])), "spec.tls[0].hosts");
    check_refused(
        &space,
        &tls(&json!([{"hosts": ["a"]}])),
        "spec.tls[0].secretName: Required value",
    );
    check_refused(
        &space,
        &tls(&json!([{"secretName": "Shop_TLS", "hosts": ["a"]}])),
        "spec.tls[0].secretName",
    );
    let twice = json!([{"secretName": "s", "hosts": ["a"]}, {"secretName": "s", "hosts": ["b"]}]);
    check_refused(&space, &tls(&twice), "Duplicate value");
    let mistyped = json!({"caddyfile": "respond ok", "caddyFile": "x"});
    check_refused(&space, &mistyped, "unknown field \"spec.caddyFile\"");
    assert_eq!(space.get("cdr")["items"], json!([]));
}

#[test]
fn a_status_is_taken_and_changes_no_generation() {
    let space = cluster().namespace("status");
    check(&space, "shop", &json!({"caddyfile": "respond ok"}));
    let status = json!({
        "observedGeneration": 1,
        "conditions": [condition("Accepted"), condition("Ready")],
        "hostSummary": "a.example",
        "hosts": [{"host": "a.example", "certificate": {"state": "Ready", "notAfter": "2026-08-01T00:00:00Z"}}, {"host": "*", "certificate": {"state": "None"}}],
        "exports": {"snippets": ["secure"], "namedRoutes": []},
        "diagnostics": [{"severity": "Warning", "code": "no-certificate", "field": "spec.caddyfile", "line": 1, "column": 1, "message": "x"}],
        "lastGood": last_good(31_072),
    });
    if let Err(error) = space.set_status(&with_status(&status)) {
        panic!("{error}");
    }
    let stored = space.get("cdr/shop");
    // Too long to be printed whole.
    for (name, value) in status.as_object().expect("it is one") {
        assert!(stored["status"][name] == *value, "status.{name} differs");
    }
    assert_eq!(stored["metadata"]["generation"], 1);
    let printed = space.kubectl(&["get", "cdr/shop", "--no-headers"], "");
    assert!(
        printed.contains("a.example") && printed.contains("Served"),
        "{printed}"
    );
}

#[test]
fn bad_statuses_are_refused() {
    let space = cluster().namespace("bad-status");
    check(&space, "shop", &json!({"caddyfile": "respond ok"}));
    let check_refused = |status: &Value, expected: &str| {
        let error = space.set_status(&with_status(status)).expect_err(expected);
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
    };
    check_refused(
        &json!({"conditions": [condition("Ready"), condition("Ready")]}),
        "duplicate",
    );
    check_refused(&json!({"hosts": [{"host": "a"}, {"host": "a"}]}), "duplicate");
    let diagnostic = json!({"severity": "Error", "code": "x", "field": "f", "line": 0, "message": "x"});
    check_refused(
        &json!({"diagnostics": [diagnostic]}),
        "status.diagnostics[0].line",
    );
    // One character more than fits.
    check_refused(&json!({"lastGood": last_good(31_073)}), "status.lastGood");
    assert_eq!(space.get("cdr/shop")["status"], Value::Null);
}

fn with_status(status: &Value) -> Value {
    json!({"apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": "shop"}, "status": status})
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Served", "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"})
}

/// A last good text, and that of an import of this length.
fn last_good(import: usize) -> Value {
    let import = json!({"namespace": "p", "name": "s", "caddyfile": "y".repeat(import)});
    json!({"generation": 1, "caddyfile": "x".repeat(100_000), "imports": [import]})
}
