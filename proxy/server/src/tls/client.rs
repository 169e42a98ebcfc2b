//! Certificates of clients. What cannot be read or understood refuses the config: it never lets anybody in.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::Value as Json;

use super::TlsError;
use super::policy::strings;

/// The settings that are understood.
const KNOWN: &[&str] = &[
    "ca",
    "mode",
    "trusted_ca_certs",
    "trusted_ca_certs_pem_files",
    "trusted_leaf_certs",
];

/// The verifier that `client_authentication` asks for.
pub(super) fn verifier(settings: &Json) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let refuse = |message: String| TlsError::unusable("client_auth", message);
    let object = settings
        .as_object()
        .ok_or_else(|| refuse("its settings are no object".to_owned()))?;
    if let Some(other) = object.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(refuse(format!("Fairway has no `{other}` yet")));
    }
    let roots = roots(settings)?;
    let leaves = certificates(&strings(
        settings.get("trusted_leaf_certs").unwrap_or(&Json::Null),
    ))?;
    let has_trust = !roots.is_empty() || !leaves.is_empty();
    let default = if has_trust {
        "require_and_verify"
    } else {
        "require"
    };
    let mode = settings.get("mode").and_then(Json::as_str).unwrap_or(default);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let (mandatory, verify) = match mode {
        "request" => (false, false),
        "require" => (true, false),
        "verify_if_given" => (false, true),
        "require_and_verify" => (true, true),
        other => return Err(refuse(format!("there is no mode `{other}`"))),
    };
    let inner = if !verify {
        None
    } else if roots.is_empty() {
        return Err(refuse(format!("mode `{mode}` needs a trusted authority")));
    } else {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider.clone()));
        let builder = if mandatory {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        Some(builder.build().map_err(|error| refuse(error.to_string()))?)
    };
    Ok(Arc::new(Verifier {
        inner,
        mandatory,
        leaves,
        algorithms: provider.signature_verification_algorithms,
    }))
}

fn roots(settings: &Json) -> Result<RootCertStore, TlsError> {
    let list = |value: Option<&Json>| value.map(strings).unwrap_or_default();
    let mut encoded = list(settings.get("trusted_ca_certs"));
    let mut files = list(settings.get("trusted_ca_certs_pem_files"));
    if let Some(pool) = settings.get("ca") {
        match pool.get("provider").and_then(Json::as_str) {
            Some("inline") => encoded.extend(list(pool.get("trusted_ca_certs"))),
            Some("file") => files.extend(list(pool.get("pem_files"))),
            other => {
                let message = format!("Fairway has no trust pool `{}` yet", other.unwrap_or_default());
                return Err(TlsError::unusable("client_auth", message));
            }
        }
    }
    let mut roots = RootCertStore::empty();
    let mut add = |what: &str, certificate| {
        roots
            .add(certificate)
            .map_err(|error| TlsError::unusable(format!("trusted authority {what}"), error))
    };
    for certificate in certificates(&encoded)? {
        add("given inline", certificate)?;
    }
    for path in files {
        let pem = std::fs::read(&path).map_err(|source| TlsError::Read {
            path: path.clone(),
            source,
        })?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            add(
                &path,
                certificate.map_err(|error| TlsError::unusable(path.clone(), error))?,
            )?;
            count += 1;
        }
        if count == 0 {
            return Err(TlsError::unusable(path, "there is no certificate in it"));
        }
    }
    Ok(roots)
}

/// Certificates in base64 of DER, as Caddy's JSON has them.
fn certificates(encoded: &[String]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let decode = |text: &String| {
        let wrapped = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        CertificateDer::from_pem_slice(wrapped.as_bytes())
            .map_err(|error| TlsError::unusable("a trusted certificate", error))
    };
    encoded.iter().map(decode).collect()
}

/// Asks for a certificate, and checks it as far as it was told to.
#[derive(Debug)]
struct Verifier {
    /// Checks the chain; none takes any.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    /// If there are any, it must be one of them.
    leaves: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner
            .as_ref()
            .map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if !self.leaves.is_empty() && !self.leaves.iter().any(|trusted| trusted == leaf) {
            return Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::ApplicationVerificationFailure,
            ));
        }
        match &self.inner {
            Some(inner) => inner.verify_client_cert(leaf, intermediates, now),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
