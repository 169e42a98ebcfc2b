//! Certificates by name: those that were loaded, and those that are issued here.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fairway_engine::config::Config;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value as Json;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;
use super::authority::{Authority, Issued};

/// Certificates by the names that they are for.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    by_name: HashMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Loaded {
        key: Arc<CertifiedKey>,
        tags: Arc<[String]>,
    },
    Issued(Arc<Issuing>),
}

/// A certificate that is renewed when its time comes.
#[derive(Debug)]
struct Issuing {
    name: String,
    authority: Arc<Authority>,
    current: ArcSwap<Issued>,
}

impl Certificates {
    /// Loads what a config names: files, folders are not read, and PEM text.
    pub(super) fn load(&mut self, config: &Config) -> Result<(), TlsError> {
        let loaders = config.apps.tls.as_ref().and_then(|tls| tls.certificates.as_ref());
        for (loader, list) in loaders.into_iter().flatten() {
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            match loader.as_str() {
                "automate" => {}
                "load_files" => list.iter().try_for_each(|pair| self.add(pair, read_file))?,
                "load_pem" => list
                    .iter()
                    .try_for_each(|pair| self.add(pair, |text| Ok(text.as_bytes().to_vec())))?,
                other => {
                    let message = "Fairway has no such source of certificates";
                    return Err(TlsError::unusable(format!("tls.certificates.{other}"), message));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, pair: &Json, read: impl Fn(&str) -> Result<Vec<u8>, TlsError>) -> Result<(), TlsError> {
        let field = |name: &str| {
            let missing = || TlsError::unusable("a certificate to load", format!("`{name}` is missing"));
            pair.get(name).and_then(Json::as_str).ok_or_else(missing)
        };
        let (certificate, key) = (field("certificate")?, field("key")?);
        let tags = pair.get("tags").and_then(Json::as_array).into_iter().flatten();
        let tags = tags.filter_map(Json::as_str).map(str::to_owned).collect();
        let what = certificate.lines().next().unwrap_or_default();
        let certified = certified_key(what, &read(certificate)?, &read(key)?)?;
        let names = names(&certified.cert[0]).map_err(|message| TlsError::unusable(what, message))?;
        let entry = Entry::Loaded {
            key: Arc::new(certified),
            tags,
        };
        for name in names {
            self.by_name.entry(name).or_default().push(entry.clone());
        }
        Ok(())
    }

    /// Issues a certificate for a name, and keeps it fresh.
    pub(super) fn issue(&mut self, name: &str, authority: Arc<Authority>) -> Result<(), TlsError> {
        let name = name.to_ascii_lowercase();
        let current = ArcSwap::from_pointee(authority.issue(&name)?);
        let entry = Entry::Issued(Arc::new(Issuing {
            name: name.clone(),
            authority,
            current,
        }));
        self.by_name.entry(name).or_default().push(entry);
        Ok(())
    }

    /// Whether a certificate is for a name, itself or as a wildcard.
    pub(super) fn covers(&self, name: &str) -> bool {
        !self.candidates(&name.to_ascii_lowercase()).is_empty()
    }

    /// The certificate for a name; among several, one that carries one of `tags`.
    pub(super) fn find(&self, name: &str, tags: &[String]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name);
        let tagged = |entry: &&Entry| match entry {
            Entry::Loaded { tags: own, .. } => own.iter().any(|tag| tags.contains(tag)),
            Entry::Issued(_) => false,
        };
        candidates
            .iter()
            .find(tagged)
            .or_else(|| candidates.first())
            .map(Entry::key)
    }

    fn candidates(&self, name: &str) -> &[Entry] {
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        self.by_name
            .get(name)
            .or_else(wildcard)
            .map_or(&[], Vec::as_slice)
    }
}

impl Entry {
    fn key(&self) -> Arc<CertifiedKey> {
        match self {
            Self::Loaded { key, .. } => Arc::clone(key),
            Self::Issued(issuing) => issuing.key(),
        }
    }
}

impl Issuing {
    /// The certificate as it is now. A failure to renew leaves the old one, and is tried again next time.
    fn key(&self) -> Arc<CertifiedKey> {
        let current = self.current.load();
        if current.is_due() {
            match self.authority.issue(&self.name) {
                Ok(issued) => self.current.store(Arc::new(issued)),
                Err(error) => tracing::warn!(name = self.name, %error, "renewing a local certificate"),
            }
        }
        Arc::clone(&self.current.load().key)
    }
}

fn read_file(path: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A chain and its key, which must belong together.
pub(super) fn certified_key(what: &str, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let unusable = |error: rustls_pki_types::pem::Error| TlsError::unusable(what, error);
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if chain.is_empty() {
        return Err(TlsError::unusable(what, "there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| TlsError::unusable(format!("the key of {what}"), error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified =
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| TlsError::unusable(what, error))?;
    Ok(certified)
}

/// The names of a certificate, lower case; addresses as text.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    let alternative = parsed
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    for name in alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
    {
        match name {
            GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
                names.extend(address.map(|address| address.to_string()));
            }
            _ => {}
        }
    }
    if names.is_empty() {
        let common = parsed
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    Ok(names)
}
