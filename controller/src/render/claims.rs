//! Who gets which host. A host (exact, wildcard and empty are separate claims) belongs to the namespace of its oldest
//! claim; there a site has the whole host, Ingresses share it by their paths.

use std::collections::HashMap;
use std::rc::Rc;

use super::part::{Address, Part, Path, Scheme};
use crate::objects::Key;
use crate::verdict::Finding;

/// What one part has won, and what it is told about the rest.
#[derive(Debug, Default)]
pub(super) struct Won {
    /// For each site the hosts that it serves over HTTP, over HTTPS, and those whose HTTP leads to HTTPS.
    pub sites: Vec<WonSite>,
    /// The numbers of the paths that are served.
    pub paths: Vec<usize>,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Default)]
pub(super) struct WonSite {
    pub http: Vec<Box<str>>,
    pub https: Vec<Box<str>>,
    pub redirected: Vec<Box<str>>,
}

/// The owners of a host.
#[derive(Debug)]
struct Host<'p> {
    namespace: &'p str,
    /// The first claim, which others are told of.
    first: &'p Part,
    http: Option<Holder<'p>>,
    https: Option<Holder<'p>>,
}

#[derive(Clone, Copy, Debug)]
enum Holder<'p> {
    Site(&'p Part, usize),
    Paths(&'p Part),
}

impl<'p> Holder<'p> {
    fn part(self) -> &'p Part {
        match self {
            Holder::Site(part, _) | Holder::Paths(part) => part,
        }
    }
}

/// Settles all claims; the parts are sorted by age, the oldest first. `is_secure` tells whether a part has a
/// certificate for a host.
pub(super) fn settle(parts: &[Rc<Part>], is_secure: impl Fn(&Part, usize, &str) -> bool) -> Vec<Won> {
    let mut hosts: HashMap<&str, Host<'_>> = HashMap::new();
    let mut taken: HashMap<(&str, &str, bool), &Part> = HashMap::new();
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let mut won = Won::default();
        for (number, site) in part.sites.iter().enumerate() {
            let mut of_site = WonSite::default();
            for address in &site.addresses {
                let secure = is_secure(part, number, &address.host);
                claim_site(
                    part,
                    number,
                    address,
                    secure,
                    &mut hosts,
                    &mut of_site,
                    &mut won.findings,
                );
            }
            won.sites.push(of_site);
        }
        let mut lost: Vec<&str> = Vec::new();
        for (number, path) in part.paths.iter().enumerate() {
            if lost.contains(&&*path.host) {
                continue;
            }
            if let Err(finding) = claim_host(part, &path.host, &mut hosts, path) {
                lost.push(&path.host);
                won.findings.push(finding);
                continue;
            }
            let id = (
                &*path.host,
                if path.is_default { "default" } else { &*path.text },
                path.is_exact,
            );
            match taken.get(&id) {
                Some(older) if older.key == part.key => {
                    let message = format!(
                        "the path `{}` of `{}` is there twice; the first counts",
                        path.text, path.host
                    );
                    won.findings
                        .push(Finding::error("path-twice", path.field.as_str(), message));
                }
                // Nobody was promised the default backend of all hosts: the oldest has it.
                Some(older) => {
                    let what = if path.is_default {
                        "the default backend"
                    } else {
                        &*path.text
                    };
                    let message = format!(
                        "{} `{}` belongs to the older {} {}",
                        name(&path.host),
                        what,
                        older.kind,
                        older.key
                    );
                    won.findings
                        .push(Finding::warning("path-held-by", path.field.as_str(), message));
                }
                None => {
                    taken.insert(id, part);
                    won.paths.push(number);
                }
            }
        }
        all.push(won);
    }
    // HTTP of an address without a scheme leads to HTTPS, unless somebody serves it.
    for (part, won) in parts.iter().zip(&mut all) {
        for (site, won) in part.sites.iter().zip(&mut won.sites) {
            let any = |host: &str| {
                let mut addresses = site.addresses.iter();
                addresses.any(|address| address.scheme == Scheme::Any && *address.host == *host)
            };
            let free = |host: &str| hosts.get(host).is_some_and(|host| host.http.is_none());
            won.redirected = won
                .https
                .iter()
                .filter(|host| any(host) && free(host))
                .cloned()
                .collect();
        }
    }
    all
}

fn claim_site<'p>(
    part: &'p Part,
    number: usize,
    address: &'p Address,
    secure: bool,
    hosts: &mut HashMap<&'p str, Host<'p>>,
    won: &mut WonSite,
    findings: &mut Vec<Finding>,
) {
    let over_tls = match address.scheme {
        Scheme::Any => secure,
        Scheme::Http => false,
        Scheme::Https => true,
    };
    let host = match enter(part, &address.host, hosts, "spec.caddyfile") {
        Ok(host) => host,
        Err(finding) => return findings.push(finding),
    };
    let holder = if over_tls { &mut host.https } else { &mut host.http };
    match holder {
        Some(Holder::Site(other, site)) if other.key == part.key && *site == number => {}
        Some(holder) => {
            let other = holder.part();
            findings.push(if other.key == part.key && other.kind == part.kind {
                let message = format!(
                    "two sites have the address {}; the first counts",
                    name(&address.host)
                );
                Finding::error("ambiguous-site", "spec.caddyfile", message)
            } else {
                held_by(other, &address.host, "spec.caddyfile")
            });
        }
        None => {
            *holder = Some(Holder::Site(part, number));
            let list = if over_tls { &mut won.https } else { &mut won.http };
            list.push(address.host.clone());
        }
    }
}

/// Claims a host for the paths of an Ingress.
fn claim_host<'p>(
    part: &'p Part,
    host: &'p str,
    hosts: &mut HashMap<&'p str, Host<'p>>,
    path: &Path,
) -> Result<(), Finding> {
    let known = enter(part, host, hosts, &path.field)?;
    if let Some(Holder::Site(other, _)) = known.http.or(known.https) {
        return Err(held_by(other, host, &path.field));
    }
    known.http.get_or_insert(Holder::Paths(part));
    known.https.get_or_insert(Holder::Paths(part));
    Ok(())
}

/// The host, if it is free or belongs to the part's namespace.
fn enter<'h, 'p>(
    part: &'p Part,
    host: &'p str,
    hosts: &'h mut HashMap<&'p str, Host<'p>>,
    field: &str,
) -> Result<&'h mut Host<'p>, Finding> {
    let known = hosts.entry(host).or_insert_with(|| Host {
        namespace: &part.key.namespace,
        first: part,
        http: None,
        https: None,
    });
    if *known.namespace == *part.key.namespace {
        return Ok(known);
    }
    let Part { kind, key, .. } = known.first;
    let message = format!(
        "{} belongs to the namespace `{}`, by the older {kind} {key}",
        name(host),
        key.namespace
    );
    Err(Finding::error("host-conflict", field, message))
}

/// The host is another object's, of the same namespace.
fn held_by(other: &Part, host: &str, field: &str) -> Finding {
    let message = format!("{} is held by the older {} {}", name(host), other.kind, other.key);
    Finding::error("host-held-by", field, message)
        .help("this object takes the host over as soon as the other one lets it go")
}

/// A host in a message.
fn name(host: &str) -> String {
    if host.is_empty() {
        "the host of all others".to_owned()
    } else {
        format!("`{host}`")
    }
}

/// The key of a part in messages and identities.
pub(super) fn id(part: &Part) -> String {
    let Part {
        kind,
        key: Key { namespace, name },
        ..
    } = part;
    format!("{kind}/{namespace}/{name}")
}
