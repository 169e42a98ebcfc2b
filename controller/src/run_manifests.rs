//! `fairway run --manifests`: a folder of YAML files in place of an API server. The same code path as in a cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use fairway_engine::config::Config;
use fairway_server::Options;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin;
use crate::cli;
use crate::control::{Control, Ports};
use crate::logs;
use crate::manifests::{Manifests, Problem};
use crate::serving;
use crate::snapshot::Snapshot;
use crate::verdict::{State, Verdict};
use crate::watch::Watch;

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn run(folder: &Path, args: &cli::Run) -> anyhow::Result<()> {
    let mut manifests = Manifests::new(folder);
    let (snapshot, problems) = manifests.read()?;
    logs::start(&Config::default());
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control thread")?;
    control.block_on(serve(folder, args, manifests, Arc::new(snapshot), problems))
}

async fn serve(
    folder: &Path,
    args: &cli::Run,
    mut manifests: Manifests,
    snapshot: Arc<Snapshot>,
    problems: Vec<Problem>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening to SIGINT")?;
    let mut watch = Watch::tree(folder)?;
    let ports = Ports {
        http: args.http_port,
        https: args.https_port,
    };
    let mut control = Control::new(ports, true, serving::storage());
    let report = control.report();
    let mut told = Told::default();
    let options = Options {
        threads: args.threads,
        access_log: None,
    };
    control.start(&snapshot, &options)?;
    told.tell(&manifests, &problems, &report.load().verdicts);
    if let Some(address) = args.admin {
        let bound = admin::start(address, report.clone()).await?;
        tracing::info!(address = %bound, "admin endpoint");
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = watch.changed() => {
                let applied = manifests.read().and_then(|(snapshot, problems)| {
                    let change = control.apply(&Arc::new(snapshot))?;
                    Ok((change, problems))
                });
                match applied {
                    Ok((change, problems)) => {
                        told.tell(&manifests, &problems, &report.load().verdicts);
                        if change.swapped || change.endpoints > 0 {
                            let (rendered, endpoints) = (change.rendered, change.endpoints);
                            tracing::info!(rendered, swapped = change.swapped, endpoints, "applied");
                        }
                    }
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the change is not served"),
                }
            }
        }
    }
    tracing::info!("draining");
    let Some(running) = control.into_running() else {
        return Ok(());
    };
    tokio::select! {
        _ = running.shutdown(None) => tracing::info!("every request came to its end"),
        _ = terminate.recv() => tracing::warn!("requests under way were cut off"),
        _ = interrupt.recv() => tracing::warn!("requests under way were cut off"),
    }
    Ok(())
}

/// What was said already; only news are worth a line.
#[derive(Default)]
struct Told {
    problems: Vec<String>,
    verdicts: BTreeSet<Vec<String>>,
}

impl Told {
    fn tell(&mut self, manifests: &Manifests, problems: &[Problem], verdicts: &[Verdict]) {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::error!("{problem}");
        }
        self.problems = problems;
        let mut now = BTreeSet::new();
        for verdict in verdicts {
            let lines = verdict.lines();
            if !self.verdicts.contains(&lines) {
                tell(manifests, verdict, &lines);
            }
            now.insert(lines);
        }
        self.verdicts = now;
    }
}

fn tell(manifests: &Manifests, verdict: &Verdict, lines: &[String]) {
    let key = crate::objects::Key::new(&verdict.namespace, &verdict.name);
    let place = manifests
        .place(verdict.kind, &key)
        .map(ToString::to_string)
        .unwrap_or_default();
    let text = lines.join("\n");
    match verdict.state {
        State::Accepted if verdict.findings.is_empty() => tracing::info!(%place, "{text}"),
        State::Accepted => tracing::warn!(%place, "{text}"),
        _ => tracing::error!(%place, "{text}"),
    }
}
