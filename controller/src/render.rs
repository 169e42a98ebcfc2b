//! From a snapshot to a config: the same objects give the same bytes, on every replica.
//!
//! Every object is rendered by itself and remembered under its own fields and every look-up made for it, misses
//! included; then who gets which host is settled, and the parts are put together.

mod assemble;
mod caddy_route;
mod claims;
mod classes;
mod definitions;
mod ingress;
mod part;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::Diagnostic;
use fairway_engine::config::Config;
use foldhash::fast::FixedState;

use crate::objects::{CaddyRoute, Ingress, Key};
use crate::snapshot::Snapshot;
use crate::verdict::{Exports, Finding, State, Verdict};
pub(crate) use caddy_route::{check, unavailable};
pub(crate) use classes::CONTROLLER;

use assemble::{Assembled, Routes, assemble, has_secret};
use claims::{Won, settle};
use classes::Classes;
use definitions::{Defined, Definitions, source};
use part::{LastGood, Part, Remembered};
use world::{Asking, World};

/// Renders snapshots, and remembers what it rendered.
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    remembered: HashMap<(&'static str, Key), Remembered>,
    defined: HashMap<Key, (u64, Arc<Defined>)>,
    routes: Routes,
    serial: u64,
    /// How many objects the last call rendered anew.
    pub(crate) rendered: usize,
}

/// What a snapshot becomes.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub config: Config,
    /// Of every object of ours, sorted by kind and name.
    pub verdicts: Vec<Verdict>,
    /// The Secrets that hold certificates of served hosts, and who names them.
    pub secrets: BTreeSet<(Key, &'static str, Key)>,
}

impl Renderer {
    /// Writes an access log of all requests into the config.
    pub(crate) fn log_access(&mut self) {
        self.routes.are_logged = true;
    }

    /// Renders a snapshot. Never fails: an object that is wrong is told so.
    pub(crate) fn render(&mut self, snapshot: &Arc<Snapshot>) -> Rendered {
        self.rendered = 0;
        let classes = Classes::of(snapshot);
        let mut routes: Vec<&Arc<CaddyRoute>> = snapshot
            .routes
            .values()
            .filter(|route| classes.is_ours(route.spec.ingress_class_name.as_deref(), None))
            .collect();
        routes.sort_by(|a, b| a.metadata.age().cmp(&b.metadata.age()));
        let definitions = self.definitions(&routes);
        let world = Rc::new(World {
            snapshot: Arc::clone(snapshot),
            definitions,
        });
        let mut parts: Vec<Rc<Part>> = Vec::new();
        let mut ours: BTreeSet<(&'static str, Key)> = BTreeSet::new();
        for route in &routes {
            ours.insert(("CaddyRoute", route.metadata.key()));
            parts.push(self.caddy_route(route, &world));
        }
        let ingresses = snapshot.ingresses.values().filter(|ingress| {
            let class = ingress.spec.ingress_class_name.as_deref();
            classes.is_ours(class, ingress.metadata.annotation("kubernetes.io/ingress.class"))
        });
        for ingress in ingresses {
            ours.insert(("Ingress", ingress.metadata.key()));
            parts.push(self.ingress(ingress, &world));
        }
        self.remembered.retain(|id, _| ours.contains(id));
        parts.sort_by(|a, b| (&a.created, &a.key, a.kind).cmp(&(&b.created, &b.key, b.kind)));
        let won = settle(&parts, is_secure);
        let Assembled { config, cyclic } = assemble(&parts, &won, &mut self.routes);
        let mut verdicts = verdicts(&parts, won, &world.definitions, &cyclic);
        for verdict in &mut verdicts {
            let key = verdict.key();
            if let Some(defined) = world.definitions.of_object(&format!("{} {key}", verdict.kind)) {
                verdict.exports = defined.exports();
            }
            verdict.generation = match verdict.kind {
                "Ingress" => snapshot
                    .ingresses
                    .get(&key)
                    .map_or(0, |ingress| ingress.metadata.generation),
                _ => snapshot
                    .routes
                    .get(&key)
                    .map_or(0, |route| route.metadata.generation),
            };
        }
        Rendered {
            config,
            secrets: secrets(&parts),
            verdicts,
        }
    }

    fn definitions(&mut self, routes: &[&Arc<CaddyRoute>]) -> Definitions {
        let mut definitions = Definitions::default();
        let mut kept = HashMap::with_capacity(routes.len());
        for route in routes {
            let key = route.metadata.key();
            let text = fingerprint(&route.spec.caddyfile);
            let known = self.defined.remove(&key).filter(|(known, _)| *known == text);
            let (_, defined) = known.unwrap_or_else(|| {
                let mut defined = Defined::of(source(&key, &route.spec.caddyfile));
                if defined.is_broken {
                    let good = self.last_good(route);
                    defined = good.map_or(defined, |good| Defined::of(source(&key, &good.text)));
                }
                (text, Arc::new(defined))
            });
            definitions.add(route, &defined);
            kept.insert(key, (text, defined));
        }
        self.defined = kept;
        definitions
    }

    fn caddy_route(&mut self, route: &CaddyRoute, world: &Rc<World>) -> Rc<Part> {
        let id = ("CaddyRoute", route.metadata.key());
        let fields = fingerprint(&(&route.spec, &route.metadata.creation_timestamp));
        if let Some(part) = self.unchanged(&id, fields, world) {
            return part;
        }
        let last_good = self.last_good(route);
        let serial = self.next();
        let asking = Asking::new(world);
        let (made, asked) = caddy_route::render(route, serial, &asking, last_good);
        self.remember(id, fields, made.part, asked, made.last_good)
    }

    /// The last good text of an object: as this process knows it, else as its status keeps it.
    fn last_good(&self, route: &CaddyRoute) -> Option<LastGood> {
        let id = ("CaddyRoute", route.metadata.key());
        let known = self.remembered.get(&id).and_then(|known| known.last_good.clone());
        known.or_else(|| {
            let kept = route.status.last_good.as_ref()?;
            Some(caddy_route::restore(kept, &route.metadata.namespace))
        })
    }

    fn ingress(&mut self, ingress: &Ingress, world: &Rc<World>) -> Rc<Part> {
        let id = ("Ingress", ingress.metadata.key());
        let Ingress { metadata, spec } = ingress;
        let fields = fingerprint(&(spec, &metadata.annotations, &metadata.creation_timestamp));
        if let Some(part) = self.unchanged(&id, fields, world) {
            return part;
        }
        let serial = self.next();
        let asking = Asking::new(world);
        let (part, asked) = ingress::render(ingress, serial, &asking);
        self.remember(id, fields, part, asked, None)
    }

    /// The part as it was, if the object and all that was looked up for it are the same.
    fn unchanged(&self, id: &(&'static str, Key), fields: u64, world: &World) -> Option<Rc<Part>> {
        let known = self.remembered.get(id).filter(|known| known.fields == fields)?;
        let is_same = known
            .asked
            .iter()
            .all(|(question, answer)| world.answer(question) == *answer);
        is_same.then(|| Rc::clone(&known.part))
    }

    fn remember(
        &mut self,
        id: (&'static str, Key),
        fields: u64,
        part: Part,
        asked: Vec<(world::Question, u64)>,
        last_good: Option<LastGood>,
    ) -> Rc<Part> {
        let part = Rc::new(part);
        let remembered = Remembered {
            part: Rc::clone(&part),
            fields,
            asked,
            last_good,
        };
        self.remembered.insert(id, remembered);
        part
    }

    fn next(&mut self) -> u64 {
        self.rendered += 1;
        self.serial += 1;
        self.serial
    }
}

/// A hash of fields. The same fields are the same object.
fn fingerprint(fields: &impl Hash) -> u64 {
    FixedState::default().hash_one(fields)
}

/// Whether a part has a certificate for a host: a Secret, or the site's own word.
fn is_secure(part: &Part, site: usize, host: &str) -> bool {
    has_secret(part, host) || part.sites.get(site).is_some_and(|site| site.automation.is_some())
}

fn secrets(parts: &[Rc<Part>]) -> BTreeSet<(Key, &'static str, Key)> {
    let named = parts.iter().flat_map(|part| {
        let secrets = part.tls.iter().filter(|(_, secret)| !secret.is_empty());
        secrets.map(|(_, secret)| (Key::new(&part.key.namespace, secret), part.kind, part.key.clone()))
    });
    named.collect()
}

fn verdicts(
    parts: &[Rc<Part>],
    won: Vec<Won>,
    definitions: &Definitions,
    cyclic: &BTreeSet<String>,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = parts
        .iter()
        .zip(won)
        .map(|(part, won)| verdict(part, won, cyclic))
        .collect();
    verdicts.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
    for taken in &definitions.taken {
        if let Some(place) = Verdict::place(&verdicts, "CaddyRoute", &taken.younger) {
            let message = format!(
                "the {} `{}` is that of the older CaddyRoute {}, whatever is written here",
                taken.what, taken.name, taken.older
            );
            verdicts[place].blame(Finding::error("name-taken", "spec.caddyfile", message));
        }
    }
    verdicts
}

fn verdict(part: &Part, won: Won, cyclic: &BTreeSet<String>) -> Verdict {
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    for site in &won.sites {
        hosts.extend(site.http.iter().chain(&site.https).map(|host| &**host));
    }
    hosts.extend(won.paths.iter().map(|&number| &*part.paths[number].host));
    let mut secure: BTreeSet<&str> = won
        .sites
        .iter()
        .flat_map(|site| &site.https)
        .map(|host| &**host)
        .collect();
    secure.extend(
        won.paths
            .iter()
            .map(|&number| &*part.paths[number].host)
            .filter(|host| has_secret(part, host)),
    );
    let mut findings = part.findings.clone();
    let lost = won.findings.iter().any(Finding::is_error);
    findings.extend(won.findings);
    for named in part
        .named_routes
        .iter()
        .filter(|named| cyclic.contains(&named.name))
    {
        let message = format!(
            "the named route `{}` invokes itself, perhaps through others; it answers 503",
            named.name
        );
        findings.push(Finding::error("named-route-cycle", "spec.caddyfile", message));
    }
    for (site, won) in part.sites.iter().zip(&won.sites) {
        use part::Scheme;
        let place = site.written.0.as_ref();
        for address in &site.addresses {
            let host = &address.host;
            if address.scheme == Scheme::Any && won.http.contains(host) {
                let message = format!("`{host}` has no certificate, and so it is served over HTTP only");
                let help = "name a Secret in `spec.tls`, or write `http://` if that is meant";
                findings.push(place.map_or_else(
                    || Finding::warning("no-certificate", "spec.caddyfile", &*message).help(help),
                    |at| {
                        Finding::diagnostic(&Diagnostic::warning("no-certificate", at, &*message).help(help))
                    },
                ));
            }
            if address.scheme == Scheme::Https
                && won.https.contains(host)
                && site.automation.is_none()
                && !has_secret(part, host)
            {
                let message = format!("`https://{host}` has no certificate; handshakes are refused");
                let help = "name a Secret in `spec.tls`";
                findings.push(place.map_or_else(
                    || Finding::error("no-certificate", "spec.caddyfile", &*message).help(help),
                    |at| Finding::diagnostic(&Diagnostic::error("no-certificate", at, &*message).help(help)),
                ));
            }
        }
    }
    let serves = !hosts.is_empty() || !part.named_routes.is_empty();
    let claims = part.sites.iter().any(|site| !site.addresses.is_empty()) || !part.paths.is_empty();
    let state = match part.state {
        State::Accepted if lost && !serves => State::Refused,
        State::Accepted if lost || findings.iter().any(Finding::is_error) => State::PartiallyAccepted,
        State::Unavailable | State::LastGood if claims && !serves => State::Refused,
        state => state,
    };
    Verdict {
        kind: part.kind,
        namespace: part.key.namespace.clone(),
        name: part.key.name.clone(),
        // Told by whoever has the object.
        generation: 0,
        state,
        hosts: hosts.into_iter().map(str::to_owned).collect(),
        secure: secure.into_iter().map(str::to_owned).collect(),
        findings,
        exports: Exports::default(),
        last_good: part.last_good.clone(),
    }
}

impl Renderer {
    /// Renders as if nothing were remembered but the last good texts; for tests that hold the two against each other.
    #[cfg(test)]
    fn render_cold(&self, snapshot: &Arc<Snapshot>) -> Rendered {
        let mut cold = Renderer::default();
        for (id, known) in &self.remembered {
            let empty = Remembered {
                part: Rc::clone(&known.part),
                // No fields hash to this by anything but chance.
                fields: !known.fields,
                asked: Vec::new(),
                last_good: known.last_good.clone(),
            };
            cold.remembered.insert(id.clone(), empty);
        }
        cold.render(snapshot)
    }
}
