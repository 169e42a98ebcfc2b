//! From a config to what the server needs: the same steps for `run`, `validate` and `adapt --validate`.

use std::path::PathBuf;
use std::sync::Arc;

use fairway_engine::auto_https::{self, Managed};
use fairway_engine::compile;
use fairway_engine::config::Config;
use fairway_engine::handlers::reverse_proxy::Registry;
use fairway_engine::table::Table;
use fairway_server::tls::{Loaded, Secrets, Tls};
use fairway_server::{Plan, plan};

/// A config that can be served.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The config, completed by automatic HTTPS.
    pub config: Config,
    pub table: Arc<Table>,
    pub tls: Arc<Tls>,
    pub plan: Plan,
}

/// Completes and compiles a config. `secrets` hold the certificates of the cluster's Secrets; `storage` keeps the local
/// authority; without it a new one is made in memory.
pub(crate) fn prepare(
    mut config: Config,
    registry: &Registry,
    secrets: &Secrets,
    storage: Option<PathBuf>,
) -> anyhow::Result<Prepared> {
    let (loaded, managed) = complete(&mut config)?;
    let table = Arc::new(compile(&config, registry)?);
    let tls = Arc::new(Tls::new(&config, loaded, &managed, secrets, storage)?);
    let plan = plan(&config)?;
    Ok(Prepared {
        config,
        table,
        tls,
        plan,
    })
}

/// What is done with a config before it is compiled: loads its certificates, and adds what automatic HTTPS does.
pub(crate) fn complete(config: &mut Config) -> anyhow::Result<(Loaded, Vec<Managed>)> {
    let loaded = Loaded::new(config)?;
    let managed = auto_https::apply(config, |name| loaded.covers(name))?;
    Ok((loaded, managed))
}

/// Where the local authority is kept: `fairway/pki` in the user's folder for data.
pub(crate) fn storage() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"));
    Some(data.or_else(home)?.join("fairway/pki"))
}
