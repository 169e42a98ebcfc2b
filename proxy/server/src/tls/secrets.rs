//! Certificates in Secrets of the cluster: one store for all configs, and for as long as the process lives.
//!
//! A config names a Secret; what stands in it is told to the store. A handshake reads the Secret's own pointer, so
//! that a new pair is there for the next handshake, with no swap, no lock, and nothing done for any other Secret.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use super::kept::Kept;
use super::pair::{Pair, PairError};

/// The Secrets of the cluster that hold certificates. A clone is the same store.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    slots: Arc<Mutex<Slots>>,
    /// What else outlives a config.
    pub(super) kept: Kept,
}

/// What stands in a Secret of the type `kubernetes.io/tls`.
#[derive(Clone, Copy)]
pub struct SecretPair<'a> {
    /// `tls.crt`: the certificate, then those that vouch for it.
    pub certificate_pem: &'a [u8],
    /// `tls.key`: its private key.
    pub key_pem: &'a [u8],
}

impl fmt::Debug for SecretPair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPair [redacted]")
    }
}

impl Secrets {
    /// Tells what stands in a Secret. The next handshake has it; connections stay as they are. On an error the last
    /// good pair stays in force, if there is one.
    pub fn set(&self, namespace: &str, name: &str, pair: SecretPair<'_>) -> Result<(), PairError> {
        let pair = Pair::new(pair.certificate_pem, pair.key_pem)?;
        let mut slots = self.lock();
        let secret = slots.secret(namespace, name).unwrap_or_default();
        secret.pair.store(Some(Arc::new(pair)));
        slots.put(namespace, name, Slot::Kept(secret));
        Ok(())
    }

    /// Tells that a Secret is gone, or that it is no longer of interest. Its last pair stays in force as long as a
    /// config that is served names it.
    pub fn remove(&self, namespace: &str, name: &str) {
        let mut slots = self.lock();
        let Some(secret) = slots.secret(namespace, name) else {
            return;
        };
        slots.take(namespace, name);
        if Arc::strong_count(&secret) > 1 {
            slots.put(namespace, name, Slot::Named(Arc::downgrade(&secret)));
        }
    }

    /// Whether the certificate in a Secret is for a host, itself or as a wildcard; nothing if there is no usable pair.
    pub fn covers(&self, namespace: &str, name: &str, host: &str) -> Option<bool> {
        Some(self.pair(namespace, name)?.covers(&host.to_ascii_lowercase()))
    }

    /// When the certificate in a Secret expires; nothing if there is no usable pair.
    pub fn not_after(&self, namespace: &str, name: &str) -> Option<SystemTime> {
        Some(self.pair(namespace, name)?.not_after())
    }

    /// A Secret for as long as a config names it, whether there is a pair in it or not.
    pub(super) fn named(&self, namespace: &str, name: &str) -> Arc<Secret> {
        let mut slots = self.lock();
        slots.secret(namespace, name).unwrap_or_else(|| {
            let secret = Arc::default();
            slots.put(namespace, name, Slot::Named(Arc::downgrade(&secret)));
            secret
        })
    }

    /// Drops the places of what is gone and what no config names any more.
    pub(super) fn forget_unnamed(&self) {
        self.kept.forget_unused();
        let mut slots = self.lock();
        slots.0.retain(|_, named| {
            named.retain(|_, slot| slot.secret().is_some());
            !named.is_empty()
        });
    }

    /// How many Secrets have a place.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().0.values().map(HashMap::len).sum()
    }

    fn pair(&self, namespace: &str, name: &str) -> Option<Arc<Pair>> {
        self.lock().secret(namespace, name)?.pair()
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Secret.
#[derive(Debug, Default)]
pub(super) struct Secret {
    pair: ArcSwapOption<Pair>,
}

impl Secret {
    /// The pair as it is now.
    pub(super) fn pair(&self) -> Option<Arc<Pair>> {
        self.pair.load_full()
    }
}

/// By namespace, then by name.
#[derive(Debug, Default)]
struct Slots(HashMap<Box<str>, HashMap<Box<str>, Slot>>);

#[derive(Debug)]
enum Slot {
    /// It was set, and not removed.
    Kept(Arc<Secret>),
    /// It lives as long as a config names it.
    Named(Weak<Secret>),
}

impl Slots {
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        self.0.get(namespace)?.get(name)?.secret()
    }

    fn put(&mut self, namespace: &str, name: &str, slot: Slot) {
        let named = self.0.entry(namespace.into()).or_default();
        named.insert(name.into(), slot);
    }

    fn take(&mut self, namespace: &str, name: &str) {
        if let Some(named) = self.0.get_mut(namespace) {
            named.remove(name);
        }
    }
}

impl Slot {
    fn secret(&self) -> Option<Arc<Secret>> {
        match self {
            Self::Kept(secret) => Some(Arc::clone(secret)),
            Self::Named(secret) => secret.upgrade(),
        }
    }
}
