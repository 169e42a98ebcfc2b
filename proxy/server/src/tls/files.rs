//! The files that a config's TLS is made of.

use std::path::Path;

use fairway_engine::config::Config;
use serde_json::Value as Json;

/// The files that are read when TLS is made of this config: certificates, their keys, and authorities that vouch for
/// clients. Whoever follows them knows when it would come out differently.
pub fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let loaders = config.apps.tls.iter().flat_map(|tls| &tls.certificates);
    let pairs = loaders.filter_map(|loaders| loaders.get("load_files"));
    let pairs = pairs.filter_map(Json::as_array).flatten();
    let pairs = pairs.flat_map(|pair| [pair.get("certificate"), pair.get("key")]);
    let servers = config.apps.http.iter().flat_map(|http| http.servers.values());
    let policies = servers.flat_map(|server| server.tls_connection_policies.iter().flatten());
    let authorities = policies.filter_map(|policy| policy.client_authentication.as_ref());
    let authorities = authorities.flat_map(|settings| {
        let pool = settings.get("ca").and_then(|pool| pool.get("pem_files"));
        [settings.get("trusted_ca_certs_pem_files"), pool]
    });
    let authorities = authorities.flatten().filter_map(Json::as_array).flatten();
    let all = pairs.flatten().chain(authorities);
    all.filter_map(Json::as_str).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_files_are_named() {
        let config = serde_json::from_value(json!({ "apps": {
            "http": { "servers": { "srv0": { "tls_connection_policies": [
                {},
                { "client_authentication": { "trusted_ca_certs_pem_files": ["a.pem"] } },
                { "client_authentication": { "ca": { "provider": "file", "pem_files": ["b.pem", "c.pem"] } } },
            ] } } },
            "tls": { "certificates": {
                "automate": ["a.example"],
                "load_files": [{ "certificate": "d.pem", "key": "d.key" }, { "certificate": "e.pem" }],
                "load_pem": [{ "certificate": "text", "key": "text" }],
            } },
        } }));
        let config: Config = config.unwrap();
        let found: Vec<&str> = files(&config).filter_map(Path::to_str).collect();
        assert_eq!(found, ["d.pem", "d.key", "e.pem", "a.pem", "b.pem", "c.pem"]);
        assert_eq!(files(&Config::default()).count(), 0);
    }
}
