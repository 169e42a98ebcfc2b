//! Settings that outlive a config: sessions that clients take up again, and the keys of their tickets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::{ServerConfig, SupportedCipherSuite};

use super::TlsError;

/// Settings by all that they are made of, for as long as some config has them. A clone is the same store.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<String, Weak<Settings>>>>);

/// How TLS is spoken: all but the certificate.
#[derive(Debug)]
pub(super) struct Settings {
    pub config: ServerConfig,
    /// The suites that are offered.
    pub suites: Box<[SupportedCipherSuite]>,
}

impl Kept {
    /// The settings that a config has already, or new ones.
    pub(super) fn get(
        &self,
        key: String,
        make: impl FnOnce() -> Result<Settings, TlsError>,
    ) -> Result<Arc<Settings>, TlsError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = kept.get(&key).and_then(Weak::upgrade) {
            return Ok(settings);
        }
        let settings = Arc::new(make()?);
        kept.insert(key, Arc::downgrade(&settings));
        Ok(settings)
    }

    /// Drops the places of those that no config has any more.
    pub(super) fn forget_unused(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, settings| settings.strong_count() > 0);
    }
}
