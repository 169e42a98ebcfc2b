//! `fairway run`: serves a config until told to stop.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use fairway_engine::handlers::reverse_proxy::Registry;
use fairway_server::tls::Secrets;
use fairway_server::{AccessLog, Ending, Options, Running};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli;
use crate::cli::Format;
use crate::diagnostics::{self, Broken};
use crate::envfile;
use crate::load::{self, Loaded, Seen};
use crate::logs::{self, AccessLogs};
use crate::serving::{self, Prepared};
use crate::watch::Watch;

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn run(args: &cli::Run) -> anyhow::Result<()> {
    if let Some(flag) = args.objects.given() {
        bail!("{flag} is for objects of Kubernetes; say which, with --manifests DIR or --kubeconfig FILE");
    }
    envfile::apply(&args.config.envfile)?;
    let mut seen = Seen::default();
    let loaded = load::load_seen(&args.config, &mut seen)?;
    diagnostics::print(&loaded.warnings, Format::Text);
    let registry = Registry::default();
    let prepared = serving::prepare(
        loaded.config.clone(),
        &registry,
        &Secrets::default(),
        serving::storage(),
    )?;
    logs::start(&prepared.config);
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control thread")?;
    control.block_on(serve(args, loaded, seen, prepared, registry))
}

async fn serve(
    args: &cli::Run,
    loaded: Loaded,
    mut seen: Seen,
    prepared: Prepared,
    registry: Registry,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening to SIGINT")?;
    let mut watch = match (&loaded.path, args.watch) {
        (Some(_), true) => Some(Watch::new()?),
        _ => None,
    };
    follow(watch.as_mut(), &seen);
    let Prepared {
        config,
        table,
        tls,
        plan,
    } = prepared;
    let access_log: Arc<dyn AccessLog> = Arc::new(AccessLogs::start(&config)?);
    let options = Options {
        threads: args.threads,
        access_log: Some(access_log),
    };
    let running = Running::start(&table, &plan, &tls, &options)?;
    // What is served now may be replaced, and is not to be kept here.
    drop((config, table, tls));
    for address in running.addresses() {
        tracing::info!(%address, "listening");
    }
    let mut current = loaded;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = changed(watch.as_mut()) => {
                reload(args, &mut seen, &mut current, &registry, &running);
                follow(watch.as_mut(), &seen);
            }
        }
    }
    let drain = async {
        if let Some(delay) = plan.shutdown_delay {
            tracing::info!(?delay, "the end begins after a delay");
            tokio::time::sleep(delay).await;
        }
        tracing::info!("draining");
        running.shutdown(plan.grace_period).await
    };
    let ending = tokio::select! {
        ending = drain => ending,
        _ = terminate.recv() => Ending::Cut,
        _ = interrupt.recv() => Ending::Cut,
    };
    match ending {
        Ending::Drained => tracing::info!("every request came to its end"),
        Ending::Cut => tracing::warn!("requests under way were cut off"),
    }
    Ok(())
}

async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn follow(watch: Option<&mut Watch>, seen: &Seen) {
    if let Some(watch) = watch {
        watch.follow(seen.files());
    }
}

/// Serves the files as they are now, if they changed. Broken ones change nothing.
fn reload(args: &cli::Run, seen: &mut Seen, current: &mut Loaded, registry: &Registry, running: &Running) {
    if seen.is_current() {
        return;
    }
    let begun = Instant::now();
    let swapped = load::load_seen(&args.config, seen).and_then(|loaded| {
        diagnostics::print(&loaded.warnings, Format::Text);
        if loaded.is_same_as(current) {
            return Ok(false);
        }
        let prepared = serving::prepare(
            loaded.config.clone(),
            registry,
            &Secrets::default(),
            serving::storage(),
        )?;
        running.swap(&prepared.table, &prepared.plan, &prepared.tls)?;
        *current = loaded;
        Ok(true)
    });
    match swapped {
        Ok(true) => tracing::info!(
            duration = begun.elapsed().as_secs_f64(),
            tables = registry.tables_alive(),
            "swapped"
        ),
        Ok(false) => {}
        Err(error) => {
            if let Some(broken) = error.downcast_ref::<Broken>() {
                diagnostics::print(&broken.diagnostics, Format::Text);
            }
            tracing::error!(error = format!("{error:#}"), "the changed config is not served");
        }
    }
}
