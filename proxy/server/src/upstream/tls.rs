//! TLS towards upstreams.

use std::sync::Arc;

use fairway_engine::body::BodyError;
use fairway_engine::handlers::reverse_proxy::transport::UpstreamTls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::tls::AnyServer;

/// The config of a transport. Reads files and the system's roots, so it may block.
pub(super) fn client_config(
    settings: &UpstreamTls,
    offers_http1: bool,
    offers_http2: bool,
) -> Result<ClientConfig, BodyError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if settings.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider.signature_verification_algorithms)))
    } else if settings.roots_pem.is_empty() {
        builder.with_platform_verifier()?
    } else {
        let mut roots = RootCertStore::empty();
        for pem in &settings.roots_pem {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
        }
        builder.with_root_certificates(roots)
    };
    let mut config = match &settings.client_certificate {
        Some(files) => {
            let chain = CertificateDer::pem_file_iter(&files.certificate)?;
            let chain = chain.collect::<Result<Vec<_>, _>>()?;
            let key = PrivateKeyDer::from_pem_file(&files.key)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    if offers_http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    if offers_http1 {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    Ok(config)
}
