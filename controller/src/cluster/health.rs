//! Which kinds are not watched just now, and why. What was watched before is served on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The troubles of all watches, by the plural name of the kind: `ingresses`. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<BTreeMap<String, String>>>);

impl Health {
    /// Takes note of a failure; gives whether it is news.
    pub(crate) fn failed(&self, kind: &str, why: &str) -> bool {
        let mut troubles = self.lock();
        if troubles.get(kind).is_some_and(|known| known == why) {
            return false;
        }
        troubles.insert(kind.to_owned(), why.to_owned());
        true
    }

    /// A kind is watched again; gives whether it was not before.
    pub(crate) fn healed(&self, kind: &str) -> bool {
        self.lock().remove(kind).is_some()
    }

    /// The kinds that are not watched, each with the reason.
    pub(crate) fn troubles(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// Nothing is left half changed by a panic, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_news() {
        let health = Health::default();
        assert!(!health.healed("ingresses"));
        assert!(health.failed("ingresses", "forbidden"));
        assert!(!health.failed("ingresses", "forbidden"));
        assert!(health.failed("ingresses", "no answer"));
        assert!(health.failed("secrets", "no answer"));
        assert!(health.healed("ingresses"));
        assert_eq!(health.troubles().into_keys().collect::<Vec<_>>(), ["secrets"]);
    }
}
