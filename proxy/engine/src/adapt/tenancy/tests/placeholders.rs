//! Placeholders in a tenant's words, and in what a client sends.

use super::{check_refused, judged, operator, tenant};
use crate::test_util::answer;

#[test]
fn placeholders_of_the_operator() {
    for word in [
        "{env.HOME}",
        "{ENV.home}",
        "{file./etc/passwd}",
        "{file.a.b}",
        "{system.hostname}",
        "{system.wd}",
        "{http.request.body}",
        "{http.request.tls.client.certificate_pem}",
        "{tls_client_certificate_der_base64}",
        "{http.shutting_down}",
        "{env.{http.request.header.x}}",
    ] {
        check_refused(&format!("header X {word}"), &["1:10"]);
        check_refused(&format!("respond \"a {word}\""), &["1:12"]);
    }
    check_refused("respond \"{\\\"a\\\": {env.X}}\"", &["1:18"]);
    check_refused("respond <<HTML\n<p>\n{env.X}\nHTML", &["3:1"]);
    check_refused("respond /{env.X} 1", &["1:10"]);
    check_refused("handle /{env.X}/* {\n}", &["1:9"]);
    check_refused("map {host} {a} {\nx {env.X}\n}", &["2:3"]);
    check_refused("vars a {env.X}", &["1:8"]);
    check_refused("basic_auth {\n{env.USER} x\n}", &["2:1"]);
    check_refused("rewrite /{env.X}", &["1:10"]);
    check_refused("log {\nformat append {\na {env.X}\n}\n}", &["3:3"]);
    check_refused("reverse_proxy api {\nrewrite /{env.X}\n}", &["2:10"]);
    check_refused("reverse_proxy api {\n@a header X {env.X}\n}", &["2:13"]);
    check_refused("reverse_proxy api {\nhealth_headers {\nX {env.X}\n}\n}", &["3:3"]);
}

#[test]
fn placeholders_in_matchers() {
    check_refused("@a path /{env.X}", &["1:10"]);
    check_refused("@a path /{ENV.x}", &["1:10"]);
    check_refused("@a {\nheader X {env.X}\n}", &["2:10"]);
    check_refused("@a vars {env.X} y", &["1:9"]);
    check_refused("@a not header X {env.X}", &["1:17"]);
    check_refused("@a remote_ip {env.X}", &["1:14"]);
    check_refused("@a `{env.X} == 'y'`", &["1:5"]);
    check_refused("@a expression {env.X} == 'y'", &["1:15"]);
    // What is no placeholder in the word becomes one in the expression.
    check_refused("@a `path('\\{env.X}')`", &["1:12"]);
    check_refused("@a `path('\\x7benv.X}')`", &["1:4"]);
    check_refused("@a `path('{' + 'env.X}')`", &["1:4"]);
    check_refused(
        "@a `{path} == 'a' || !header({'X': ['\\u007bfile./x}']})`",
        &["1:4"],
    );
}

#[test]
fn placeholders_in_addresses() {
    for (address, place) in [
        ("{env.HOST}", "2:9"),
        ("{env.HOST}.test", "2:9"),
        ("http://a{ENV.x}", "2:17"),
    ] {
        // Behind the brace of the site before it.
        let lines = format!("}}\nb.test, {address} {{");
        let told = judged(tenant(), &lines);
        assert!(
            told.contains(&format!("operator-only {place}")),
            "{address}: {told:?}"
        );
        assert!(
            !judged(operator(), &lines)
                .iter()
                .any(|told| told.starts_with("operator-only"))
        );
    }
}

/// What a client sends is never filled: it arrives as it was sent.
#[track_caller]
fn check_kept(text: &str) {
    let (_, headers) = answer(text, "GET /?q=%7Benv.PATH%7D\nA: {env.PATH}");
    assert!(headers.contains("{env.PATH}"), "{text}: {headers}");
}

#[test]
fn data_of_a_request_is_never_a_placeholder() {
    assert!(
        std::env::var("PATH").is_ok(),
        "the environment has something to find"
    );
    for text in [
        "header X {http.request.header.a}",
        "header X {http.request.uri.query.q}",
        "header X b\nheader >X b {http.request.header.a}\nrespond 204",
        "map {http.request.header.a} {m} {\n~(.*) ${1}\n}\nheader X {m}",
        "map {http.request.method} {m} {\ndefault {http.request.header.a}\n}\nheader X {m}",
        "map {http.request.method} {n} {\ndefault {m}\n}\n\
         map {http.request.method} {m} {\ndefault {http.request.header.a}\n}\nheader X {n}",
        "vars v {http.request.header.a}\nheader X {http.vars.v}",
        "vars v {http.request.header.a}\nroute {\nvars w {http.vars.v}\nheader X {http.vars.w}\n}",
        "@r header_regexp r A (.*)\nheader @r X {http.regexp.r.1}",
        "@v vars {http.request.header.a} {http.request.header.a}\nheader @v X {http.request.header.a}",
        "@e `{http.request.header.a}.startsWith('{env')`\nheader @e X {http.request.header.a}",
        "respond {http.request.header.a}\nheader X {http.request.header.a}",
        "error {http.request.header.a} 500\nhandle_errors {\nheader X {http.error.message}\n}",
    ] {
        check_kept(text);
    }
}

#[test]
fn the_environment_is_not_pasted_into_a_tenant_s_text() {
    for lines in ["respond {$HOME}", "respond {$HOME:x}", "{$X} 1"] {
        let told = judged(tenant(), lines);
        assert!(told[0].starts_with("tenant-environment 1:"), "{lines}: {told:?}");
    }
}
