//! The local authority, which vouches for names that no public one can: `tls internal`.
//!
//! Its root is kept in a folder, if there is one, so that it needs to be trusted only once. Leaves live twelve hours,
//! as in Caddy, and are renewed when a third of that is left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::TlsError;
use super::pair::Pair;

const LEAF: Duration = Duration::hours(12);
const ROOT: Duration = Duration::days(3650);
/// Clocks differ.
const SKEW: Duration = Duration::minutes(5);

/// The local authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
}

/// A certificate of a while.
#[derive(Debug)]
pub(super) struct Issued {
    pub pair: Arc<Pair>,
    renew_at: OffsetDateTime,
}

impl Issued {
    /// Whether it is time for a new one.
    pub(super) fn is_due(&self) -> bool {
        OffsetDateTime::now_utc() >= self.renew_at
    }
}

impl Authority {
    /// The authority that a folder keeps, or a new one, which it keeps from now on. A folder that cannot be written
    /// costs no more than a warning.
    pub(super) fn open(storage: Option<PathBuf>) -> Result<Self, TlsError> {
        let Some(folder) = storage else {
            return Self::create().map(|(authority, _)| authority);
        };
        let (root, key) = (folder.join("root.crt"), folder.join("root.key"));
        if let (Ok(root_pem), Ok(key_pem)) = (std::fs::read_to_string(&root), std::fs::read_to_string(&key)) {
            return Self::load(root_pem, &key_pem).map_err(|error| {
                TlsError::unusable(format!("the local authority in {}", folder.display()), error)
            });
        }
        let (authority, key_pem) = Self::create()?;
        if let Err(error) = keep(&folder, &authority.root_pem, &key_pem) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "the local authority is not kept; a restart makes a new one");
        }
        Ok(authority)
    }

    fn load(root_pem: String, key_pem: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(&root_pem, key)?;
        Ok(Self { issuer, root_pem })
    }

    fn create() -> Result<(Self, String), TlsError> {
        let unusable = |error: rcgen::Error| TlsError::unusable("making a local authority", error);
        let key = KeyPair::generate().map_err(unusable)?;
        let key_pem = key.serialize_pem();
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        params.distinguished_name = name("Fairway Local Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (now - SKEW, now + ROOT);
        let certificate = params.self_signed(&key).map_err(unusable)?;
        let root_pem = certificate.pem();
        Ok((
            Self {
                issuer: Issuer::new(params, key),
                root_pem,
            },
            key_pem,
        ))
    }

    /// A certificate for a name or an address.
    pub(super) fn issue(&self, name: &str) -> Result<Issued, TlsError> {
        let unusable =
            |error: rcgen::Error| TlsError::unusable(format!("a local certificate for {name}"), error);
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let key = KeyPair::generate().map_err(unusable)?;
        let mut params = CertificateParams::new(vec![bare.to_owned()]).map_err(unusable)?;
        let now = OffsetDateTime::now_utc();
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (now - SKEW, now + LEAF);
        let certificate = params.signed_by(&key, &self.issuer).map_err(unusable)?;
        let pair = Pair::new(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
            .map_err(|error| TlsError::unusable(format!("a local certificate for {name}"), error))?;
        Ok(Issued {
            pair: Arc::new(pair),
            renew_at: now + LEAF * 2 / 3,
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority [redacted]")
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Writes root and key, each whole or not at all; the key is for the owner alone. The root comes last: a key without
/// a root is replaced, never the other way round.
fn keep(folder: &Path, root: &str, key: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::create_dir_all(folder)?;
    for (name, mode, text) in [("root.key", 0o600, key), ("root.crt", 0o644, root)] {
        let beside = folder.join(format!("{name}.new"));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, folder.join(name))?;
    }
    Ok(())
}
