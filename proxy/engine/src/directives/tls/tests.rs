//! Cases of `tls`.

use fairway_caddyfile::{Options, Origin, Source};
use serde_json::Value as Json;

use super::*;
use crate::adapt::Shared;

/// What one site's directives say: `[connection policy, automation policy, other values…]`.
fn read(lines: &str) -> Result<Json, String> {
    let text = format!("example.com\n{lines}\n");
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let parsed = fairway_caddyfile::parse(source, &Options::default());
    let mut shared = Shared::default();
    let (mut groups, mut invoked) = (0, Vec::new());
    let mut scope = Scope::new(&mut shared, &mut groups, &mut invoked);
    let mut found = json!({});
    for segment in &parsed.file.sites[0].block.segments {
        let values = parse(Args::new(segment), &mut scope).map_err(|mistake| mistake.one_line())?;
        for value in values {
            match value {
                SiteValue::TlsPolicy(policy) => found["policy"] = serde_json::to_value(policy).unwrap(),
                SiteValue::Automation(policy) => {
                    found["automation"] = serde_json::to_value(policy).unwrap();
                }
                SiteValue::CertificateFiles {
                    certificate,
                    key,
                    tag,
                } => {
                    found[tag] = json!([certificate, key]);
                }
                SiteValue::CertificateFolders(folders) => found["folders"] = json!(folders),
                SiteValue::ForceAutomate => found["force"] = true.into(),
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(found)
}

#[track_caller]
fn check(lines: &str, expected: Json) {
    assert_eq!((read(lines), lines), (Ok(expected), lines));
}

#[track_caller]
fn refuse(lines: &str, expected: &str) {
    assert_eq!(read(lines), Err(expected.to_owned()), "{lines}");
}

#[test]
fn first_line() {
    check(
        "tls internal",
        json!({"policy": {}, "automation": {"issuers": [{"module": "internal"}]}}),
    );
    check("tls force_automate", json!({"policy": {}, "force": true}));
    check(
        "tls a@b.c {\nca https://x\n}",
        json!({"policy": {}, "automation": {"issuers": [{"module": "acme", "email": "a@b.c", "ca": "https://x"}]}}),
    );
    check(
        "tls a.pem a.key\ntls b.pem b.key\ntls a.pem a.key",
        json!({
            "cert0": ["a.pem", "a.key"], "cert1": ["b.pem", "b.key"],
            "policy": {"certificate_selection": {"any_tag": ["cert0"]}}
        }),
    );
}

#[test]
fn lines_of_the_block() {
    check(
        "tls {\nprotocols tls1.2 tls1.3\nciphers TLS_AES_128_GCM_SHA256\ncurves x25519 secp256r1\nalpn h2\ninsecure_secrets_log f\n}",
        json!({"policy": {
            "protocol_min": "tls1.2", "protocol_max": "tls1.3", "cipher_suites": ["TLS_AES_128_GCM_SHA256"],
            "curves": ["x25519", "secp256r1"], "alpn": ["h2"], "insecure_secrets_log": "f"
        }}),
    );
    check(
        "tls {\non_demand\nkey_type p256\nreuse_private_keys\nrenewal_window_ratio 0.5\nget_certificate http http://x\nload a b\n}",
        json!({
            "policy": {}, "folders": ["a", "b"],
            "automation": {
                "on_demand": true, "key_type": "p256", "reuse_private_keys": true, "renewal_window_ratio": 0.5,
                "get_certificate": [{"via": "http", "url": "http://x"}]
            }
        }),
    );
    check(
        "tls {\nissuer acme\nissuer internal {\nca x\n}\n}",
        json!({"policy": {}, "automation": {"issuers": [{"module": "acme"}, {"module": "internal", "ca": "x"}]}}),
    );
}

#[test]
fn reads_the_dns_challenge() {
    let issuers = |dns: serde_json::Value| json!({"policy": {}, "automation": {"issuers": [{"module": "acme", "challenges": {"dns": dns}}]}});
    check(
        "tls {\ndns mock a\n}",
        issuers(json!({"provider": {"name": "mock", "argument": "a"}})),
    );
    // The lines come in any order.
    check(
        "tls {\nresolvers 1.1.1.1\ndns_ttl 1m\npropagation_timeout -1\ndns mock\n}",
        issuers(json!({
            "provider": {"name": "mock"}, "resolvers": ["1.1.1.1"], "ttl": 60_000_000_000_i64, "propagation_timeout": -1
        })),
    );
    check("tls {\nissuer acme {\ndns\n}\n}", issuers(json!({})));
    check(
        "tls {\nissuer zerossl k {\ndns mock\n}\n}",
        json!({"policy": {}, "automation": {"issuers": [
            {"module": "zerossl", "api_key": "k", "cname_validation": {"provider": {"name": "mock"}}}
        ]}}),
    );
}

#[test]
fn mistakes_are_told() {
    refuse(
        "tls",
        "Caddyfile:2:1: `tls` needs `internal`, an email address, two files, or a block",
    );
    refuse(
        "tls x",
        "Caddyfile:2:5: `x` is neither `internal` nor `force_automate` nor an email address; the file of a certificate is followed by that of its key: `tls CERT KEY`",
    );
    refuse(
        "tls a b c",
        "Caddyfile:2:9: `tls` takes no further argument, but `c` follows",
    );
    refuse(
        "tls {\nprotocols tls1.1\n}",
        "Caddyfile:3:11: `tls1.1` is not known here; did you mean `tls1.2`?",
    );
    refuse(
        "tls {\ncurve x\n}",
        "Caddyfile:3:1: `tls` has no subdirective `curve`; did you mean `curves`?",
    );
    refuse(
        "tls internal {\nca x\n}",
        "Caddyfile:2:1: `tls internal` excludes lines about ACME",
    );
    refuse(
        "tls internal {\nissuer acme\n}",
        "Caddyfile:2:1: `issuer` excludes other lines about an issuer; write them into the block of `issuer`",
    );
    refuse(
        "tls {\nresolvers 1.1.1.1\n}",
        "Caddyfile:3:1: `resolvers` is about the DNS challenge, but there is no DNS provider; add a line `dns PROVIDER`, or the global option `dns`",
    );
    refuse(
        "tls {\ndns\n}",
        "Caddyfile:3:1: `dns` needs the name of a DNS provider",
    );
    refuse(
        "tls {\nforce_automate\n}",
        "Caddyfile:3:1: `tls` has no subdirective `force_automate`",
    );
    refuse(
        "tls {\nget_certificate tailscale x\n}",
        "Caddyfile:3:27: `get_certificate` takes no further argument, but `x` follows",
    );
    refuse(
        "tls {\nrenewal_window_ratio 2\n}",
        "Caddyfile:3:22: `2` is not between 0 and 1",
    );
}

/// What a tenant is told.
#[track_caller]
fn tenant(lines: &str, expected: &[&str]) {
    let text = format!("example.com {{\n{lines}\n}}\n");
    let source = Source::new(
        Origin::tenant("CaddyRoute shop/api", "shop"),
        "spec.caddyfile",
        text,
    );
    let adapted = crate::adapt::adapt(source, &Options::default());
    let told: Vec<_> = adapted
        .diagnostics
        .iter()
        .map(|mistake| (mistake.code, mistake.message.as_str()))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|message| ("operator-only", *message))
        .collect();
    assert_eq!(told, expected, "{lines}");
}

#[test]
fn tenants_name_no_files_and_no_issuers() {
    tenant("tls internal {\nprotocols tls1.3\nalpn h2\n}", &[]);
    tenant(
        "tls {\nclient_auth {\nmode request\ntrust_pool inline {\ntrust_der A\n}\n}\n}",
        &[],
    );
    for (lines, word) in [
        ("tls /etc/a.pem /etc/a.key", "/etc/a.pem"),
        ("tls a@b.c", "a@b.c"),
        ("tls force_automate", "force_automate"),
        ("tls {\nload /etc\n}", "load"),
        ("tls {\nissuer internal\n}", "issuer"),
        ("tls {\nca https://x\n}", "ca"),
        ("tls {\non_demand\n}", "on_demand"),
        ("tls {\ninsecure_secrets_log /f\n}", "insecure_secrets_log"),
        ("tls {\nget_certificate http http://x\n}", "get_certificate"),
        ("tls {\nresolvers 1.1.1.1\n}", "resolvers"),
        (
            "tls {\nclient_auth {\ntrust_pool file /f\n}\n}",
            "trust_pool file",
        ),
        (
            "tls {\nclient_auth {\ntrust_pool combined {\nsource system\n}\n}\n}",
            "source system",
        ),
        (
            "tls {\nclient_auth {\ntrusted_ca_cert_file /f\n}\n}",
            "trusted_ca_cert_file",
        ),
        (
            "tls {\nclient_auth {\nverifier leaf file /f\n}\n}",
            "verifier leaf file",
        ),
        ("log {\noutput file /f\n}", "output"),
        ("log default", "default"),
        ("log {\nhostnames other.test\n}", "hostnames"),
    ] {
        tenant(
            lines,
            &[&format!("`{word}` is for the operator of the cluster only")],
        );
    }
    tenant("log {\nlevel ERROR\nformat console\n}", &[]);
}
