//! Certificates of Secrets: which one a client gets, and what a change of a Secret costs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;

use fairway_engine::Registry;
use fairway_engine::table::Table;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::Value as Json;

use super::made::{Made, made, rsa};
use super::*;
use crate::{Options, Running, plan};

fn pair(made: &Made) -> SecretPair<'_> {
    SecretPair {
        certificate_pem: made.certificate.as_bytes(),
        key_pem: made.key.as_bytes(),
    }
}

/// Puts pairs into Secrets `NAMESPACE/NAME`.
fn secrets(pairs: &[(&str, &Made)]) -> Secrets {
    let secrets = Secrets::default();
    for (name, made) in pairs {
        let (namespace, name) = name.split_once('/').unwrap();
        secrets.set(namespace, name, pair(made)).unwrap();
    }
    secrets
}

/// A config with a policy for each `(subjects, NAMESPACE/NAME)`; subjects are separated by spaces.
fn config(policies: &[(&str, &str)]) -> Config {
    let policy = |(subjects, secret): &(&str, &str)| {
        let (namespace, name) = secret.split_once('/').unwrap();
        let manager = json!({ "via": "kubernetes", "namespace": namespace, "name": name });
        let subjects: Vec<&str> = subjects.split_whitespace().collect();
        json!({ "subjects": subjects, "get_certificate": [manager] })
    };
    config_of(&policies.iter().map(policy).collect())
}

fn config_of(policies: &Json) -> Config {
    let respond = json!({ "handler": "static_response", "body": "hello" });
    let server = json!({
        "listen": ["127.0.0.1:0"], "routes": [{ "handle": [respond] }], "tls_connection_policies": [{}],
    });
    let config = json!({ "apps": {
        "http": { "servers": { "srv0": server } },
        "tls": { "automation": { "policies": policies } },
    } });
    serde_json::from_value(config).unwrap()
}

fn tls_of(config: &Config, secrets: &Secrets) -> Tls {
    Tls::new(config, Loaded::new(config).unwrap(), &[], secrets, None).unwrap()
}

/// Asks for a name; the certificate of `expected` comes, or the handshake is refused.
#[track_caller]
fn check(tls: &Tls, name: &str, expected: Option<&Made>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let got = runtime.block_on(shake(tls, name));
    if let Some(made) = expected {
        assert!(got.as_ref() == Ok(&made.der), "{name}: {:?}", got.err());
    } else {
        let refused = got.expect_err("nobody has a certificate for it");
        assert!(refused.contains("UnrecognisedName"), "{name}: {refused}");
    }
}

#[test]
fn each_host_has_its_secret_and_others_are_refused() {
    let (shop, bank) = (made(&["shop.test", "www.shop.test"]), made(&["bank.test"]));
    let secrets = secrets(&[("shop/tls", &shop), ("bank/tls", &bank)]);
    let policies = [("shop.test WWW.shop.test", "shop/tls"), ("bank.test", "bank/tls")];
    let tls = tls_of(&config(&policies), &secrets);
    check(&tls, "shop.test", Some(&shop));
    check(&tls, "www.Shop.test", Some(&shop));
    check(&tls, "bank.test", Some(&bank));
    for unknown in ["other.test", "a.shop.test", "test", "127.0.0.1"] {
        check(&tls, unknown, None);
    }
}

#[test]
fn the_exact_host_comes_before_the_wildcard() {
    let (all, one) = (made(&["*.shop.test"]), made(&["a.shop.test"]));
    let secrets = secrets(&[("shop/all", &all), ("shop/one", &one)]);
    let policies = [("*.shop.test", "shop/all"), ("a.shop.test", "shop/one")];
    let tls = tls_of(&config(&policies), &secrets);
    check(&tls, "a.shop.test", Some(&one));
    check(&tls, "b.shop.test", Some(&all));
    check(&tls, "shop.test", None);
    check(&tls, "a.b.shop.test", None);
}

#[test]
fn a_host_without_a_pair_gets_the_default_or_nothing_but_never_anothers() {
    let (wildcard, default) = (made(&["*.shop.test"]), made(&["default.test"]));
    let named = [("*.shop.test", "big/all"), ("a.shop.test", "shop/missing")];
    let secrets = secrets(&[("big/all", &wildcard), ("ops/default", &default)]);
    let tls = tls_of(&config(&named), &secrets);
    check(&tls, "a.shop.test", None);
    let with_default = [named[0], named[1], ("", "ops/default")];
    let tls = tls_of(&config(&with_default), &secrets);
    check(&tls, "a.shop.test", Some(&default));
    check(&tls, "b.shop.test", Some(&wildcard));
    check(&tls, "unknown.test", Some(&default));
    // Without a name.
    check(&tls, "127.0.0.1", Some(&default));
    let late = made(&["a.shop.test"]);
    secrets.set("shop", "missing", pair(&late)).unwrap();
    check(&tls, "a.shop.test", Some(&late));
}

#[test]
fn a_broken_or_removed_secret_keeps_its_last_pair_while_it_is_named() {
    let good = made(&["a.test"]);
    let secrets = secrets(&[("shop/tls", &good)]);
    let config = config(&[("a.test", "shop/tls")]);
    let tls = tls_of(&config, &secrets);
    let broken = SecretPair {
        key_pem: b"nothing",
        ..pair(&good)
    };
    assert_eq!(secrets.set("shop", "tls", broken), Err(PairError::NoKey));
    check(&tls, "a.test", Some(&good));
    secrets.remove("shop", "tls");
    check(&tls, "a.test", Some(&good));
    // The next config names it, too.
    let next = tls_of(&config, &secrets);
    drop(tls);
    check(&next, "a.test", Some(&good));
    assert_eq!(secrets.covers("shop", "tls", "a.test"), Some(true));
    drop(next);
    assert_eq!(secrets.covers("shop", "tls", "a.test"), None);
    let tls = tls_of(&config, &secrets);
    check(&tls, "a.test", None);
    assert_eq!(secrets.set("shop", "tls", broken), Err(PairError::NoKey));
    check(&tls, "a.test", None);
}

#[test]
fn what_nobody_names_is_kept_until_it_is_removed() {
    let good = made(&["a.test"]);
    let secrets = secrets(&[("shop/tls", &good)]);
    drop(tls_of(
        &config(&[("a.test", "shop/tls"), ("b.test", "b/tls")]),
        &secrets,
    ));
    secrets.forget_unnamed();
    assert_eq!(secrets.covers("shop", "tls", "a.test"), Some(true));
    assert_eq!(secrets.len(), 1);
    secrets.remove("shop", "tls");
    secrets.remove("shop", "unknown");
    assert_eq!(secrets.len(), 0);
}

#[test]
fn names_and_expiry_are_told() {
    let mut params = CertificateParams::new(vec!["a.test".to_owned(), "*.b.test".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    let pair = Made::of(&params, &KeyPair::generate().unwrap());
    let secrets = secrets(&[("shop/tls", &pair)]);
    for (host, covered) in [
        ("a.test", true),
        ("A.TEST", true),
        ("x.b.test", true),
        ("*.b.test", true),
        ("b.test", false),
        ("x.y.b.test", false),
        ("*.a.test", false),
        ("test", false),
    ] {
        assert_eq!(secrets.covers("shop", "tls", host), Some(covered), "{host}");
    }
    assert_eq!(secrets.covers("bank", "tls", "a.test"), None);
    let expiry = std::time::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000);
    assert_eq!(secrets.not_after("shop", "tls"), Some(expiry));
    assert_eq!(secrets.not_after("shop", "other"), None);
}

#[tokio::test]
async fn of_two_kinds_of_keys_the_client_gets_one_that_it_can_check() {
    let (curve, old) = (made(&["a.test"]), rsa(&["a.test"]));
    let secrets = secrets(&[("shop/curve", &curve), ("shop/rsa", &old)]);
    let tls = tls_of(
        &config(&[("a.test", "shop/curve"), ("a.test", "shop/rsa")]),
        &secrets,
    );
    assert_eq!(shake(&tls, "a.test").await, Ok(curve.der.clone()));
    let both = tls_of(
        &config(&[("a.test", "shop/rsa"), ("a.test", "shop/curve")]),
        &secrets,
    );
    assert_eq!(shake(&both, "a.test").await, Ok(old.der.clone()));
    // By signature schemes.
    let mut provider = default_provider();
    let known = &mut provider.signature_verification_algorithms;
    let pss = |(scheme, _): &(rustls::SignatureScheme, _)| *scheme == rustls::SignatureScheme::RSA_PSS_SHA256;
    let place = known.mapping.iter().position(pss).unwrap();
    known.mapping = &known.mapping[place..=place];
    assert_eq!(shake_as(&tls, "a.test", provider).await, Ok(old.der.clone()));
    // By the suites of TLS 1.2, though it knows all schemes.
    for (kind, expected) in [("ECDHE_RSA", &old), ("ECDHE_ECDSA", &curve)] {
        let mut provider = default_provider();
        let of_kind = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).contains(kind);
        provider.cipher_suites.retain(of_kind);
        for tls in [&tls, &both] {
            assert_eq!(
                shake_as(tls, "a.test", provider.clone()).await,
                Ok(expected.der.clone()),
                "{kind}"
            );
        }
    }
}

#[test]
fn of_several_one_that_covers_and_lives_is_better() {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap();
    let expired = Made::of(&params, &KeyPair::generate().unwrap());
    let (other, good) = (made(&["b.test"]), made(&["a.test"]));
    let all = [("x/expired", &expired), ("x/other", &other), ("x/good", &good)];
    let secrets = secrets(&all);
    let policies = [
        ("a.test", "x/missing"),
        ("a.test", "x/expired"),
        ("a.test", "x/other"),
        ("a.test", "x/good"),
    ];
    check(&tls_of(&config(&policies), &secrets), "a.test", Some(&good));
    check(
        &tls_of(&config(&policies[..3]), &secrets),
        "a.test",
        Some(&expired),
    );
    check(
        &tls_of(&config(&policies[..2]), &secrets),
        "a.test",
        Some(&expired),
    );
    // One that is not for the host is served all the same.
    check(
        &tls_of(&config(&policies[2..3]), &secrets),
        "a.test",
        Some(&other),
    );
}

#[test]
fn what_cannot_be_got_is_refused() {
    let secret = json!({ "via": "kubernetes", "namespace": "shop", "name": "tls" });
    for policy in [
        json!({ "subjects": ["a.test"], "get_certificate": [{ "via": "http", "url": "http://x" }] }),
        json!({ "subjects": ["a.test"], "get_certificate": [{ "via": "tailscale" }] }),
        json!({ "subjects": ["a.test"], "get_certificate": [secret], "issuers": [{ "module": "internal" }] }),
    ] {
        let config = config_of(&json!([policy]));
        let tls = Tls::new(
            &config,
            Loaded::new(&config).unwrap(),
            &[],
            &Secrets::default(),
            None,
        );
        assert!(tls.is_err(), "{policy}");
    }
}

/// A client of a server that runs.
struct Open {
    stream: rustls::StreamOwned<rustls::ClientConnection, TcpStream>,
}

impl Open {
    fn new(address: SocketAddr, name: &str) -> Self {
        let config = Arc::new(client_config(default_provider()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        let client = rustls::ClientConnection::new(config, name).unwrap();
        let stream = rustls::StreamOwned::new(client, socket);
        Self { stream }
    }

    /// Sends a request, and gives the certificate of the connection.
    fn ask(&mut self) -> std::io::Result<CertificateDer<'static>> {
        assert_eq!(self.status("a.test")?, "200");
        Ok(leaf(&self.stream.conn))
    }

    /// Sends a request for a host; what comes is its status, then no more than a head and `hello`.
    fn status(&mut self, host: &str) -> std::io::Result<String> {
        write!(self.stream, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let (mut answer, mut byte) = (String::new(), [0]);
        while !answer.ends_with("hello") && !answer.ends_with("content-length: 0\r\n") {
            self.stream.read_exact(&mut byte)?;
            answer.push(char::from(byte[0]));
        }
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    }
}

fn serve(config: &Config, secrets: &Secrets) -> (Arc<Table>, Running) {
    let table = Arc::new(fairway_engine::compile(config, &Registry::default()).unwrap());
    let options = Options {
        threads: NonZeroUsize::new(2),
        access_log: None,
    };
    let tls = tls_of(config, secrets);
    let running = Running::start(&table, &plan(config).unwrap(), &tls, &options).unwrap();
    (table, running)
}

#[test]
fn nobody_goes_around_a_neighbours_client_certificates() {
    let (closed, open) = (made(&["closed.test"]), made(&["a.test"]));
    let secrets = secrets(&[("shop/closed", &closed), ("shop/open", &open)]);
    let mut config = config(&[("closed.test", "shop/closed"), ("a.test", "shop/open")]);
    let policies = json!([
        { "match": { "sni": ["closed.test"] }, "client_authentication": { "mode": "require" } }, {},
    ]);
    let server = &mut config.apps.http.as_mut().unwrap().servers["srv0"];
    server.tls_connection_policies = serde_json::from_value(policies).unwrap();
    let (_, running) = serve(&config, &secrets);
    let mut client = Open::new(running.addresses()[0], "a.test");
    assert_eq!(client.status("a.test").unwrap(), "200");
    assert_eq!(client.status("closed.test").unwrap(), "421");
    assert!(
        Open::new(running.addresses()[0], "closed.test")
            .status("closed.test")
            .is_err()
    );
}

#[test]
fn a_new_pair_is_there_without_a_swap_and_open_connections_stay() {
    let (first, second, neighbour) = (made(&["a.test"]), made(&["a.test"]), made(&["b.test"]));
    let secrets = secrets(&[("shop/tls", &first), ("bank/tls", &neighbour)]);
    let config = config(&[("a.test", "shop/tls"), ("b.test", "bank/tls")]);
    let (table, running) = serve(&config, &secrets);
    let address = running.addresses()[0];
    let mut open = Open::new(address, "a.test");
    assert_eq!(open.ask().unwrap(), first.der);
    secrets.set("shop", "tls", pair(&second)).unwrap();
    assert_eq!(Open::new(address, "a.test").ask().unwrap(), second.der);
    assert_eq!(Open::new(address, "b.test").ask().unwrap(), neighbour.der);
    assert_eq!(open.ask().unwrap(), first.der);
    // Another config that names it has the same.
    running
        .swap(&table, &plan(&config).unwrap(), &tls_of(&config, &secrets))
        .unwrap();
    assert_eq!(Open::new(address, "a.test").ask().unwrap(), second.der);
    let refused = Open::new(address, "c.test").ask().unwrap_err();
    assert!(refused.to_string().contains("UnrecognisedName"), "{refused}");
}

#[test]
fn many_hosts_have_each_their_own() {
    let some: Vec<Made> = (0..4)
        .map(|number| made(&[&format!("*.{number}.test")]))
        .collect();
    let secrets = Secrets::default();
    let mut policies = Vec::new();
    for number in 0..10_000 {
        let name = format!("tls-{number}");
        secrets.set("shop", &name, pair(&some[number % 4])).unwrap();
        policies.push((format!("h{number}.{}.test", number % 4), format!("shop/{name}")));
    }
    let policies: Vec<_> = policies
        .iter()
        .map(|(host, secret)| (&**host, &**secret))
        .collect();
    let tls = tls_of(&config(&policies), &secrets);
    for number in [0, 1, 2, 3, 4998, 9999] {
        check(
            &tls,
            &format!("h{number}.{}.test", number % 4),
            Some(&some[number % 4]),
        );
    }
    check(&tls, "h1.0.test", None);
}
