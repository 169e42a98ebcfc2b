//! A certificate with its chain and its key, read from PEM.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a chain may have: every handshake sends it whole, and clients take no more.
const MAX_CHAIN: usize = 64 << 10;

/// Why a certificate and a key cannot be served. Never shows what stands in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// There is nothing in the place of the certificate, or something else.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The text of the certificates is not PEM.
    #[error("the certificate is not PEM: {0}")]
    CertificateText(&'static str),
    /// A certificate is not what its text says.
    #[error("certificate {number} cannot be read: {message}")]
    Certificate {
        /// Which of the chain; the first is 1.
        number: usize,
        /// Why not.
        message: String,
    },
    /// Every handshake would send it.
    #[error("the certificate and its chain have {0} bytes; clients take at most {MAX_CHAIN}")]
    Long(usize),
    /// There is nothing in the place of the key, or something else.
    #[error("there is no private key in it")]
    NoKey,
    /// The key needs a password.
    #[error("the private key is encrypted; it must be stored without a password")]
    EncryptedKey,
    /// The text of the key is not PEM.
    #[error("the private key is not PEM: {0}")]
    KeyText(&'static str),
    /// The key is of a kind or a size that is not spoken.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// Two halves of different pairs.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The chain is in the wrong order.
    #[error("the private key belongs to certificate {0}; it must come first, before those that vouch for it")]
    Order(usize),
}

/// A certificate with its chain and its key; they belong together.
#[derive(Debug)]
pub(super) struct Pair {
    pub key: Arc<CertifiedKey>,
    /// What it is for, lower case; addresses as text.
    names: Box<[String]>,
    common_name: Option<String>,
    not_after: SystemTime,
}

impl Pair {
    /// Reads PEM: certificates, the one that the key belongs to first, and the key.
    pub(super) fn new(certificates: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = chain(certificates)?;
        let mut parsed = Vec::with_capacity(chain.len());
        for (place, certificate) in chain.iter().enumerate() {
            let (_, certificate) =
                X509Certificate::from_der(certificate).map_err(|error| unread(place, &error))?;
            parsed.push(certificate);
        }
        let leaf = &parsed[0];
        let common = leaf
            .subject()
            .iter_common_name()
            .find_map(|name| name.as_str().ok());
        let (names, common_name) = (names(leaf).into(), common.map(str::to_ascii_lowercase));
        let not_after = time(leaf.validity().not_after.timestamp());
        Ok(Self {
            key: Arc::new(certified(chain, private_key(key)?)?),
            names,
            common_name,
            not_after,
        })
    }

    /// What it is for: its alternative names; if it has none, as very old ones do, its common name.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &str> {
        let common = self.common_name.as_ref().filter(|_| self.names.is_empty());
        self.names.iter().chain(common).map(String::as_str)
    }

    /// Whether clients take it for a host, which is in lower case. None looks at common names any more.
    pub(super) fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let covers = |name: &String| name == host || (parent.is_some() && name.strip_prefix("*.") == parent);
        self.names.iter().any(covers)
    }

    /// When it expires.
    pub(super) fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PairError::CertificateText(plain(&error)))?;
    if chain.is_empty() {
        return Err(PairError::NoCertificate);
    }
    let bytes = chain.iter().map(|certificate| certificate.len()).sum();
    if bytes > MAX_CHAIN {
        return Err(PairError::Long(bytes));
    }
    Ok(chain)
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    let is_encrypted = || {
        let marks = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
        let has = |mark: &&str| text.windows(mark.len()).any(|window| window == mark.as_bytes());
        marks.iter().any(has)
    };
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        _ if is_encrypted() => PairError::EncryptedKey,
        PemError::NoItemsFound => PairError::NoKey,
        error => PairError::KeyText(plain(&error)),
    })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, PairError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| PairError::Key(error.to_string()))?;
    let fits =
        |chain: &[CertificateDer<'static>]| CertifiedKey::new(chain.to_vec(), Arc::clone(&key)).keys_match();
    match fits(&chain) {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(CertifiedKey::new(chain, key)),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let later = (1..chain.len()).find(|place| fits(&chain[*place..]).is_ok());
            Err(later.map_or(PairError::Mismatch, |place| PairError::Order(place + 1)))
        }
        Err(error) => Err(unread(0, &error)),
    }
}

fn unread(place: usize, error: &dyn std::fmt::Display) -> PairError {
    PairError::Certificate {
        number: place + 1,
        message: error.to_string(),
    }
}

/// What is wrong with a text. The errors of PEM show lines of it, which may be those of a key.
fn plain(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a block has no line `-----END …-----`",
        PemError::IllegalSectionStart { .. } => "a line `-----BEGIN …-----` is cut off",
        PemError::Base64Decode(_) => "a block is not base64",
        _ => "it cannot be read",
    }
}

/// The alternative names, lower case; addresses as text.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            Some(address.ok()?.to_string())
        }
        _ => None,
    };
    names.filter_map(text).collect()
}

/// Seconds since 1970 as a time; what lies before it is long over anyway.
fn time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;
    use crate::tls::tests::made::{Made, made};

    fn block(label: &str, text: &str) -> String {
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    #[track_caller]
    fn check(certificates: &str, key: &str, expected: &str) {
        let told = Pair::new(certificates.as_bytes(), key.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(told.err().as_deref().unwrap_or("good"), expected);
    }

    #[test]
    fn a_pair_is_taken_with_its_chain_and_what_stands_around_it() {
        let (own, other) = (made(&["a.test"]), made(&["a.test"]));
        check(&own.certificate, &own.key, "good");
        let chain = format!(
            "Subject: a\r\n{}\n# \u{e9}\n{}",
            own.certificate, other.certificate
        );
        check(&chain, &format!("Bag Attributes\n{}", own.key), "good");
        check(&own.certificate.replace('\n', "\r\n"), &own.key, "good");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (own, other) = (made(&["a.test"]), made(&["a.test"]));
        let (certificate, key) = (&*own.certificate, &*own.key);
        let none = "there is no certificate in it";
        check("", key, none);
        check("hello", key, none);
        check(key, key, none);
        let no_key = "there is no private key in it";
        check(certificate, "", no_key);
        check(certificate, certificate, no_key);
        check(
            &certificate[..200],
            key,
            "the certificate is not PEM: a block has no line `-----END …-----`",
        );
        check(
            certificate,
            &key[..100],
            "the private key is not PEM: a block has no line `-----END …-----`",
        );
        let garbage = block("CERTIFICATE", "!");
        check(&garbage, key, "the certificate is not PEM: a block is not base64");
        check(
            certificate,
            &block("PRIVATE KEY", "!"),
            "the private key is not PEM: a block is not base64",
        );
        check(certificate, &block("PRIVATE KEY", "AAAA"), KEY);
        let encrypted = "the private key is encrypted; it must be stored without a password";
        check(certificate, &block("ENCRYPTED PRIVATE KEY", "AAAA"), encrypted);
        let old = block(
            "RSA PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-CBC,1\n\nAAAA",
        );
        check(certificate, &old, encrypted);
        let mismatch = "the private key does not belong to the certificate";
        check(certificate, &other.key, mismatch);
        let order =
            "the private key belongs to certificate 2; it must come first, before those that vouch for it";
        check(&format!("{}{certificate}", other.certificate), key, order);
        let unread = format!("{certificate}{}", block("CERTIFICATE", "AAAA"));
        let told = Pair::new(unread.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(matches!(told, PairError::Certificate { number: 2, .. }), "{told}");
        let bytes = own.der.len() * 300;
        let long = format!("the certificate and its chain have {bytes} bytes; clients take at most 65536");
        check(&certificate.repeat(300), key, &long);
    }

    const KEY: &str = "the private key cannot be used: unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA";

    #[test]
    fn nothing_of_a_key_is_told() {
        let own = made(&["a.test"]);
        for key in [
            "-----BEGIN PRIVATE KEY-----c2VjcmV0",
            "-----BEGIN c2VjcmV0",
            &block("PRIVATE KEY", "c2VjcmV0"),
        ] {
            let told = format!(
                "{:?}",
                Pair::new(own.certificate.as_bytes(), key.as_bytes()).unwrap_err()
            );
            assert!(
                !told.contains("c2VjcmV0") && !told.contains("99, 50, 86"),
                "{told}"
            );
        }
    }

    #[test]
    fn no_cut_and_no_changed_letter_panics() {
        let own = made(&["a.test"]);
        for place in 0..own.certificate.trim_end().len() {
            let mut changed = own.certificate.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let _ = Pair::new(&changed, own.key.as_bytes());
            changed.truncate(place);
            assert!(Pair::new(&changed, own.key.as_bytes()).is_err());
        }
        for place in 0..own.key.trim_end().len() {
            assert!(Pair::new(own.certificate.as_bytes(), &own.key.as_bytes()[..place]).is_err());
        }
    }

    #[test]
    fn a_common_name_counts_only_where_there_is_no_other() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Old.test");
        let key = KeyPair::generate().unwrap();
        let read = |made: &Made| Pair::new(made.certificate.as_bytes(), made.key.as_bytes()).unwrap();
        let old = read(&Made::of(&params, &key));
        assert_eq!(old.subjects().collect::<Vec<_>>(), ["old.test"]);
        assert!(!old.covers("old.test"));
        params.subject_alt_names = CertificateParams::new(vec!["New.test".to_owned(), "::1".to_owned()])
            .unwrap()
            .subject_alt_names;
        let new = read(&Made::of(&params, &key));
        assert_eq!(new.subjects().collect::<Vec<_>>(), ["new.test", "::1"]);
        assert!(new.covers("new.test") && !new.covers("old.test"));
    }
}
