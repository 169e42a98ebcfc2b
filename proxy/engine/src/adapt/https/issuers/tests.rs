//! Cases of issuers.

use fairway_caddyfile::{Options, Origin, Source};

use super::*;

#[track_caller]
fn check(line: &str, expected: Result<Json, &str>) {
    let text = format!(":443\n{line}\n");
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let parsed = fairway_caddyfile::parse(source, &Options::default());
    let read = read(Args::new(&parsed.file.sites[0].block.segments[0]));
    let read = read.map_err(|mistake| mistake.one_line());
    assert_eq!(read, expected.map_err(str::to_owned), "{line}");
}

#[test]
fn issuers_read_as_in_caddy() {
    check("issuer internal", Ok(json!({"module": "internal"})));
    check(
        "issuer internal {\nca foo\nlifetime 24h\nsign_with_root\n}",
        Ok(
            json!({"module": "internal", "ca": "foo", "lifetime": 86_400_000_000_000_i64, "sign_with_root": true}),
        ),
    );
    check(
        "issuer acme https://ca {\nemail a@b.c\neab id key\ntrusted_roots a b\ndisable_http_challenge\nalt_tlsalpn_port 5\ndistributed false\n}",
        Ok(json!({
            "module": "acme", "ca": "https://ca", "email": "a@b.c",
            "external_account": {"key_id": "id", "mac_key": "key"}, "trusted_roots_pem_files": ["a", "b"],
            "challenges": {"http": {"disabled": true}, "tls-alpn": {"alternate_port": 5}, "distributed": false}
        })),
    );
    check(
        "issuer acme {\npropagation_timeout -1\nresolvers 1.1.1.1\npreferred_chains {\nany_common_name A B\n}\n}",
        Ok(json!({
            "module": "acme", "challenges": {"dns": {"propagation_timeout": -1, "resolvers": ["1.1.1.1"]}},
            "preferred_chains": {"any_common_name": ["A", "B"]}
        })),
    );
    check(
        "issuer zerossl k {\nvalidity_days 90\n}",
        Ok(json!({"module": "zerossl", "api_key": "k", "validity_days": 90})),
    );
}

#[test]
fn mistakes_are_told() {
    check(
        "issuer",
        Err("Caddyfile:2:1: `issuer` needs an issuer: `acme`, `internal` or `zerossl`"),
    );
    check(
        "issuer acm",
        Err("Caddyfile:2:8: `acm` is not known here; did you mean `acme`?"),
    );
    check(
        "issuer acme a {\ndir b\n}",
        Err("Caddyfile:3:1: the directory of the issuer is already given"),
    );
    check(
        "issuer acme {\nemial b\n}",
        Err("Caddyfile:3:1: `issuer` has no subdirective `emial`; did you mean `email`?"),
    );
    check(
        "issuer acme {\nlifetime -1h\n}",
        Err("Caddyfile:3:10: `-1h` is less than nothing"),
    );
    check(
        "issuer acme {\npreferred_chains {\nany_common_name A\nroot_common_name B\n}\n}",
        Err("Caddyfile:5:1: `any_common_name` and `root_common_name` exclude each other"),
    );
}

#[test]
fn what_tls_says_goes_over_the_global_issuers() {
    let mut options = GlobalOptions::default();
    let mut said = Object::new();
    put(&mut said, "email", "a@b.c");
    append(&mut said, "trusted_roots_pem_files", [json!("r")]);
    assert_eq!(
        implied(&said, &options),
        [
            json!({"module": "acme", "email": "a@b.c", "trusted_roots_pem_files": ["r"]}),
            json!({"module": "acme", "ca": ZEROSSL, "email": "a@b.c", "trusted_roots_pem_files": ["r"]}),
        ]
    );
    options.cert_issuers = vec![
        json!({"module": "internal"}),
        json!({"module": "acme", "ca": "x"}),
    ];
    assert_eq!(
        implied(&said, &options),
        [json!({"module": "acme", "ca": "x", "email": "a@b.c", "trusted_roots_pem_files": ["r"]})]
    );
}
