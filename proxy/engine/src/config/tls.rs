//! `apps.tls`: certificates, and how they are come by.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Loaders by name: `automate`, `load_files`, `load_pem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<IndexMap<String, Json>>,
    /// How certificates are got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automation: Option<Automation>,
    /// The certificate cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Json>,
    /// OCSP responses are not fetched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_ocsp_stapling: bool,
    /// Storage is not checked at start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_storage_check: bool,
    /// Storage is not cleaned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_storage_clean: bool,
    /// DNS resolvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolvers: Option<Vec<String>>,
    /// The names that clients show in the open, instead of the one that they mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_client_hello: Option<Json>,
    /// The default DNS provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Json>,
}

/// How certificates are got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Automation {
    /// The first that names a subject is for it; one without subjects is for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Certificates at the first handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<Json>,
    /// How often OCSP responses are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp_interval: Option<Json>,
    /// How often certificates are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_interval: Option<Json>,
    /// How often storage is cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_clean_interval: Option<Json>,
}

/// How the certificates of some subjects are got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Which; empty: all others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// From whom, in order: `{"module": "internal"}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<Json>,
    /// Who has them already. One that names a Secret needs no issuer, and may have none; without subjects it is the
    /// certificate of all names that have no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub get_certificate: Vec<Manager>,
    /// Ask for the must-staple extension.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub must_staple: bool,
    /// The part of the lifetime that is left when it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_window_ratio: Option<f64>,
    /// `ed25519`, `p256`, `p384`, `rsa2048`, `rsa4096`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Where they are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Json>,
    /// At the first handshake.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
    /// Keep the key when renewing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reuse_private_keys: bool,
    /// OCSP responses are not fetched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_ocsp_stapling: bool,
    /// Responders by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp_overrides: Option<IndexMap<String, String>>,
}

/// Who has a certificate already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case", deny_unknown_fields)]
pub enum Manager {
    /// A server that is asked at the handshake.
    Http {
        /// Where.
        url: String,
    },
    /// A Secret of the cluster, of the type `kubernetes.io/tls`. Its key never stands in a config.
    Kubernetes {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
    /// The Tailscale daemon of this machine.
    Tailscale {},
}

impl Policy {
    /// Whether its certificates stand in Secrets of the cluster.
    pub fn takes_secrets(&self) -> bool {
        let is_secret = |manager: &Manager| matches!(manager, Manager::Kubernetes { .. });
        self.get_certificate.iter().any(is_secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(manager: &Json, expected: Option<Manager>) {
        let read: Result<Manager, _> = serde_json::from_value(manager.clone());
        assert_eq!(read.as_ref().ok(), expected.as_ref(), "{manager}");
        if let Some(expected) = expected {
            assert_eq!(serde_json::to_value(expected).unwrap(), *manager);
        }
    }

    #[test]
    fn a_manager_is_known_by_its_module() {
        let secret = Manager::Kubernetes {
            namespace: "shop".to_owned(),
            name: "shop-tls".to_owned(),
        };
        let asked = Manager::Http {
            url: "http://x".to_owned(),
        };
        check(
            &json!({"via": "kubernetes", "namespace": "shop", "name": "shop-tls"}),
            Some(secret),
        );
        check(&json!({"via": "http", "url": "http://x"}), Some(asked));
        check(&json!({"via": "tailscale"}), Some(Manager::Tailscale {}));
        for wrong in [
            json!({}),
            json!({"via": "kubernetes", "name": "shop-tls"}),
            json!({"via": "kubernetes", "namespace": "shop"}),
            json!({"via": "kubernetes", "namespace": "shop", "name": "shop-tls", "key": "x"}),
            json!({"via": "vault", "name": "x"}),
        ] {
            check(&wrong, None);
        }
    }
}
