//! `fairway run` of objects: those of a cluster, or of a folder of manifests in its place. The same code path.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use fairway_engine::config::Config;
use fairway_server::{Options, Running};
use kube::Client;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::cli;
use crate::cluster::{Cluster, Statuses};
use crate::control::{Control, Ports, Report};
use crate::logs;
use crate::report::{self, Reporter};
use crate::serving;
use crate::source::{Folder, Source};
use crate::verdict::{State, Verdict};

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
    if let Some(address) = args.objects.admin {
        let bound = admin::start(address, latest.clone()).await?;
        tracing::info!(address = %bound, "admin endpoint");
    }
    let (mut source, reporter) = if let Some(folder) = &args.objects.manifests {
        (Source::Manifests(Box::new(Folder::new(folder)?)), None)
    } else {
        let client = client(args).await?;
        let statuses = Statuses::default();
        let cluster = Cluster::watch(&client, &statuses);
        let settings = report::Settings::new(&args.objects)?;
        let reporter = Reporter::start(client, settings, statuses, latest);
        (Source::Cluster(Box::new(cluster)), Some(reporter))
    };
    let ports = Ports {
        http: args.objects.http_port.unwrap_or(80),
        https: args.objects.https_port.unwrap_or(443),
    };
    let mut control = Control::new(ports, source.allows_local(), serving::storage());
    let mut told = Told::default();
    let options = Options {
        threads: args.threads,
        access_log: None,
    };
    let publish = |control: &Control, source: &Source, told: &mut Told| {
        let newest = control.report();
        told.tell(source, &newest.verdicts);
        reports.send_replace(newest);
    };
    let first = tokio::select! {
        () = ending.asked() => return Ok(()),
        snapshot = source.changed() => snapshot,
    };
    control.start(&first, &options)?;
    drop(first);
    publish(&control, &source, &mut told);
    loop {
        let snapshot = tokio::select! {
            () = ending.asked() => break,
            snapshot = source.changed() => snapshot,
        };
        match control.apply(&snapshot) {
            Ok(change) => {
                publish(&control, &source, &mut told);
                if change.swapped || change.endpoints > 0 {
                    let (rendered, endpoints) = (change.rendered, change.endpoints);
                    tracing::info!(rendered, swapped = change.swapped, endpoints, "applied");
                }
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "the change is not served"),
        }
    }
    // Another replica may take over before this one has drained.
    if let Some(reporter) = reporter {
        reporter.end().await;
    }
    match control.into_running() {
        Some(running) => drain(running, ending).await,
        None => Ok(()),
    }
}

/// The cluster: that of a kubeconfig, or the one that the process runs in.
async fn client(args: &cli::Run) -> anyhow::Result<Client> {
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
    Client::try_from(config).context("connecting to the API server")
}

async fn drain(running: Running, mut ending: Ending) -> anyhow::Result<()> {
    tracing::info!("draining");
    tokio::select! {
        _ = running.shutdown(None) => tracing::info!("every request came to its end"),
        () = ending.asked() => tracing::warn!("requests under way were cut off"),
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
