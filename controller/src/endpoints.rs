//! The addresses behind a Service port, as its EndpointSlices tell. They have a lane of their own: a change of them
//! renders nothing and swaps nothing.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use fairway_engine::cluster::{ServicePort, is_forbidden_endpoint};

use crate::objects::{Endpoint, Key};
use crate::snapshot::Snapshot;

/// Finds endpoints, and remembers which port of the slices a Service port was.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    /// Whether endpoints may have loopback addresses.
    allow_local: bool,
    names: HashMap<ServicePort, String>,
}

impl Endpoints {
    pub(crate) fn new(allow_local: bool) -> Self {
        Self {
            allow_local,
            ..Self::default()
        }
    }

    /// The addresses of a Service port, sorted. Those that are ready; if none is, those that still answer while they
    /// end. A port that the Service no longer has keeps its addresses as long as the slices have them, and so does a
    /// named port of a Service that is gone: the slices know its name, too.
    pub(crate) fn of(&mut self, snapshot: &Snapshot, port: &ServicePort) -> Vec<SocketAddr> {
        let service = snapshot.services.get(&Key::new(&port.namespace, &port.name));
        if service.is_some_and(|service| service.spec.kind == "ExternalName") {
            return Vec::new();
        }
        if let Some(found) = service.and_then(|service| service.port(&port.port)) {
            self.names.insert(port.clone(), found.name.clone());
        }
        let is_name = port.port.parse::<u16>().is_err() && !port.port.is_empty();
        let of_slices = (service.is_none() && is_name).then(|| String::from(&*port.port));
        let Some(name) = self.names.get(port).or(of_slices.as_ref()) else {
            return Vec::new();
        };
        let (mut ready, mut serving) = (BTreeSet::new(), BTreeSet::new());
        for slice in snapshot.slices_of(&port.namespace, &port.name) {
            let mut ports = slice.ports.iter().flatten();
            let number = ports.find(|given| given.name.as_deref().unwrap_or_default() == name);
            let Some(number) = number.and_then(|given| given.port) else {
                continue;
            };
            for endpoint in slice.endpoints.iter().flatten() {
                let addresses = self.addresses(endpoint, number, port);
                if endpoint.is_ready() {
                    ready.extend(addresses);
                } else if endpoint.is_serving() {
                    serving.extend(addresses);
                }
            }
        }
        let chosen = if ready.is_empty() { serving } else { ready };
        chosen.into_iter().collect()
    }

    /// Forgets ports that nobody names any more.
    pub(crate) fn retain(&mut self, named: &[ServicePort]) {
        self.names.retain(|port, _| named.binary_search(port).is_ok());
    }

    fn addresses(&self, endpoint: &Endpoint, number: u16, port: &ServicePort) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for ip in endpoint.ips() {
            let is_allowed = self.allow_local && ip.to_canonical().is_loopback();
            match is_forbidden_endpoint(ip).filter(|_| !is_allowed) {
                Some(reason) => tracing::warn!(%ip, %port, reason, "an endpoint is passed over"),
                None => addresses.push(SocketAddr::new(ip, number)),
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn snapshot(ports: &serde_json::Value, endpoints: &serde_json::Value) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let key = Key::new("shop", "api");
        let service = json!({"metadata": {"namespace": "shop", "name": "api"}, "spec": {"ports": ports}});
        if ports.is_array() {
            snapshot
                .services
                .insert(key, Arc::new(serde_json::from_value(service).unwrap()));
        }
        let slice = json!({
            "metadata": {"namespace": "shop", "name": "api-x", "labels": {"kubernetes.io/service-name": "api"}},
            "ports": [{"name": "web", "port": 8080}, {"name": "admin", "port": 9090}],
            "endpoints": endpoints,
        });
        let key = Key::new("shop", "api-x");
        snapshot
            .slices
            .insert(key, Arc::new(serde_json::from_value(slice).unwrap()));
        snapshot
    }

    #[track_caller]
    fn check(finder: &mut Endpoints, snapshot: &Snapshot, port: &str, expected: &[&str]) {
        let port = ServicePort {
            namespace: "shop".into(),
            name: "api".into(),
            port: port.into(),
        };
        let found: Vec<String> = finder
            .of(snapshot, &port)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_port_is_found_by_number_and_name() {
        let ports = json!([{"name": "web", "port": 80}, {"name": "admin", "port": 81}]);
        let snapshot = snapshot(
            &ports,
            &json!([{"addresses": ["10.0.0.2"]}, {"addresses": ["10.0.0.1"]}]),
        );
        let mut finder = Endpoints::default();
        check(&mut finder, &snapshot, "80", &["10.0.0.1:8080", "10.0.0.2:8080"]);
        check(
            &mut finder,
            &snapshot,
            "admin",
            &["10.0.0.1:9090", "10.0.0.2:9090"],
        );
        check(&mut finder, &snapshot, "82", &[]);
    }

    #[test]
    fn endpoints_that_end_serve_only_when_none_is_ready() {
        let ports = json!([{"name": "web", "port": 80}]);
        let ending = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}});
        let broken = json!({"addresses": ["10.0.0.3"], "conditions": {"ready": false}});
        let ready = json!({"addresses": ["10.0.0.2"], "conditions": {"ready": true}});
        let mut finder = Endpoints::default();
        check(
            &mut finder,
            &snapshot(&ports, &json!([ending, broken, ready])),
            "80",
            &["10.0.0.2:8080"],
        );
        check(
            &mut finder,
            &snapshot(&ports, &json!([ending, broken])),
            "80",
            &["10.0.0.1:8080"],
        );
    }

    #[test]
    fn a_port_that_goes_keeps_its_addresses_until_the_slices_go() {
        let ports = json!([{"name": "web", "port": 80}]);
        let endpoints = json!([{"addresses": ["10.0.0.1"]}]);
        let mut finder = Endpoints::default();
        check(
            &mut finder,
            &snapshot(&ports, &endpoints),
            "80",
            &["10.0.0.1:8080"],
        );
        check(
            &mut finder,
            &snapshot(&json!([]), &endpoints),
            "80",
            &["10.0.0.1:8080"],
        );
        check(
            &mut finder,
            &snapshot(&json!(null), &endpoints),
            "80",
            &["10.0.0.1:8080"],
        );
        check(
            &mut Endpoints::default(),
            &snapshot(&json!(null), &endpoints),
            "web",
            &["10.0.0.1:8080"],
        );
        check(
            &mut Endpoints::default(),
            &snapshot(&json!([]), &endpoints),
            "web",
            &[],
        );
        check(&mut finder, &snapshot(&json!(null), &json!([])), "80", &[]);
        check(
            &mut Endpoints::default(),
            &snapshot(&json!([]), &endpoints),
            "80",
            &[],
        );
    }

    #[test]
    fn addresses_that_tenants_must_not_reach_are_passed_over() {
        let ports = json!([{"name": "web", "port": 80}]);
        let snapshot = snapshot(
            &ports,
            &json!([{"addresses": ["127.0.0.1"]}, {"addresses": ["169.254.169.254"]}]),
        );
        check(&mut Endpoints::default(), &snapshot, "80", &[]);
        let mut local = Endpoints::new(true);
        check(&mut local, &snapshot, "80", &["127.0.0.1:8080"]);
    }
}
