//! `Secret` and `Namespace` (`v1`), `ReferenceGrant` (`gateway.networking.k8s.io`).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Key, Meta};

/// A `Secret`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secret {
    pub metadata: Meta,
    /// Base64.
    #[serde(default)]
    data: BTreeMap<String, String>,
    /// As it is; wins over `data`, as in the API server.
    #[serde(default)]
    string_data: BTreeMap<String, String>,
}

impl Secret {
    /// The value under a key; `None` if there is none or it is not Base64.
    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        if let Some(text) = self.string_data.get(key) {
            return Some(text.clone().into_bytes());
        }
        let encoded: String = self.data.get(key)?.split_whitespace().collect();
        STANDARD.decode(encoded).ok()
    }
}

impl super::HasMeta for Secret {
    fn key(&self) -> Key {
        self.metadata.key()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.data == other.data && self.string_data == other.string_data
    }
}

/// The values are left out.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// A `Namespace`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Namespace {
    pub metadata: Meta,
}

/// A `ReferenceGrant`: who may name objects of its namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReferenceGrant {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: GrantSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GrantSpec {
    pub from: Vec<GrantFrom>,
    pub to: Vec<GrantTo>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GrantFrom {
    pub group: String,
    pub kind: String,
    pub namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GrantTo {
    pub group: String,
    pub kind: String,
    /// All, without it.
    pub name: Option<String>,
}

impl ReferenceGrant {
    /// Whether it lets objects of a kind in `from` name the object `kind`/`name` (of the core group) here.
    pub(crate) fn allows(&self, from_kind: &str, from: &str, kind: &str, name: &str) -> bool {
        let spec = &self.spec;
        let from_it = |given: &GrantFrom| {
            let group = if from_kind == "Ingress" {
                "networking.k8s.io"
            } else {
                "fairway.dev"
            };
            given.group == group && given.kind == from_kind && given.namespace == from
        };
        let to_it = |given: &GrantTo| {
            given.group.is_empty()
                && given.kind == kind
                && given.name.as_deref().is_none_or(|given| given == name)
        };
        spec.from.iter().any(from_it) && spec.to.iter().any(to_it)
    }
}
