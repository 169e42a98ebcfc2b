//! Automatic HTTPS: what follows from the names of a config's sites. Servers on HTTPS ports speak TLS, names get
//! certificates, and HTTP redirects to HTTPS.
//!
//! The rules are Caddy's. It runs on a config before it is compiled, never before it is printed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::json;

use crate::compile::CompileError;
use crate::config::{Config, Route, Server, TlsConnectionPolicy};
use crate::handlers;
use crate::matchers::Set;
use crate::values::NetworkAddress;

mod issuer;

pub use issuer::{Issuer, Managed};

/// The server made for redirects from addresses on which nobody listens.
const REDIRECTS: &str = "remaining_auto_https_redirects";

/// Completes a config, and tells which certificates it needs. `is_loaded` tells whether a certificate for a name is
/// there already.
pub fn apply(config: &mut Config, is_loaded: impl Fn(&str) -> bool) -> Result<Vec<Managed>, CompileError> {
    let Some(http) = &mut config.apps.http else {
        return Ok(Vec::new());
    };
    let ports = Ports {
        http: http.http_port.unwrap_or(80),
        https: http.https_port.unwrap_or(443),
    };
    let mut names = BTreeSet::new();
    // By name, empty for every name: where its HTTPS listens.
    let mut redirects: BTreeMap<String, Vec<NetworkAddress>> = BTreeMap::new();
    let mut servers: Vec<String> = http.servers.keys().cloned().collect();
    servers.sort();
    for server in servers {
        let server = &mut http.servers[&server];
        let addresses = listeners(server)?;
        let automatic = server.automatic_https.clone().unwrap_or_default();
        if automatic.disable || addresses.iter().all(|address| address.start_port == ports.http) {
            continue;
        }
        if addresses.iter().all(|address| address.start_port == ports.https) {
            speak_tls(server);
        }
        // There may be as many of them as there are sites.
        let skipped: HashSet<&String> = automatic.skip.iter().collect();
        let without_certificate: HashSet<&String> = automatic.skip_certificates.iter().collect();
        let mut hosts: BTreeSet<String> = hosts(server).collect();
        hosts.retain(|host| !skipped.contains(host));
        if hosts.is_empty() && server.tls_connection_policies.is_none() {
            continue;
        }
        if !automatic.disable_certificates {
            let wanted = hosts.iter().filter(|host| {
                qualifies(host)
                    && !without_certificate.contains(host)
                    && (automatic.ignore_loaded_certificates || !is_loaded(host))
            });
            names.extend(wanted.cloned());
        }
        speak_tls(server);
        if automatic.disable_redirects {
            continue;
        }
        if hosts.is_empty() {
            hosts.insert(String::new());
        }
        for address in addresses {
            for host in &hosts {
                let known = redirects.entry(host.clone()).or_default();
                // Of several ports, the one for HTTPS is best.
                if known.is_empty() || address.start_port == ports.https {
                    known.retain(|known| known.host != address.host || known.network != address.network);
                    known.push(address.clone());
                }
            }
        }
    }
    redirect(&mut http.servers, redirects, ports, !names.is_empty());
    names.extend(issuer::automated(config));
    Ok(issuer::managed(&names, config))
}

/// Whether a certificate can be made for a name.
pub fn qualifies(name: &str) -> bool {
    let wildcard_is_first =
        !name.contains('*') || name == "*" || name.starts_with("*.") && !name[1..].contains('*');
    !name.trim().is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && wildcard_is_first
        && !name.contains(|c: char| "()[]{}<> \t\n\"\\!@#$%^&|;'+=".contains(c))
}

#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    https: u16,
}

fn listeners(server: &Server) -> Result<Vec<NetworkAddress>, CompileError> {
    let parse = |listen: &String| {
        NetworkAddress::parse(listen)
            .map_err(|error| CompileError::new(format!("listener `{listen}`: {error}")))
    };
    server.listen.iter().map(parse).collect()
}

fn speak_tls(server: &mut Server) {
    server
        .tls_connection_policies
        .get_or_insert_with(|| vec![TlsConnectionPolicy::default()]);
}

/// The hosts of a server's top-level routes; placeholders that need no request are filled.
fn hosts(server: &Server) -> impl Iterator<Item = String> + '_ {
    let sets = server.routes.iter().flat_map(|route| &route.matches);
    let hosts = sets.filter_map(|set| set.host.as_ref()).flat_map(|host| &host.0);
    hosts.map(|host| crate::template::Template::new(host).fill_global())
}

/// Adds the routes that redirect, where somebody listens already, or on a server of their own.
fn redirect(
    servers: &mut IndexMap<String, Server>,
    redirects: BTreeMap<String, Vec<NetworkAddress>>,
    ports: Ports,
    has_names: bool,
) {
    let mut by_listener: BTreeMap<String, Vec<(String, Route)>> = BTreeMap::new();
    for (host, addresses) in redirects {
        for address in addresses {
            let route = to_https(
                Some(&host).filter(|host| !host.is_empty()),
                address.start_port,
                ports,
            );
            let mut from = address;
            (from.start_port, from.end_port) = (ports.http, ports.http);
            by_listener
                .entry(from.to_string())
                .or_default()
                .push((host.clone(), route));
        }
    }
    let mut own = Server::default();
    for (listener, mut routes) in by_listener {
        // The exact before the wildcard, the longer before the shorter.
        routes.sort_by_key(|(host, _)| (host.is_empty(), host.contains('*'), usize::MAX - host.len()));
        let routes = routes.into_iter().map(|(_, route)| Arc::new(route));
        let listens = |server: &&mut Server| {
            server
                .listen
                .iter()
                .any(|listen| same_listener(listen, &listener))
        };
        if let Some(server) = servers.values_mut().find(listens) {
            let has_host = |route: &Arc<Route>| route.matches.iter().any(|set| set.host.is_some());
            let at = server
                .routes
                .iter()
                .rposition(has_host)
                .map_or(0, |last| last + 1);
            if has_names {
                server.routes.splice(at..at, routes);
            }
            server.routes.push(Arc::new(to_https(None, ports.https, ports)));
        } else {
            own.listen.push(listener);
            own.routes.extend(routes);
        }
    }
    if !own.listen.is_empty() {
        own.routes.push(Arc::new(to_https(None, ports.https, ports)));
        servers.insert(REDIRECTS.to_owned(), own);
    }
}

fn same_listener(listen: &str, other: &str) -> bool {
    listen == other || NetworkAddress::parse(listen).is_ok_and(|address| address.to_string() == other)
}

/// A route that redirects plain requests for a host, or for every host, to HTTPS on a port.
fn to_https(host: Option<&String>, port: u16, ports: Ports) -> Route {
    let is_standard = [ports.http, ports.https, 80, 443].contains(&port);
    let port = if is_standard {
        String::new()
    } else {
        format!(":{port}")
    };
    let location = format!("https://{{http.request.host}}{port}{{http.request.uri}}");
    let handler: handlers::Config = serde_json::from_value(json!({
        "handler": "static_response",
        "status_code": 308,
        "headers": { "Location": [location], "Connection": ["close"] },
        "close": true,
    }))
    .expect("a static response of these fields");
    let mut set: Set = serde_json::from_value(json!({ "protocol": "http" })).expect("a protocol matcher");
    set.host = host.map(|host| crate::matchers::host::Config(vec![host.clone()]));
    Route {
        terminal: true,
        ..Route::new(Some(set), handler)
    }
}

/// Whether only a private authority can vouch for a name: `localhost`, addresses, names of private domains.
pub fn is_internal(name: &str) -> bool {
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let name = name.to_ascii_lowercase();
    let ends = [".localhost", ".local", ".internal", ".home.arpa"];
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(servers: &serde_json::Value) -> Config {
        serde_json::from_value(json!({ "apps": { "http": { "servers": servers } } })).unwrap()
    }

    fn site(host: &str) -> serde_json::Value {
        json!({ "match": [{ "host": [host] }], "handle": [{ "handler": "subroute" }], "terminal": true })
    }

    #[track_caller]
    fn names(config: &mut Config) -> Vec<String> {
        apply(config, |_| false)
            .unwrap()
            .into_iter()
            .map(|managed| managed.name)
            .collect()
    }

    #[test]
    fn a_named_site_gets_tls_a_certificate_and_a_redirect() {
        let mut config = config(&json!({ "srv0": { "listen": [":443"], "routes": [site("localhost")] } }));
        assert_eq!(names(&mut config), ["localhost"]);
        let http = config.apps.http.unwrap();
        assert!(http.servers["srv0"].tls_connection_policies.is_some());
        let redirects = &http.servers[REDIRECTS];
        assert_eq!(redirects.listen, [":80"]);
        // For the host, and for every other.
        assert_eq!(redirects.routes.len(), 2);
    }

    #[test]
    fn plain_http_and_nameless_ports_are_left_alone() {
        let mut plain = config(&json!({
            "srv0": { "listen": [":80"], "routes": [site("a.test")] },
            "srv1": { "listen": [":8080"], "routes": [] },
        }));
        let before = plain.clone();
        assert!(names(&mut plain).is_empty());
        assert_eq!(plain, before);
    }

    #[test]
    fn a_redirect_goes_behind_the_sites_that_listen_there() {
        let mut config = config(&json!({
            "srv0": { "listen": [":443"], "routes": [site("a.test")] },
            "srv1": { "listen": [":80"], "routes": [site("b.test"), { "handle": [{ "handler": "subroute" }] }] },
        }));
        names(&mut config);
        let http = config.apps.http.unwrap();
        let hosts: Vec<_> = http.servers["srv1"]
            .routes
            .iter()
            .map(|route| &route.matches)
            .collect();
        assert_eq!(hosts.len(), 4);
        assert_eq!(hosts[1][0].host.as_ref().unwrap().0, ["a.test"]);
        assert!(!http.servers.contains_key(REDIRECTS));
    }

    #[test]
    fn a_name_with_a_secret_gets_tls_and_redirects_and_no_issuer() {
        let secret = json!({ "via": "kubernetes", "namespace": "shop", "name": "shop-tls" });
        let policy = json!({ "subjects": ["a.test"], "get_certificate": [secret] });
        let mut config = config(&json!({
            "srv0": { "listen": [":443"], "routes": [site("a.test")] },
            "srv1": { "listen": [":80"], "routes": [site("b.test"), { "handle": [{ "handler": "subroute" }] }] },
        }));
        let tls = json!({ "automation": { "policies": [policy] } });
        config.apps.tls = serde_json::from_value(tls).unwrap();
        assert!(names(&mut config).is_empty());
        let servers = config.apps.http.unwrap().servers;
        assert!(servers["srv0"].tls_connection_policies.is_some());
        let redirect = &servers["srv1"].routes[1];
        assert_eq!(redirect.matches[0].host.as_ref().unwrap().0, ["a.test"]);
    }

    #[test]
    fn knows_which_names_qualify() {
        for name in ["a.test", "*.a.test", "localhost", "127.0.0.1"] {
            assert!(qualifies(name), "{name}");
        }
        for name in ["", ".a", "a.", "a*.b", "*.*.a", "{x}", "a b"] {
            assert!(!qualifies(name), "{name}");
        }
    }
}
