//! How upstreams are spoken to: what the server needs to know to open connections and to wait on them.

mod config;
mod fastcgi;
mod parse;

use std::net::IpAddr;
use std::time::Duration;

pub use config::{Config, HttpTransport, KeepAliveConfig, Resolver, TlsConfig};
pub use fastcgi::FastcgiTransport;
pub(super) use parse::parse;

/// A transport, compiled. Requests of equal transports share connections, so connections are pooled under
/// [`id`](Self::id) and the address that is dialed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transport {
    /// A hash of all that follows: equal for equal transports.
    pub id: u64,
    /// TLS towards the upstream; plain without it.
    pub tls: Option<UpstreamTls>,
    /// The protocol versions that may be spoken.
    pub versions: Versions,
    /// How long a connection may take to be made, TLS excluded. 3 s.
    pub dial_timeout: Duration,
    /// How long the upstream may take from the end of the request to the end of its response's head.
    pub response_header_timeout: Option<Duration>,
    /// How long one read may wait for bytes.
    pub read_timeout: Option<Duration>,
    /// How long one write may wait to be taken.
    pub write_timeout: Option<Duration>,
    /// What becomes of connections after a request.
    pub keepalive: KeepAlive,
    /// How many bytes the head of a response may have. 1 MiB.
    pub max_response_header: usize,
    /// The address that connections are made from.
    pub local_address: Option<IpAddr>,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The name that is asked for and verified; the host that is dialed without it.
    pub server_name: Option<String>,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
    /// The roots that are trusted, as PEM; those of the system if there are none.
    pub roots_pem: Vec<Vec<u8>>,
    /// The certificate that is shown to the upstream.
    pub client_certificate: Option<ClientCertificate>,
    /// How long the handshake may take. 10 s.
    pub handshake_timeout: Duration,
}

/// A certificate for upstreams that ask for one: paths of PEM files, which the server reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The chain's file.
    pub certificate: String,
    /// The private key's file.
    pub key: String,
}

/// The protocol versions that may be spoken. With TLS, HTTP/2 is chosen by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    /// HTTP/1.1
    pub h1: bool,
    /// HTTP/2 over TLS.
    pub h2: bool,
    /// HTTP/2 without TLS, by prior knowledge; no other version is spoken then unless `h1` is set too, which
    /// leaves plain connections to HTTP/2.
    pub h2c: bool,
}

/// What becomes of connections after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    /// Whether they are used again.
    pub enabled: bool,
    /// How long one may lie idle. 2 minutes.
    pub idle: Duration,
    /// How many may lie idle per address. 32.
    pub max_idle_per_host: usize,
}

impl Default for Transport {
    /// Plain HTTP/1.1 as Caddy speaks it without a `transport`.
    fn default() -> Self {
        Self {
            id: 0,
            tls: None,
            versions: Versions {
                h1: true,
                h2: true,
                h2c: false,
            },
            dial_timeout: Duration::from_secs(3),
            response_header_timeout: None,
            read_timeout: None,
            write_timeout: None,
            keepalive: KeepAlive {
                enabled: true,
                idle: Duration::from_mins(2),
                max_idle_per_host: 32,
            },
            max_response_header: 1 << 20,
            local_address: None,
        }
    }
}
