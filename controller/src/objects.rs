//! The objects of a cluster, reduced to what Fairway reads. Deserialized from YAML files or from an API server's JSON;
//! every field that is not named here is left behind at once.

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
