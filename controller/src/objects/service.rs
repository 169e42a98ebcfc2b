//! `Service` (`v1`) and `EndpointSlice` (`discovery.k8s.io/v1`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Meta;

/// A `Service`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceSpec {
    pub ports: Vec<ServicePort>,
    /// `ClusterIP` and the like; `ExternalName` is not followed.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServicePort {
    /// Empty if it is the only one.
    pub name: String,
    pub port: u16,
    /// `TCP` without it.
    pub protocol: String,
    pub app_protocol: String,
}

impl Service {
    /// The port that a number or a name means.
    pub(crate) fn port(&self, text: &str) -> Option<&ServicePort> {
        let number = text.parse::<u16>().ok();
        let mut ports = self.spec.ports.iter();
        ports.find(|port| number == Some(port.port) || number.is_none() && port.name == text)
    }
}

/// An `EndpointSlice`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointSlice {
    pub metadata: Meta,
    #[serde(default)]
    pub endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    pub ports: Option<Vec<EndpointPort>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    pub addresses: Vec<String>,
    pub conditions: Conditions,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    /// Unknown counts as yes.
    pub ready: Option<bool>,
    /// Unknown counts as `ready`.
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointPort {
    pub name: Option<String>,
    pub port: Option<u16>,
}

impl EndpointSlice {
    /// The Service that it belongs to.
    pub(crate) fn service(&self) -> Option<&str> {
        self.metadata
            .labels
            .get("kubernetes.io/service-name")
            .map(String::as_str)
    }
}

impl Endpoint {
    pub(crate) fn is_ready(&self) -> bool {
        self.conditions.ready.unwrap_or(true)
    }

    /// Whether it still answers although it is about to end.
    pub(crate) fn is_serving(&self) -> bool {
        self.conditions.serving.unwrap_or(self.is_ready())
    }

    pub(crate) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|address| address.parse().ok())
    }
}
