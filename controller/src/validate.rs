//! `fairway validate`: tells whether a config could be served.

use fairway_engine::config::Config;

use fairway_engine::handlers::reverse_proxy::Registry;

use crate::cli;
use crate::{envfile, load};

/// Loads and compiles the config, and says so.
pub(crate) fn validate(args: &cli::Config) -> anyhow::Result<()> {
    envfile::apply(&args.envfile)?;
    let loaded = load::load(args)?;
    load::print(&loaded.warnings);
    check(&loaded.config)?;
    println!("Valid configuration");
    Ok(())
}

/// Everything short of listening.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    crate::serving::prepare(
        config.clone(),
        &Registry::default(),
        &fairway_server::tls::Secrets::default(),
        None,
    )?;
    Ok(())
}
