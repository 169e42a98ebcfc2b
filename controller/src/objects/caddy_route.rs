//! `CaddyRoute`, Fairway's own kind: a Caddyfile in an object.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::ingress::Tls;
use crate::verdict::LastGoodText;

/// A `CaddyRoute` (`fairway.dev/v1alpha1`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaddyRoute {
    pub metadata: Meta,
    pub spec: CaddyRouteSpec,
    #[serde(default)]
    pub status: CaddyRouteStatus,
}

/// What is read of a status: all else is only written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CaddyRouteStatus {
    pub last_good: Option<LastGoodText>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct CaddyRouteSpec {
    pub ingress_class_name: Option<String>,
    pub caddyfile: String,
    pub tls: Vec<Tls>,
    /// Namespaces that may import its snippets and invoke its named routes; `*` for all.
    pub export_to: Vec<String>,
}

impl CaddyRouteSpec {
    /// Whether objects of a namespace may use what it defines, its own namespace `own` always.
    pub(crate) fn exports_to(&self, namespace: &str, own: &str) -> bool {
        namespace == own
            || self
                .export_to
                .iter()
                .any(|given| given == "*" || given == namespace)
    }
}
