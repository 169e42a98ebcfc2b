//! Which listeners a site's addresses belong to, and which listeners are one server.

use std::collections::BTreeMap;

use fairway_caddyfile::Diagnostic;
use indexmap::IndexMap;

use super::super::address::{Address, Ports};
use super::super::scope::{Shared, SiteValue};
use super::site::Site;
use crate::values::{NetworkAddress, join_network_address, split_network_address};

/// A server before it is built.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where it listens, sorted.
    pub listen: Vec<String>,
    /// The sites behind it.
    pub sites: Vec<PlacedSite>,
}

/// The part of a site that is behind some listeners. Both numbers count from the first.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PlacedSite {
    /// Which site.
    pub site: usize,
    /// Which of its addresses.
    pub keys: Vec<usize>,
}

/// Places all sites; `default_bind` is for those that do not say where they listen.
pub(super) fn place(
    sites: &[Site],
    default_bind: &[String],
    ports: Ports,
    shared: &mut Shared,
) -> Vec<Placed> {
    let mut by_listener: BTreeMap<String, Vec<PlacedSite>> = BTreeMap::new();
    for (site, read) in sites.iter().enumerate() {
        let own = read.values.iter().filter_map(|(_, value)| match value {
            SiteValue::Bind(addresses) => Some(addresses),
            _ => None,
        });
        let own: Vec<String> = own.flatten().cloned().collect();
        let (bind, named) = if own.is_empty() {
            (default_bind, "default_bind")
        } else {
            (&own[..], "bind")
        };
        for (number, key) in read.keys.iter().enumerate() {
            match listeners(key, bind, named, ports) {
                Ok(listeners) => {
                    for listener in listeners {
                        add(by_listener.entry(listener).or_default(), site, number);
                    }
                }
                Err(mistake) => shared.diagnostics.push(mistake),
            }
        }
    }
    let mut servers: IndexMap<Vec<PlacedSite>, Vec<String>> = IndexMap::new();
    for (listener, sites) in by_listener {
        servers.entry(sites).or_default().push(listener);
    }
    let servers = servers.into_iter();
    servers.map(|(sites, listen)| Placed { listen, sites }).collect()
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

/// Where an address of a site listens. `named` is what gave `bind`.
fn listeners(key: &Address, bind: &[String], named: &str, ports: Ports) -> Result<Vec<String>, Diagnostic> {
    let port = key.listener_port(ports);
    if key.scheme == "http" && port == ports.https || key.scheme == "https" && port == ports.http {
        let scheme = &key.scheme;
        let message = format!("port {port} is not for {scheme}://");
        let other = if scheme == "http" { "https" } else { "http" };
        return Err(Diagnostic::error("conflicting-addresses", &key.span, message)
            .help(format!("write `{other}://`, or leave the scheme or the port out")));
    }
    if bind.is_empty() {
        return Ok(vec![format!(":{port}")]);
    }
    let port = port.to_string();
    let listener = |text: &String| {
        let (network, host, _) = split_network_address(text).map_err(|cause| cause.to_string())?;
        let address = NetworkAddress::parse(&join_network_address(&network, &host, &port));
        address
            .map(|address| address.to_string())
            .map_err(|cause| cause.to_string())
    };
    bind.iter()
        .map(|text| {
            listener(text).map_err(|cause| {
                let message = format!("cannot listen on `{text}`, which `{named}` names: {cause}");
                Diagnostic::error("invalid-value", &key.span, message)
            })
        })
        .collect()
}
