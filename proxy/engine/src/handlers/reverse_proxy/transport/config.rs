//! The JSON of a transport, and how it becomes one that runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::Xxh64;

use super::{ClientCertificate, FastcgiTransport, KeepAlive, Transport, UpstreamTls, Versions};
use crate::compile::CompileError;
use crate::handlers::reverse_proxy::config::is_default;
use crate::values::Duration;

/// A transport as JSON: Caddy's `http.reverse_proxy.transport.*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "snake_case")]
pub enum Config {
    /// HTTP, with or without TLS.
    Http(Box<HttpTransport>),
    /// The protocol of PHP; refused when compiled, for now.
    Fastcgi(Box<FastcgiTransport>),
}

/// `transport http`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpTransport {
    /// Who resolves names; refused when compiled, for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// TLS; plain without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// What becomes of connections after a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<KeepAliveConfig>,
    /// Whether compressed responses are asked for where the client did not. Fairway never asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<bool>,
    /// How many connections to one address may exist at once; no limit at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub max_conns_per_host: i64,
    /// `v1` or `v2`: connections begin with a PROXY header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxy_protocol: String,
    /// An older form of `network_proxy`; refused when compiled, for now.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub forward_proxy_url: String,
    /// How long a connection may take to be made. 3 s.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
    /// How long IPv6 is ahead of IPv4. 300 ms.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub dial_fallback_delay: Duration,
    /// How long the head of the response may take; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub response_header_timeout: Duration,
    /// How long a `100 Continue` is waited for.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub expect_continue_timeout: Duration,
    /// How many bytes the head of the response may have. 1 MiB.
    #[serde(skip_serializing_if = "is_default")]
    pub max_response_header_size: i64,
    /// The size of write buffers; of no account in Fairway.
    #[serde(skip_serializing_if = "is_default")]
    pub write_buffer_size: i64,
    /// The size of read buffers; of no account in Fairway.
    #[serde(skip_serializing_if = "is_default")]
    pub read_buffer_size: i64,
    /// How long one read may take; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub read_timeout: Duration,
    /// How long one write may take; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub write_timeout: Duration,
    /// The versions that may be spoken: `1.1`, `2`, `h2c`. 1.1 and 2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// The address that connections are made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_address: String,
    /// A proxy on the way to the upstream; only `none` can be compiled, for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_proxy: Option<serde_json::Value>,
}

/// TLS towards upstreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The roots that are trusted: `{"provider": "file" | "inline", …}`; those of the system without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<serde_json::Value>,
    /// Trusted roots, as base64 of DER.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root_ca_pool: Vec<String>,
    /// Files of trusted roots, as PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root_ca_pem_files: Vec<String>,
    /// The file of the certificate that is shown to upstreams.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_certificate_file: String,
    /// The file of its key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_file: String,
    /// The name of a managed certificate; refused when compiled, for now.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_certificate_automate: String,
    /// Whether any certificate is taken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// How long the handshake may take. 10 s.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub handshake_timeout: Duration,
    /// The name that is asked for and verified; the host that is dialed without it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// `never`, `once` or `freely`; rustls never renegotiates.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub renegotiation: String,
    /// Ports that are spoken to without TLS all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except_ports: Vec<String>,
    /// The curves of the key exchange; refused when compiled, for now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<String>,
}

/// What becomes of connections after a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepAliveConfig {
    /// Whether they are used again. True.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time between TCP's probes.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub probe_interval: Duration,
    /// How many may lie idle in all; no limit at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub max_idle_conns: i64,
    /// How many may lie idle per address, on each traffic thread, when nobody used the others for some seconds. 32.
    #[serde(skip_serializing_if = "is_default")]
    pub max_idle_conns_per_host: i64,
    /// How long one may lie idle. 2 minutes.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub idle_timeout: Duration,
}

/// Who resolves names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resolver {
    /// Addresses of DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Where trusted roots come from.
#[derive(Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case", deny_unknown_fields)]
enum Pool {
    File { pem_files: Vec<String> },
    Inline { trusted_ca_certs: Vec<String> },
}

impl Config {
    /// Makes the transport that runs. Files of trusted roots are read now.
    pub(crate) fn compile(&self) -> Result<Transport, CompileError> {
        let compiled = match self {
            Self::Http(http) => http.compile(),
            Self::Fastcgi(_) => Err(CompileError::new("`fastcgi` is not there yet")),
        };
        compiled.map_err(|error| error.within("transport"))
    }
}

impl HttpTransport {
    fn compile(&self) -> Result<Transport, CompileError> {
        let proxied = self
            .network_proxy
            .as_ref()
            .is_some_and(|proxy| proxy["from"] != "none");
        let later = [
            (self.resolver.is_some(), "resolvers"),
            (proxied || !self.forward_proxy_url.is_empty(), "network_proxy"),
            (self.max_conns_per_host > 0, "max_conns_per_host"),
            (!self.proxy_protocol.is_empty(), "proxy_protocol"),
        ];
        refuse(&later)?;
        let defaults = Transport::default();
        let keepalive = self.keep_alive.clone().unwrap_or_default();
        let count = |number: i64| usize::try_from(number).ok().filter(|&number| number > 0);
        let local_address = match self.local_address.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| CompileError::new(format!("`{text}` is no IP address")))?,
            ),
        };
        let transport = Transport {
            id: 0,
            tls: self.tls.as_ref().map(TlsConfig::compile).transpose()?,
            versions: self.versions()?,
            dial_timeout: self.dial_timeout.to_std().unwrap_or(defaults.dial_timeout),
            response_header_timeout: self.response_header_timeout.to_std(),
            read_timeout: self.read_timeout.to_std(),
            write_timeout: self.write_timeout.to_std(),
            keepalive: KeepAlive {
                enabled: keepalive.enabled.unwrap_or(true),
                idle: keepalive.idle_timeout.to_std().unwrap_or(defaults.keepalive.idle),
                max_idle_per_host: count(keepalive.max_idle_conns_per_host)
                    .unwrap_or(defaults.keepalive.max_idle_per_host),
            },
            max_response_header: count(self.max_response_header_size).unwrap_or(defaults.max_response_header),
            local_address,
        };
        Ok(transport.with_id())
    }

    fn versions(&self) -> Result<Versions, CompileError> {
        if self.versions.is_empty() {
            return Ok(Transport::default().versions);
        }
        let mut versions = Versions {
            h1: false,
            h2: false,
            h2c: false,
        };
        for version in &self.versions {
            match version.as_str() {
                "1.1" => versions.h1 = true,
                "2" => versions.h2 = true,
                "h2c" => versions.h2c = true,
                "3" => return Err(CompileError::new("HTTP/3 to upstreams is not there yet")),
                other => return Err(CompileError::new(format!("`{other}` is no version of HTTP"))),
            }
        }
        if !(versions.h1 || versions.h2 || versions.h2c) {
            return Err(CompileError::new("no version of HTTP may be spoken"));
        }
        Ok(versions)
    }
}

impl TlsConfig {
    fn compile(&self) -> Result<UpstreamTls, CompileError> {
        let later = [
            (
                !self.client_certificate_automate.is_empty(),
                "tls_client_auth of a managed certificate",
            ),
            (!self.curves.is_empty(), "tls_curves"),
        ];
        refuse(&later)?;
        let mut roots_pem = Vec::new();
        let mut files = self.root_ca_pem_files.clone();
        let mut inline = self.root_ca_pool.clone();
        if let Some(ca) = &self.ca {
            let pool =
                Pool::deserialize(ca).map_err(|error| CompileError::new(format!("tls: ca: {error}")))?;
            match pool {
                Pool::File { pem_files } => files.extend(pem_files),
                Pool::Inline { trusted_ca_certs } => inline.extend(trusted_ca_certs),
            }
        }
        for file in files {
            let pem = std::fs::read(&file);
            roots_pem
                .push(pem.map_err(|error| CompileError::new(format!("tls: reading `{file}`: {error}")))?);
        }
        for certificate in inline {
            let bare: String = certificate.split_whitespace().collect();
            if STANDARD.decode(&bare).is_err() {
                return Err(CompileError::new("tls: a trusted certificate is not base64"));
            }
            let pem = format!("-----BEGIN CERTIFICATE-----\n{bare}\n-----END CERTIFICATE-----\n");
            roots_pem.push(pem.into_bytes());
        }
        let (certificate, key) = (&self.client_certificate_file, &self.client_certificate_key_file);
        if certificate.is_empty() != key.is_empty() {
            return Err(CompileError::new(
                "tls: a client certificate needs both its file and that of its key",
            ));
        }
        Ok(UpstreamTls {
            server_name: Some(self.server_name.clone()).filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            roots_pem,
            client_certificate: (!certificate.is_empty()).then(|| ClientCertificate {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            handshake_timeout: self
                .handshake_timeout
                .to_std()
                .unwrap_or(std::time::Duration::from_secs(10)),
        })
    }
}

impl Transport {
    /// The same, with the id that goes with its content.
    pub(crate) fn with_id(mut self) -> Self {
        self.id = 0;
        let mut hasher = Xxh64::new(0);
        std::hash::Hash::hash(&self, &mut hasher);
        self.id = hasher.digest();
        self
    }
}

fn refuse(parts: &[(bool, &str)]) -> Result<(), CompileError> {
    match parts.iter().find(|(is_set, _)| *is_set) {
        Some((_, part)) => Err(CompileError::new(format!("`{part}` is not there yet"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(json: &str) -> Result<Transport, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
        config.compile().map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(json: &str, part: &str) {
        let error = compile(json).expect_err(json);
        assert!(error.contains(part), "{json}: {error}");
    }

    #[test]
    fn equal_transports_have_equal_ids() {
        let plain = compile(r#"{"protocol":"http"}"#).unwrap();
        assert_eq!(plain, Transport::default().with_id());
        assert_eq!(
            plain,
            compile(r#"{"protocol":"http","dial_timeout":"3s"}"#).unwrap()
        );
        let tls = compile(r#"{"protocol":"http","tls":{}}"#).unwrap();
        assert_ne!(plain.id, tls.id);
        let named = compile(r#"{"protocol":"http","tls":{"server_name":"a"}}"#).unwrap();
        assert_ne!(tls.id, named.id);
    }

    #[test]
    fn options_reach_the_transport() {
        let json = r#"{"protocol":"http","versions":["h2c","2"],"keep_alive":{"enabled":false},"read_timeout":"1s",
            "local_address":"10.0.0.1",
            "tls":{"insecure_skip_verify":true,"root_ca_pool":["AAAA"]}}"#;
        let transport = compile(json).unwrap();
        assert!(transport.versions.h2c && transport.versions.h2 && !transport.versions.h1);
        assert!(!transport.keepalive.enabled);
        assert_eq!(transport.read_timeout, Some(std::time::Duration::from_secs(1)));
        assert_eq!(transport.local_address, Some([10, 0, 0, 1].into()));
        let tls = transport.tls.unwrap();
        assert!(tls.insecure_skip_verify && tls.roots_pem[0].starts_with(b"-----BEGIN"));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        check_refused(r#"{"protocol":"fastcgi"}"#, "`fastcgi` is not there yet");
        check_refused(r#"{"protocol":"http","x":1}"#, "unknown field");
        check_refused(r#"{"protocol":"http","versions":["3"]}"#, "HTTP/3");
        check_refused(r#"{"protocol":"http","versions":["9"]}"#, "no version");
        check_refused(r#"{"protocol":"http","resolver":{}}"#, "not there yet");
        check_refused(r#"{"protocol":"http","forward_proxy_url":"x"}"#, "not there yet");
        check_refused(r#"{"protocol":"http","max_conns_per_host":7}"#, "not there yet");
        check_refused(r#"{"protocol":"http","proxy_protocol":"v2"}"#, "not there yet");
        check_refused(r#"{"protocol":"http","local_address":"x"}"#, "no IP address");
        check_refused(
            r#"{"protocol":"http","tls":{"client_certificate_file":"x"}}"#,
            "both",
        );
        check_refused(r#"{"protocol":"http","tls":{"root_ca_pool":["?"]}}"#, "base64");
        check_refused(
            r#"{"protocol":"http","tls":{"root_ca_pem_files":["/no/such"]}}"#,
            "reading",
        );
        check_refused(r#"{"protocol":"http","tls":{"ca":{"provider":"dns"}}}"#, "ca");
    }
}
