//! The objects that tests apply, and what is read of them.

use serde_json::{Value, json};

/// The class that they name, which the program answers for.
pub(super) fn class() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "fairway"},
        "spec": {"controller": "fairway.dev/ingress-controller"},
    })
}

/// A CaddyRoute of the class of tests.
#[must_use]
pub fn caddy_route(name: &str, caddyfile: &str) -> Value {
    json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": name},
        "spec": {"ingressClassName": "fairway", "caddyfile": caddyfile},
    })
}

/// An Ingress that sends everything below a path of a host to a Service.
#[must_use]
pub fn ingress(name: &str, host: &str, path: &str, service: &str) -> Value {
    let backend = json!({"service": {"name": service, "port": {"name": "http"}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"ingressClassName": "fairway", "rules": [
            {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}},
        ]},
    })
}

/// `Type=Status Reason` of each condition, and whether all are of this generation.
#[must_use]
pub fn conditions(route: &Value) -> (Vec<String>, bool) {
    let list = route["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        format!(
            "{}={} {}",
            text(&one["type"]),
            text(&one["status"]),
            text(&one["reason"])
        )
    };
    let generation = &route["metadata"]["generation"];
    let is_current = list.iter().all(|one| one["observedGeneration"] == *generation);
    let is_current = is_current && route["status"]["observedGeneration"] == *generation;
    (list.iter().map(line).collect(), is_current)
}
