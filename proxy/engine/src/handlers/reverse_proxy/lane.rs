//! The endpoints of Services. A config names a Service port; its addresses live here, beside the table, so that their
//! coming and going compiles nothing and swaps nothing.
//!
//! A [`Group`] is the endpoints of one Service port under one set of health checks, shared by all handlers that have
//! these; a [`Lane`] is what one handler, or several with the same config, choose from. Both are changed under the
//! lock of the registry and read without one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};

use super::health::Check;
use super::pool::{Members, Pool};
use super::selection::{Policy, Selection};
use super::transport::Transport;
use super::upstreams::{Address, Endpoint, FailurePolicy, Target, Upstream, now};
use crate::cluster::ServicePort;

/// How many nanoseconds lie between two warnings of a lane at least.
const QUIET: u64 = 10_000_000_000;

/// The endpoints of one Service port under one set of health checks.
#[derive(Debug)]
pub(super) struct Group {
    port: ServicePort,
    settings: Settings,
    upstreams: ArcSwap<Vec<Arc<Upstream>>>,
    check: Option<Arc<Check>>,
}

/// What endpoints are, beside their addresses.
#[derive(Debug)]
pub(super) struct Settings {
    pub transport: Arc<Transport>,
    pub failures: Option<FailurePolicy>,
    /// How many requests each takes at once.
    pub max_requests: Option<usize>,
}

/// What a group is known by, beside its Service port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    /// The config of the health checks, whole.
    pub checks: Box<str>,
    /// What is found out about an endpoint depends on how it is spoken to.
    pub transport: Arc<Transport>,
}

/// The endpoints that a handler chooses from.
#[derive(Debug)]
pub(super) struct Lane {
    groups: Box<[Arc<Group>]>,
    policy: Option<Policy>,
    pool: ArcSwap<Pool>,
    /// [`now`] at the last warning; 0 for none.
    warned: AtomicU64,
}

/// What a lane is known by: its groups, which it keeps alive, and its policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    groups: Box<[usize]>,
    policy: Box<str>,
}

/// All Service ports that are named. The registry keeps it under its lock.
#[derive(Debug, Default)]
pub(super) struct Services {
    ports: HashMap<ServicePort, Service>,
    lanes: HashMap<LaneKey, Weak<Lane>>,
}

#[derive(Debug, Default)]
struct Service {
    /// In order; none before the first answer.
    addresses: Option<Box<[SocketAddr]>>,
    groups: HashMap<GroupKey, Known>,
    /// Those that have one of the groups.
    lanes: Vec<Weak<Lane>>,
}

#[derive(Debug)]
struct Known {
    group: Weak<Group>,
    /// An endpoint that comes back while a request is still under way to it is the same.
    endpoints: HashMap<SocketAddr, Weak<Endpoint>>,
}

impl Group {
    /// Without endpoints yet.
    pub(super) fn new(port: ServicePort, settings: Settings, check: Option<Check>) -> Self {
        Self {
            port,
            settings,
            upstreams: ArcSwap::default(),
            check: check.map(Arc::new),
        }
    }

    /// The active health checks of its endpoints.
    pub(super) fn check(&self) -> Option<&Arc<Check>> {
        self.check.as_ref()
    }

    fn set(&self, addresses: &[SocketAddr], known: &mut HashMap<SocketAddr, Weak<Endpoint>>) {
        let upstreams: Vec<Arc<Upstream>> = addresses
            .iter()
            .map(|address| {
                let endpoint = known.get(address).and_then(Weak::upgrade);
                let endpoint = endpoint.unwrap_or_else(|| {
                    let endpoint = Arc::new(Endpoint::new(self.settings.failures));
                    known.insert(*address, Arc::downgrade(&endpoint));
                    endpoint
                });
                Arc::new(Upstream {
                    text: address.to_string().into(),
                    address: Address::Fixed(Target::tcp(&address.ip().to_string(), address.port()).into()),
                    max_requests: self.settings.max_requests,
                    transport: Some(Arc::clone(&self.settings.transport)),
                    endpoint,
                })
            })
            .collect();
        if let Some(check) = &self.check {
            check.follow(&upstreams, |_| Arc::clone(&self.settings.transport));
        }
        self.upstreams.store(Arc::new(upstreams));
        known.retain(|_, endpoint| endpoint.strong_count() > 0);
    }
}

impl Lane {
    /// What there is to choose from now. Not to be held while anything is waited for.
    pub(super) fn pool(&self) -> Guard<Arc<Pool>> {
        self.pool.load()
    }

    /// Its Service ports, for people.
    pub(super) fn services(&self) -> String {
        let ports = self.groups.iter().map(|group| group.port.to_string());
        let ports: Vec<String> = ports.collect();
        format!(
            "Service{} {}",
            if ports.len() == 1 { "" } else { "s" },
            ports.join(", ")
        )
    }

    /// Tells the log that there are no endpoints, unless it was told a short while ago.
    pub(super) fn warn(&self) {
        if self.may_warn(now()) {
            let services = self.services();
            tracing::warn!(
                error = format_args!("no endpoints for {services}"),
                "a request found no upstream"
            );
        }
    }

    fn may_warn(&self, at: u64) -> bool {
        let last = self.warned.load(Ordering::Relaxed);
        let is_due = last == 0 || at.saturating_sub(last) >= QUIET;
        // Of requests at the same time one warns.
        is_due
            && self
                .warned
                .compare_exchange(last, at, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn new(groups: Box<[Arc<Group>]>, policy: Option<Policy>) -> Self {
        Self {
            warned: AtomicU64::new(0),
            pool: ArcSwap::from_pointee(gather(&groups, policy.as_ref())),
            groups,
            policy,
        }
    }

    fn refresh(&self) {
        let pool = gather(&self.groups, self.policy.as_ref());
        self.pool.store(Arc::new(pool));
    }
}

impl Services {
    /// The endpoints of a Service port. They are there at once if they were ever answered.
    pub(super) fn group<E>(
        &mut self,
        port: &ServicePort,
        key: GroupKey,
        make: impl FnOnce() -> Result<Group, E>,
    ) -> Result<Arc<Group>, E> {
        let service = self.ports.entry(port.clone()).or_default();
        if !service.is_named() {
            // Nobody has told it of changes meanwhile.
            *service = Service::default();
        }
        if let Some(known) = service.groups.get(&key).and_then(|known| known.group.upgrade()) {
            return Ok(known);
        }
        let group = Arc::new(make()?);
        let mut endpoints = HashMap::new();
        if let Some(addresses) = &service.addresses {
            group.set(addresses, &mut endpoints);
        }
        let known = Known {
            group: Arc::downgrade(&group),
            endpoints,
        };
        service.groups.insert(key, known);
        Ok(group)
    }

    /// What a handler with these groups and this policy, which compiles, chooses from.
    pub(super) fn lane(&mut self, groups: Box<[Arc<Group>]>, policy: Option<&Policy>) -> Arc<Lane> {
        let key = LaneKey {
            groups: groups.iter().map(|group| Arc::as_ptr(group).addr()).collect(),
            policy: super::json(&policy).into(),
        };
        if let Some(known) = self.lanes.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let lane = Arc::new(Lane::new(groups, policy.cloned()));
        for group in &lane.groups {
            let service = self.ports.entry(group.port.clone()).or_default();
            service.lanes.push(Arc::downgrade(&lane));
        }
        self.lanes.insert(key, Arc::downgrade(&lane));
        lane
    }

    /// See [`Registry::set_endpoints`](super::Registry::set_endpoints).
    pub(super) fn set(&mut self, port: &ServicePort, addresses: &[SocketAddr]) -> bool {
        let Some(service) = self.ports.get_mut(port).filter(|service| service.is_named()) else {
            return false;
        };
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        if service.addresses.as_deref() == Some(&*addresses) {
            return true;
        }
        for known in service.groups.values_mut() {
            if let Some(group) = known.group.upgrade() {
                group.set(&addresses, &mut known.endpoints);
            }
        }
        service.lanes.retain(|lane| match lane.upgrade() {
            Some(lane) => {
                lane.refresh();
                true
            }
            None => false,
        });
        service.addresses = Some(addresses.into());
        true
    }

    /// The Service ports that a table or a request names, in order.
    pub(super) fn named(&self) -> Vec<ServicePort> {
        let named = self.ports.iter().filter(|(_, service)| service.is_named());
        let mut ports: Vec<ServicePort> = named.map(|(port, _)| port.clone()).collect();
        ports.sort_unstable();
        ports
    }

    /// Whether the addresses of a named Service port are known, be they none.
    pub(super) fn has_answer(&self, port: &ServicePort) -> bool {
        let service = self.ports.get(port).filter(|service| service.is_named());
        service.is_some_and(|service| service.addresses.is_some())
    }

    /// Forgets what neither a table nor a request names any more.
    pub(super) fn prune(&mut self) {
        self.lanes.retain(|_, lane| lane.strong_count() > 0);
        self.ports.retain(|_, service| {
            service.lanes.retain(|lane| lane.strong_count() > 0);
            service.groups.retain(|_, known| known.group.strong_count() > 0);
            !service.groups.is_empty()
        });
    }
}

impl Service {
    fn is_named(&self) -> bool {
        self.groups.values().any(|known| known.group.strong_count() > 0)
    }
}

/// The endpoints of all groups, and the policy made ready for them.
fn gather(groups: &[Arc<Group>], policy: Option<&Policy>) -> Pool {
    let mut upstreams = Vec::new();
    let mut services = Vec::with_capacity(groups.len());
    for group in groups {
        let start = upstreams.len();
        upstreams.extend(group.upstreams.load().iter().cloned());
        services.push(start..upstreams.len());
    }
    let dials: Vec<&str> = upstreams.iter().map(|upstream| &*upstream.text).collect();
    let selection = policy.map_or(Selection::Random, |policy| {
        let selection = policy.compile(&dials);
        selection.expect("it compiled with the handler, and addresses cannot make it fail")
    });
    Pool {
        members: Members {
            upstreams: upstreams.into(),
            services: services.into(),
        },
        selection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_rare() {
        let lane = Lane::new(Box::default(), None);
        assert!(lane.may_warn(1));
        assert!(!lane.may_warn(2));
        assert!(!lane.may_warn(QUIET));
        assert!(lane.may_warn(QUIET + 1));
        assert!(!lane.may_warn(QUIET + 2));
    }
}
