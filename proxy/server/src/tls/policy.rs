//! One connection policy: for which clients, and how TLS is spoken with them.

use std::net::SocketAddr;
use std::sync::Arc;

use fairway_engine::config::{Server, TlsConnectionPolicy};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedCipherSuite};
use serde_json::Value as Json;

use super::certificates::{Certificates, Client};
use super::kept::{Kept, Settings};
use super::{TlsError, client};

/// A connection policy, ready to answer.
#[derive(Debug)]
pub(super) struct Policy {
    /// The names that it is for; none: every name.
    names: Option<Vec<String>>,
    /// Whether it refuses those that it is for.
    drop: bool,
    settings: Arc<Settings>,
    certificates: Arc<Certificates>,
    tags: Vec<String>,
    /// What a client without a name asks for.
    default_name: String,
    /// Whose certificate those get for whom there is none.
    fallback_name: String,
}

impl Policy {
    /// A policy of the server `name`. Settings are taken over from `kept` if they are the same; those that ask for
    /// certificates are always new, since what they trust stands elsewhere, too.
    pub(super) fn new(
        policy: &TlsConnectionPolicy,
        (name, server): (&str, &Server),
        certificates: &Arc<Certificates>,
        kept: &Kept,
    ) -> Result<Self, TlsError> {
        let lower = |name: &Option<String>| name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let tags = policy
            .certificate_selection
            .as_ref()
            .and_then(|selection| selection.get("any_tag"));
        let settings = match (&policy.client_authentication, serde_json::to_string(policy)) {
            (None, Ok(text)) => {
                let key = format!("{name} {:?} {text}", server.protocols);
                kept.get(key, || settings(policy, server))?
            }
            _ => Arc::new(settings(policy, server)?),
        };
        let matches = policy.matches.as_ref();
        if let Some(other) = matches.and_then(|matches| matches.keys().find(|key| *key != "sni")) {
            let what = format!("tls.handshake_match.{other}");
            return Err(TlsError::unusable(
                what,
                "Fairway has no such matcher of handshakes",
            ));
        }
        let names = matches.and_then(|matches| matches.get("sni")).map(strings);
        Ok(Self {
            names,
            drop: policy.drop,
            settings,
            certificates: Arc::clone(certificates),
            tags: tags.map(strings).unwrap_or_default(),
            default_name: lower(&policy.default_sni),
            fallback_name: lower(&policy.fallback_sni),
        })
    }

    /// The names that it is for; none: every name.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Whether it is for a client that asks for `name`.
    pub(super) fn fits(&self, name: Option<&str>) -> bool {
        let Some(names) = &self.names else { return true };
        let asked = name.unwrap_or(&self.default_name);
        let covers = |pattern: &String| {
            let wildcard = || {
                pattern
                    .strip_prefix("*.")
                    .zip(asked.split_once('.').map(|(_, parent)| parent))
            };
            pattern.eq_ignore_ascii_case(asked)
                || wildcard().is_some_and(|(pattern, parent)| pattern.eq_ignore_ascii_case(parent))
        };
        names.iter().any(covers)
    }

    /// Whether it refuses the clients that it fits.
    pub(super) fn drops(&self) -> bool {
        self.drop
    }

    /// The settings for a client that it fits; none if there is no certificate for it.
    pub(super) fn config(
        &self,
        name: Option<&str>,
        local: SocketAddr,
        hello: &ClientHello<'_>,
    ) -> Option<Arc<ServerConfig>> {
        let client = Client {
            hello,
            suites: &self.settings.suites,
            tags: &self.tags,
        };
        let certificates = &self.certificates;
        let key = match name {
            Some(name) => certificates.find(name, &client),
            // A client without a name means the address that it connected to.
            None => certificates
                .find(&local.ip().to_canonical().to_string(), &client)
                .or_else(|| certificates.find(&self.default_name, &client)),
        };
        let asked = name.unwrap_or(&self.default_name);
        let key = key
            .or_else(|| certificates.find_default(asked, &client))
            .or_else(|| certificates.find(&self.fallback_name, &client))?;
        let mut config = self.settings.config.clone();
        config.cert_resolver = Arc::new(Fixed(Some(key)));
        Some(Arc::new(config))
    }
}

/// How TLS is spoken by a policy.
fn settings(policy: &TlsConnectionPolicy, server: &Server) -> Result<Settings, TlsError> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    choose(
        &mut provider.cipher_suites,
        policy.cipher_suites.as_deref(),
        |suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"),
    )?;
    choose(&mut provider.kx_groups, policy.curves.as_deref(), |group| {
        curve(group.name())
    })?;
    let versions = versions(policy)?;
    let spoken = |suite: &&SupportedCipherSuite| versions.contains(&suite.version());
    let suites = provider.cipher_suites.iter().filter(spoken).copied().collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::unusable("a TLS connection policy", error))?;
    let builder = match &policy.client_authentication {
        Some(settings) => builder.with_client_cert_verifier(client::verifier(settings)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Fixed(None)));
    config.alpn_protocols = match &policy.alpn {
        Some(protocols) => protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect(),
        None => default_protocols(server),
    };
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok(Settings { config, suites })
}

/// The order in which protocols are offered, as the server's own list allows.
fn default_protocols(server: &Server) -> Vec<Vec<u8>> {
    let has = |protocol: &str| {
        server
            .protocols
            .as_ref()
            .is_none_or(|protocols| protocols.iter().any(|known| known == protocol))
    };
    let offered = [("h2", &b"h2"[..]), ("h1", &b"http/1.1"[..])];
    offered
        .into_iter()
        .filter(|(name, _)| has(name))
        .map(|(_, protocol)| protocol.to_vec())
        .collect()
}

fn versions(
    policy: &TlsConnectionPolicy,
) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, TlsError> {
    let number = |version: &Option<String>, default| match version.as_deref() {
        None => Ok(default),
        Some("tls1.2") => Ok(12),
        Some("tls1.3") => Ok(13),
        Some(other) => Err(TlsError::unusable(
            format!("TLS version `{other}`"),
            "only `tls1.2` and `tls1.3` are spoken",
        )),
    };
    let (least, most) = (
        number(&policy.protocol_min, 12)?,
        number(&policy.protocol_max, 13)?,
    );
    let all = [(13, &rustls::version::TLS13), (12, &rustls::version::TLS12)];
    let chosen = all
        .into_iter()
        .filter(|(version, _)| (least..=most).contains(version));
    Ok(chosen.map(|(_, version)| version).collect())
}

/// Keeps of `all` what `wanted` names, in its order; TLS 1.3 suites always stay, they cannot be chosen.
fn choose<T: Copy>(
    all: &mut Vec<T>,
    wanted: Option<&[String]>,
    name: impl Fn(&T) -> String,
) -> Result<(), TlsError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let always = |item: &T| {
        let name = name(item);
        name.starts_with("TLS_AES") || name.starts_with("TLS_CHACHA20")
    };
    let mut chosen: Vec<T> = all.iter().copied().filter(always).collect();
    for word in wanted {
        let word = word
            .strip_suffix("_SHA256")
            .filter(|word| word.ends_with("POLY1305"))
            .unwrap_or(word);
        let found = all
            .iter()
            .find(|item| name(item).trim_end_matches("_SHA256") == word.trim_end_matches("_SHA256"));
        let found = found.ok_or_else(|| {
            let known: Vec<String> = all.iter().map(&name).collect();
            TlsError::unusable(
                format!("`{word}`"),
                format!("not offered; there are {}", known.join(", ")),
            )
        })?;
        chosen.push(*found);
    }
    *all = chosen;
    Ok(())
}

/// Caddy's names of key exchange groups.
fn curve(group: rustls::NamedGroup) -> String {
    match group {
        rustls::NamedGroup::X25519 => "x25519".to_owned(),
        rustls::NamedGroup::secp256r1 => "secp256r1".to_owned(),
        rustls::NamedGroup::secp384r1 => "secp384r1".to_owned(),
        rustls::NamedGroup::secp521r1 => "secp521r1".to_owned(),
        rustls::NamedGroup::X25519MLKEM768 => "x25519mlkem768".to_owned(),
        other => format!("{other:?}"),
    }
}

pub(super) fn strings(list: &Json) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// Always the same certificate.
#[derive(Debug)]
struct Fixed(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
