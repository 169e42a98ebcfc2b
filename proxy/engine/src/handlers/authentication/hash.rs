//! Hashed passwords: read, bounded, and held against what a client sends.

use std::fmt;
use std::str::FromStr;

use argon2::{Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bcrypt::HashParts;

use super::Algorithm;

/// The highest cost of bcrypt that is accepted; each step doubles the time.
const MAX_BCRYPT_COST: u32 = 16;
/// The most memory that Argon2id may ask for, in KiB.
const MAX_ARGON2_MEMORY: u32 = 256 * 1024;
/// How much memory Argon2id may fill in all its passes, in KiB.
const MAX_ARGON2_WORK: u64 = 4 * MAX_ARGON2_MEMORY as u64;
/// The most lanes of Argon2id.
const MAX_ARGON2_LANES: u32 = 64;
/// The longest salt or key of Argon2id, in bytes.
const MAX_ARGON2_LENGTH: usize = 1024;

/// A hashed password.
pub(super) enum Hash {
    Bcrypt {
        text: Box<str>,
        cost: u32,
    },
    Argon2id {
        params: Params,
        salt: Box<[u8]>,
        key: Box<[u8]>,
    },
    /// No hash, and why not: no password is right.
    Broken(Box<str>),
}

/// Why a text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("this is no bcrypt hash")]
    NoBcrypt,
    #[error("this is no argon2id hash")]
    NoArgon2id,
    #[error("the cost {0} of this bcrypt hash is too high, at most {MAX_BCRYPT_COST} is accepted")]
    BcryptCost(u32),
    #[error(
        "this argon2id hash asks for more work than is accepted: m is at most 262144, m times t 1048576, p 64"
    )]
    Argon2Cost,
}

impl Error {
    /// Whether it is a hash, but one that would take too long.
    pub(super) fn is_too_expensive(self) -> bool {
        matches!(self, Self::BcryptCost(_) | Self::Argon2Cost)
    }
}

impl Hash {
    /// Reads a hash.
    pub(super) fn parse(algorithm: Algorithm, text: &str) -> Result<Self, Error> {
        match algorithm {
            Algorithm::Bcrypt => bcrypt(text),
            Algorithm::Argon2id => argon2id(text),
        }
    }

    /// Whether it is the hash of this password. Slow on purpose; takes the same time for every password.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Argon2id { params, salt, key } => {
                let hasher = Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params.clone());
                let mut computed = vec![0; key.len()];
                hasher.hash_password_into(password, salt, &mut computed).is_ok() && equal(&computed, key)
            }
            Self::Broken(_) => false,
        }
    }

    /// How long it takes, to compare with others of its algorithm.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Bcrypt { cost, .. } => u64::from(*cost),
            Self::Argon2id { params, .. } => u64::from(params.m_cost()) * u64::from(params.t_cost()),
            Self::Broken(_) => 0,
        }
    }

    /// The hash of nothing, which takes as long as this one.
    pub(super) fn nobody(&self) -> Self {
        match self {
            Self::Bcrypt { cost, .. } => Self::Bcrypt {
                text: format!("$2b${cost:02}${}", ".".repeat(53)).into(),
                cost: *cost,
            },
            Self::Argon2id { params, salt, key } => Self::Argon2id {
                params: params.clone(),
                salt: vec![0; salt.len()].into(),
                key: vec![0; key.len()].into(),
            },
            Self::Broken(message) => Self::Broken(message.clone()),
        }
    }

    /// Shows all that makes it different from other hashes.
    pub(super) fn feed(&self, sink: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Bcrypt { text, .. } => sink(text.as_bytes()),
            Self::Argon2id { params, salt, key } => {
                for number in [params.m_cost(), params.t_cost(), params.p_cost()] {
                    sink(&number.to_le_bytes());
                }
                sink(salt);
                sink(key);
            }
            Self::Broken(message) => sink(message.as_bytes()),
        }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt { .. } => "Bcrypt([redacted])",
            Self::Argon2id { .. } => "Argon2id([redacted])",
            Self::Broken(_) => "Broken",
        })
    }
}

fn bcrypt(text: &str) -> Result<Hash, Error> {
    let parts = HashParts::from_str(text).map_err(|_| Error::NoBcrypt)?;
    match parts.get_cost() {
        0..4 | 32.. => Err(Error::NoBcrypt),
        cost if cost > MAX_BCRYPT_COST => Err(Error::BcryptCost(cost)),
        cost => Ok(Hash::Bcrypt {
            text: text.into(),
            cost,
        }),
    }
}

/// `$argon2id$v=19$m=47104,t=1,p=1$SALT$KEY`
fn argon2id(text: &str) -> Result<Hash, Error> {
    let mut parts = text.split('$');
    let mut next = || parts.next().ok_or(Error::NoArgon2id);
    let (before, algorithm, version, params, salt, key) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    if parts.next().is_some() || !before.is_empty() || algorithm != "argon2id" || version != "v=19" {
        return Err(Error::NoArgon2id);
    }
    let mut params = params.split(',');
    let mut number = |prefix: &str| {
        let text = params.next().and_then(|param| param.strip_prefix(prefix));
        text.and_then(|text| text.parse::<u32>().ok())
            .ok_or(Error::NoArgon2id)
    };
    let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    if params.next().is_some() {
        return Err(Error::NoArgon2id);
    }
    let bytes = |text: &str| {
        let decoded = STANDARD_NO_PAD.decode(text).map_err(|_| Error::NoArgon2id)?;
        (decoded.len() <= MAX_ARGON2_LENGTH)
            .then_some(decoded.into_boxed_slice())
            .ok_or(Error::NoArgon2id)
    };
    let (salt, key) = (bytes(salt)?, bytes(key)?);
    if memory > MAX_ARGON2_MEMORY
        || u64::from(memory) * u64::from(passes) > MAX_ARGON2_WORK
        || lanes > MAX_ARGON2_LANES
    {
        return Err(Error::Argon2Cost);
    }
    let params = Params::new(memory, passes, lanes, Some(key.len())).map_err(|_| Error::NoArgon2id)?;
    if salt.len() < argon2::MIN_SALT_LEN {
        return Err(Error::NoArgon2id);
    }
    Ok(Hash::Argon2id { params, salt, key })
}

/// Whether two texts of one length are the same; takes the same time wherever they differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET1: &str = "$2a$05$.muFRdnDb08koDfuK1FqjuKxOd/iY/cJNlD0Lc4Tx4ZTVsCbyMUXy";
    const ANTITIMING: &str =
        "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg";

    #[track_caller]
    fn check(algorithm: Algorithm, text: &str, password: &str, expected: Result<bool, Error>) {
        let result = Hash::parse(algorithm, text).map(|hash| hash.verify(password.as_bytes()));
        assert_eq!(result, expected, "{text} {password}");
    }

    #[test]
    fn only_the_right_password_is_right() {
        check(Algorithm::Bcrypt, SECRET1, "secret1", Ok(true));
        check(Algorithm::Bcrypt, SECRET1, "secret2", Ok(false));
        check(Algorithm::Bcrypt, SECRET1, "", Ok(false));
        check(Algorithm::Argon2id, ANTITIMING, "antitiming", Ok(true));
        check(Algorithm::Argon2id, ANTITIMING, "antitimin", Ok(false));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in [
            "",
            "plain",
            "$",
            "$2a$05$short",
            "$2a$03$.muFRdnDb08koDfuK1FqjuKxOd/iY/cJNlD0Lc4Tx4ZTVsCbyMUXy",
            ANTITIMING,
        ] {
            check(Algorithm::Bcrypt, text, "", Err(Error::NoBcrypt));
        }
        for text in [
            "",
            SECRET1,
            "$argon2i$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3",
            "$argon2id$v=16$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3",
            "$argon2id$v=19$m=47104,t=0,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3",
            "$argon2id$v=19$m=47104,t=1,p=0$P2nzckEdTZ3bxCiBCkRTyA$xQL3",
            "$argon2id$v=19$m=47104,t=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3",
            "$argon2id$v=19$m=47104,t=1,p=1$AA$xQL3",
            "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$",
        ] {
            check(Algorithm::Argon2id, text, "", Err(Error::NoArgon2id));
        }
    }

    #[test]
    fn what_takes_too_long_is_refused() {
        let dear = SECRET1.replace("$05$", "$17$");
        check(Algorithm::Bcrypt, &dear, "", Err(Error::BcryptCost(17)));
        for params in ["m=4294967295,t=1,p=1", "m=262144,t=5,p=1", "m=47104,t=1,p=65"] {
            let dear = ANTITIMING.replace("m=47104,t=1,p=1", params);
            check(Algorithm::Argon2id, &dear, "", Err(Error::Argon2Cost));
        }
    }

    #[test]
    fn nobody_costs_the_same() {
        for (algorithm, text) in [(Algorithm::Bcrypt, SECRET1), (Algorithm::Argon2id, ANTITIMING)] {
            let hash = Hash::parse(algorithm, text).unwrap();
            let nobody = hash.nobody();
            assert_eq!(hash.cost(), nobody.cost());
            assert!(!nobody.verify(b"antitiming"));
        }
        let Hash::Bcrypt { text, .. } = Hash::parse(Algorithm::Bcrypt, SECRET1).unwrap().nobody() else {
            unreachable!()
        };
        assert!(HashParts::from_str(&text).is_ok());
    }
}
