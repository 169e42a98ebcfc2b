//! `fairway run` of objects: those of a cluster, or of a folder of manifests in its place. The same code path.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use fairway_engine::config::Config;
use fairway_server::{Options, Running};
use jiff::Timestamp;
use kube::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::cli;
use crate::cluster::{self, Cluster, Health, Statuses};
use crate::control::{Control, Ports, Report};
use crate::logs::{self, AccessLogs};
use crate::metrics::Metrics;
use crate::report::{self, Reporter};
use crate::serving;
use crate::snapshot::Snapshot;
use crate::snapshot::disk::{self, Keeper};
use crate::source::{Folder, Source};
use crate::verdict::{State, Verdict};

/// How long the API server may take for its first answers before the snapshot on disk is served, if there is one.
const PATIENCE: Duration = Duration::from_millis(300);

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn run(args: &cli::Run) -> anyhow::Result<()> {
    logs::start(&Config::default());
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control thread")?;
    control.block_on(serve(args))
}

async fn serve(args: &cli::Run) -> anyhow::Result<()> {
    let mut ending = Ending {
        terminate: signal(SignalKind::terminate()).context("listening to SIGTERM")?,
        interrupt: signal(SignalKind::interrupt()).context("listening to SIGINT")?,
    };
    let (reports, latest) = watch::channel(Arc::<Report>::default());
    let condition = admin::Condition::default();
    let (metrics, health) = (condition.metrics.clone(), condition.health.clone());
    if let Some(address) = args.objects.admin {
        let bound = admin::start(address, latest.clone(), condition.clone()).await?;
        tracing::info!(address = %bound, "admin endpoint");
    }
    let (mut source, reporter) = if let Some(folder) = &args.objects.manifests {
        (Source::Manifests(Box::new(Folder::new(folder)?)), None)
    } else {
        let client = client(args, &health).await?;
        let statuses = Statuses::default();
        let cluster = Cluster::watch(&client, &statuses, &health);
        let settings = report::Settings::new(&args.objects)?;
        let reporter = Reporter::start(client, settings, statuses, latest, metrics.clone());
        (Source::Cluster(Box::new(cluster)), Some(reporter))
    };
    let ports = Ports {
        http: args.objects.http_port.unwrap_or(80),
        https: args.objects.https_port.unwrap_or(443),
    };
    let mut control = Control::new(ports, source.allows_local(), serving::storage());
    let mut options = Options {
        threads: args.threads,
        access_log: None,
    };
    if args.objects.access_log {
        control.log_access();
        options.access_log = Some(Arc::new(AccessLogs::to_stdout()?));
    }
    let folder = args.objects.snapshot_dir.as_deref();
    let (first, stale) = tokio::select! {
        () = ending.asked() => return Ok(()),
        first = first(&mut source, folder) => first,
    };
    if let Some(written) = stale {
        tracing::warn!(%written, "serving the snapshot on disk: the API server has not answered yet");
    }
    control.start(&first, stale, &options)?;
    drop(first);
    if let Some(running) = control.running() {
        metrics.ask(running, control.registry());
    }
    let mut keeper = folder
        .map(|folder| Keeper::start(folder.to_owned(), metrics.clone()))
        .transpose()?;
    if stale.is_none() {
        keeper.as_mut().map(Keeper::note);
    }
    let mut following = Following {
        control,
        source,
        reports,
        metrics,
        keeper,
        told: Told::default(),
    };
    following.publish();
    following.follow(ending.asked()).await;
    condition.is_leaving.store(true, Ordering::Relaxed);
    // Another replica may take over before this one has drained.
    if let Some(reporter) = reporter {
        reporter.end().await;
    }
    if let Some(delay) = args.objects.shutdown_delay {
        tracing::info!(?delay, "the end begins after a delay");
        following.control.leave();
        let is_over = async {
            tokio::select! {
                () = tokio::time::sleep(delay) => false,
                () = ending.asked() => true,
            }
        };
        if following.follow(is_over).await {
            return Ok(());
        }
    }
    if following.keeper.as_ref().is_some_and(Keeper::is_behind) {
        following.save();
    }
    match following.control.into_running() {
        Some(running) => drain(running, args.objects.grace_period, ending).await,
        None => Ok(()),
    }
}

/// The first objects: those of the source; or, if it takes too long, those on disk, with the time at which they were
/// written.
async fn first(source: &mut Source, folder: Option<&Path>) -> (Arc<Snapshot>, Option<Timestamp>) {
    let Some(folder) = folder else {
        return (source.changed().await, None);
    };
    // Read meanwhile, so that it is there when it is needed.
    let reading = disk::read(folder);
    if let Ok(snapshot) = tokio::time::timeout(PATIENCE, source.changed()).await {
        return (snapshot, None);
    }
    tokio::select! {
        snapshot = source.changed() => (snapshot, None),
        Ok(Some(restored)) = reading => (Arc::new(restored.snapshot), Some(restored.written)),
    }
}

/// What serves, and what it follows.
struct Following {
    control: Control,
    source: Source,
    reports: watch::Sender<Arc<Report>>,
    metrics: Metrics,
    /// Keeps the objects on disk.
    keeper: Option<Keeper>,
    told: Told,
}

impl Following {
    /// Serves what changes until something else happens, and gives that.
    async fn follow<T>(&mut self, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        loop {
            let snapshot = tokio::select! {
                ended = &mut end => return ended,
                () = due(self.keeper.as_ref()) => {
                    self.save();
                    continue;
                }
                snapshot = self.source.changed() => snapshot,
            };
            self.keeper.as_mut().map(Keeper::note);
            let begun = Instant::now();
            match self.control.apply(&snapshot) {
                Ok(change) => {
                    self.metrics.applied(begun.elapsed(), change.swapped);
                    self.publish();
                    if change.swapped || change.endpoints > 0 {
                        let (rendered, endpoints) = (change.rendered, change.endpoints);
                        tracing::info!(rendered, swapped = change.swapped, endpoints, "applied");
                    }
                }
                Err(error) => {
                    self.metrics.refused();
                    tracing::error!(error = format!("{error:#}"), "the change is not served");
                }
            }
        }
    }

    fn publish(&mut self) {
        let newest = self.control.report();
        self.told.tell(&self.source, &newest.verdicts);
        self.reports.send_replace(newest);
    }

    /// Hands the objects, as far as they are complete, to whoever keeps them on disk.
    fn save(&mut self) {
        if let (Some(keeper), Some(snapshot)) = (&mut self.keeper, self.source.snapshot()) {
            keeper.write(snapshot, self.control.secrets());
        }
    }
}

async fn due(keeper: Option<&Keeper>) {
    match keeper {
        Some(keeper) => keeper.due().await,
        None => std::future::pending().await,
    }
}

/// The cluster: that of a kubeconfig, or the one that the process runs in.
async fn client(args: &cli::Run, health: &Health) -> anyhow::Result<Client> {
    let config = match &args.objects.kubeconfig {
        Some(file) => {
            let options = kube::config::KubeConfigOptions::default();
            let read = kube::config::Kubeconfig::read_from(file).context("reading --kubeconfig")?;
            kube::Config::from_custom_kubeconfig(read, &options)
                .await
                .context("reading --kubeconfig")?
        }
        None => kube::Config::incluster()
            .context("this is no pod of a cluster; name one with --kubeconfig FILE")?,
    };
    cluster::connect(config, health).context("connecting to the API server")
}

async fn drain(running: Running, grace: Option<Duration>, mut ending: Ending) -> anyhow::Result<()> {
    tracing::info!("draining");
    let ended = tokio::select! {
        ended = running.shutdown(grace) => ended,
        () = ending.asked() => fairway_server::Ending::Cut,
    };
    match ended {
        fairway_server::Ending::Drained => tracing::info!("every request came to its end"),
        fairway_server::Ending::Cut => tracing::warn!("requests under way were cut off"),
    }
    Ok(())
}

/// The signals that end the process.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What was said already; only news are worth a line.
#[derive(Default)]
struct Told(BTreeSet<Vec<String>>);

impl Told {
    fn tell(&mut self, source: &Source, verdicts: &[Verdict]) {
        let mut now = BTreeSet::new();
        for verdict in verdicts {
            let lines = verdict.lines();
            if !self.0.contains(&lines) {
                tell(source, verdict, &lines);
            }
            now.insert(lines);
        }
        self.0 = now;
    }
}

fn tell(source: &Source, verdict: &Verdict, lines: &[String]) {
    let place = source.place(verdict.kind, &verdict.key()).unwrap_or_default();
    let text = lines.join("\n");
    match verdict.state {
        State::Accepted if verdict.findings.is_empty() => tracing::info!(%place, "{text}"),
        State::Accepted => tracing::warn!(%place, "{text}"),
        _ => tracing::error!(%place, "{text}"),
    }
}
