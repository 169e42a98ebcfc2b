//! Parts of a config that adapt, because their meaning is known, and that nothing here serves: each is refused by name.

use serde_json::Value as Json;

use super::CompileError;
use crate::config::{Config, Manager, Server};

impl CompileError {
    /// What a part of Caddy says that Fairway reads and does not have.
    pub(crate) fn not_served(name: &str) -> Self {
        Self::new(format!("`{name}` is not served by Fairway yet"))
    }
}

/// Looks at what belongs to no server.
pub(super) fn check(config: &Config) -> Result<(), CompileError> {
    let apps = &config.apps;
    if apps
        .tls
        .as_ref()
        .is_some_and(|tls| tls.encrypted_client_hello.is_some())
    {
        return Err(CompileError::not_served("ech").within("tls"));
    }
    let policies = apps.tls.iter().flat_map(|tls| &tls.automation);
    for policy in policies.flat_map(|automation| &automation.policies) {
        let is_asked = |manager: &Manager| !matches!(manager, Manager::Kubernetes { .. });
        let parts = [
            (policy.on_demand, "on_demand"),
            (policy.get_certificate.iter().any(is_asked), "get_certificate"),
        ];
        if let Some((_, name)) = parts.iter().find(|(is_set, _)| *is_set) {
            return Err(CompileError::not_served(name).within("tls"));
        }
    }
    if !list(apps.events.as_ref(), "subscriptions").is_empty() {
        return Err(CompileError::not_served("events"));
    }
    if !list(apps.filesystems.as_ref(), "filesystems").is_empty() {
        return Err(CompileError::not_served("filesystem"));
    }
    authorities(apps.pki.as_ref())
}

/// Looks at what a server has beside its routes.
pub(super) fn check_server(server: &Server) -> Result<(), CompileError> {
    let parts = [
        (
            server.expected_underscore_headers.is_some(),
            "expected_underscore_headers",
        ),
        (server.expected_dot_headers.is_some(), "expected_dot_headers"),
        (server.packet_conn_wrappers.is_some(), "packet_conn_wrappers"),
    ];
    match parts.iter().find(|(is_set, _)| *is_set) {
        Some((_, name)) => Err(CompileError::not_served(name)),
        None => Ok(()),
    }
}

/// An authority of one's own has no settings yet. That none is installed on the machine is always so.
fn authorities(pki: Option<&Json>) -> Result<(), CompileError> {
    let authorities = pki.and_then(|pki| pki.get("certificate_authorities")?.as_object());
    for (name, authority) in authorities.into_iter().flatten() {
        let settings = authority.as_object().into_iter().flatten();
        if let Some((key, _)) = settings.into_iter().find(|(key, _)| *key != "install_trust") {
            return Err(CompileError::not_served(key).within(name).within("pki"));
        }
    }
    Ok(())
}

fn list<'c>(app: Option<&'c Json>, key: &str) -> &'c [Json] {
    let list = app.and_then(|app| app.get(key)?.as_array());
    list.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(apps: &Json, expected: &str) {
        let config = Config::deserialize(json!({"apps": apps})).unwrap();
        let found = super::check(&config).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(found, expected, "{apps}");
    }

    #[test]
    fn each_is_refused_by_name() {
        check(&json!({}), "");
        check(
            &json!({"tls": {"encrypted_client_hello": {"configs": [{"public_name": "a.test"}]}}}),
            "tls: `ech` is not served by Fairway yet",
        );
        let policy = |policy: Json| json!({"tls": {"automation": {"policies": [policy]}}});
        check(&policy(json!({"subjects": ["a.test"]})), "");
        check(
            &policy(json!({"on_demand": true})),
            "tls: `on_demand` is not served by Fairway yet",
        );
        check(
            &policy(json!({"get_certificate": [{"via": "tailscale"}]})),
            "tls: `get_certificate` is not served by Fairway yet",
        );
        let secret = json!({"via": "kubernetes", "namespace": "a", "name": "b"});
        check(&policy(json!({"get_certificate": [secret]})), "");
        check(&json!({"events": {}}), "");
        check(
            &json!({"events": {"subscriptions": [{"events": ["x"]}]}}),
            ": `events` is not served by Fairway yet",
        );
        check(
            &json!({"caddy.filesystems": {"filesystems": [{"name": "x"}]}}),
            ": `filesystem` is not served by Fairway yet",
        );
        for name in ["expected_underscore_headers", "expected_dot_headers"] {
            let server = Server::deserialize(json!({name: ["X_A"]})).unwrap();
            let error = check_server(&server).unwrap_err();
            assert_eq!(error.message, format!("`{name}` is not served by Fairway yet"));
        }
        let pki = |authority: Json| json!({"pki": {"certificate_authorities": {"local": authority}}});
        check(&pki(json!({"install_trust": false})), "");
        check(
            &pki(json!({"name": "X"})),
            "pki: local: `name` is not served by Fairway yet",
        );
    }
}
