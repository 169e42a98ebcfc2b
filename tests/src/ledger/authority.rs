//! The authority of a run: gives certificates to the proxy, and is the only one that the client trusts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// A certificate and its key.
pub struct Pair {
    /// The certificate as text.
    pub certificate_pem: String,
    /// The key as text.
    pub key_pem: String,
    /// What a client is shown.
    pub certificate: CertificateDer<'static>,
}

/// An authority that lives as long as the test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Some clients take a certificate whose subject is its issuer's for one that signed itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        Self {
            root: root.der().clone(),
            root_pem: root.pem(),
            issuer: Issuer::new(params, key),
        }
    }
}

impl Authority {
    /// What whoever is to trust it has to know.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A new certificate for a name, with a new key.
    #[must_use]
    pub fn issue(&self, name: &str) -> Pair {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
        }
    }

    /// Puts a new certificate for a name and its new key into the place of the files `cert.pem` and `key.pem` of a
    /// folder, one after the other, and gives the certificate.
    pub fn renew(&self, name: &str, folder: &Path) -> CertificateDer<'static> {
        let pair = self.issue(name);
        put(folder, "cert.pem", &pair.certificate_pem);
        put(folder, "key.pem", &pair.key_pem);
        pair.certificate
    }

    /// What a client needs that trusts this authority and asks for a protocol. It takes up no earlier session: each
    /// connection is shown the certificate that is served now.
    pub(super) fn client(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// Puts a new file into the place of the one before, so that no half of one is ever read.
pub fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, text).expect("a file is written");
    fs::rename(new, folder.join(name)).expect("it takes its place");
}
