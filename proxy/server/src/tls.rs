//! TLS for clients: which certificate and which settings answer a handshake.
//!
//! [`Tls`] is made of a config, and holds one [`TlsServer`] for each server that speaks TLS. A handshake is read as far
//! as the client's hello, then the first connection policy that fits decides.

mod any;
mod authority;
mod certificates;
mod client;
mod files;
mod kept;
mod pair;
mod policy;
mod secrets;
mod shown;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use fairway_engine::auto_https::{Issuer, Managed};
use fairway_engine::config::Config;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) use any::AnyServer;
use authority::Authority;
use certificates::Certificates;
pub use files::files;
pub use pair::PairError;
use policy::Policy;
pub use secrets::{SecretPair, Secrets};
pub(crate) use shown::shown;

/// The fatal alert `unrecognized_name`, as it is sent before anything is encrypted.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// Why a config's TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A certificate, a key or a setting is not usable.
    #[error("{what}: {message}")]
    Unusable {
        /// What.
        what: String,
        /// Why not.
        message: String,
    },
    /// Certificates would have to be ordered.
    #[error(
        "{names} would need a certificate from a public authority, and Fairway cannot order one yet; for a site say \
         `tls internal` or `tls CERT_FILE KEY_FILE`, for all sites the global option `local_certs`, or `http://` in \
         the address for none"
    )]
    NoIssuer {
        /// The names, joined.
        names: String,
    },
}

impl TlsError {
    fn unusable(what: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self::Unusable {
            what: what.into(),
            message: message.to_string(),
        }
    }
}

/// TLS of all servers.
#[derive(Debug, Default)]
pub struct Tls {
    servers: HashMap<String, Arc<TlsServer>>,
}

/// TLS of one server: its connection policies, in order.
#[derive(Debug)]
pub struct TlsServer {
    policies: Vec<Policy>,
    /// By name, in lower case: the place of the first policy for it.
    by_name: HashMap<String, usize>,
    /// The place of the first for every name.
    for_all: Option<usize>,
}

/// The certificates that a config brings along, loaded before it is completed by automatic HTTPS.
#[derive(Debug)]
pub struct Loaded(Certificates);

impl Loaded {
    /// Reads the certificates that a config names.
    pub fn new(config: &Config) -> Result<Self, TlsError> {
        let mut certificates = Certificates::default();
        certificates.load(config)?;
        Ok(Self(certificates))
    }

    /// Whether one of them is for a name.
    pub fn covers(&self, name: &str) -> bool {
        self.0.covers(name)
    }
}

impl Tls {
    /// TLS for a completed config. `managed` are the names that automatic HTTPS found; `secrets` hold, now and later,
    /// what the config names of the cluster; `storage` is a folder that keeps
    /// the local authority over restarts, so that it needs to be trusted only once; without it (or where it cannot be
    /// written) every start has a new one.
    pub fn new(
        config: &Config,
        loaded: Loaded,
        managed: &[Managed],
        secrets: &Secrets,
        storage: Option<PathBuf>,
    ) -> Result<Self, TlsError> {
        let mut certificates = loaded.0;
        certificates.refer(config, secrets)?;
        let public = managed.iter().filter(|managed| managed.issuer == Issuer::Acme);
        let public: Vec<&str> = public.map(|managed| managed.name.as_str()).collect();
        if !public.is_empty() {
            return Err(TlsError::NoIssuer {
                names: public.join(", "),
            });
        }
        if !managed.is_empty() {
            let authority = Arc::new(Authority::open(storage)?);
            for managed in managed {
                certificates.issue(&managed.name, Arc::clone(&authority))?;
            }
        }
        let certificates = Arc::new(certificates);
        let mut servers = HashMap::new();
        for (name, server) in config.apps.http.iter().flat_map(|http| &http.servers) {
            let Some(policies) = server
                .tls_connection_policies
                .as_ref()
                .filter(|policies| !policies.is_empty())
            else {
                continue;
            };
            let policies = policies
                .iter()
                .map(|policy| Policy::new(policy, (name, server), &certificates, &secrets.kept));
            let policies = policies.collect::<Result<_, _>>()?;
            servers.insert(name.clone(), Arc::new(TlsServer::new(policies)));
        }
        secrets.forget_unnamed();
        Ok(Self { servers })
    }

    /// TLS of a server, by its name in the config; none if it speaks plain HTTP.
    pub fn server(&self, name: &str) -> Option<&Arc<TlsServer>> {
        self.servers.get(name)
    }
}

impl TlsServer {
    fn new(policies: Vec<Policy>) -> Self {
        let (mut by_name, mut for_all) = (HashMap::new(), None);
        for (place, policy) in policies.iter().enumerate() {
            for name in policy.names().unwrap_or_default() {
                by_name.entry(name.to_ascii_lowercase()).or_insert(place);
            }
            if policy.names().is_none() {
                for_all = for_all.or(Some(place));
            }
        }
        Self {
            policies,
            by_name,
            for_all,
        }
    }

    /// The first policy for a name, which is in lower case.
    fn policy(&self, name: Option<&str>) -> Option<&Policy> {
        let Some(name) = name else {
            // What such a client asks for is told by each policy itself.
            return self.policies.iter().find(|policy| policy.fits(None));
        };
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let wildcard = wildcard.and_then(|wildcard| self.by_name.get(&wildcard));
        let places = [self.by_name.get(name), wildcard, self.for_all.as_ref()];
        let first = places.into_iter().flatten().min()?;
        Some(&self.policies[*first])
    }

    /// Carries out a handshake. `local` is our end: a client that sends no name is taken to mean it.
    ///
    /// Dropping the future closes the connection.
    pub async fn accept<S>(&self, stream: S, local: SocketAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let policy = self.policy(name.as_deref());
        if policy.is_some_and(Policy::drops) {
            return Err(io::Error::other("the connection policy refuses this client"));
        }
        let config = policy.and_then(|policy| policy.config(name.as_deref(), local, &hello));
        let Some(config) = config else {
            let mut stream = start.io;
            stream.write_all(UNRECOGNIZED_NAME).await?;
            stream.shutdown().await?;
            return Err(io::Error::other("no certificate is for this client"));
        };
        start.into_stream(config).await
    }
}

#[cfg(test)]
mod tests;
