//! `Ingress` and `IngressClass` (`networking.k8s.io/v1`).

use serde::{Deserialize, Serialize};

use super::Meta;

/// An `Ingress`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ingress {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: IngressSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressSpec {
    pub ingress_class_name: Option<String>,
    pub default_backend: Option<Backend>,
    pub rules: Vec<Rule>,
    pub tls: Vec<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    /// Empty for every host.
    pub host: String,
    pub http: Option<HttpRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRule {
    pub paths: Vec<Path>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Path {
    #[serde(default, rename = "path")]
    pub text: String,
    #[serde(rename = "pathType")]
    pub kind: PathType,
    pub backend: Backend,
}

/// How the path of a rule is compared. `ImplementationSpecific` is the same as `Prefix` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum PathType {
    Exact,
    Prefix,
    ImplementationSpecific,
}

/// Where requests of a rule go: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Backend {
    pub service: Option<ServiceBackend>,
    pub resource: Option<ResourceBackend>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceBackend {
    pub name: String,
    pub port: BackendPort,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BackendPort {
    pub name: String,
    pub number: u16,
}

impl BackendPort {
    /// As a Caddyfile would have it; empty if it says nothing.
    pub(crate) fn text(&self) -> String {
        if self.name.is_empty() && self.number != 0 {
            self.number.to_string()
        } else {
            self.name.clone()
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceBackend {
    pub api_group: String,
    pub kind: String,
    pub name: String,
}

/// Hosts and the Secret with their certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Tls {
    pub hosts: Vec<String>,
    pub secret_name: String,
}

impl Tls {
    /// The hosts, and the name of the Secret.
    pub(crate) fn pair(&self) -> (Vec<String>, Box<str>) {
        (self.hosts.clone(), self.secret_name.as_str().into())
    }
}

/// An `IngressClass`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IngressClass {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: IngressClassSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct IngressClassSpec {
    pub controller: String,
    pub parameters: Option<Parameters>,
}

/// The operator's CaddyRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parameters {
    pub api_group: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub scope: String,
}

impl IngressClass {
    /// Whether objects that name no class are its.
    pub(crate) fn is_default(&self) -> bool {
        self.metadata
            .annotation("ingressclass.kubernetes.io/is-default-class")
            == Some("true")
    }
}
