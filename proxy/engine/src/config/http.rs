//! `apps.http`: servers and their routes.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Route;
use crate::values::Duration;

/// Servers, and what they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The port that counts as HTTP; 80 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// The port that counts as HTTPS; 443 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
    /// How long requests under way may take at the end; without end if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<Duration>,
    /// How long to wait before the end begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_delay: Option<Duration>,
    /// Metrics of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Json>,
    /// By name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub servers: IndexMap<String, Server>,
}

/// Listeners and the routes behind them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where to listen: `:443`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
    /// What stands around the listeners, outermost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_wrappers: Option<Vec<ListenerWrapper>>,
    /// What stands around datagram listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_conn_wrappers: Option<Json>,
    /// For the whole body of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<Duration>,
    /// For the head of a request; a minute without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_header_timeout: Option<Duration>,
    /// For a whole response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<Duration>,
    /// Between two requests; five minutes without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Between two TCP keep-alive probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_interval: Option<Duration>,
    /// Before the first TCP keep-alive probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_idle: Option<Duration>,
    /// How many TCP keep-alive probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_count: Option<i64>,
    /// Bytes of a request's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_header_bytes: Option<i64>,
    /// Reading a request while its response is written; always possible here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_full_duplex: bool,
    /// In order. Shared, so that a config of many objects is put together without copying them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Arc<Route>>,
    /// Where errors go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// What `invoke` calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_routes: Option<IndexMap<String, Arc<Route>>>,
    /// How TLS is spoken, the first that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_connection_policies: Option<Vec<TlsConnectionPolicy>>,
    /// What is done about HTTPS by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic_https: Option<AutomaticHttps>,
    /// Whether the host must be the one that TLS named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict_sni_host: Option<bool>,
    /// Peers that may name the client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<IpSource>,
    /// The headers in which they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip_headers: Option<Vec<String>>,
    /// Headers with `_` in their names that requests may have; `*` at the end stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_underscore_headers: Option<Vec<String>>,
    /// The same with `.` in their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_dot_headers: Option<Vec<String>>,
    /// Read these headers from the right; 1 is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies_strict: Option<i64>,
    /// Trust peers on Unix sockets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trusted_proxies_unix: bool,
    /// Access logs; none: not logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// `h1`, `h2`, `h2c`, `h3`; the default is all but `h2c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<String>>,
    /// The protocols of each listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_protocols: Option<Vec<Option<Vec<String>>>>,
    /// Metrics of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Json>,
    /// TLS early data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_0rtt: Option<bool>,
}

/// A listener wrapper by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerWrapper {
    /// `tls`, `proxy_protocol`, `http_redirect`
    pub wrapper: String,
    /// Its settings.
    #[serde(flatten)]
    pub settings: IndexMap<String, Json>,
}

/// Where errors go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Errors {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// What is done about HTTPS by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutomaticHttps {
    /// Nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// No redirects from HTTP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_redirects: bool,
    /// No certificates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_certificates: bool,
    /// Hosts left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Hosts that get no certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip_certificates: Vec<String>,
    /// Manage certificates although one is loaded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_loaded_certificates: bool,
}

/// A source of address ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum IpSource {
    /// As listed.
    Static {
        /// Addresses and ranges in CIDR form.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ranges: Vec<String>,
    },
}

/// Access logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// For hosts without a logger of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_logger_name: Option<String>,
    /// Loggers by host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger_names: Option<IndexMap<String, Vec<String>>>,
    /// Hosts that are not logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_hosts: Option<Vec<String>>,
    /// Log only hosts that have a logger.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_unmapped_hosts: bool,
    /// Log `Cookie`, `Authorization` and the like as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub should_log_credentials: bool,
    /// Log each handler.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
}

/// How TLS is spoken with those who fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConnectionPolicy {
    /// With whom; absent: everybody.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<IndexMap<String, Json>>,
    /// Which of the certificates that fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_selection: Option<IndexMap<String, Json>>,
    /// Cipher suites of TLS 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suites: Option<Vec<String>>,
    /// Key exchange groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<Vec<String>>,
    /// Application protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<Vec<String>>,
    /// `tls1.2` or `tls1.3`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_min: Option<String>,
    /// `tls1.2` or `tls1.3`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_max: Option<String>,
    /// Certificates of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<Json>,
    /// The name for clients that send none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_sni: Option<String>,
    /// The name for clients whose name has no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_sni: Option<String>,
    /// Close the connection.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// A file that gets all session keys; for debugging only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_secrets_log: Option<String>,
}
