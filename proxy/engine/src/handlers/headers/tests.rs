use http::StatusCode;
use serde_json::{Value as Json, json};

use super::*;
use crate::body::Body;
use crate::handlers::Filter;
use crate::test_util::{exchange, handlers, routes};

#[track_caller]
fn check(line: &str, expected: &Json) {
    assert_eq!(&handlers(line), expected, "{line}");
}

/// The headers of a response after a handler and its filters ran, one a line.
#[track_caller]
fn check_response(config: &Json, before: &[(&'static str, &str)], expected: &str) {
    let mut exchange = exchange("GET /p?q=v\nX-In: in");
    for (name, value) in before {
        exchange.response_headers.append(*name, value.parse().unwrap());
    }
    let headers = Config::deserialize(config).unwrap().compile().unwrap();
    headers.handle(&mut exchange);
    let mut response = crate::handlers::Response {
        status: StatusCode::NOT_FOUND,
        body: Body::Empty,
    };
    while let Some(filter) = exchange.filters.pop() {
        match filter {
            Filter::Headers(filter) => filter.apply(&mut exchange, &mut response),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lines(&exchange.response_headers), expected, "{config}");
}

/// The headers and the host of a request afterwards.
#[track_caller]
fn check_request(config: &Json, expected: &str, host: &str) {
    let mut exchange = exchange("GET /p\nHost: a.test:80\nX-A: one\nX-B: two");
    let headers = Config::deserialize(config).unwrap().compile().unwrap();
    headers.handle(&mut exchange);
    assert_eq!(
        (lines(&exchange.headers).as_str(), &*exchange.host),
        (expected, host),
        "{config}"
    );
}

fn lines(headers: &http::HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn one_field_on_the_line() {
    let response = |response: Json| json!([{"handler": "headers", "response": response}]);
    check("header x-a v", &response(json!({"set": {"X-A": ["v"]}})));
    check("header X-A", &response(json!({"set": {"X-A": [""]}})));
    check("header +X-A v", &response(json!({"add": {"X-A": ["v"]}})));
    check(
        "header -x-a",
        &response(json!({"delete": ["x-a"], "deferred": true})),
    );
    check(
        "header >X-A v",
        &response(json!({"set": {"X-A": ["v"]}, "deferred": true})),
    );
    check(
        "header ?x-a v",
        &response(json!({"set": {"X-A": ["v"]}, "require": {"headers": {"x-a": null}}})),
    );
    check(
        "header x-a f r",
        &response(json!({"replace": {"x-a": [{"search_regexp": "f", "replace": "r"}]}})),
    );
    check(
        "header >x-a f r {\nmatch status 2xx\n}",
        &response(json!({
            "replace": {"x-a": [{"search_regexp": "f", "replace": "r"}]},
            "require": {"status_code": [2]}, "deferred": true
        })),
    );
}

#[test]
fn several_fields_in_a_block() {
    let text = "header /p {\nA: 1\n+B 2\n+b 3\n?C 4\n?D 5\ndefer\n}";
    let matcher = json!([{"path": ["/p"]}]);
    let found = routes(text);
    let all: Vec<&Json> = found
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|route| {
            assert_eq!(route["match"], matcher);
            route["handle"].as_array().unwrap()
        })
        .collect();
    let main = json!({"handler": "headers", "response": {"set": {"A": ["1"]}, "add": {"B": ["2", "3"]}, "deferred": true}});
    let defaults = json!({"handler": "headers", "response": {
        "set": {"C": ["4"], "D": ["5"]}, "require": {"headers": {"C": null, "D": null}}
    }});
    assert_eq!(all, [&main, &defaults]);
    assert_eq!(routes("header"), json!([]));
}

#[test]
fn request_fields() {
    let request = |request: Json| json!([{"handler": "headers", "request": request}]);
    check("request_header X-A: v", &request(json!({"set": {"X-A": ["v"]}})));
    check("request_header -X-A", &request(json!({"delete": ["X-A"]})));
    check("request_header >X-A v", &request(json!({"set": {"X-A": ["v"]}})));
    check(
        "request_header X-A f r",
        &request(json!({"replace": {"X-A": [{"search_regexp": "f", "replace": "r"}]}})),
    );
}

#[test]
fn mistakes_are_told() {
    for (line, mistake) in [
        (
            "header A b c d",
            "2:14: `header` takes no further argument, but `d` follows",
        ),
        (
            "header A b {\nC d\n}",
            "3:1: `header` takes one field on its line or several in its block, not both",
        ),
        (
            "header {\nA b c d\n}",
            "3:7: `A` takes no further argument, but `d` follows",
        ),
        (
            "header {\ndefer x\n}",
            "3:7: `defer` takes no further argument, but `x` follows",
        ),
        ("header {\nmatch x\n}", "3:7: there is no response matcher `x`"),
        ("request_header", "2:1: `request_header` needs a header field"),
        (
            "request_header A b c d",
            "2:22: `request_header` takes no further argument, but `d` follows",
        ),
        (
            "request_header A {\nb\n}",
            "2:18: `request_header` takes no block",
        ),
        (
            "request_header ?A b",
            "2:16: `?` sets a default for a response, and belongs into `header`",
        ),
    ] {
        assert_eq!(routes(line), json!(format!("Caddyfile:{mistake}")), "{line}");
    }
}

#[test]
fn what_cannot_run_is_refused() {
    let compile = |config: Json| {
        Config::deserialize(&config)
            .unwrap()
            .compile()
            .unwrap_err()
            .to_string()
    };
    assert!(compile(json!({"request": {"replace": {"A": [{"search_regexp": "("}]}}})).contains("header `A`"));
    let both = json!({"response": {"replace": {"A": [{"search": "a", "search_regexp": "b"}]}}});
    assert!(compile(both).contains("both"));
    assert!(Config::deserialize(json!({"response": {"sett": {}}})).is_err());
}

#[test]
fn response_headers_change() {
    let with = |ops: Json| json!({"response": ops});
    check_response(&with(json!({"set": {"A": ["1", "2"]}})), &[("a", "0")], "a: 1,2");
    check_response(
        &with(json!({"add": {"A": ["1", "2"]}})),
        &[("a", "0")],
        "a: 0\na: 1\na: 2",
    );
    check_response(
        &with(json!({"set": {"A": ["{http.request.method} {http.request.header.X-In} {no.body}"]}})),
        &[],
        "a: GET in {no.body}",
    );
    check_response(&with(json!({"set": {"A b": ["1"]}})), &[], "");
    // What is deleted is added before, unless all is deleted.
    let before = [("x-a", "1"), ("x-b", "2"), ("y-a", "3")];
    let add = json!({"X-A": ["new"]});
    for (delete, expected) in [
        ("X-A", "x-b: 2\ny-a: 3"),
        ("x-*", "y-a: 3"),
        ("*-A", "x-b: 2"),
        ("*-*", ""),
        ("*", "x-a: new"),
        ("{http.request.header.X-In}", "x-a: 1\nx-a: new\nx-b: 2\ny-a: 3"),
    ] {
        check_response(&with(json!({"add": add, "delete": [delete]})), &before, expected);
    }
}

#[test]
fn values_are_replaced() {
    let with = |name: &str, replacement: Json| json!({"response": {"replace": {name: [replacement]}}});
    let before = [("a", "foo bar"), ("a", "oo"), ("b", "foo")];
    for (name, replacement, expected) in [
        (
            "A",
            json!({"search": "o", "replace": "0"}),
            "a: 00\na: f00 bar\nb: foo",
        ),
        (
            "*",
            json!({"search_regexp": "(o+)", "replace": "[$1]"}),
            "a: [oo]\na: f[oo] bar\nb: f[oo]",
        ),
        (
            "A",
            json!({"search_regexp": "o{2}", "replace": "{http.request.uri.path}"}),
            "a: /p\na: f/p bar\nb: foo",
        ),
        (
            "A",
            json!({"search_regexp": "{http.request.uri.query}o", "replace": ""}),
            "a: foo bar\na: oo\nb: foo",
        ),
        (
            "A",
            json!({"search_regexp": "{http.request.header.X-None}o", "replace": ""}),
            "a: \na: f bar\nb: foo",
        ),
        (
            "A",
            json!({"search_regexp": "{http.request.uri.path}(", "replace": ""}),
            "a: foo bar\na: oo\nb: foo",
        ),
        (
            "C",
            json!({"search": "f", "replace": ""}),
            "a: foo bar\na: oo\nb: foo",
        ),
    ] {
        check_response(&with(name, replacement), &before, expected);
    }
}

#[test]
fn deferred_operations_see_the_response() {
    let absent = json!({"response": {"set": {"A": ["1"]}, "require": {"headers": {"a": null}}}});
    check_response(&absent, &[], "a: 1");
    check_response(&absent, &[("a", "0")], "a: 0");
    let status = |code: u16| json!({"response": {"delete": ["B"], "require": {"status_code": [code]}, "deferred": true}});
    check_response(&status(4), &[("b", "0")], "");
    check_response(&status(2), &[("b", "0")], "b: 0");
}

#[test]
fn the_host_is_a_header_of_the_request() {
    let untouched = "x-a: one\nx-b: two";
    check_request(
        &json!({"request": {"set": {"Host": ["b.test"]}}}),
        untouched,
        "b.test",
    );
    check_request(
        &json!({"request": {"add": {"Host": ["c.test"]}}}),
        untouched,
        "c.test",
    );
    check_request(&json!({"request": {"delete": ["Host"]}}), untouched, "");
    check_request(
        &json!({"request": {"replace": {"*": [{"search": "a.test", "replace": "d.test"}]}}}),
        untouched,
        "d.test:80",
    );
    check_request(&json!({"request": {"delete": ["x-*"]}}), "", "a.test:80");
    check_request(&json!({"request": {"delete": ["*"]}}), "", "");
}
