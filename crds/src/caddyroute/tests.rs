//! What the schema of the kind must hold, whatever fields come to it.

use regex::Regex;
use serde_json::Value;

use super::*;
use crate::yaml::definition;

/// An object with every field of the kind.
const FULL: &str = r"
apiVersion: fairway.dev/v1alpha1
kind: CaddyRoute
metadata: {name: shop, namespace: shop, generation: 4}
spec:
  ingressClassName: fairway
  caddyfile: |
    shop.example.com {
      reverse_proxy web:http
    }
  tls:
  - {hosts: [shop.example.com, '*.shop.example.com'], secretName: shop-tls}
  exportTo: [blog]
status:
  observedGeneration: 4
  conditions:
  - type: Ready
    status: 'False'
    reason: TextBroken
    message: 'shop/shop:2:3: unknown directive'
    lastTransitionTime: '2026-05-01T10:00:00Z'
    observedGeneration: 4
  hostSummary: shop.example.com
  hosts:
  - host: shop.example.com
    certificate:
      state: LastLoaded
      secretName: shop-tls
      notAfter: '2026-08-01T00:00:00Z'
      message: the Secret `shop-tls` is gone
  exports: {snippets: [secure], namedRoutes: [api]}
  diagnostics:
  - severity: Error
    code: unknown-directive
    field: spec.caddyfile
    object: platform/secure
    line: 2
    column: 3
    endLine: 2
    endColumn: 16
    message: there is no directive `reverse_prxy`
    help: did you mean `reverse_proxy`?
    notes: [imported at line 1]
  lastGood:
    generation: 3
    caddyfile: respond ok
    imports:
    - {namespace: platform, name: secure, caddyfile: '(secure) { }'}
";

#[test]
fn a_full_object_comes_back_as_it_was() {
    let read: Value = serde_saphyr::from_str(FULL).expect("YAML");
    let typed: CaddyRoute = serde_json::from_value(read.clone()).expect("an object of the kind");
    assert_eq!(serde_json::to_value(&typed).expect("JSON"), read);
    assert_eq!(crate::unknown_fields(&read), Vec::<String>::new());
}

#[test]
fn the_full_object_shows_every_field() {
    let read: Value = serde_saphyr::from_str(FULL).expect("YAML");
    for (path, _) in fields() {
        let place = path
            .split('.')
            .try_fold(&read, |value, step| match step.strip_suffix("[]") {
                Some(list) => value.get(list)?.get(0),
                None => value.get(step),
            });
        assert!(place.is_some(), "the example has no {path}");
    }
}

#[test]
fn every_field_is_explained() {
    for (path, schema) in fields().into_iter().filter(|(path, _)| !path.ends_with("[]")) {
        let text = schema["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{path}: {text:?}");
    }
}

#[test]
fn everything_is_bounded() {
    for (path, schema) in fields() {
        match schema["type"].as_str() {
            Some("string") => {
                let closed = schema.get("enum").is_some() || schema["format"] == "date-time";
                assert!(closed || schema["maxLength"].is_u64(), "{path} has any length");
            }
            Some("array") => {
                assert!(schema["maxItems"].is_u64(), "{path} has any length");
                assert!(
                    schema["x-kubernetes-list-type"].is_string(),
                    "{path} is merged somehow"
                );
            }
            Some("integer") => {
                assert!(schema["minimum"].is_u64(), "{path} may be negative");
                assert!(
                    ["int32", "int64"].map(Value::from).contains(&schema["format"]),
                    "{path}"
                );
            }
            Some("object") => {
                assert!(schema["properties"].is_object(), "{path} may hold anything");
                assert!(
                    schema.get("x-kubernetes-preserve-unknown-fields").is_none(),
                    "{path}"
                );
                assert!(schema.get("additionalProperties").is_none(), "{path}");
            }
            other => panic!("{path} is of type {other:?}"),
        }
    }
}

#[test]
fn keys_of_lists_are_required() {
    for (path, schema) in fields() {
        for key in schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let required = schema["items"]["required"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            assert!(required.contains(key), "{path}: {key}");
        }
    }
}

#[test]
fn bounds_are_those_that_we_name() {
    let check = |path: &str, bound: &str, expected: usize| {
        assert_eq!(
            at(path)[bound].as_u64(),
            Some(expected as u64),
            "{bound} of {path}"
        );
    };
    check("spec.caddyfile", "maxLength", bounds::CADDYFILE);
    check("spec.caddyfile", "minLength", 1);
    check("spec.tls", "maxItems", bounds::TLS);
    check("spec.tls[].hosts", "maxItems", bounds::TLS);
    check("spec.tls[].hosts", "minItems", 1);
    check("spec.exportTo", "maxItems", bounds::EXPORT_TO);
    check("spec.exportTo[]", "maxLength", bounds::LABEL);
    check(
        "status.conditions[].message",
        "maxLength",
        bounds::CONDITION_MESSAGE,
    );
    check("status.diagnostics", "maxItems", bounds::DIAGNOSTICS);
    check("status.diagnostics[].message", "maxLength", bounds::MESSAGE);
    check("status.lastGood.caddyfile", "maxLength", bounds::CADDYFILE);
}

#[test]
fn names_are_held_by_patterns() {
    let label = "a".repeat(63);
    let long = "a".repeat(64);
    check(
        "spec.ingressClassName",
        &["fairway", "fairway.dev", "a-1", &long],
        &["", "Fairway", "a_b", "-a", "a.", "a b", "a\n"],
    );
    check(
        "spec.tls[].secretName",
        &["shop-tls", "shop.tls", "1"],
        &["", "Shop", "shop/tls", ".a", "a..b", "*"],
    );
    check(
        "spec.tls[].hosts[]",
        &[
            "localhost",
            "shop.example.com",
            "*.example.com",
            "xn--bcher-kva.example",
            "10.0.0.1",
            &label,
        ],
        &[
            "",
            "*",
            "a.*.b",
            "**.a",
            "*a.b",
            "Shop.example",
            "a:443",
            "https://a",
            "a/",
            "bücher.example",
            "a_b",
            "a.",
            &long,
        ],
    );
    check(
        "spec.exportTo[]",
        &["*", "blog", "a-1", &label],
        &["", "**", "a.b", "Blog", "-a", "a-", "a,b", &long],
    );
    check(
        "status.diagnostics[].code",
        &["not-yet", "x"],
        &["", "Not-Yet", "a--b", "-a", "a_b"],
    );
    check(
        "status.diagnostics[].severity",
        &["Error", "Warning"],
        &["", "error", "Not Good"],
    );
    check(
        "status.hosts[].certificate.state",
        &["None", "LastLoaded"],
        &["", "none", "Last-Loaded"],
    );
    check(
        "status.conditions[].type",
        &["Ready", "fairway.dev/Ready"],
        &["", "/Ready", "Ready/"],
    );
    check(
        "status.conditions[].reason",
        &["Served", "A_b,c:D"],
        &["", "not served", "1", "A:"],
    );
    check(
        "status.lastGood.imports[].namespace",
        &["platform", &label],
        &["", "*", "a.b", "A", &long],
    );
}

#[test]
fn the_least_object_is_a_text() {
    let read = |text: &str| serde_json::from_str::<CaddyRouteSpec>(text);
    let least = CaddyRouteSpec {
        caddyfile: "x".into(),
        ..CaddyRouteSpec::default()
    };
    assert_eq!(read(r#"{"caddyfile": "x"}"#).expect("a spec"), least);
    assert_eq!(
        read(r#"{"caddyfile": "x", "newer": 1, "ingressClassName": null}"#).expect("a spec"),
        least
    );
    assert!(read("{}").is_err());
    assert!(read(r#"{"caddyfile": 1}"#).is_err());
    assert!(read(r#"{"caddyfile": "x", "tls": [{"hosts": ["a"]}]}"#).is_err());
}

/// Checks a pattern, with the lengths beside it, against values that it must take and such that it must refuse.
#[track_caller]
fn check(path: &str, taken: &[&str], refused: &[&str]) {
    let schema = at(path);
    let pattern = Regex::new(schema["pattern"].as_str().expect("a pattern")).expect("an expression");
    let most = schema["maxLength"].as_u64().expect("a bound") as usize;
    let takes = |value: &str| value.chars().count() <= most && pattern.is_match(value);
    for value in taken {
        assert!(takes(value), "{path} refuses {value:?}");
    }
    for value in refused {
        assert!(!takes(value), "{path} takes {value:?}");
    }
}

fn at(path: &str) -> Value {
    let found = fields().into_iter().find(|(known, _)| known == path);
    found.unwrap_or_else(|| panic!("there is no {path}")).1
}

/// Every field below `spec` and `status`, and every item of a list (`spec.tls[]`), with its schema.
fn fields() -> Vec<(String, Value)> {
    let schema = &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut open = vec![(String::new(), schema.clone())];
    let mut found = Vec::new();
    while let Some((path, schema)) = open.pop() {
        let dot = if path.is_empty() { "" } else { "." };
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            open.push((format!("{path}{dot}{name}"), below.clone()));
        }
        if let Some(items) = schema.get("items") {
            open.push((format!("{path}[]"), items.clone()));
        }
        if !path.is_empty() {
            found.push((path, schema));
        }
    }
    found
}
