//! `fairway validate`: tells whether a config or manifests could be served.

use std::path::{Path, PathBuf};

use fairway_engine::handlers::reverse_proxy::Registry;

use crate::cli;
use crate::diagnostics::{Broken, NotServable};
use crate::load::Loaded;
use crate::manifests::{Given, is_manifest};
use crate::{blame, check_manifests, diagnostics, envfile, load};

/// Loads and compiles each config, judges the manifests together, and says so.
pub(crate) fn validate(args: &cli::Validate) -> anyhow::Result<()> {
    envfile::apply(&args.config.envfile)?;
    let mut named: Vec<PathBuf> = args.files.clone();
    named.extend(args.config.file.clone());
    let mut manifests = Vec::new();
    let mut configs = Vec::new();
    for path in named {
        let is_stdin = path == Path::new("-");
        if args.config.adapter.is_none() && !is_stdin && check_manifests::is_of_manifests(&path)? {
            manifests.extend(check_manifests::read(&[path])?);
        } else if args.config.adapter.is_none() && is_stdin {
            // Standard input is there once: its text goes the way that it asks for.
            let (path, text) = load::read(Some(&path))?;
            if is_manifest(None, &text) {
                manifests.push(Given { path, text });
            } else {
                configs.push((args.config.with(Some(PathBuf::from("-"))), Some(text)));
            }
        } else {
            configs.push((args.config.with(Some(path)), None));
        }
    }
    if manifests.is_empty() && configs.is_empty() {
        configs.push((args.config.with(None), None));
    }
    let mut outcome = Ok(());
    for (config, text) in configs {
        let loaded = match text {
            Some(text) => load::load_text(&config, text),
            None => load::load(&config),
        };
        let checked = loaded.and_then(|loaded| {
            diagnostics::print(&loaded.warnings, args.format);
            check(&loaded)
        });
        outcome = first(outcome, checked, args.format);
    }
    if !manifests.is_empty() {
        let checked = check_manifests::check(&manifests, args.format);
        outcome = first(outcome, checked, args.format);
    }
    outcome?;
    println!("Valid configuration");
    Ok(())
}

/// Prints the failure that came before if there is another: the last one is printed by the caller.
fn first(before: anyhow::Result<()>, now: anyhow::Result<()>, format: cli::Format) -> anyhow::Result<()> {
    match (before, now) {
        (Err(before), Err(now)) => {
            diagnostics::print_failure(&before, format);
            Err(now)
        }
        (before, now) => before.and(now),
    }
}

/// Everything short of listening. What fails is told where it stands, if it came from a Caddyfile.
pub(crate) fn check(loaded: &Loaded) -> anyhow::Result<()> {
    let prepared = crate::serving::prepare(
        loaded.config.clone(),
        &Registry::default(),
        &fairway_server::tls::Secrets::default(),
        None,
    );
    prepared.map(drop).map_err(|error| {
        let diagnostics = blame::config(&loaded.config);
        if diagnostics.is_empty() {
            return NotServable(error).into();
        }
        Broken {
            name: loaded.name(),
            diagnostics,
        }
        .into()
    })
}
