//! Certificates from Secrets.

use fairway_tests::manifests::{Connection, upstream};
use fairway_tests::wait_for;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::Cluster;
use crate::objects::{changed, ingress, path, route, rule, secret, serving};

/// A certificate with its key, made for one test.
pub(crate) struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    pub(crate) fn new(host: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    pub(crate) fn secret(&self, object: &str) -> Value {
        secret(object, &self.certificate.pem(), &self.key.serialize_pem())
    }
}

impl Cluster {
    /// Waits until new handshakes for a host show this certificate; gives such a connection.
    pub(crate) async fn shows(&self, host: &str, pair: &Pair) -> Connection {
        let waited = wait_for("the certificate", async || {
            let connection = Connection::secure(self.program.https, host).await.ok()?;
            (connection.certificate() == Some(pair.certificate.der())).then_some(connection)
        });
        match waited.await {
            Ok(connection) => connection,
            Err(error) => panic!("{host}: {error}\n{}", self.program.log()),
        }
    }

    /// Holds that handshakes for a host are refused, and that nothing is served without TLS instead.
    async fn refuses(&self, host: &str) {
        let refused = wait_for("a refused handshake", async || {
            let answer = Connection::secure(self.program.https, host).await;
            answer.err().filter(|error| error.starts_with("handshake"))
        });
        assert!(refused.await.is_ok(), "{host}");
        self.check(&[(host, "/", "308")]).await;
    }
}

/// An Ingress and a CaddyRoute with the Secret `pair`, on two hosts.
fn objects() -> [Value; 2] {
    let tls = |host: &str| json!([{"hosts": [host], "secretName": "pair"}]);
    let rules = json!({
        "rules": [
            rule("a.test", &[
                path("Prefix", "/", "web:80"),
                path("Exact", "/.well-known/acme-challenge/token", "web:80"),
            ]),
            rule("plain.test", &[path("Prefix", "/", "web:80")]),
        ],
        "tls": tls("a.test"),
    });
    [
        ingress("shop/web", &rules),
        changed(
            route("shop/site", "b.test {\n\trespond b\n}"),
            "/spec/tls",
            tls("b.test"),
        ),
    ]
}

#[tokio::test]
async fn a_secret_is_served_and_its_change_reaches_new_handshakes() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let (old, new) = (Pair::new("a.test"), Pair::new("a.test"));
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("objects.yaml", &objects()),
        ("secret.yaml", &[old.secret("shop/pair")]),
    ])
    .await;
    cluster.judged("Ingress", "shop/web", "Accepted").await;
    cluster.judged("CaddyRoute", "shop/site", "Accepted").await;
    let mut first = cluster.shows("a.test", &old).await;
    assert_eq!(first.get("a.test", "/x").await.unwrap().body, "web sees /x");
    let mut second = cluster.shows("b.test", &old).await;
    assert_eq!(second.get("b.test", "/").await.unwrap().body, "b");

    // HTTP leads to HTTPS, but not where solvers ask, nor on hosts without a certificate.
    let answer = fairway_tests::manifests::get(cluster.program.http, "a.test", "/x?y")
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, "https://a.test/x?y")
    );
    cluster
        .check(&[
            ("b.test", "/", "308"),
            (
                "a.test",
                "/.well-known/acme-challenge/token",
                "200 web sees /.well-known/acme-challenge/token",
            ),
            ("plain.test", "/", "200 web sees /"),
        ])
        .await;

    cluster.put("secret.yaml", &[new.secret("shop/pair")]);
    cluster.shows("a.test", &new).await;
    cluster.shows("b.test", &new).await;
    // Connections of before go on.
    assert_eq!(first.get("a.test", "/y").await.unwrap().body, "web sees /y");
}

#[tokio::test]
async fn a_broken_secret_leaves_the_pair_of_before() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let (good, other) = (Pair::new("a.test"), Pair::new("a.test"));
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        ("objects.yaml", &objects()),
        ("secret.yaml", &[good.secret("shop/pair")]),
    ])
    .await;
    cluster.shows("a.test", &good).await;
    let good_secret = good.secret("shop/pair");
    for broken in [
        changed(
            good_secret.clone(),
            "/stringData/tls.crt",
            "no certificate".into(),
        ),
        changed(
            good_secret.clone(),
            "/stringData/tls.key",
            other.key.serialize_pem().into(),
        ),
        changed(good_secret.clone(), "/stringData", json!({})),
    ] {
        cluster.put("secret.yaml", &[broken]);
        cluster
            .judged("Ingress", "shop/web", "PartiallyAccepted: secret-broken")
            .await;
        cluster
            .judged("CaddyRoute", "shop/site", "PartiallyAccepted: secret-broken")
            .await;
        cluster.shows("a.test", &good).await;
        cluster.shows("b.test", &good).await;
        cluster.put("secret.yaml", std::slice::from_ref(&good_secret));
        cluster.judged("Ingress", "shop/web", "Accepted").await;
    }
}

#[tokio::test]
async fn without_its_secret_a_host_refuses_handshakes_and_is_never_plain() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let pair = Pair::new("a.test");
    let cluster = Cluster::start(&[("services.yaml", &services), ("objects.yaml", &objects())]).await;
    for (kind, object, host) in [
        ("Ingress", "shop/web", "a.test"),
        ("CaddyRoute", "shop/site", "b.test"),
    ] {
        cluster
            .judged(kind, object, "PartiallyAccepted: secret-not-found")
            .await;
        cluster.refuses(host).await;
    }
    // A Secret of another namespace is another one.
    cluster.put("secret.yaml", &[pair.secret("blog/pair")]);
    cluster.put("secret2.yaml", &[pair.secret("shop/other")]);
    cluster.refuses("a.test").await;
    cluster.put("secret.yaml", &[pair.secret("shop/pair")]);
    cluster.shows("a.test", &pair).await;
    cluster.shows("b.test", &pair).await;
    cluster.folder.remove("secret.yaml").unwrap();
    cluster
        .judged("Ingress", "shop/web", "PartiallyAccepted: secret-not-found")
        .await;
    // What was loaded goes on as long as it is named.
    cluster.shows("a.test", &pair).await;
}

#[tokio::test]
async fn two_objects_may_name_different_secrets_for_one_host() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let (first, second) = (Pair::new("a.test"), Pair::new("a.test"));
    let with = |object: &str, place: &str, name: &str| {
        let spec = json!({
            "rules": [rule("a.test", &[path("Prefix", place, "web:80")])],
            "tls": [{"hosts": ["a.test"], "secretName": name}],
        });
        ingress(object, &spec)
    };
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        (
            "secrets.yaml",
            &[first.secret("shop/first"), second.secret("shop/second")],
        ),
        ("old.yaml", &[with("shop/a", "/a", "first")]),
    ])
    .await;
    cluster.shows("a.test", &first).await;
    cluster.put("young.yaml", &[with("shop/b", "/b", "second")]);
    cluster.judged("Ingress", "shop/b", "Accepted").await;
    let mut connection = cluster.shows("a.test", &first).await;
    assert_eq!(connection.get("a.test", "/a").await.unwrap().body, "web sees /a");
    assert_eq!(connection.get("a.test", "/b").await.unwrap().body, "web sees /b");
}
