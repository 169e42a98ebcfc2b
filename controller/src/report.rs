//! The only writer to the API server: verdicts become the status of objects, and Events.
//!
//! Of all replicas the leader writes. What it writes is compared with what stands there, so that a restart writes
//! nothing; an object that somebody just changed comes before those that wait. Serving never waits for any of this.

mod queue;
mod status;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use fairway_crds::CaddyRoute as CaddyRouteObject;
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
use crate::cluster::{Statuses, Stored};
use crate::control::Report;
use crate::metrics::Metrics;
use crate::objects::Key;
use crate::verdict::{Finding, Verdict};

use queue::{Id, Queue};

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
/// The longest for which it may ask.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of an Event's note; the API server takes no more.
const NOTE: usize = 1024;
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
            addresses: None,
            queue: Queue::default(),
            events: HashMap::new(),
            owed: HashSet::new(),
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
            Progress::Refused(wait) => wait,
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
    /// Something could not be written; so long is nothing tried.
    Refused(Duration),
}

struct Writer {
    client: Client,
    settings: Settings,
    statuses: Statuses,
    metrics: Metrics,
    recorder: Recorder,
    /// The addresses of Ingresses, and when they were asked for.
    addresses: Option<(Vec<Value>, Instant)>,
    queue: Queue,
    /// What the last Event of an object said.
    events: HashMap<Id, String>,
    /// Whose Event could not be written.
    owed: HashSet<Id>,
}

/// One status to be written.
struct Write {
    kind: &'static str,
    key: Key,
    status: Value,
}

/// What is to be done about one object.
struct Task {
    id: Id,
    write: Option<Write>,
    event: Option<(Event, ObjectReference)>,
}

/// How a task ended.
struct Outcome {
    task: Task,
    status: Result<Option<Value>, kube::Error>,
    event: Result<(), kube::Error>,
}

impl Writer {
    /// Writes some of what differs. Whoever drops this midway may leave things written that are not noted as such; the
    /// watch tells them later.
    async fn write(&mut self, report: &Arc<Report>) -> Progress {
        match self.renew_addresses().await {
            Ok(is_changed) => {
                if is_changed || self.queue.is_empty() || !self.queue.is_of(report) {
                    self.plan(report);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the addresses of --publish-service cannot be had");
                return Progress::Refused(pause_after(&error));
            }
        }
        let mut running = FuturesUnordered::new();
        let mut begun = 0;
        let mut refused = None;
        loop {
            while running.len() < WRITES
                && begun < BATCH
                && let Some(place) = self.queue.next()
            {
                // Between then and now it may have been settled.
                let Some(task) = self.task(&report.verdicts[place]) else {
                    continue;
                };
                begun += 1;
                running.push(task.run(self.client.clone(), self.recorder.clone()));
            }
            let Some(outcome) = running.next().await else {
                break;
            };
            if let Some(wait) = self.note(outcome) {
                refused = refused.max(Some(wait));
            }
        }
        match refused {
            Some(wait) => Progress::Refused(wait),
            None if self.queue.is_empty() => Progress::Done,
            None => Progress::More,
        }
    }

    /// Queues all that is due after a report.
    fn plan(&mut self, report: &Arc<Report>) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.plan(report, |verdict| self.is_due(verdict));
        self.events.retain(|id, _| queue.knows(id));
        self.owed.retain(|id| queue.knows(id));
        self.queue = queue;
    }

    fn is_due(&self, verdict: &Verdict) -> bool {
        let id = queue::id(verdict);
        let is_told = |stored: &Stored| status::is_written(&self.status(verdict, stored), &stored.status);
        match self.statuses.look(id.0, &id.1, is_told) {
            None => false,
            Some(false) => true,
            Some(true) => self.owes_event(&id, verdict),
        }
    }

    fn status(&self, verdict: &Verdict, stored: &Stored) -> Value {
        match verdict.kind {
            "Ingress" => {
                let addresses = self.addresses.as_ref();
                status::of_ingress(verdict, addresses.map_or(&[][..], |(addresses, _)| addresses))
            }
            _ => status::of_caddy_route(verdict, &stored.status),
        }
    }

    /// Whether an Event is due although the status is as it should be: one that failed, and the mistake of an Ingress
    /// in whose status there is no address to tell it at.
    fn owes_event(&self, id: &Id, verdict: &Verdict) -> bool {
        let is_mute = id.0 == "Ingress"
            && self
                .addresses
                .as_ref()
                .is_none_or(|(addresses, _)| addresses.is_empty());
        let is_owed = is_mute || self.owed.contains(id);
        is_owed && first_mistake(verdict).is_some_and(|finding| self.is_news(id, finding))
    }

    fn is_news(&self, id: &Id, finding: &Finding) -> bool {
        let note = cut(finding.one_line(), NOTE);
        self.events.get(id).is_none_or(|known| *known != note)
    }

    /// What is to be done about an object, if anything.
    fn task(&mut self, verdict: &Verdict) -> Option<Task> {
        let id = queue::id(verdict);
        let looked = self.statuses.look(id.0, &id.1, |stored| {
            let status = self.status(verdict, stored);
            let is_written = status::is_written(&status, &stored.status);
            (stored.uid.clone(), (!is_written).then_some(status))
        });
        let (uid, status) = looked?;
        let mistake = first_mistake(verdict);
        if mistake.is_none() {
            self.events.remove(&id);
            self.owed.remove(&id);
        }
        let is_event_due = status.is_some() || self.owes_event(&id, verdict);
        let event = mistake
            .filter(|finding| is_event_due && self.is_news(&id, finding))
            .map(|finding| event_of(verdict, finding, uid));
        if status.is_none() && event.is_none() {
            return None;
        }
        let write = status.map(|status| Write {
            kind: id.0,
            key: id.1.clone(),
            status,
        });
        Some(Task { id, write, event })
    }

    /// Takes note of what was done; gives how long nothing is to be tried, if it was refused.
    fn note(&mut self, outcome: Outcome) -> Option<Duration> {
        let Outcome { task, status, event } = outcome;
        let Task { id, event: told, .. } = task;
        match status {
            Ok(stored) => {
                if let Some(stored) = stored {
                    self.statuses.update(id.0, &id.1, stored);
                }
                self.queue.told(&id);
            }
            // It is gone, and so is its status.
            Err(kube::Error::Api(status)) if status.code == 404 => return None,
            Err(error) => {
                tracing::warn!(kind = id.0, object = %id.1, %error, "a status cannot be written");
                return Some(pause_after(&error));
            }
        }
        let (event_told, _) = told?;
        match event {
            Ok(()) => {
                self.owed.remove(&id);
                self.events.insert(id, event_told.note.unwrap_or_default());
                None
            }
            Err(error) => {
                tracing::warn!(kind = id.0, object = %id.1, %error, "an Event cannot be written");
                self.owed.insert(id);
                Some(pause_after(&error))
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

    /// Asks for the addresses of Ingresses, if that is some time ago; gives whether they changed.
    async fn renew_addresses(&mut self) -> Result<bool, kube::Error> {
        if self
            .addresses
            .as_ref()
            .is_some_and(|(_, then)| then.elapsed() < ADDRESSES)
        {
            return Ok(false);
        }
        let now = self.addresses().await?;
        let before = self.addresses.replace((now, Instant::now()));
        Ok(before.map(|(before, _)| before) != self.addresses.as_ref().map(|(now, _)| now.clone()))
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

/// The first mistake of an object, which is what its Event tells.
fn first_mistake(verdict: &Verdict) -> Option<&Finding> {
    verdict.findings.iter().find(|finding| finding.is_error())
}

/// How long nothing is tried after an error.
fn pause_after(error: &kube::Error) -> Duration {
    let asked = match error {
        kube::Error::Api(status) => status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds),
        _ => 0,
    };
    Duration::from_secs(asked.into()).clamp(PAUSE, LONGEST_PAUSE)
}

/// The Event that tells a mistake, and the object that it is about.
fn event_of(verdict: &Verdict, finding: &Finding, uid: String) -> (Event, ObjectReference) {
    let event = Event {
        type_: EventType::Warning,
        reason: status::reason(finding.code),
        note: Some(cut(finding.one_line(), NOTE)),
        action: "Render".to_owned(),
        secondary: None,
    };
    let object = ObjectReference {
        api_version: Some(api_version(verdict).to_owned()),
        kind: Some(verdict.kind.to_owned()),
        name: Some(verdict.name.to_string()),
        namespace: Some(verdict.namespace.to_string()),
        uid: Some(uid),
        ..ObjectReference::default()
    };
    (event, object)
}

/// Makes a text fit: one of more than `most` bytes ends in `…` within that length.
fn cut(mut text: String, most: usize) -> String {
    const MORE: char = '…';
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MORE.len_utf8())));
        text.push(MORE);
    }
    text
}

impl Task {
    /// Writes the status, and then the Event.
    async fn run(self, client: Client, recorder: Recorder) -> Outcome {
        let status = match &self.write {
            Some(write) => patch(&client, write).await.map(Some),
            None => Ok(None),
        };
        let event = match &self.event {
            Some((event, object)) if status.is_ok() => recorder.publish(event, object).await,
            _ => Ok(()),
        };
        Outcome {
            task: self,
            status,
            event,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cut(text: &str, most: usize, expected: &str) {
        let found = cut(text.to_owned(), most);
        assert_eq!(found, expected);
        assert!(found.len() <= most);
    }

    #[test]
    fn notes_fit_in_bytes() {
        check_cut("abcdef", 6, "abcdef");
        check_cut("abcdefg", 6, "abc…");
        check_cut("ääää", 8, "ääää");
        check_cut("äääää", 8, "ää…");
        assert_eq!(cut("ä".repeat(1000), NOTE).len(), 1023);
    }
}
