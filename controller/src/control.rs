//! From snapshots to what is served: render, compile, set endpoints and certificates, swap.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use fairway_engine::cluster::ServicePort;
use fairway_engine::compile::CompileError;
use fairway_engine::config::{Config, Route};
use fairway_engine::handlers::reverse_proxy::Registry;
use fairway_server::tls::{SecretPair, Secrets};
use fairway_server::{Options, Running};
use jiff::Timestamp;

use crate::endpoints::Endpoints;
use crate::objects::{Key, Secret};
use crate::render::{Rendered, Renderer, unavailable};
use crate::serving::{self, Prepared};
use crate::snapshot::Snapshot;
use crate::verdict::{Finding, Verdict};

/// What is bound for the logical ports 80 and 443.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub http: u16,
    pub https: u16,
}

/// What the last snapshot became, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whether a complete config is served.
    pub is_ready: bool,
    /// When the objects were written to disk, if they come from there: the API server has not answered yet.
    pub stale: Option<Timestamp>,
    pub config: Config,
    pub verdicts: Vec<Verdict>,
}

/// The control side of the data plane.
pub(crate) struct Control {
    renderer: Renderer,
    registry: Registry,
    secrets: Secrets,
    /// The Secrets as they were last told to the data plane, and what was wrong with them.
    told: HashMap<Key, (Arc<Secret>, Option<String>)>,
    endpoints: Endpoints,
    addresses: BTreeMap<ServicePort, Vec<std::net::SocketAddr>>,
    ports: Ports,
    storage: Option<PathBuf>,
    running: Option<Running>,
    /// The newest; its config is the one that is served.
    report: Arc<Report>,
}

/// What a snapshot changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Objects that were rendered anew.
    pub rendered: usize,
    pub swapped: bool,
    /// Service ports whose endpoints changed.
    pub endpoints: usize,
}

impl Control {
    pub(crate) fn new(ports: Ports, allow_local: bool, storage: Option<PathBuf>) -> Self {
        Self {
            renderer: Renderer::default(),
            registry: Registry::default(),
            secrets: Secrets::default(),
            told: HashMap::new(),
            endpoints: Endpoints::new(allow_local),
            addresses: BTreeMap::new(),
            ports,
            storage,
            running: None,
            report: Arc::default(),
        }
    }

    /// Has all requests told to the access log, from the start on.
    pub(crate) fn log_access(&mut self) {
        self.renderer.log_access();
    }

    /// The newest report.
    pub(crate) fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report)
    }

    /// Starts to serve a snapshot; `stale` says when it was written to disk, if it comes from there.
    pub(crate) fn start(
        &mut self,
        snapshot: &Arc<Snapshot>,
        stale: Option<Timestamp>,
        options: &Options,
    ) -> anyhow::Result<()> {
        let rendered = self.render(snapshot);
        let prepared = self.prepare(rendered.config.clone())?;
        self.set_endpoints(snapshot);
        let running = Running::start(&prepared.table, &prepared.plan, &prepared.tls, options)?;
        for address in running.addresses() {
            tracing::info!(%address, "listening");
        }
        self.running = Some(running);
        self.publish(rendered, stale);
        Ok(())
    }

    /// Serves a snapshot from the next request on. If the data plane cannot follow, it stays as it was.
    pub(crate) fn apply(&mut self, snapshot: &Arc<Snapshot>) -> anyhow::Result<Change> {
        let rendered = self.render(snapshot);
        let mut change = Change {
            rendered: self.renderer.rendered,
            ..Change::default()
        };
        if self.report.config == rendered.config {
            change.endpoints = self.set_endpoints(snapshot);
        } else {
            let prepared = self.prepare(rendered.config.clone())?;
            // Before the table that names them is published.
            change.endpoints = self.set_endpoints(snapshot);
            if let Some(running) = &self.running {
                running.swap(&prepared.table, &prepared.plan, &prepared.tls)?;
            }
            change.swapped = true;
        }
        self.publish(rendered, None);
        Ok(change)
    }

    /// The Secrets that are there and named by an object.
    pub(crate) fn secrets(&self) -> HashSet<Key> {
        self.told.keys().cloned().collect()
    }

    /// The running data plane.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// What outlives tables.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves on, and asks clients to come back over other connections.
    pub(crate) fn leave(&self) {
        if let Some(running) = &self.running {
            running.leave();
        }
    }

    /// The running data plane, to end it.
    pub(crate) fn into_running(self) -> Option<Running> {
        self.running
    }

    fn render(&mut self, snapshot: &Arc<Snapshot>) -> Rendered {
        let mut rendered = self.renderer.render(snapshot);
        self.set_secrets(snapshot, &mut rendered);
        rendered
    }

    /// Compiles a config. Every object was judged by itself; should one still not compile among the others, it alone
    /// answers 503.
    fn prepare(&mut self, mut config: Config) -> anyhow::Result<Prepared> {
        let mut prepared = loop {
            let storage = self.storage.clone();
            match serving::prepare(config.clone(), &self.registry, &self.secrets, storage) {
                Ok(prepared) => break prepared,
                Err(error) => {
                    let id = error
                        .downcast_ref::<CompileError>()
                        .and_then(|error| error.id.clone());
                    match id {
                        Some(id) if silence(&mut config, &id) => {
                            tracing::error!(route = %id, error = format!("{error:#}"), "a route answers 503");
                        }
                        _ => return Err(error),
                    }
                }
            }
        };
        for listener in &mut prepared.plan.listeners {
            let port = match listener.address.port() {
                443 => self.ports.https,
                _ => self.ports.http,
            };
            listener.address.set_port(port);
        }
        Ok(prepared)
    }

    fn publish(&mut self, rendered: Rendered, stale: Option<Timestamp>) {
        self.report = Arc::new(Report {
            is_ready: true,
            stale,
            config: rendered.config,
            verdicts: rendered.verdicts,
        });
    }

    /// Tells the data plane the endpoints of all Service ports that it names. Gives how many changed.
    fn set_endpoints(&mut self, snapshot: &Snapshot) -> usize {
        let named = self.registry.named_services();
        self.endpoints.retain(&named);
        self.addresses.retain(|port, _| named.binary_search(port).is_ok());
        let mut changed = 0;
        for port in named {
            let addresses = self.endpoints.of(snapshot, &port);
            if self.addresses.get(&port) == Some(&addresses) && self.registry.has_answer(&port) {
                continue;
            }
            self.registry.set_endpoints(&port, &addresses);
            self.addresses.insert(port, addresses);
            changed += 1;
        }
        changed
    }

    /// Tells the data plane the Secrets that are named, if they changed, and their authors what is wrong with them.
    fn set_secrets(&mut self, snapshot: &Snapshot, rendered: &mut Rendered) {
        let mut told = HashMap::new();
        for (key, kind, user) in &rendered.secrets {
            if !told.contains_key(key) {
                match snapshot.secrets.get(key) {
                    Some(secret) => {
                        let known = self
                            .told
                            .remove(key)
                            .filter(|(known, _)| Arc::ptr_eq(known, secret));
                        let known =
                            known.unwrap_or_else(|| (Arc::clone(secret), self.set_secret(key, secret)));
                        told.insert(key.clone(), known);
                    }
                    None => self.secrets.remove(&key.namespace, &key.name),
                }
            }
            let finding = match told.get(key) {
                None => {
                    let is_kept = self.secrets.not_after(&key.namespace, &key.name).is_some();
                    let message = if is_kept {
                        format!(
                            "the Secret {key} is gone; its last certificate goes on until the program ends"
                        )
                    } else {
                        format!("there is no Secret {key}; handshakes are refused until there is")
                    };
                    Finding::error("secret-not-found", "spec.tls", message)
                }
                Some((_, Some(problem))) => {
                    let message = format!("the Secret {key} cannot be used: {problem}");
                    Finding::error("secret-broken", "spec.tls", message)
                        .help("it is of the type kubernetes.io/tls, with `tls.crt` and `tls.key` in PEM")
                }
                Some((_, None)) => continue,
            };
            if let Some(place) = Verdict::place(&rendered.verdicts, kind, user) {
                rendered.verdicts[place].blame(finding);
            }
        }
        for (gone, _) in self.told.drain() {
            if !told.contains_key(&gone) {
                self.secrets.remove(&gone.namespace, &gone.name);
            }
        }
        self.told = told;
    }

    /// Tells the data plane one Secret; gives what is wrong with it.
    fn set_secret(&self, key: &Key, secret: &Secret) -> Option<String> {
        let Some(certificate) = secret.value("tls.crt") else {
            return Some("it has no `tls.crt`".to_owned());
        };
        let Some(private_key) = secret.value("tls.key") else {
            return Some("it has no `tls.key`".to_owned());
        };
        let pair = SecretPair {
            certificate_pem: &certificate,
            key_pem: &private_key,
        };
        self.secrets
            .set(&key.namespace, &key.name, pair)
            .err()
            .map(|error| error.to_string())
    }
}

/// Lets a route answer 503; gives whether it did anything else before.
fn silence(config: &mut Config, id: &str) -> bool {
    let mut is_changed = false;
    for server in config
        .apps
        .http
        .iter_mut()
        .flat_map(|http| http.servers.values_mut())
    {
        for route in server
            .routes
            .iter_mut()
            .filter(|route| route.id.as_deref() == Some(id))
        {
            let handle = vec![unavailable()];
            if route.handle != handle {
                *route = Arc::new(Route {
                    handle,
                    ..(**route).clone()
                });
                is_changed = true;
            }
        }
    }
    is_changed
}
