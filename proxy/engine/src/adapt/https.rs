//! What `tls` directives and addresses mean for certificates: `apps.tls`.
//!
//! What happens by itself when the config runs (redirects, certificates for all names) is not said here; only what
//! the text says beyond that.

mod automation;
pub(crate) mod issuers;
mod shield;
mod subjects;

use super::scope::SiteValue;
use super::servers::SiteFacts;
use crate::config::Policy;
use crate::values::NetworkAddress;

pub(crate) use automation::tls_app;
pub(crate) use shield::shield;

/// The hosts of a site, each once and sorted; none if one of its addresses is for every host.
fn hosts(site: &SiteFacts) -> Vec<String> {
    if site.keys.iter().any(|key| key.host.is_empty()) {
        return Vec::new();
    }
    let mut hosts: Vec<String> = site.keys.iter().map(|key| key.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Whether any of the listeners has a port other than this one.
fn listens_elsewhere(listen: &[String], port: u16) -> bool {
    let port = u32::from(port);
    let elsewhere = |address: &NetworkAddress| {
        let range = u32::from(address.start_port)..=u32::from(address.end_port);
        !range.contains(&port)
    };
    listen
        .iter()
        .filter_map(|text| NetworkAddress::parse(text).ok())
        .any(|address| elsewhere(&address))
}

fn automations(site: &SiteFacts) -> impl Iterator<Item = &Policy> {
    site.values.iter().filter_map(|(_, value)| match value {
        SiteValue::Automation(policy) => Some(policy),
        _ => None,
    })
}

fn is_forced(site: &SiteFacts) -> bool {
    let mut values = site.values.iter();
    values.any(|(_, value)| matches!(value, SiteValue::ForceAutomate))
}
