//! Which listeners a site's addresses belong to, and which listeners are one server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fairway_caddyfile::Diagnostic;

use super::super::address::{Address, Ports};
use super::super::scope::{Shared, SiteValue};
use super::site::Site;
use crate::directives::bind::Bind;
use crate::values::{NetworkAddress, join_network_address, split_network_address};

/// A server before it is built.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Where it listens, sorted.
    pub listen: Vec<String>,
    /// What is spoken there, sorted, for each of them: none if it is left to the server.
    pub protocols: Vec<Option<Vec<String>>>,
    /// The sites behind it.
    pub sites: Vec<PlacedSite>,
}

/// The part of a site that is behind some listeners. Both numbers count from the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PlacedSite {
    /// Which site.
    pub site: usize,
    /// Which of its addresses.
    pub keys: Vec<usize>,
}

/// Places all sites; `default_bind` is for those that do not say where they listen.
pub(super) fn place(sites: &[Site], default_bind: &[Bind], ports: Ports, shared: &mut Shared) -> Vec<Placed> {
    let mut by_listener: ByListener = BTreeMap::new();
    for (site, read) in sites.iter().enumerate() {
        let own = read.values.iter().filter_map(|(_, value)| match value {
            SiteValue::Bind(bind) => Some(bind),
            _ => None,
        });
        let own: Vec<&Bind> = own.collect();
        let (bind, named) = if own.is_empty() {
            (default_bind.iter().collect(), "default_bind")
        } else {
            (own, "bind")
        };
        for (number, key) in read.keys.iter().enumerate() {
            match listeners(key, &bind, named, ports) {
                Ok(listeners) => {
                    for (listener, protocols) in listeners {
                        let by_protocol = by_listener.entry(listener).or_default();
                        for protocol in protocols {
                            add(by_protocol.entry(protocol).or_default(), site, number);
                        }
                    }
                }
                Err(mistake) => shared.diagnostics.push(mistake),
            }
        }
    }
    gather(by_listener)
}

/// What is behind each protocol of each listener; an empty one stands for those of the server.
type ByListener = BTreeMap<String, BTreeMap<String, Vec<PlacedSite>>>;

/// Makes one server of all listeners and protocols that serve the same. As in Caddy, an empty server is left behind
/// for each further protocol of a listener, so that the others have the same numbers.
fn gather(by_listener: ByListener) -> Vec<Placed> {
    let mut servers: Vec<Placed> = Vec::new();
    let mut numbers: HashMap<Vec<PlacedSite>, (usize, String)> = HashMap::new();
    for (listener, by_protocol) in by_listener {
        for (protocol, sites) in by_protocol {
            let found = numbers.get(&sites);
            if let Some((number, first)) = found {
                let (number, again) = (*number, *first == listener);
                servers[number].listen_on(&listener, protocol);
                if again {
                    servers.push(Placed::default());
                }
                continue;
            }
            numbers.insert(sites.clone(), (servers.len(), listener.clone()));
            let mut server = Placed {
                sites,
                ..Placed::default()
            };
            server.listen_on(&listener, protocol);
            servers.push(server);
        }
    }
    servers
}

impl Placed {
    fn listen_on(&mut self, listener: &str, protocol: String) {
        if self.listen.last().is_none_or(|last| last != listener) {
            self.listen.push(listener.to_owned());
            self.protocols.push(None);
        }
        if let Some(protocols) = self.protocols.last_mut().filter(|_| !protocol.is_empty()) {
            protocols.get_or_insert_default().push(protocol);
        }
    }
}

/// Adds an address of a site to what a listener serves. The same address may come from two ways to say a listener.
fn add(placed: &mut Vec<PlacedSite>, site: usize, key: usize) {
    match placed.last_mut() {
        Some(last) if last.site == site => {
            if last.keys.last() != Some(&key) {
                last.keys.push(key);
            }
        }
        _ => placed.push(PlacedSite {
            site,
            keys: vec![key],
        }),
    }
}

/// Where an address of a site listens, and the protocols there, at least one. `named` is what gave `bind`.
fn listeners(
    key: &Address,
    bind: &[&Bind],
    named: &str,
    ports: Ports,
) -> Result<BTreeMap<String, BTreeSet<String>>, Diagnostic> {
    let port = key.listener_port(ports);
    if key.scheme == "http" && port == ports.https || key.scheme == "https" && port == ports.http {
        let scheme = &key.scheme;
        let message = format!("port {port} is not for {scheme}://");
        let other = if scheme == "http" { "https" } else { "http" };
        return Err(Diagnostic::error("conflicting-addresses", &key.span, message)
            .help(format!("write `{other}://`, or leave the scheme or the port out")));
    }
    if bind.is_empty() {
        let default = BTreeSet::from([String::new()]);
        return Ok(BTreeMap::from([(format!(":{port}"), default)]));
    }
    let port = port.to_string();
    let listener = |text: &String| {
        let (network, host, _) = split_network_address(text).map_err(|cause| cause.to_string())?;
        let address = NetworkAddress::parse(&join_network_address(&network, &host, &port));
        address
            .map(|address| address.to_string())
            .map_err(|cause| cause.to_string())
    };
    let mut listeners = BTreeMap::new();
    for bind in bind {
        for text in &bind.addresses {
            let listener = listener(text).map_err(|cause| {
                let message = format!("cannot listen on `{text}`, which `{named}` names: {cause}");
                Diagnostic::error("invalid-value", &key.span, message)
            })?;
            let mut protocols: BTreeSet<String> = bind.protocols.iter().cloned().collect();
            if protocols.is_empty() {
                protocols.insert(String::new());
            }
            listeners.insert(listener, protocols);
        }
    }
    Ok(listeners)
}
