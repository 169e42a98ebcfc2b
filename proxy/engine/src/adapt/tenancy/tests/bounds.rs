//! How much a tenant may ask for.

use super::{check_allowed, check_refused, judged, operator, tenant};
use crate::matchers;

#[test]
fn buffers_are_bounded() {
    check_refused("reverse_proxy api {\nrequest_buffers unlimited\n}", &["2:17"]);
    check_refused("reverse_proxy api {\nresponse_buffers 2MiB\n}", &["2:18"]);
    check_refused(
        "reverse_proxy api {\ntransport http {\nread_buffer 1GiB\n}\n}",
        &["3:13"],
    );
    check_allowed("reverse_proxy api {\nrequest_buffers 1MiB\nresponse_buffers 64KiB\n}");
}

#[test]
fn searches_are_not_made_for_each_request() {
    check_refused("header X {query.q} b", &["1:10"]);
    check_refused("header {\nX a{query.q} b\n}", &["2:3"]);
    check_refused("request_header @a X {path} b\n@a path /x", &["1:21"]);
    check_refused("reverse_proxy api {\nheader_down Location {host} x\n}", &["2:22"]);
    check_allowed("header X a{2,3}.b {path}");
    check_allowed("header X {path}");
}

/// A tenant is told this; the operator is told nothing of tenants.
#[track_caller]
fn check_bound(lines: &str, expected: &[&str]) {
    assert_eq!(judged(tenant(), lines), expected, "{lines:.100}");
    let told = judged(operator(), lines);
    assert!(!told.iter().any(|told| told.contains("pattern")), "{told:?}");
}

#[test]
fn patterns_are_bounded() {
    let large = "\\w{900}\\w{900}\\w{900}\\w{900}";
    for (lines, place) in [
        (format!("@a path_regexp {large}"), "1:16"),
        (format!("@a path_regexp n {large}"), "1:18"),
        (format!("@a {{\nnot header_regexp X {large}\n}}"), "2:21"),
        (format!("uri path_regexp {large} x"), "1:17"),
        (format!("map {{path}} {{a}} {{\n~{large} x\n}}"), "2:1"),
        (format!("header X {large} x"), "1:10"),
        (format!("header {{\nX {large} x\n}}"), "2:3"),
        (
            format!("handle {{\nreverse_proxy api {{\nheader_up X {large} x\n}}\n}}"),
            "3:13",
        ),
        (
            format!("reverse_proxy api {{\nhealth_uri /\nhealth_body {large}\n}}"),
            "3:13",
        ),
    ] {
        check_bound(&lines, &[&format!("pattern-too-large {place}")]);
    }
    let escaped = large.replace('\\', "\\\\");
    check_bound(
        &format!("@a `path_regexp('{escaped}')`"),
        &["pattern-too-large 1:4"],
    );
    check_bound(
        &format!("@a `{{path}}.matches('{escaped}')`"),
        &["pattern-too-large 1:4"],
    );
    check_bound("@a path_regexp ^/(?i)[a-z]{2,30}/\\d+$", &[]);
}

#[test]
fn patterns_are_counted() {
    let many = |count: usize| {
        let lines: Vec<String> = (0..count).map(|n| format!("@a{n} path_regexp x")).collect();
        lines.join("\n")
    };
    check_bound(&many(200), &[]);
    check_bound(&many(201), &["too-many-patterns 201:19"]);
    let expression = format!("@b `{}`", vec!["path_regexp('x')"; 100].join(" || "));
    check_bound(&format!("{}\n{expression}", many(100)), &[]);
    check_bound(
        &format!("{}\n{expression}", many(101)),
        &["too-many-patterns 102:4"],
    );
}

#[test]
fn expressions_of_any_depth_end() {
    for expression in [
        format!("{}true{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("1{} == 2", "+1".repeat(20_000)),
        format!("{{path}}{} == 2", "[0]".repeat(20_000)),
        format!("'a'{} == 'a'", ".trim()".repeat(20_000)),
        format!("{}true", "!".repeat(20_000)),
    ] {
        // What does not compile is told when the object is compiled.
        check_bound(&format!("@a `{expression}`"), &[]);
        let config = matchers::expression::Config {
            expr: expression,
            name: String::new(),
        };
        assert!(config.compile().is_err());
    }
}
