//! Handshakes in memory.

pub(super) mod made;
mod secrets;

use std::sync::Arc;

use fairway_engine::auto_https::{Issuer, Managed};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio_rustls::TlsConnector;

use super::*;

fn tls(policy: &serde_json::Value, names: &[&str], storage: Option<PathBuf>) -> Result<Tls, TlsError> {
    let config: Config = serde_json::from_value(json!({
        "apps": { "http": { "servers": { "srv0": {
            "listen": [":443"], "tls_connection_policies": [policy],
        } } } }
    }))
    .unwrap();
    let managed = |name: &&str| Managed {
        name: (*name).to_owned(),
        issuer: Issuer::Internal,
    };
    let managed: Vec<Managed> = names.iter().map(managed).collect();
    Tls::new(
        &config,
        Loaded::new(&config)?,
        &managed,
        &Secrets::default(),
        storage,
    )
}

/// The certificate that a client gets, or why it gets none.
async fn shake(tls: &Tls, name: &str) -> Result<CertificateDer<'static>, String> {
    shake_as(tls, name, rustls::crypto::aws_lc_rs::default_provider()).await
}

/// The same for a client that can do no more than `provider`.
async fn shake_as(
    tls: &Tls,
    name: &str,
    provider: rustls::crypto::CryptoProvider,
) -> Result<CertificateDer<'static>, String> {
    let (client, server) = tokio::io::duplex(64 << 10);
    let local = "127.0.0.1:443".parse().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client_config(provider)));
    let tls = Arc::clone(tls.server("srv0").unwrap());
    let (client, server) = tokio::join!(connector.connect(name, client), tls.accept(server, local));
    let client = client.map_err(|error| error.to_string())?;
    server.map_err(|error| error.to_string())?;
    Ok(leaf(client.get_ref().1))
}

/// A client that takes any certificate: what is looked at is which one came.
fn client_config(provider: rustls::crypto::CryptoProvider) -> rustls::ClientConfig {
    let anything = AnyServer(provider.signature_verification_algorithms);
    let has = |tls12| {
        provider
            .cipher_suites
            .iter()
            .any(|suite| suite.tls13().is_none() == tls12)
    };
    let versions = [(true, &rustls::version::TLS12), (false, &rustls::version::TLS13)];
    let versions: Vec<_> = versions.into_iter().filter(|(tls12, _)| has(*tls12)).collect();
    let versions: Vec<_> = versions.into_iter().map(|(_, version)| version).collect();
    rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anything))
        .with_no_client_auth()
}

fn leaf(client: &rustls::ClientConnection) -> CertificateDer<'static> {
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn each_name_has_its_certificate_and_an_address_stands_for_no_name() {
    let tls = tls(&json!({}), &["a.test", "*.b.test", "127.0.0.1"], None).unwrap();
    let a = shake(&tls, "a.test").await.unwrap();
    let b = shake(&tls, "x.b.test").await.unwrap();
    let address = shake(&tls, "127.0.0.1").await.unwrap();
    assert!(a != b && b != address);
    assert_eq!(a, shake(&tls, "A.test").await.unwrap());
    assert!(shake(&tls, "c.test").await.is_err());
    assert!(shake(&tls, "x.y.b.test").await.is_err());
}

#[tokio::test]
async fn a_policy_is_only_for_its_names() {
    let tls = tls(
        &json!({ "match": { "sni": ["a.test"] } }),
        &["a.test", "b.test"],
        None,
    )
    .unwrap();
    assert!(shake(&tls, "a.test").await.is_ok());
    assert!(shake(&tls, "b.test").await.is_err());
}

#[tokio::test]
async fn a_client_without_its_certificate_stays_outside() {
    let tls = tls(
        &json!({ "client_authentication": { "mode": "require" } }),
        &["a.test"],
        None,
    )
    .unwrap();
    assert!(shake(&tls, "a.test").await.is_err());
}

#[test]
fn what_is_not_understood_is_refused() {
    for policy in [
        json!({ "protocol_min": "tls1.0" }),
        json!({ "cipher_suites": ["TLS_RSA_WITH_AES_128_CBC_SHA"] }),
        json!({ "curves": ["x448"] }),
        json!({ "match": { "sni": ["a.test"], "remote_ip": {} } }),
        json!({ "client_authentication": { "mode": "maybe" } }),
        json!({ "client_authentication": { "mode": "require_and_verify" } }),
        json!({ "client_authentication": { "trusted_ca_certs_pem_files": ["/nowhere.pem"] } }),
        json!({ "client_authentication": { "verifiers": [] } }),
    ] {
        assert!(tls(&policy, &[], None).is_err(), "{policy}");
    }
}

#[test]
fn the_authority_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("pki");
    tls(&json!({}), &["a.test"], Some(storage.clone())).unwrap();
    let root = std::fs::read(storage.join("root.crt")).unwrap();
    tls(&json!({}), &["a.test"], Some(storage.clone())).unwrap();
    assert_eq!(root, std::fs::read(storage.join("root.crt")).unwrap());
    std::fs::write(storage.join("root.key"), "broken").unwrap();
    assert!(tls(&json!({}), &["a.test"], Some(storage)).is_err());
}

#[test]
fn the_first_policy_for_a_name_is_found_as_if_all_were_asked() {
    let policies = [
        json!({ "match": { "sni": ["a.test", "*.B.test"] } }),
        json!({ "match": { "sni": [] } }),
        json!({ "match": { "sni": ["x.b.test", "C.test", "*.c.test"] } }),
        json!({ "match": { "sni": ["x.c.test", "*.test"] }, "default_sni": "x.c.test" }),
        json!({}),
        json!({ "match": { "sni": ["last.example"] } }),
    ];
    for count in 0..=policies.len() {
        let config = json!({ "apps": { "http": { "servers": { "srv0": {
            "tls_connection_policies": policies[..count],
        } } } } });
        let config: Config = serde_json::from_value(config).unwrap();
        let loaded = Loaded::new(&config).unwrap();
        let tls = Tls::new(&config, loaded, &[], &Secrets::default(), None).unwrap();
        let Some(server) = tls.server("srv0") else {
            continue;
        };
        let names = [
            "a.test",
            "x.b.test",
            "b.test",
            "c.test",
            "x.c.test",
            "d.test",
            "x.d.test",
            "test",
            "last.example",
        ];
        for name in names.into_iter().map(Some).chain([None]) {
            let listed = server.policies.iter().find(|policy| policy.fits(name));
            let found = server.policy(name);
            assert_eq!(
                listed.map(std::ptr::from_ref),
                found.map(std::ptr::from_ref),
                "{name:?} {count}"
            );
        }
    }
}

/// Makes a connection as a client that has made others, and tells how.
async fn visit(tls: &Tls, client: &Arc<rustls::ClientConfig>) -> rustls::HandshakeKind {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let connector = TlsConnector::from(Arc::clone(client));
    let name = ServerName::try_from("a.test").unwrap();
    let server = Arc::clone(tls.server("srv0").unwrap());
    let local = "127.0.0.1:443".parse().unwrap();
    let (client, server) = tokio::join!(connector.connect(name, ours), server.accept(theirs, local));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    // The tickets come after the handshake.
    server.write_all(b"hello").await.unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut [0; 5])
        .await
        .unwrap();
    client.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn sessions_outlive_a_swap_that_leaves_their_policy_as_it_was() {
    use rustls::HandshakeKind::Resumed;
    let secrets = Secrets::default();
    let made = made::made(&["a.test"]);
    let pair = SecretPair {
        certificate_pem: made.certificate.as_bytes(),
        key_pem: made.key.as_bytes(),
    };
    secrets.set("shop", "tls", pair).unwrap();
    let build = |policy: &serde_json::Value| {
        let secret = json!({ "via": "kubernetes", "namespace": "shop", "name": "tls" });
        let config = json!({ "apps": {
            "http": { "servers": { "srv0": { "tls_connection_policies": [policy] } } },
            "tls": { "automation": { "policies": [{ "subjects": ["a.test"], "get_certificate": [secret] }] } },
        } });
        let config: Config = serde_json::from_value(config).unwrap();
        Tls::new(&config, Loaded::new(&config).unwrap(), &[], &secrets, None).unwrap()
    };
    let client = Arc::new(client_config(rustls::crypto::aws_lc_rs::default_provider()));
    let first = build(&json!({}));
    assert_ne!(visit(&first, &client).await, Resumed);
    assert_eq!(visit(&first, &client).await, Resumed);
    let second = build(&json!({}));
    drop(first);
    assert_eq!(visit(&second, &client).await, Resumed);
    let other = build(&json!({ "alpn": ["http/1.1"] }));
    assert_ne!(visit(&other, &client).await, Resumed);
    let asking = json!({ "client_authentication": { "mode": "request" } });
    let (asking, again) = (build(&asking), build(&asking));
    assert_ne!(visit(&asking, &client).await, Resumed);
    assert_ne!(visit(&again, &client).await, Resumed);
    // Once no config has it any more, it is gone.
    let client = Arc::new(client_config(rustls::crypto::aws_lc_rs::default_provider()));
    visit(&second, &client).await;
    drop(second);
    let anew = build(&json!({}));
    assert_ne!(visit(&anew, &client).await, Resumed);
}
