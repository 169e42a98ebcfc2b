//! The objects of the controller; their modules lie in its folder.

#![allow(dead_code, unused_imports)]

#[path = "../../controller/src/objects/caddy_route.rs"]
mod caddy_route;
#[path = "../../controller/src/objects/ingress.rs"]
mod ingress;
#[path = "../../controller/src/objects/meta.rs"]
mod meta;
#[path = "../../controller/src/objects/others.rs"]
mod others;
#[path = "../../controller/src/objects/service.rs"]
mod service;

pub(crate) use caddy_route::CaddyRoute;
pub(crate) use ingress::{Backend, Ingress, IngressClass, IngressClassSpec, PathType, Tls};
pub(crate) use meta::{HasMeta, Key, Meta};
pub(crate) use others::{Namespace, ReferenceGrant, Secret};
pub(crate) use service::{Endpoint, EndpointSlice, Service};
