//! Certificates by name: those that were loaded, those that are issued here, and those that stand in Secrets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use fairway_engine::config::{Config, Manager, Policy};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, SupportedCipherSuite};
use serde_json::Value as Json;

use super::TlsError;
use super::authority::{Authority, Issued};
use super::pair::Pair;
use super::secrets::{Secret, Secrets};

/// Certificates by the names that they are for.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    exact: HashMap<String, Vec<Entry>>,
    /// Of `*.a.test`, by `a.test`.
    wildcard: HashMap<String, Vec<Entry>>,
    /// For whoever gets no other.
    default: Vec<Entry>,
}

/// Who asks, as far as it matters for the choice among several certificates.
pub(super) struct Client<'a> {
    pub hello: &'a ClientHello<'a>,
    /// The suites that we offer.
    pub suites: &'a [SupportedCipherSuite],
    /// Marks of certificates to prefer.
    pub tags: &'a [String],
}

#[derive(Debug, Clone)]
enum Entry {
    Loaded { pair: Arc<Pair>, tags: Arc<[String]> },
    Issued(Arc<Issuing>),
    Secret(Arc<Secret>),
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
                other => return Err(no_source(format!("tls.certificates.{other}"))),
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
        let pair = Pair::new(&read(certificate)?, &read(key)?);
        let pair = Arc::new(pair.map_err(|error| TlsError::unusable(what, error))?);
        let entry = Entry::Loaded {
            pair: Arc::clone(&pair),
            tags,
        };
        for name in pair.subjects() {
            self.insert(name, entry.clone());
        }
        Ok(())
    }

    /// Takes the names whose certificates stand in Secrets, now or later.
    pub(super) fn refer(&mut self, config: &Config, secrets: &Secrets) -> Result<(), TlsError> {
        let automation = config.apps.tls.as_ref().and_then(|tls| tls.automation.as_ref());
        let policies = automation.map_or(&[][..], |automation| &automation.policies);
        self.exact.reserve(policies.len());
        for policy in policies {
            self.refer_one(policy, secrets)?;
        }
        Ok(())
    }

    fn refer_one(&mut self, policy: &Policy, secrets: &Secrets) -> Result<(), TlsError> {
        if policy.takes_secrets() && !policy.issuers.is_empty() {
            let what = format!("the policy for {}", policy.subjects.join(", "));
            return Err(TlsError::unusable(
                what,
                "certificates in Secrets have no issuers",
            ));
        }
        for manager in &policy.get_certificate {
            let secret = match manager {
                Manager::Kubernetes { namespace, name } => secrets.named(namespace, name),
                Manager::Http { .. } => return Err(no_source("tls.get_certificate.http")),
                Manager::Tailscale {} => return Err(no_source("tls.get_certificate.tailscale")),
            };
            let entry = Entry::Secret(secret);
            for subject in &policy.subjects {
                self.insert(subject, entry.clone());
            }
            if policy.subjects.is_empty() {
                self.default.push(entry);
            }
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
        self.insert(&name, entry);
        Ok(())
    }

    fn insert(&mut self, name: &str, entry: Entry) {
        let name = name.to_ascii_lowercase();
        let entries = match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.to_owned()),
            None => self.exact.entry(name),
        };
        entries.or_default().push(entry);
    }

    /// Whether a certificate is for a name, itself or as a wildcard.
    pub(super) fn covers(&self, name: &str) -> bool {
        !self.candidates(&name.to_ascii_lowercase()).is_empty()
    }

    /// The certificate for a name. Where those of the very name cannot be used, none with a wildcard is taken: it may
    /// be somebody else's.
    pub(super) fn find(&self, name: &str, client: &Client<'_>) -> Option<Arc<CertifiedKey>> {
        choose(self.candidates(name), name, client)
    }

    /// The certificate for those who get no other; `name` is what they asked for.
    pub(super) fn find_default(&self, name: &str, client: &Client<'_>) -> Option<Arc<CertifiedKey>> {
        choose(&self.default, name, client)
    }

    fn candidates(&self, name: &str) -> &[Entry] {
        // Certificates for `*.a.test` are asked for by this very name, too.
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        let exact = self.exact.get(name);
        exact.or_else(wildcard).map_or(&[], Vec::as_slice)
    }
}

impl Entry {
    /// The pair as it is now, if there is one.
    fn pair(&self) -> Option<Arc<Pair>> {
        match self {
            Self::Loaded { pair, .. } => Some(Arc::clone(pair)),
            Self::Issued(issuing) => Some(issuing.pair()),
            Self::Secret(secret) => secret.pair(),
        }
    }

    fn has_one_of(&self, tags: &[String]) -> bool {
        match self {
            Self::Loaded { tags: own, .. } => own.iter().any(|tag| tags.contains(tag)),
            Self::Issued(_) | Self::Secret(_) => false,
        }
    }
}

impl Issuing {
    /// The certificate as it is now. A failure to renew leaves the old one, and is tried again next time.
    fn pair(&self) -> Arc<Pair> {
        let current = self.current.load();
        if current.is_due() {
            match self.authority.issue(&self.name) {
                Ok(issued) => self.current.store(Arc::new(issued)),
                Err(error) => tracing::warn!(name = self.name, %error, "renewing a local certificate"),
            }
        }
        Arc::clone(&self.current.load().pair)
    }
}

impl Client<'_> {
    /// Whether it can check signatures of a key, by one of the suites that we have in common.
    fn takes(&self, key: &CertifiedKey) -> bool {
        let (suites, schemes) = (self.hello.cipher_suites(), self.hello.signature_schemes());
        let mut common = self.suites.iter().filter(|ours| suites.contains(&ours.suite()));
        common.any(|suite| match suite {
            SupportedCipherSuite::Tls13(_) => key.key.choose_scheme(schemes).is_some(),
            // A suite of TLS 1.2 is for keys of one kind.
            SupportedCipherSuite::Tls12(suite) => {
                let both = suite.sign.iter().filter(|scheme| schemes.contains(scheme));
                let both: Vec<SignatureScheme> = both.copied().collect();
                key.key.choose_scheme(&both).is_some()
            }
        })
    }
}

/// The first of several with the fewest faults.
fn choose(entries: &[Entry], name: &str, client: &Client<'_>) -> Option<Arc<CertifiedKey>> {
    if let [only] = entries {
        return Some(Arc::clone(&only.pair()?.key));
    }
    let now = SystemTime::now();
    let usable = entries.iter().filter_map(|entry| Some((entry, entry.pair()?)));
    let best = usable.min_by_key(|(entry, pair)| {
        (
            !entry.has_one_of(client.tags),
            !client.takes(&pair.key),
            !pair.covers(name),
            pair.not_after() < now,
        )
    });
    best.map(|(_, pair)| Arc::clone(&pair.key))
}

fn no_source(what: impl Into<String>) -> TlsError {
    TlsError::unusable(what, "Fairway has no such source of certificates")
}

fn read_file(path: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
