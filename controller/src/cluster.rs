//! The objects of a cluster, watched: one list and watch for each kind, all of them into one snapshot.
//!
//! Events only say what changed; nothing is served before every kind was listed once. A kind that the API server does
//! not know (the CRD of another project, say) counts as empty until it does.

mod backoff;
mod client;
mod health;

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fairway_crds::CaddyRoute as CaddyRouteObject;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::core::Status;
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::objects::{HasMeta, Key};
use crate::snapshot::{Snapshot, Store};

use backoff::Backoff;
pub(crate) use client::connect;
pub(crate) use health::Health;

/// Secrets that are watched: not those in which Helm keeps its releases, which are many and large.
const SECRETS: &str = "type!=helm.sh/release.v1";

/// Seconds after which a watch begins anew, from where it was. One whose connection died without a word is noticed a
/// little later than that.
const WATCH: u32 = 25;

/// What stands in the status of objects, by kind and name, for whoever writes it. It is kept apart from the snapshot: a
/// status that changes renders nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statuses(Arc<Mutex<HashMap<(&'static str, Key), Stored>>>);

/// The status of an object as it was last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub uid: String,
    pub status: serde_json::Value,
}

impl Statuses {
    /// What somebody makes of the status of an object, if it is there. Nobody else sees any meanwhile.
    pub(crate) fn look<R>(&self, kind: &'static str, key: &Key, at: impl FnOnce(&Stored) -> R) -> Option<R> {
        self.lock().get(&(kind, key.clone())).map(at)
    }

    fn set(&self, kind: &'static str, key: Key, stored: Stored) {
        self.lock().insert((kind, key), stored);
    }

    /// Takes note of a status that was just written; the watch tells it later. One that is gone stays so.
    pub(crate) fn update(&self, kind: &'static str, key: &Key, status: serde_json::Value) {
        if let Some(stored) = self.lock().get_mut(&(kind, key.clone())) {
            stored.status = status;
        }
    }

    /// Forgets the objects of a kind that are no longer there.
    fn retain<T>(&self, kind: &'static str, there: &Store<T>) {
        self.lock()
            .retain(|(other, key), _| *other != kind || there.contains_key(key));
    }

    fn remove(&self, kind: &'static str, key: &Key) {
        self.lock().remove(&(kind, key.clone()));
    }

    /// Nothing is left half changed by a panic, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<(&'static str, Key), Stored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kinds, all of which are listed before anything is served.
const KINDS: usize = 8;

/// A cluster that is watched.
pub(crate) struct Cluster {
    messages: mpsc::Receiver<Message>,
    snapshot: Arc<Snapshot>,
    listed: Vec<&'static str>,
}

/// What a watch has to say.
enum Message {
    /// Gives whether anything that is rendered may differ.
    Change(Box<dyn FnOnce(&mut Snapshot) -> bool + Send>),
    /// A kind was listed for the first time.
    Listed(&'static str),
}

impl Cluster {
    /// Starts to watch. The watches end when this is dropped.
    pub(crate) fn watch(client: &Client, statuses: &Statuses, health: &Health) -> Self {
        // Whoever watches waits while the snapshot is rendered: what piles up stays at the API server.
        let (sender, messages) = mpsc::channel(1024);
        let all = Config::default().timeout(WATCH);
        let secrets = all.clone().fields(SECRETS);
        let grants = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "ReferenceGrant");
        let grants = ApiResource::from_gvk(&grants);
        let grants: Api<DynamicObject> = Api::all_with(client.clone(), &grants);
        let kind = |name| Kind {
            name,
            sender: sender.clone(),
            health: health.clone(),
            statuses: None,
        };
        let with_status = |name| Kind {
            statuses: Some(statuses.clone()),
            ..kind(name)
        };
        let client = || client.clone();
        with_status("Ingress").spawn(Api::<networking::Ingress>::all(client()), all.clone(), |to| {
            &mut to.ingresses
        });
        kind("IngressClass").spawn(
            Api::<networking::IngressClass>::all(client()),
            all.clone(),
            |to| &mut to.classes,
        );
        with_status("CaddyRoute").spawn(Api::<CaddyRouteObject>::all(client()), all.clone(), |to| {
            &mut to.routes
        });
        kind("Service").spawn(Api::<core::Service>::all(client()), all.clone(), |to| {
            &mut to.services
        });
        kind("EndpointSlice").spawn(
            Api::<discovery::EndpointSlice>::all(client()),
            all.clone(),
            |to| &mut to.slices,
        );
        kind("Secret").spawn(Api::<core::Secret>::all(client()), secrets, |to| &mut to.secrets);
        kind("Namespace").spawn(Api::<core::Namespace>::all(client()), all.clone(), |to| {
            &mut to.namespaces
        });
        kind("ReferenceGrant").spawn(grants, all, |to| &mut to.grants);
        Self {
            messages,
            snapshot: Arc::default(),
            listed: Vec::new(),
        }
    }

    /// Waits for the next snapshot; the first is complete. What happened meanwhile is in it, too. Nothing is lost if the
    /// future is dropped.
    pub(crate) async fn changed(&mut self) -> Arc<Snapshot> {
        loop {
            let mut changed = match self.messages.recv().await {
                Some(message) => self.take(message),
                None => std::future::pending().await,
            };
            while let Ok(message) = self.messages.try_recv() {
                changed |= self.take(message);
            }
            if changed && self.listed.len() == KINDS {
                return Arc::clone(&self.snapshot);
            }
        }
    }

    /// The objects as they are now, once every kind was listed.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        (self.listed.len() == KINDS).then(|| Arc::clone(&self.snapshot))
    }

    /// Applies a message; gives whether the snapshot may differ.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Change(change) => change(Arc::make_mut(&mut self.snapshot)),
            Message::Listed(kind) => {
                if self.listed.contains(&kind) {
                    return false;
                }
                self.listed.push(kind);
                true
            }
        }
    }
}

/// The watch of a kind.
struct Kind {
    name: &'static str,
    sender: mpsc::Sender<Message>,
    health: Health,
    /// Where their status is kept, if anybody writes it.
    statuses: Option<Statuses>,
}

/// Where the objects of a kind stand in a snapshot.
type StoreOf<T> = fn(&mut Snapshot) -> &mut Store<T>;

impl Kind {
    /// Lists and watches without end.
    fn spawn<K, T>(self, api: Api<K>, config: Config, store: StoreOf<T>)
    where
        K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
        T: DeserializeOwned + HasMeta + Send + Sync + 'static,
    {
        tokio::spawn(async move {
            let start = || watcher(api.clone(), config.clone()).boxed();
            let mut events = start();
            let mut backoff = Backoff::default();
            let mut listing: Store<T> = BTreeMap::new();
            // Whether there was anything, and whether a list without anything was believed to be an accident.
            let (mut is_filled, mut is_doubted) = (false, false);
            while let Some(event) = events.next().await {
                let sent = match event {
                    Ok(Event::Init) => {
                        listing.clear();
                        Ok(())
                    }
                    Ok(Event::InitApply(object)) => {
                        listing.extend(self.reduce(&object));
                        Ok(())
                    }
                    Ok(Event::InitDone) if listing.is_empty() && is_filled && !is_doubted => {
                        tracing::warn!(kind = self.name, "a list is suddenly empty; asking once more");
                        is_doubted = true;
                        tokio::time::sleep(backoff.next(Instant::now(), None)).await;
                        events = start();
                        Ok(())
                    }
                    Ok(Event::InitDone) => {
                        (is_filled, is_doubted) = (!listing.is_empty(), false);
                        self.listed(std::mem::take(&mut listing), store).await
                    }
                    Ok(Event::Apply(object)) => match self.reduce::<K, T>(&object) {
                        Some((key, object)) => {
                            is_filled = true;
                            self.change(move |snapshot| put(store(snapshot), key, object))
                                .await
                        }
                        None => Ok(()),
                    },
                    Ok(Event::Delete(object)) => {
                        let key = key(&object);
                        if let Some(statuses) = &self.statuses {
                            statuses.remove(self.name, &key);
                        }
                        self.change(move |snapshot| store(snapshot).remove(&key).is_some())
                            .await
                    }
                    Err(error) => {
                        let sent = self.failed(plural(api.resource_url()), &error).await;
                        tokio::time::sleep(backoff.next(Instant::now(), retry_after(&error))).await;
                        // The watcher itself would ask for the version that is gone again and again.
                        if is_gone(&error) {
                            events = start();
                        }
                        sent
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        });
    }

    /// Puts all objects of a kind in the place of those that were known.
    async fn listed<T: Send + Sync + 'static>(&self, all: Store<T>, store: StoreOf<T>) -> Result<(), ()> {
        if let Some(statuses) = &self.statuses {
            statuses.retain(self.name, &all);
        }
        let change = move |snapshot: &mut Snapshot| {
            *store(snapshot) = all;
            true
        };
        self.change(change).await?;
        self.sender.send(Message::Listed(self.name)).await.map_err(drop)
    }

    async fn change(&self, change: impl FnOnce(&mut Snapshot) -> bool + Send + 'static) -> Result<(), ()> {
        self.sender
            .send(Message::Change(Box::new(change)))
            .await
            .map_err(drop)
    }

    /// What was watched stays as it was; the watcher tries again by itself.
    async fn failed(&self, plural: &str, error: &watcher::Error) -> Result<(), ()> {
        if status_of(error).is_some_and(|status| status.code == 404) {
            tracing::debug!(kind = self.name, "the API server does not know this kind");
            self.health.healed(plural);
            return self.sender.send(Message::Listed(self.name)).await.map_err(drop);
        }
        let why = told(error);
        if self.health.failed(plural, &why) {
            tracing::warn!(kind = self.name, error = %why, "watching; trying again");
        } else {
            tracing::debug!(kind = self.name, error = %why, "watching; trying again");
        }
        Ok(())
    }

    /// An object, reduced to what is read of it. One that cannot be is told and passed over.
    fn reduce<K: Resource + Serialize, T: DeserializeOwned + HasMeta>(
        &self,
        object: &K,
    ) -> Option<(Key, Arc<T>)> {
        let key = key(object);
        let uid = object.meta().uid.clone().unwrap_or_default();
        let reduced = serde_json::to_value(object).and_then(|value| {
            if let Some(statuses) = &self.statuses {
                let status = value["status"].clone();
                statuses.set(self.name, key.clone(), Stored { uid, status });
            }
            serde_json::from_value::<T>(value)
        });
        match reduced {
            Ok(object) => Some((key, Arc::new(object))),
            Err(error) => {
                tracing::warn!(kind = self.name, object = %key, %error, "an object cannot be read");
                None
            }
        }
    }
}

/// Puts an object into its store; gives whether it differs in what is rendered.
fn put<T: HasMeta>(store: &mut Store<T>, key: Key, object: Arc<T>) -> bool {
    let is_same = store.get(&key).is_some_and(|known| known.is_same(&object));
    store.insert(key, object);
    !is_same
}

fn key<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    Key::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// The kind in the words of an address: `ingresses`.
fn plural(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// What the API server said, if it answered at all.
fn status_of(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// How long the API server asks to wait.
fn retry_after(error: &watcher::Error) -> Option<Duration> {
    let details = status_of(error)?.details.as_ref()?;
    Some(Duration::from_secs(details.retry_after_seconds.into()))
}

/// Whether the version from which a watch was to go on is no longer known.
fn is_gone(error: &watcher::Error) -> bool {
    let is_start = matches!(error, watcher::Error::WatchStartFailed(_));
    is_start && status_of(error).is_some_and(|status| status.code == 410)
}

/// An error with what caused it.
fn told(error: &watcher::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}
