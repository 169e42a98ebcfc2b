//! What outlives a table: the state of balancers and upstreams, so that a swap keeps what its config did not change.
//!
//! An upstream is known by its scope (a server, or a named route), its address and its health checks; a balancer by
//! its scope, its whole config, and its place among equal ones; an endpoint of a Service by its Service port, its
//! address and its health checks. What no table names any more is forgotten.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::health::Check;
use super::lane::{Group, GroupKey, Lane, Services};
use super::selection::Policy;
use super::upstreams::{Endpoint, FailurePolicy};
use crate::cluster::ServicePort;
use crate::compile::Memory;
use crate::table::{Server, Table};

/// The long-lived state behind all tables of a process. A copy is the same registry. Locked only while configs are
/// compiled and endpoints are set, never by a request.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    memory: Memory,
    endpoints: HashMap<EndpointKey, Weak<Endpoint>>,
    balancers: HashMap<BalancerKey, Weak<Balancer>>,
    services: Services,
    /// Of all tables, by the name of the server.
    servers: HashMap<Box<str>, Vec<Weak<Server>>>,
}

/// Which upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndpointKey {
    pub scope: Box<str>,
    pub dial: Box<str>,
    /// A hash of the health checks' config.
    pub checks: u64,
}

/// Which balancer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BalancerKey {
    /// A route by its `@id`, a named route, or a server with the hosts of the route.
    pub scope: Box<str>,
    /// A hash of the handler's config.
    pub content: u64,
    /// How many equal ones there were before it in the scope.
    pub ordinal: u32,
}

/// The state of one handler.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    /// Where the round is.
    pub robin: AtomicU32,
    /// Its active health checks.
    pub check: Option<Arc<Check>>,
}

impl Registry {
    /// Sets the addresses of a Service port, in any order, none included; requests see them at once, and those under way
    /// keep their endpoint. What is known of an address that stays is kept. Gives whether anybody names the port: if
    /// nobody does, the addresses are not kept.
    pub fn set_endpoints(&self, port: &ServicePort, addresses: &[SocketAddr]) -> bool {
        self.entries().services.set(port, addresses)
    }

    /// The Service ports that are named by tables that live, or by requests under way, in order. A table names its ports
    /// as soon as it is compiled.
    pub fn named_services(&self) -> Vec<ServicePort> {
        self.entries().services.named()
    }

    /// Whether the endpoints of a named Service port were set since it is named, be they none.
    pub fn has_answer(&self, port: &ServicePort) -> bool {
        self.entries().services.has_answer(port)
    }

    pub(super) fn group<E>(
        &self,
        port: &ServicePort,
        key: GroupKey,
        make: impl FnOnce() -> Result<Group, E>,
    ) -> Result<Arc<Group>, E> {
        self.entries().services.group(port, key, make)
    }

    /// What a handler with these groups and this policy, which compiles, chooses from.
    pub(super) fn lane(&self, groups: Box<[Arc<Group>]>, policy: Option<&Policy>) -> Arc<Lane> {
        self.entries().services.lane(groups, policy)
    }

    /// How many tables are in memory: the one that is served, those that were compiled and are not served yet, and
    /// those that something still holds, be it only one of their servers.
    pub fn tables_alive(&self) -> usize {
        let entries = self.entries();
        let alive = |servers: &Vec<Weak<Server>>| servers.iter().filter(|server| is_alive(server)).count();
        entries.servers.values().map(alive).max().unwrap_or_default()
    }

    /// Counts a table as long as it lives.
    pub(crate) fn count(&self, table: &Table) {
        let mut entries = self.entries();
        for server in &table.servers {
            let known = entries.servers.entry(server.name.clone()).or_default();
            let server = Arc::downgrade(server);
            if !known.iter().any(|known| known.ptr_eq(&server)) {
                known.push(server);
            }
        }
    }

    pub(super) fn endpoint(&self, key: EndpointKey, policy: Option<FailurePolicy>) -> Arc<Endpoint> {
        find_or_make(&mut self.entries().endpoints, key, || Endpoint::new(policy))
    }

    pub(super) fn balancer(&self, key: BalancerKey, make: impl FnOnce() -> Balancer) -> Arc<Balancer> {
        find_or_make(&mut self.entries().balancers, key, make)
    }

    /// The compiled routes of the last config, for the next one.
    pub(crate) fn take_memory(&self) -> Memory {
        std::mem::take(&mut self.entries().memory)
    }

    /// Keeps the compiled routes of a config, in place of those before.
    pub(crate) fn keep_memory(&self, memory: Memory) {
        let before = std::mem::replace(&mut self.entries().memory, memory);
        // Not under the lock: there may be much to drop.
        drop(before);
    }

    /// Forgets what no table names any more.
    pub(crate) fn prune(&self) {
        let mut entries = self.entries();
        entries.endpoints.retain(|_, endpoint| is_alive(endpoint));
        entries.balancers.retain(|_, balancer| is_alive(balancer));
        entries.services.prune();
        entries.servers.retain(|_, servers| {
            servers.retain(is_alive);
            !servers.is_empty()
        });
    }

    /// Nothing is left half changed by a panic, so a poisoned lock is as good as any.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_alive<T>(entry: &Weak<T>) -> bool {
    entry.strong_count() > 0
}

fn find_or_make<K: Eq + std::hash::Hash, V>(
    entries: &mut HashMap<K, Weak<V>>,
    key: K,
    make: impl FnOnce() -> V,
) -> Arc<V> {
    if let Some(known) = entries.get(&key).and_then(Weak::upgrade) {
        return known;
    }
    let made = Arc::new(make());
    entries.insert(key, Arc::downgrade(&made));
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(dial: &str, checks: u64) -> EndpointKey {
        EndpointKey {
            scope: "srv0".into(),
            dial: dial.into(),
            checks,
        }
    }

    #[test]
    fn equal_keys_share_state_while_somebody_holds_it() {
        let registry = Registry::default();
        let first = registry.endpoint(key("a:80", 1), None);
        assert!(Arc::ptr_eq(&first, &registry.endpoint(key("a:80", 1), None)));
        assert!(!Arc::ptr_eq(&first, &registry.endpoint(key("a:80", 2), None)));
        assert!(!Arc::ptr_eq(&first, &registry.endpoint(key("b:80", 1), None)));
        registry.prune();
        assert_eq!(registry.entries().endpoints.len(), 1);
        drop(first);
        registry.prune();
        assert!(registry.entries().endpoints.is_empty());
    }

    #[test]
    fn a_table_counts_while_a_server_of_it_is_held() {
        let registry = Registry::default();
        let config = serde_json::json!({"apps": {"http": {"servers": {"srv0": {}, "srv1": {}}}}});
        let config = serde_json::from_value(config).unwrap();
        let compile = || crate::compile(&config, &registry).unwrap();
        assert_eq!(registry.tables_alive(), 0);
        let first = compile();
        let second = compile();
        assert_eq!(registry.tables_alive(), 2);
        let server = Arc::clone(&first.servers[1]);
        drop(first);
        assert_eq!(registry.tables_alive(), 2);
        drop(server);
        assert_eq!(registry.tables_alive(), 1);
        drop(second);
        assert_eq!(registry.tables_alive(), 0);
        registry.prune();
        assert!(registry.entries().servers.is_empty());
    }
}
