//! What came out of hashing, for a while: neither passwords nor hashes, only a digest of both.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::hash::Hash;

/// How many results are kept.
const CAPACITY: usize = 1000;

/// A digest of a hash and a password. It tells nobody either of them, and nobody can aim for one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Of the password that a client sent and the hash that it is held against.
    pub(super) fn new(hash: &Hash, password: &[u8]) -> Self {
        let mut digest = Sha256::new();
        hash.feed(&mut |bytes| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        });
        digest.update(password);
        Self(digest.finalize().into())
    }
}

/// Results by key.
#[derive(Default)]
pub(super) struct Cache(RwLock<HashMap<Key, bool>>);

impl Cache {
    /// The result, if it is known.
    pub(super) fn get(&self, key: &Key) -> Option<bool> {
        let results = self.0.read().unwrap_or_else(PoisonError::into_inner);
        results.get(key).copied()
    }

    /// Remembers a result. If there is no room, wrong passwords are forgotten first, so that guessing does not
    /// make the right ones dear.
    pub(super) fn put(&self, key: Key, same: bool) {
        let mut results = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if results.len() >= CAPACITY {
            results.retain(|_, same| *same);
        }
        if results.len() >= CAPACITY {
            let mut kept = 0;
            results.retain(|_, _| {
                kept += 1;
                kept <= CAPACITY - CAPACITY / 10
            });
        }
        results.insert(key, same);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::new(&Hash::Broken("x".into()), &number.to_le_bytes())
    }

    #[test]
    fn stays_within_its_bounds_and_keeps_the_right_passwords() {
        let cache = Cache::default();
        cache.put(key(0), true);
        for number in 1..3 * CAPACITY {
            cache.put(key(number), false);
            assert!(cache.0.read().unwrap().len() <= CAPACITY);
        }
        assert_eq!(cache.get(&key(0)), Some(true));
        for number in 0..3 * CAPACITY {
            cache.put(key(number), true);
            assert!(cache.0.read().unwrap().len() <= CAPACITY);
        }
    }

    #[test]
    fn tells_passwords_and_hashes_apart() {
        let broken = |text: &str| Hash::Broken(text.into());
        let one = Key::new(&broken("ab"), b"c");
        assert!(one == Key::new(&broken("ab"), b"c"));
        assert!(one != Key::new(&broken("a"), b"bc"));
        assert!(one != Key::new(&broken("ab"), b"d"));
    }
}
