//! The only writer to the API server: verdicts become the status of objects, and Events.
//!
//! Of all replicas the leader writes. What it writes is compared with what stands there, so that a restart writes
//! nothing; an object that somebody just changed comes before those that wait. Serving never waits for any of this.

mod status;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use fairway_crds::{CaddyRoute as CaddyRouteObject, bounds};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::networking::v1::Ingress as IngressObject;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter as EventReporter};
use kube::{Api, Client};
use kube_lease_manager::LeaseManagerBuilder;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::cli;
use crate::cluster::Statuses;
use crate::control::Report;
use crate::metrics::Metrics;
use crate::objects::Key;
use crate::verdict::Verdict;

/// Who owns the fields that are written.
const MANAGER: &str = "fairway";
/// The name of the Lease.
const LEASE: &str = "fairway-leader";
/// Seconds for which a leader stays the leader without a word, and those before their end in which it renews.
const LEASE_SECONDS: (u64, u64) = (15, 5);
/// Writes under way at once.
const WRITES: usize = 4;
/// Writes after which the newest report is looked at again: an edit waits no longer than this.
const BATCH: usize = 32;
/// How long nothing is written after the API server refused.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters of an Event's note; the API server takes 1,024 bytes.
const NOTE: usize = 1000;
/// How long a word about addresses is believed.
const ADDRESSES: Duration = Duration::from_secs(10);

/// What is written, and where replicas agree.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    namespace: String,
    /// The Service whose addresses are those of Ingresses.
    service: Option<Key>,
    addresses: Vec<String>,
}

impl Settings {
    pub(crate) fn new(args: &cli::Objects) -> anyhow::Result<Self> {
        let service = match args.publish_service.as_deref().map(|name| name.split_once('/')) {
            None => None,
            Some(Some((namespace, name))) if !namespace.is_empty() && !name.is_empty() => {
                Some(Key::new(namespace, name))
            }
            Some(_) => bail!("--publish-service is NAMESPACE/NAME"),
        };
        Ok(Self {
            namespace: args.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            service,
            addresses: args.publish_address.clone(),
        })
    }
}

/// The writer, at work.
pub(crate) struct Reporter {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// Starts to write what the reports say, whenever this replica is the leader.
    pub(crate) fn start(
        client: Client,
        settings: Settings,
        statuses: Statuses,
        reports: watch::Receiver<Arc<Report>>,
        metrics: Metrics,
    ) -> Self {
        let (end, ended) = oneshot::channel();
        let writer = Writer {
            recorder: Recorder::new(client.clone(), EventReporter::from(MANAGER)),
            client,
            settings,
            statuses,
            metrics,
            told: HashMap::new(),
            events: HashMap::new(),
        };
        Self {
            end,
            task: tokio::spawn(lead(writer, reports, ended)),
        }
    }

    /// Stops writing, and lets another replica lead.
    pub(crate) async fn end(self) {
        let _ = self.end.send(());
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "ending the reports");
        }
    }
}

/// Writes while it leads, until it is asked to end.
async fn lead(
    mut writer: Writer,
    mut reports: watch::Receiver<Arc<Report>>,
    mut ended: oneshot::Receiver<()>,
) {
    let namespace = writer.settings.namespace.clone();
    loop {
        let (mut leads, task) = match lease_of(&writer, &namespace).await {
            Ok(manager) => manager.watch().await,
            Err(error) => {
                tracing::warn!(%error, %namespace, "the lease cannot be had; trying again");
                tokio::select! {
                    _ = &mut ended => return,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        let turn = turn(&mut writer, &mut reports, &mut leads, &mut ended).await;
        writer.metrics.set_leader(false);
        // The lease is let go when nobody listens any more.
        drop(leads);
        let _ = task.await;
        if turn == Turn::Ended {
            return;
        }
    }
}

/// Why a turn with a lease manager is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ended,
    /// The lease was let go by its holder. A manager that waits does not see this before the lease would have run out;
    /// a new one takes it at once.
    Vacant,
}

async fn turn(
    writer: &mut Writer,
    reports: &mut watch::Receiver<Arc<Report>>,
    leads: &mut watch::Receiver<bool>,
    ended: &mut oneshot::Receiver<()>,
) -> Turn {
    // Not at once: the manager has just begun to ask for it.
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + PAUSE, PAUSE);
    let mut pause = Duration::ZERO;
    loop {
        let is_leader = *leads.borrow_and_update();
        writer.metrics.set_leader(is_leader);
        tokio::select! {
            _ = &mut *ended => return Turn::Ended,
            () = tokio::time::sleep(pause), if is_leader => {}
            changed = leads.changed() => if changed.is_err() { return Turn::Vacant },
            changed = reports.changed() => if changed.is_err() { return Turn::Ended },
            _ = look.tick(), if !is_leader => if writer.is_vacant().await { return Turn::Vacant },
        }
        let report = Arc::clone(&reports.borrow_and_update());
        // What comes from disk may be behind what was written since.
        if !*leads.borrow() || !report.is_ready || report.stale.is_some() {
            pause = PAUSE;
            continue;
        }
        // News wait for the batch that is under way, so that under many changes something is still written.
        let progress = tokio::select! {
            _ = &mut *ended => return Turn::Ended,
            progress = writer.write(&report) => progress,
        };
        pause = match progress {
            Progress::More => Duration::ZERO,
            Progress::Refused => PAUSE,
            // A status may be changed by others at any time.
            Progress::Done => ADDRESSES,
        };
    }
}

async fn lease_of(
    writer: &Writer,
    namespace: &str,
) -> Result<kube_lease_manager::LeaseManager, kube_lease_manager::LeaseManagerError> {
    LeaseManagerBuilder::new(writer.client.clone(), LEASE)
        .with_namespace(namespace)
        .with_duration(LEASE_SECONDS.0)
        .with_grace(LEASE_SECONDS.1)
        .build()
        .await
}

/// How far a writer has come.
enum Progress {
    /// There is more to write.
    More,
    /// All is as it should be.
    Done,
    /// Something could not be written.
    Refused,
}

struct Writer {
    client: Client,
    settings: Settings,
    statuses: Statuses,
    metrics: Metrics,
    recorder: Recorder,
    /// The generations that were last written, so that an edit is known.
    told: HashMap<(&'static str, Key), i64>,
    /// What the last Event of an object said.
    events: HashMap<(&'static str, Key), String>,
}

/// One status to be written.
struct Write {
    kind: &'static str,
    key: Key,
    status: Value,
}

impl Writer {
    /// Writes some of what differs.
    async fn write(&mut self, report: &Report) -> Progress {
        let addresses = match self.addresses().await {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::warn!(%error, "the addresses of --publish-service cannot be had");
                return Progress::Refused;
            }
        };
        let mut edited = Vec::new();
        let mut waiting = Vec::new();
        let mut known = HashSet::new();
        for verdict in &report.verdicts {
            let key = verdict.key();
            known.insert((verdict.kind, key.clone()));
            let Some(stored) = self.statuses.get(verdict.kind, &key) else {
                continue;
            };
            let status = match verdict.kind {
                "Ingress" => status::of_ingress(verdict, &addresses),
                _ => status::of_caddy_route(verdict, &stored.status),
            };
            if status::is_written(&status, &stored.status) {
                continue;
            }
            let is_edit = self
                .told
                .get(&(verdict.kind, key.clone()))
                .is_some_and(|told| *told != verdict.generation);
            let list = if is_edit { &mut edited } else { &mut waiting };
            list.push((
                Write {
                    kind: verdict.kind,
                    key,
                    status,
                },
                verdict.generation,
            ));
        }
        self.told.retain(|id, _| known.contains(id));
        self.events.retain(|id, _| known.contains(id));
        let all = edited.len() + waiting.len();
        let batch: Vec<(Write, i64)> = edited.into_iter().chain(waiting).take(BATCH).collect();
        let rest = all - batch.len();
        let mut pending = batch.into_iter();
        let mut running = FuturesUnordered::new();
        let mut is_refused = false;
        loop {
            while running.len() < WRITES
                && let Some((write, generation)) = pending.next()
            {
                let client = self.client.clone();
                running.push(async move {
                    let written = patch(&client, &write).await;
                    (write, generation, written)
                });
            }
            let Some((write, generation, written)) = running.next().await else {
                break;
            };
            match written {
                Ok(stored) => {
                    let id = (write.kind, write.key);
                    self.statuses.update(id.0, &id.1, stored);
                    self.told.insert(id, generation);
                }
                // It is gone, and so is its status.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    is_refused = true;
                    tracing::warn!(kind = write.kind, object = %write.key, %error, "a status cannot be written");
                }
            }
        }
        drop(running);
        self.publish_events(report).await;
        match (is_refused, rest) {
            (true, _) => Progress::Refused,
            (false, 0) => Progress::Done,
            (false, _) => Progress::More,
        }
    }

    /// Tells the first mistake of an object as an Event, once for each that is new.
    async fn publish_events(&mut self, report: &Report) {
        for verdict in &report.verdicts {
            let key = verdict.key();
            let id = (verdict.kind, key.clone());
            let Some(finding) = verdict.findings.iter().find(|finding| finding.is_error()) else {
                self.events.remove(&id);
                continue;
            };
            let note = finding.one_line();
            if self.events.get(&id) == Some(&note) {
                continue;
            }
            let Some(stored) = self.statuses.get(verdict.kind, &key) else {
                continue;
            };
            let event = Event {
                type_: EventType::Warning,
                reason: status::reason(finding.code),
                note: Some(bounds::cut(note.clone(), NOTE)),
                action: "Render".to_owned(),
                secondary: None,
            };
            let object = ObjectReference {
                api_version: Some(api_version(verdict).to_owned()),
                kind: Some(verdict.kind.to_owned()),
                name: Some(key.name.to_string()),
                namespace: Some(key.namespace.to_string()),
                uid: Some(stored.uid),
                ..ObjectReference::default()
            };
            match self.recorder.publish(&event, &object).await {
                Ok(()) => drop(self.events.insert(id, note)),
                Err(error) => return tracing::warn!(%error, "an Event cannot be written"),
            }
        }
    }

    /// Whether nobody holds the lease.
    async fn is_vacant(&self) -> bool {
        let leases = Api::<Lease>::namespaced(self.client.clone(), &self.settings.namespace);
        match leases.get_opt(LEASE).await {
            Ok(lease) => {
                let holder = lease.and_then(|lease| lease.spec?.holder_identity);
                holder.is_none_or(|holder| holder.is_empty())
            }
            Err(_) => false,
        }
    }

    /// The addresses of Ingresses: those given, or those of the Service.
    async fn addresses(&self) -> Result<Vec<Value>, kube::Error> {
        let given = self
            .settings
            .addresses
            .iter()
            .map(|address| match address.parse::<IpAddr>() {
                Ok(_) => json!({"ip": address}),
                Err(_) => json!({"hostname": address}),
            });
        let mut addresses: Vec<Value> = given.collect();
        if let Some(Key { namespace, name }) = &self.settings.service {
            let service = Api::<Service>::namespaced(self.client.clone(), namespace)
                .get_opt(name)
                .await?;
            let balancer = service.and_then(|service| service.status?.load_balancer?.ingress);
            for address in balancer.into_iter().flatten() {
                addresses.extend(address.ip.map(|ip| json!({"ip": ip})));
                addresses.extend(address.hostname.map(|name| json!({"hostname": name})));
            }
        }
        Ok(addresses)
    }
}

fn api_version(verdict: &Verdict) -> &'static str {
    match verdict.kind {
        "Ingress" => "networking.k8s.io/v1",
        _ => "fairway.dev/v1alpha1",
    }
}

/// Writes a status; gives it as it stands now.
async fn patch(client: &Client, write: &Write) -> Result<Value, kube::Error> {
    let Write { kind, key, status } = write;
    let params = PatchParams::apply(MANAGER).force();
    let stored = if *kind == "Ingress" {
        let api: Api<IngressObject> = Api::namespaced(client.clone(), &key.namespace);
        let body = json!({"apiVersion": "networking.k8s.io/v1", "kind": kind, "status": status});
        let written = api.patch_status(&key.name, &params, &Patch::Apply(body)).await?;
        serde_json::to_value(written)
    } else {
        let api: Api<CaddyRouteObject> = Api::namespaced(client.clone(), &key.namespace);
        let body = json!({"apiVersion": "fairway.dev/v1alpha1", "kind": kind, "status": status});
        let written = api.patch_status(&key.name, &params, &Patch::Apply(body)).await?;
        serde_json::to_value(written)
    };
    let stored = stored.map_err(kube::Error::SerdeError)?;
    Ok(stored["status"].clone())
}
