//! Every manifest below `examples/` is an object of its kind, without a field that a cluster would drop.

use std::fs;
use std::path::{Path, PathBuf};

use fairway_crds::CaddyRoute;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn every_manifest_says_what_its_kind_knows() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let manifests = manifests(&examples);
    assert!(!manifests.is_empty(), "there are examples");
    for path in manifests {
        let text = fs::read_to_string(&path).expect("a text");
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        assert!(!objects.is_empty(), "{} holds no object", path.display());
        for object in objects {
            let lost = lost(&object);
            assert_eq!(lost, None, "{}: {}", path.display(), object["metadata"]["name"]);
        }
    }
}

#[test]
fn what_a_cluster_would_drop_is_found() {
    let check = |object: Value, expected: Option<&str>| assert_eq!(lost(&object).as_deref(), expected);
    check(
        json!({"kind": "Service", "spec": {"ports": [{"port": 80}]}}),
        None,
    );
    check(
        json!({"kind": "Service", "spec": {"ports": [{"port": 80, "nane": "x"}]}}),
        Some("/spec/ports/0/nane"),
    );
    check(
        json!({"kind": "Service", "spec": {"ports": [{"port": "80"}]}}),
        Some("an object of its kind"),
    );
    check(
        json!({"apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {}, "spec": {"caddyfile": "x", "tsl": []}}),
        Some("/spec/tsl"),
    );
    check(json!({"kind": "Widget"}), Some("a kind that the examples use"));
}

/// The first field that gets lost when an object is read as its kind and written again.
fn lost(object: &Value) -> Option<String> {
    let again = match object["kind"].as_str() {
        Some("CaddyRoute") => again::<CaddyRoute>(object),
        Some("EndpointSlice") => again::<EndpointSlice>(object),
        Some("Ingress") => again::<Ingress>(object),
        Some("IngressClass") => again::<IngressClass>(object),
        Some("Namespace") => again::<Namespace>(object),
        Some("Service") => again::<Service>(object),
        _ => return Some("a kind that the examples use".to_owned()),
    };
    match again {
        Some(again) => missing(object, &again, ""),
        None => Some("an object of its kind".to_owned()),
    }
}

fn again<T: DeserializeOwned + Serialize>(object: &Value) -> Option<Value> {
    let typed: T = serde_json::from_value(object.clone()).ok()?;
    serde_json::to_value(typed).ok()
}

fn missing(before: &Value, after: &Value, path: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().find_map(|(name, value)| {
            let path = format!("{path}/{name}");
            match after.get(name) {
                Some(kept) => missing(value, kept, &path),
                None => Some(path),
            }
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let mut items = before.iter().zip(after).enumerate();
            items.find_map(|(index, (before, after))| missing(before, after, &format!("{path}/{index}")))
        }
        _ => (before != after).then(|| path.to_owned()),
    }
}

/// Every `….yaml` below a folder.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}
