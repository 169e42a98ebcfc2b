//! Which requests of a server are logged where.

use super::super::SiteValue;
use super::super::address::Address;
use super::SiteFacts;
use super::site;
use crate::config::Logs;
use crate::paths::split_host_port;

/// The access logs of a server with these sites; `None` if none of them logs.
pub(super) fn access_logs(sites: &[SiteFacts]) -> Option<Logs> {
    let has_log = |site: &SiteFacts| {
        let mut values = site.values.iter();
        values.any(|(_, value)| matches!(value, SiteValue::Log(_)))
    };
    if !sites.iter().any(has_log) {
        return None;
    }
    let mut logs = Logs::default();
    for site in sites {
        let keys: Vec<&Address> = site.keys.iter().collect();
        if has_log(site) {
            add(&mut logs, site, &keys);
            continue;
        }
        if site::hosts(&keys).is_empty() {
            logs.skip_unmapped_hosts = true;
        }
        let skipped = logged_hosts(&keys);
        if !skipped.is_empty() {
            logs.skip_hosts.get_or_insert_default().extend(skipped);
        }
    }
    if let Some(hosts) = &mut logs.skip_hosts {
        hosts.sort();
    }
    Some(logs)
}

/// Adds what the `log` directives of a site say.
fn add(logs: &mut Logs, site: &SiteFacts, keys: &[&Address]) {
    let every_host = keys.iter().any(|key| key.host.is_empty());
    for (_, value) in &*site.values {
        let SiteValue::Log(log) = value else { continue };
        if log.no_hostname {
            continue;
        }
        let name = log.name.clone().unwrap_or_default();
        if every_host && log.hostnames.is_empty() {
            logs.default_logger_name = Some(name).filter(|name| !name.is_empty());
            continue;
        }
        let names = logs.logger_names.get_or_insert_default();
        let hosts = if log.hostnames.is_empty() {
            let hosts = logged_hosts(keys);
            let without_port =
                |host: String| split_host_port(&host).map_or(host.clone(), |(host, _)| host.into());
            hosts.into_iter().map(without_port).collect()
        } else {
            log.hostnames.clone()
        };
        for host in hosts {
            names.entry(host).or_default().push(name.clone());
        }
    }
}

/// The hosts of some addresses, each once, with their ports where they are not the usual ones.
fn logged_hosts(keys: &[&Address]) -> Vec<String> {
    let named = keys.iter().filter(|key| !key.host.is_empty());
    let hosts: indexmap::IndexSet<String> = named.map(|key| key.logged_host()).collect();
    hosts.into_iter().collect()
}
