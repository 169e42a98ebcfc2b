//! What all objects have: a name, an age, annotations.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CaddyRoute, EndpointSlice, Ingress, IngressClass, Namespace, ReferenceGrant, Service};

/// The name of an object among those of its kind. Cluster-wide objects have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What is kept in a store.
pub(crate) trait HasMeta {
    /// Its name in the store.
    fn key(&self) -> Key;

    /// Whether another version of the object would be rendered as this one: then only its status differs, or a field
    /// that nobody reads.
    fn is_same(&self, other: &Self) -> bool;
}

macro_rules! has_meta {
    ($($kind:ty: $($field:ident)*;)*) => {
        $(impl HasMeta for $kind {
            fn key(&self) -> Key {
                self.metadata.key()
            }

            fn is_same(&self, other: &Self) -> bool {
                self.metadata.is_same(&other.metadata) $(&& self.$field == other.$field)*
            }
        })*
    };
}

has_meta! {
    CaddyRoute: spec;
    EndpointSlice: endpoints ports;
    Ingress: spec;
    IngressClass: spec;
    Namespace:;
    ReferenceGrant: spec;
    Service: spec;
}

impl Meta {
    /// But for the generation, which only says that something else differs.
    fn is_same(&self, other: &Self) -> bool {
        let same = (&self.labels, &self.annotations) == (&other.labels, &other.annotations);
        same && self.creation_timestamp == other.creation_timestamp && self.generation == other.generation
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub namespace: String,
    pub name: String,
    /// RFC 3339, so that earlier is less. Empty, and so oldest, where nobody wrote it: in manifests.
    pub creation_timestamp: String,
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    /// Only those that say something to an ingress controller.
    #[serde(deserialize_with = "own_annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl Meta {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }

    /// What objects are sorted by when the older wins: age, then namespace and name.
    pub(crate) fn age(&self) -> (&str, &str, &str) {
        (&self.creation_timestamp, &self.namespace, &self.name)
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// Leaves annotations of others behind; some of them are as large as the object.
fn own_annotations<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let mut all = BTreeMap::<String, String>::deserialize(deserializer)?;
    all.retain(|name, _| {
        name.starts_with("fairway.dev/")
            || name == "kubernetes.io/ingress.class"
            || name == "ingressclass.kubernetes.io/is-default-class"
    });
    Ok(all)
}
