//! The objects of a cluster, reduced to what Fairway reads. Deserialized from YAML files or from an API server's JSON;
//! every field that is not named here is left behind at once. What is serialized of them is read by the very same version
//! only, from the snapshot on disk.

mod caddy_route;
mod ingress;
mod meta;
mod others;
mod service;

pub(crate) use caddy_route::CaddyRoute;
pub(crate) use ingress::{Backend, Ingress, IngressClass, IngressClassSpec, PathType, Tls};
pub(crate) use meta::{HasMeta, Key, Meta};
pub(crate) use others::{Namespace, ReferenceGrant, Secret};
pub(crate) use service::{Endpoint, EndpointSlice, Service};
