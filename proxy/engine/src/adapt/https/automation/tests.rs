//! Cases of `apps.tls`, as Caddy 2.11.4 makes it.

use super::*;
use crate::adapt::tests::{adapt, mistakes};

#[track_caller]
fn check(text: &str, expected: Json) {
    let config = adapt(text);
    assert_eq!((config["apps"]["tls"].clone(), text), (expected, text));
}

#[track_caller]
fn refuse(text: &str, expected: &str) {
    assert_eq!(mistakes(text), [expected], "{text}");
}

fn policies(policies: &Json) -> Json {
    json!({"automation": {"policies": policies}})
}

#[test]
fn what_happens_by_itself_is_not_said() {
    check("a.test {\n}\nlocalhost, 10.0.0.1 {\n}\n:443 {\n}", json!(null));
    check("http://a.test {\ntls internal\n}", json!(null));
    check(":80 {\n}", json!(null));
}

#[test]
fn issuers_of_sites() {
    let internal = json!([{"module": "internal"}]);
    check(
        "a.test {\ntls internal\n}\nb.test {\n}\nc.test {\ntls internal\n}",
        policies(&json!([{"subjects": ["a.test", "c.test"], "issuers": internal}, {"subjects": ["b.test"]}])),
    );
    check(
        "b.test, a.local {\ntls {\nkey_type p256\n}\n}\nc.local {\ntls {\nkey_type p256\n}\n}",
        policies(&json!([
            {"subjects": ["b.test"], "key_type": "p256"},
            {"subjects": ["a.local", "c.local"], "issuers": internal, "key_type": "p256"}
        ])),
    );
    // Names that `tls internal` is for are not names that are internal.
    check(
        ":443, a.test {\ntls internal\n}",
        json!({
            "certificates": {"automate": ["a.test"]},
            "automation": {"policies": [{"subjects": ["a.test"], "issuers": internal}]}
        }),
    );
}

#[test]
fn challenges_are_answered_where_a_site_listens() {
    check(
        "{\ndefault_bind 10.0.0.1\n}\na.test {\nbind 10.0.0.2 10.0.0.3\nbind 10.0.0.4\ntls {\nissuer acme\nissuer internal\n}\n}\n\
         b.test {\ntls {\nissuer acme\n}\n}",
        policies(&json!([
            {"subjects": ["b.test"], "issuers": [{"module": "acme", "challenges": {"bind_host": "10.0.0.1"}}]},
            {"subjects": ["a.test"], "issuers": [
                {"module": "acme", "challenges": {"bind_host": "10.0.0.2"}}, {"module": "internal"}
            ]}
        ])),
    );
}

#[test]
fn a_specific_name_keeps_its_policy_before_a_wildcard() {
    check(
        "*.a.test {\ntls {\non_demand\n}\n}\nb.a.test {\n}\nc.test {\n}",
        policies(
            &json!([{"subjects": ["b.a.test", "c.test"]}, {"subjects": ["*.a.test"], "on_demand": true}]),
        ),
    );
    check(
        "*.a.test {\ntls {\nget_certificate http http://x\n}\n}\nb.a.test {\ntls force_automate\n}",
        json!({
            "certificates": {"automate": ["b.a.test"]},
            "automation": {"policies": [
                {"subjects": ["*.a.test"], "get_certificate": [{"via": "http", "url": "http://x"}]}
            ]}
        }),
    );
}

#[test]
fn certificates_of_files() {
    check(
        "a.test {\ntls a.pem a.key\n}\nb.test {\ntls a.pem a.key {\nload x y\n}\n}",
        json!({"certificates": {
            "load_files": [{"certificate": "a.pem", "key": "a.key", "tags": ["cert0"]}], "load_folders": ["x", "y"]
        }}),
    );
}

#[test]
fn global_options_become_the_policy_of_all() {
    check(
        "{\nlocal_certs\nkey_type p384\nocsp_stapling off\n}\na.test {\n}",
        json!({
            "disable_ocsp_stapling": true,
            "automation": {"policies": [
                {"issuers": [{"module": "internal"}], "key_type": "p384", "disable_ocsp_stapling": true}
            ]}
        }),
    );
    check(
        "{\nemail a@b.c\n}\na.test {\n}",
        policies(&json!([{"subjects": ["a.test"], "issuers": [
            {"module": "acme", "email": "a@b.c"},
            {"module": "acme", "email": "a@b.c", "ca": "https://acme.zerossl.com/v2/DV90"}
        ]}])),
    );
    let acme = json!({
        "module": "acme", "ca": "https://x",
        "challenges": {"http": {"alternate_port": 8080}, "tls-alpn": {"alternate_port": 8443}}
    });
    check(
        "{\nhttp_port 8080\nhttps_port 8443\nacme_ca https://x\n}\na.test {\n}",
        policies(&json!([{"issuers": [acme]}])),
    );
    check(
        "{\non_demand_tls {\nask http://x\n}\nstorage_clean_interval off\nrenew_interval 1s\n}\na.test {\n}",
        json!({
            "disable_storage_clean": true,
            "automation": {
                "on_demand": {"permission": {"module": "http", "endpoint": "http://x"}},
                "renew_interval": 1_000_000_000
            }
        }),
    );
}

#[test]
fn mistakes_are_told() {
    refuse(
        "{\nlocal_certs\ncert_issuer acme\n}\na.test {\n}",
        "Caddyfile:5:1: the global options `local_certs` and `cert_issuer` exclude each other",
    );
    refuse(
        "a*.test {\n}",
        "Caddyfile:1:1: there can be no certificate for `a*.test`; write `http://` in front of it, or `auto_https off` into the global options",
    );
    refuse(
        ":443 {\n}\n:8443 {\ntls internal\n}",
        "Caddyfile:3:1: the issuers of this site for every host conflict with those of another, or of the global options",
    );
    refuse(
        "a.test {\ntls internal\n}\na.test:8443 {\ntls a@b.c\n}",
        "Caddyfile:4:1: sites say different things about the certificate of `a.test`; say the same in `tls` at both",
    );
}
