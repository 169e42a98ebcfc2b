//! Pairs made for tests.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls_pki_types::CertificateDer;

/// A pair made for a test.
pub(in crate::tls) struct Made {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Made {
    pub(in crate::tls) fn new(names: &[&str], key: &KeyPair) -> Self {
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        Self::of(&params.unwrap(), key)
    }

    pub(in crate::tls) fn of(params: &CertificateParams, key: &KeyPair) -> Self {
        let certificate = params.self_signed(key).unwrap();
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }
}

pub(in crate::tls) fn made(names: &[&str]) -> Made {
    Made::new(names, &KeyPair::generate().unwrap())
}

pub(in crate::tls) fn rsa(names: &[&str]) -> Made {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    Made::new(names, &key)
}
