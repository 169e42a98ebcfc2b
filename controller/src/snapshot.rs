//! The snapshot: the objects of a cluster as they are now, whoever watches them. What [`render`](crate::render) reads.

pub(crate) mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{
    CaddyRoute, EndpointSlice, Ingress, IngressClass, Key, Namespace, ReferenceGrant, Secret, Service,
};

/// A store per kind. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub ingresses: Store<Ingress>,
    pub classes: Store<IngressClass>,
    pub routes: Store<CaddyRoute>,
    pub services: Store<Service>,
    pub slices: Store<EndpointSlice>,
    pub secrets: Store<Secret>,
    pub namespaces: Store<Namespace>,
    pub grants: Store<ReferenceGrant>,
}

/// The objects of a kind, by name.
pub(crate) type Store<T> = BTreeMap<Key, Arc<T>>;

impl Snapshot {
    /// The slices of a Service, in the order of their names.
    pub(crate) fn slices_of<'s>(
        &'s self,
        namespace: &'s str,
        service: &'s str,
    ) -> impl Iterator<Item = &'s Arc<EndpointSlice>> {
        let first = Key::new(namespace, "");
        let range = self.slices.range(first..);
        let range = range.take_while(move |(key, _)| *key.namespace == *namespace);
        range
            .map(|(_, slice)| slice)
            .filter(move |slice| slice.service() == Some(service))
    }
}
