//! `CaddyRoute`: a Caddyfile as an object of a cluster.

mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use status::{
    ACCEPTED, CaddyRouteStatus, Certificate, CertificateState, Diagnostic, Exports, HostStatus, Import,
    LastGood, PROGRAMMED, READY, Severity,
};

use crate::bounds;
use crate::schema;

/// What an author asks for.
#[expect(clippy::duplicated_attributes, reason = "each column has a type of its own")]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "CaddyRoute",
    plural = "caddyroutes",
    shortname = "cdr",
    category = "fairway",
    namespaced,
    status = "CaddyRouteStatus",
    derive = "PartialEq",
    doc = "A Caddyfile that Fairway serves: sites, snippets, named routes, or any mix of them. Services and Secrets that it names are those of its own namespace. `status` tells whether it is served, and if not, on which line the mistake is and how to put it right.",
    selectable = ".spec.ingressClassName",
    printcolumn(
        name = "Class",
        type_ = "string",
        json_path = ".spec.ingressClassName",
        description = "The ingress class",
        priority = 1
    ),
    printcolumn(
        name = "Hosts",
        type_ = "string",
        json_path = ".status.hostSummary",
        description = "The hosts that it serves"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether its text is right and it may have its hosts"
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status",
        description = "Whether the proxy serves this generation"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether all of it is served as written"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "Why, in a sentence",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CaddyRouteSpec {
    /// The IngressClass whose controller serves this object. Without it, the class that is marked as the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = bounds::NAME), regex(pattern = schema::OBJECT_NAME))]
    pub ingress_class_name: Option<String>,

    /// The text: sites, snippets `(name)` and named routes `&(name)`, in the language of Caddy's Caddyfile.
    ///
    /// An upstream names a Service: `reverse_proxy api:8080`, or `web:http` for a port by its name. A global options
    /// block is for the operator only.
    #[schemars(
        length(min = 1, max = bounds::CADDYFILE),
        extend("x-kubernetes-validations" = json!([{
            "rule": r"self.matches('\\S')",
            "message": "must not be blank: write at least one site, snippet or named route",
        }]))
    )]
    pub caddyfile: String,

    /// Certificates for its hosts. A host that stands here is served by HTTPS, and HTTP redirects to it.
    #[serde(default)]
    #[schemars(
        length(max = bounds::TLS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["secretName"])
    )]
    pub tls: Vec<Tls>,

    /// The namespaces whose objects may import its snippets and invoke its named routes, besides its own; `*` alone
    /// is every namespace.
    #[serde(default)]
    #[schemars(
        length(max = bounds::EXPORT_TO),
        inner(length(min = 1, max = bounds::LABEL), regex(pattern = schema::NAMESPACE_OR_ALL)),
        extend(
            "x-kubernetes-list-type" = "set",
            "x-kubernetes-validations" = json!([{
                "rule": "!('*' in self) || self.size() == 1",
                "message": "`*` is every namespace: name no other beside it",
            }])
        )
    )]
    pub export_to: Vec<String>,
}

/// One certificate, and the hosts that it is for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The hosts: DNS names in lower case; `*.` at the beginning stands for one label.
    #[schemars(
        length(min = 1, max = bounds::TLS),
        inner(length(min = 1, max = bounds::NAME), regex(pattern = schema::TLS_HOST)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub hosts: Vec<String>,

    /// The Secret of type `kubernetes.io/tls`, in the namespace of this object.
    #[schemars(length(min = 1, max = bounds::NAME), regex(pattern = schema::OBJECT_NAME))]
    pub secret_name: String,
}

#[cfg(test)]
mod tests;
