//! Objects of the cluster, and what is said about them.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Objects as the text of one file.
pub(crate) fn documents(objects: &[Value]) -> String {
    let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
    texts.join("\n---\n") + "\n"
}

/// The class `fairway`.
pub(crate) fn class() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "fairway"},
        "spec": {"controller": "fairway.dev/ingress-controller"},
    })
}

/// A CaddyRoute, `namespace/name`.
pub(crate) fn route(object: &str, caddyfile: &str) -> Value {
    json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute",
        "metadata": metadata(object),
        "spec": {"ingressClassName": "fairway", "caddyfile": caddyfile},
    })
}

/// An Ingress with rules (or nothing but a default backend).
pub(crate) fn ingress(object: &str, spec: &Value) -> Value {
    let mut ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": metadata(object),
        "spec": spec,
    });
    ingress["spec"]["ingressClassName"] = "fairway".into();
    ingress
}

/// A rule: a host, and its paths.
pub(crate) fn rule(host: &str, paths: &[Value]) -> Value {
    json!({"host": host, "http": {"paths": paths}})
}

/// A path of a rule: `Prefix`, `/shop`, and the Service and port behind it: `web:80` or `web:http`.
pub(crate) fn path(kind: &str, path: &str, service: &str) -> Value {
    json!({"pathType": kind, "path": path, "backend": backend(service)})
}

/// A Service as a backend: `web:80` or `web:http`.
pub(crate) fn backend(service: &str) -> Value {
    let (name, port) = service.split_once(':').expect("name:port");
    let port = match port.parse::<u16>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    json!({"service": {"name": name, "port": port}})
}

/// A Service with the ports `http` (80) and `admin` (81).
pub(crate) fn service(object: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": metadata(object),
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
    })
}

/// Where the ports of a Service are on this machine.
pub(crate) fn slice(object: &str, http: SocketAddr, admin: SocketAddr) -> Value {
    let mut metadata = metadata(object);
    let (_, name) = object.split_once('/').expect("namespace/name");
    metadata["name"] = format!("{name}-1").into();
    metadata["labels"] = json!({"kubernetes.io/service-name": name});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": metadata,
        "ports": [{"name": "http", "port": http.port()}, {"name": "admin", "port": admin.port()}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    })
}

/// A Service and its only address.
pub(crate) fn serving(object: &str, address: SocketAddr) -> [Value; 2] {
    [service(object), slice(object, address, address)]
}

/// A Secret with a certificate and its key, in PEM.
pub(crate) fn secret(object: &str, certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": metadata(object),
        "stringData": {"tls.crt": certificate, "tls.key": key},
    })
}

/// An object with one thing changed: `changed(route, "/spec/tls", value)`. What is not there yet is made.
pub(crate) fn changed(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut object;
    for key in pointer.split('/').skip(1) {
        // Keys with a slash are written as in a JSON pointer.
        at = &mut at[key.replace("~1", "/")];
    }
    *at = value;
    object
}

/// A verdict in short: its state, and the codes of its findings.
pub(crate) fn judgement(verdict: Option<&Value>) -> String {
    let Some(verdict) = verdict else {
        return "none".to_owned();
    };
    let mut text = verdict["state"].as_str().unwrap_or_default().to_owned();
    let findings = verdict["findings"].as_array().into_iter().flatten();
    for (number, finding) in findings.enumerate() {
        text.push_str(if number == 0 { ": " } else { " " });
        text.push_str(finding["code"].as_str().unwrap_or_default());
    }
    text
}

fn metadata(object: &str) -> Value {
    let (namespace, name) = object.split_once('/').expect("namespace/name");
    json!({"namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"})
}
