//! Puts the parts of all objects together: one config with the servers `http` and `https`.
//!
//! The order of routes is that of the Ingress API: exact hosts, then wildcards, then every host; of a host the longest
//! path first, exact before prefix, then the oldest object.

mod hosts;
mod named;
mod routes;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use fairway_engine::config::{
    AutomaticHttps, Automation, Config, Errors, Http, Logs, Manager, Policy, Route, Server,
    TlsConnectionPolicy,
};
use fairway_engine::handlers::{Config as Handler, invoke, respond, subroute};
use fairway_engine::matchers::{Set, ingress_path};
use indexmap::IndexMap;
use serde_json::json;

use super::claims::{Won, WonSite, id};
use super::part::{Named, Part, Path, Site};
use crate::objects::Key;
use hosts::{Class, by_class, covers, of_hosts, wildcard_of};
use named::NamedRoutes;

pub(super) use hosts::has_secret;
pub(super) use routes::Routes;

/// Where solvers of ACME challenges are asked, always over HTTP.
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Where a route stands: by host, then the longest path, exact first; redirects and the end of a host come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class: Class,
    host: Box<str>,
    last: u8,
    shorter: usize,
    is_prefix: bool,
    age: usize,
}

#[derive(Default)]
struct Listed {
    routes: Vec<(Place, Arc<Route>)>,
    errors: Vec<Route>,
    invoked: BTreeSet<String>,
}

impl Listed {
    fn add(&mut self, place: Place, route: Arc<Route>) {
        self.routes.push((place, route));
    }

    /// The hosts without a source for certificates. None may be ordered for them; their handshakes are refused.
    fn bare(&self, policies: &[Policy]) -> Vec<String> {
        let subjects = policies.iter().flat_map(|policy| &policy.subjects);
        let has_source: HashSet<&str> = subjects.map(String::as_str).collect();
        let sets = self.routes.iter().flat_map(|(_, route)| &route.matches);
        let hosts: BTreeSet<&String> = sets
            .filter_map(|set| set.host.as_ref())
            .flat_map(|hosts| &hosts.0)
            .collect();
        let bare = hosts
            .into_iter()
            .filter(|host| !has_source.contains(host.as_str()));
        bare.cloned().collect()
    }

    fn into_server(mut self, port: u16, named: &NamedRoutes<'_>, skip_certificates: Vec<String>) -> Server {
        self.routes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut routes: Vec<Arc<Route>> = self.routes.into_iter().map(|(_, route)| route).collect();
        routes.push(Arc::new(not_found(&[])));
        Server {
            listen: vec![format!(":{port}")],
            routes,
            errors: (!self.errors.is_empty()).then_some(Errors { routes: self.errors }),
            named_routes: named.reached(self.invoked),
            automatic_https: Some(AutomaticHttps {
                disable_redirects: true,
                skip_certificates,
                ..AutomaticHttps::default()
            }),
            ..Server::default()
        }
    }
}

/// What is assembled, beside the config.
pub(super) struct Assembled {
    pub config: Config,
    /// The names of named routes that invoke themselves, perhaps through others.
    pub cyclic: BTreeSet<String>,
}

/// Makes the config. `parts` are sorted by age, `won` says what each has won.
pub(super) fn assemble(parts: &[Rc<Part>], won: &[Won], routes: &mut Routes) -> Assembled {
    let mut assembly = Assembly {
        http: Listed::default(),
        https: Listed::default(),
        policies: Vec::new(),
        connection: Vec::new(),
        routes,
        secure: secure(parts, won),
        bodies: Vec::new(),
    };
    for (age, (part, won)) in parts.iter().zip(won).enumerate() {
        for (number, (site, won)) in part.sites.iter().zip(&won.sites).enumerate() {
            assembly.site(age, part, number, site, won);
        }
        assembly.paths(age, part, &won.paths);
        assembly.certificates(part, won);
    }
    assembly.ends_of_hosts(parts, won);
    let Assembly {
        http,
        https,
        policies,
        mut connection,
        routes,
        bodies,
        ..
    } = assembly;
    routes.end_round();
    let logs = routes.are_logged.then(Logs::default);
    let named = NamedRoutes::new(parts, &bodies);
    let bare = https.bare(&policies);
    let mut http = http.into_server(80, &named, Vec::new());
    let mut https = https.into_server(443, &named, bare);
    connection.push(TlsConnectionPolicy::default());
    https.tls_connection_policies = Some(connection);
    http.logs.clone_from(&logs);
    https.logs = logs;
    let mut config = Config::default();
    config.apps.http = Some(Http {
        servers: [("http".to_owned(), http), ("https".to_owned(), https)]
            .into_iter()
            .collect(),
        ..Http::default()
    });
    if !policies.is_empty() {
        config.apps.tls = Some(fairway_engine::config::Tls {
            automation: Some(Automation {
                policies,
                ..Automation::default()
            }),
            ..fairway_engine::config::Tls::default()
        });
    }
    Assembled {
        config,
        cyclic: named.cyclic,
    }
}

struct Assembly<'a> {
    http: Listed,
    https: Listed,
    policies: Vec<Policy>,
    connection: Vec<TlsConnectionPolicy>,
    routes: &'a mut Routes,
    /// Hosts of Ingresses that have a certificate.
    secure: HashSet<&'a str>,
    /// Sites that stand in several routes, as named routes.
    bodies: Vec<Named>,
}

impl<'a> Assembly<'a> {
    fn site(&mut self, age: usize, part: &'a Part, number: usize, site: &Site, won: &WonSite) {
        let name = format!("{}#{number}", id(part));
        let mut lists: Vec<(bool, Class, Vec<Box<str>>)> = Vec::new();
        for (over_tls, hosts) in [(false, &won.http), (true, &won.https)] {
            for (class, hosts) in by_class(hosts) {
                lists.push((over_tls, class, hosts));
            }
        }
        // A site has one state, in however many routes it stands.
        let is_shared = lists
            .iter()
            .any(|(_, class, hosts)| (*class, hosts) != (lists[0].1, &lists[0].2));
        let handle = if is_shared {
            let route = self
                .routes
                .get(format!("{name}/body"), part.serial, &[], || Route {
                    handle: site.handle.clone(),
                    ..Route::default()
                });
            self.bodies.push(Named {
                name: name.clone(),
                route,
                invoked: site.invoked.clone(),
            });
            vec![Handler::Invoke(invoke::Config { name: name.clone() })]
        } else {
            site.handle.clone()
        };
        for (over_tls, class, hosts) in lists {
            let scheme = if is_shared && !over_tls { "/http" } else { "" };
            let route = self.routes.get(
                format!("{name}{scheme}{}", class.suffix()),
                part.serial,
                &hosts,
                || Route {
                    written: site.written.clone(),
                    ..for_hosts(&hosts, handle.clone())
                },
            );
            let listed = if over_tls { &mut self.https } else { &mut self.http };
            if !site.errors.is_empty() {
                let errors = subroute::Config {
                    routes: site.errors.clone(),
                    ..subroute::Config::default()
                };
                listed.errors.push(Route {
                    written: site.written.clone(),
                    ..for_hosts(&hosts, vec![Handler::Subroute(errors)])
                });
            }
            if is_shared {
                listed.invoked.insert(name.clone());
            }
            listed.invoked.extend(site.invoked.iter().cloned());
            listed.add(place(class, &hosts, age), route);
        }
        self.redirect(age, part, &name, &won.redirected);
        let names = won.https.iter().filter(|host| !host.is_empty());
        let names: Vec<String> = names.map(ToString::to_string).collect();
        // Without names they would be for all names, those of others among them.
        if names.is_empty() {
            return;
        }
        if let Some(policy) = &site.tls {
            self.connection.push(TlsConnectionPolicy {
                matches: Some(IndexMap::from([("sni".to_owned(), json!(names))])),
                ..policy.clone()
            });
        }
        if let Some(policy) = &site.automation {
            self.policies.push(Policy {
                subjects: names,
                ..policy.clone()
            });
        }
    }

    /// Leads from HTTP to HTTPS.
    fn redirect(&mut self, age: usize, part: &Part, name: &str, hosts: &[Box<str>]) {
        for (class, hosts) in by_class(hosts) {
            let id = format!("{name}/redirect{}", class.suffix());
            let to_https = || for_hosts(&hosts, vec![to_https()]);
            let route = self.routes.get(id, part.serial, &hosts, to_https);
            let place = Place {
                last: 1,
                ..place(class, &hosts, age)
            };
            self.http.add(place, route);
        }
    }

    fn paths(&mut self, age: usize, part: &'a Part, won: &[usize]) {
        let mut redirected: BTreeSet<Box<str>> = BTreeSet::new();
        for &number in won {
            let path = &part.paths[number];
            let is_secure = self.secure.contains(&*path.host);
            let name = format!("{}#{}", id(part), path.field);
            let hosts = [path.host.clone()];
            let route = self.routes.get(name, part.serial, &hosts, || Route {
                matches: matches(path).into_iter().collect(),
                handle: path.handle.clone(),
                terminal: true,
                ..Route::default()
            });
            let place = Place {
                last: if path.is_default { 2 } else { 0 },
                shorter: usize::MAX - path.text.trim_end_matches('/').len(),
                is_prefix: !path.is_exact,
                ..place(Class::of(&path.host), &hosts, age)
            };
            let lists: &mut [&mut Listed] = if !is_secure {
                &mut [&mut self.http]
            } else if path.text.starts_with(CHALLENGE) {
                &mut [&mut self.http, &mut self.https]
            } else {
                redirected.insert(path.host.clone());
                &mut [&mut self.https]
            };
            for listed in lists {
                listed.invoked.extend(path.invoked.iter().cloned());
                listed.add(place.clone(), Arc::clone(&route));
            }
        }
        let hosts: Vec<Box<str>> = redirected.into_iter().collect();
        self.redirect(age, part, &id(part), &hosts);
    }

    /// The Secrets with the certificates of a part's hosts.
    fn certificates(&mut self, part: &Part, won: &Won) {
        let own: BTreeSet<&str> = won
            .sites
            .iter()
            .flat_map(|site| &site.https)
            .chain(won.paths.iter().map(|&number| &part.paths[number].host))
            .map(|host| &**host)
            .collect();
        for (hosts, secret) in part.tls.iter().filter(|(_, secret)| !secret.is_empty()) {
            let subjects = own.iter().filter(|host| covers(hosts, host) && !host.is_empty());
            let subjects: Vec<String> = subjects.map(ToString::to_string).collect();
            if !subjects.is_empty() {
                let Key { namespace, .. } = &part.key;
                self.policies.push(Policy {
                    subjects,
                    get_certificate: vec![Manager::Kubernetes {
                        namespace: namespace.to_string(),
                        name: secret.to_string(),
                    }],
                    ..Policy::default()
                });
            }
        }
    }

    /// What no path of an Ingress's host takes is not for others, whose hosts are more general.
    fn ends_of_hosts(&mut self, parts: &[Rc<Part>], won: &[Won]) {
        let mut hosts: BTreeMap<&str, bool> = BTreeMap::new();
        for (part, won) in parts.iter().zip(won) {
            for &number in &won.paths {
                let path = &part.paths[number];
                *hosts.entry(&path.host).or_default() |= path.is_default;
            }
        }
        let sites = won.iter().flat_map(|won| &won.sites);
        let of_sites = sites.flat_map(|site| site.http.iter().chain(&site.https));
        let mut claimed: HashSet<&str> = of_sites.map(|host| &**host).collect();
        claimed.extend(hosts.keys());
        let every = claimed.contains("");
        for (host, has_default) in &hosts {
            let wildcard = wildcard_of(host).filter(|_| Class::of(host) == Class::Exact);
            let is_within = every || wildcard.is_some_and(|wildcard| claimed.contains(&*wildcard));
            if host.is_empty() || *has_default || !is_within {
                continue;
            }
            let of_host = [Box::from(*host)];
            let end = || not_found(&of_host);
            let route = self.routes.get(format!("end of {host}"), 0, &of_host, end);
            let place = Place {
                last: 3,
                ..place(Class::of(host), &of_host, 0)
            };
            self.http.add(place.clone(), Arc::clone(&route));
            self.https.add(place, route);
        }
    }
}

/// The hosts of Ingresses that have a certificate: those that some Ingress of the host's own namespace lists. What
/// others list is of no account.
fn secure<'p>(parts: &'p [Rc<Part>], won: &[Won]) -> HashSet<&'p str> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut listed: HashSet<(&str, String)> = HashSet::new();
    for (part, won) in parts.iter().zip(won) {
        let namespace = &*part.key.namespace;
        owners.extend(
            won.paths
                .iter()
                .map(|&number| (&*part.paths[number].host, namespace)),
        );
        if !part.paths.is_empty() {
            let hosts = part.tls.iter().flat_map(|(hosts, _)| hosts);
            listed.extend(hosts.map(|host| (namespace, host.to_ascii_lowercase())));
        }
    }
    let is_listed = |host: &str, namespace: &str| {
        listed.contains(&(namespace, host.to_owned()))
            || wildcard_of(host).is_some_and(|wildcard| listed.contains(&(namespace, wildcard)))
    };
    let secure = owners
        .iter()
        .filter(|(host, namespace)| is_listed(host, namespace));
    secure.map(|(host, _)| *host).collect()
}

fn place(class: Class, hosts: &[Box<str>], age: usize) -> Place {
    Place {
        class,
        host: hosts.iter().min().cloned().unwrap_or_default(),
        last: 0,
        shorter: usize::MAX,
        is_prefix: true,
        age,
    }
}

/// What is done for some hosts, and nothing after it.
fn for_hosts(hosts: &[Box<str>], handle: Vec<Handler>) -> Route {
    Route {
        matches: of_hosts(hosts).into_iter().collect(),
        handle,
        terminal: true,
        ..Route::default()
    }
}

/// The matcher for a path and its host; none for every path of every host.
pub(super) fn matches(path: &Path) -> Option<Set> {
    let set = Set {
        ingress_path: match (&*path.text, path.is_exact) {
            ("/", false) => None,
            (path, true) => Some(ingress_path::Config::Exact(path.into())),
            (path, false) => Some(ingress_path::Config::Prefix(path.into())),
        },
        ..of_hosts(std::slice::from_ref(&path.host)).unwrap_or_default()
    };
    (!set.is_empty()).then_some(set)
}

/// 308 to the same address over HTTPS, on the logical port.
fn to_https() -> Handler {
    let location = "https://{http.request.host}{http.request.uri}".to_owned();
    Handler::StaticResponse(respond::Config {
        status_code: "308".into(),
        headers: [("Location".to_owned(), vec![location])].into_iter().collect(),
        ..respond::Config::default()
    })
}

/// The end of a list, or of what some hosts have: 404.
fn not_found(hosts: &[Box<str>]) -> Route {
    let answer = respond::Config {
        status_code: "404".into(),
        ..respond::Config::default()
    };
    for_hosts(hosts, vec![Handler::StaticResponse(answer)])
}
