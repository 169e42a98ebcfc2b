use serde_json::{Value as Json, json};

use super::*;
use crate::template::Value;
use crate::test_util::{exchange, routes};

#[track_caller]
fn check_adapt(line: &str, expected: &Json) {
    assert_eq!(&routes(line), expected, "{line}");
}

/// The target after a handler ran on a request for `from`.
#[track_caller]
fn check(config: &Json, from: &str, expected: &str) {
    let mut exchange = exchange(&format!("GET {from}\nX-A: a/b?c={{http.request.method}}&d e"));
    exchange
        .values
        .set("http.matchers.file.relative", Value::Text("/a b%?c".into()));
    let rewrite = Config::deserialize(config).unwrap().compile().unwrap();
    let found = match rewrite.handle(&mut exchange) {
        Ok(_) => exchange.target().path_and_query().to_owned(),
        Err(error) => error.status.to_string(),
    };
    assert_eq!(found, expected, "{config} on {from}");
}

#[track_caller]
fn check_uri(to: &str, from: &str, expected: &str) {
    check(&json!({"uri": to}), from, expected);
}

#[test]
fn one_argument_is_the_target() {
    let handle = json!([{"handler": "rewrite", "uri": "/b"}]);
    check_adapt("rewrite /b", &json!([{"group": "group0", "handle": handle}]));
    check_adapt("rewrite * /b", &json!([{"group": "group0", "handle": handle}]));
    check_adapt(
        "rewrite /a /b",
        &json!([{"group": "group0", "match": [{"path": ["/a"]}], "handle": handle}]),
    );
}

#[test]
fn mistakes_are_told() {
    for (line, mistake) in [
        ("rewrite", "2:1: `rewrite` needs a target"),
        (
            "rewrite a b",
            "2:9: `a` is no matcher, and another argument follows; \
             a matcher is `*`, a path that begins with `/`, or `@name`",
        ),
        (
            "rewrite * /a b",
            "2:14: `rewrite` takes no further argument, but `b` follows",
        ),
        ("rewrite /a {\n}", "2:12: `rewrite` takes no block"),
    ] {
        check_adapt(line, &json!(format!("Caddyfile:{mistake}")));
    }
}

#[test]
fn what_cannot_run_is_refused() {
    for config in [
        json!({"method": "a b"}),
        json!({"path_regexp": [{"replace": "x"}]}),
        json!({"path_regexp": [{"find": "("}]}),
        json!({"query": {"replace": [{"key": "a", "search_regexp": "("}]}}),
    ] {
        assert!(
            Config::deserialize(&config).unwrap().compile().is_err(),
            "{config}"
        );
    }
}

#[test]
fn only_parts_that_are_named_change() {
    check_uri("/b", "/a?q=1", "/b?q=1");
    check_uri("/b?", "/a?q=1", "/b");
    check_uri("?x=2", "/a?q=1", "/a?x=2");
    check_uri("/b?x#f", "/a?q=1", "/b?x");
    check_uri("/b#f?x", "/a?q=1", "/b?q=1");
    check_uri("#f", "/a?q=1", "/a?q=1");
    check_uri("b", "/a", "b");
    check_uri("{http.request.header.None}", "/a?q", "/?q");
    check_uri("*", "/a", "*");
}

#[test]
fn paths_are_escaped_anew() {
    check_uri("/a!b", "/", "/a%21b");
    check_uri("/a b%2fé%7e", "/", "/a%20b/%C3%A9~");
    check_uri("/100%", "/", "/100%25");
    check_uri("/%ff", "/", "/%FF");
    check_uri("/x{http.request.uri.path}", "/a%3Fb%2Fc", "/x/a%3Fb/c");
    check_uri("/x{http.matchers.file.relative}", "/", "/x/a%20b%25%3Fc");
}

#[test]
fn a_query_cannot_sneak_in() {
    check_uri("/{http.request.header.X-A}", "/?q=1", "/a/b?q=1");
    check_uri(
        "/{http.request.header.X-A}?",
        "/?q=1",
        "/a/b?c=%7Bhttp.request.method%7D&d%20e",
    );
    check_uri("/{http.request.header.X-A}?x=2", "/?q=1", "/a/b?x=2");
    check_uri(
        "/x?y={http.request.header.X-A}",
        "/",
        "/x?y=a%2Fb%3Fc%3D%7Bhttp.request.method%7D%26d+e",
    );
    check_uri("?{http.request.uri.query}&x=2", "/a?q=%31&", "/a?q=%31&&x=2");
    check_uri("?{http.request.uri.query}&x=2", "/a", "/a?x=2");
    check_uri("?x={http.request.uri.query}", "/a?q=1", "/a?x=q%3D1");
    check_uri("?a=&b&&c=d=e&", "/", "/?a=&b&c=d=e");
}

#[test]
fn methods_become_capitals() {
    for (method, expected) in [("get", "GET"), ("{http.request.header.X-M}", "PUT")] {
        let mut exchange = exchange("POST /\nX-M: put");
        let config = Config {
            method: method.to_owned(),
            ..Config::default()
        };
        config.compile().unwrap().handle(&mut exchange).unwrap();
        assert_eq!(
            (exchange.method.as_str(), exchange.original_method().as_str()),
            (expected, "POST")
        );
    }
    check(&json!({"method": "{http.request.header.X-A}"}), "/", "400");
}

#[test]
fn prefixes_are_stripped() {
    for (prefix, from, expected) in [
        ("/api", "/api/x?q", "/x?q"),
        ("api", "/api/x", "/x"),
        ("/api", "/API/x", "/x"),
        ("/api", "/apix", "x"),
        ("/api", "/ap", "/ap"),
        ("/api", "/api", "/"),
        ("/api", "//api///x", "/x"),
        ("//api", "//api//x", "//x"),
        ("/a b", "/a%20b/%21", "/%21"),
        ("/a%2fb", "/a%2Fb/x", "/x"),
        ("/a%2fb", "/a/b/x", "/a/b/x"),
        ("/é", "/%C3%A9/x", "/%C3%A9/x"),
        ("{http.request.method}", "/get/x", "/x"),
        ("/api", "/x/../api/y!", "/y!"),
    ] {
        check(&json!({"strip_path_prefix": prefix}), from, expected);
    }
}

#[test]
fn suffixes_are_stripped() {
    for (suffix, from, expected) in [
        (".html", "/a.html", "/a"),
        (".HTML", "/a.html?q", "/a?q"),
        (".html", "/a.htm", "/a.htm"),
        ("/a", "/a", "/"),
        (" b", "/a%20b", "/a%20b"),
        ("%20b", "/a%20b", "/a"),
    ] {
        check(&json!({"strip_path_suffix": suffix}), from, expected);
    }
}

#[test]
fn texts_are_replaced() {
    let replace = |find: &str, replace: &str, limit: i64| json!({"uri_substring": [{"find": find, "replace": replace, "limit": limit}]});
    check(&replace("a", "b", 0), "/aa?a=a", "/bb?b=b");
    check(&replace("a", "b", 1), "/aa?a=a", "/ba?b=a");
    check(&replace("a", "b", -1), "/aa", "/bb");
    check(&replace("/", "", 0), "/a/b", "ab");
    check(&replace("//", "/", 0), "/a//b", "/a/b");
    check(&replace("x", " ", 0), "/axb!", "/a%20b%21");
    check(&replace("x", "%", 0), "/ax", "/a%25");
    check(&replace("{http.request.header.None}", "b", 0), "/aa", "/aa");
    check(
        &replace("a", &"b".repeat(1000), 0),
        &format!("/{}", "a".repeat(100)),
        "414",
    );
}

#[test]
fn patterns_are_replaced() {
    let replace = |find: &str, replace: &str| json!({"path_regexp": [{"find": find, "replace": replace}]});
    check(&replace("/{2,}", "/"), "/a//b///c?//", "/a/b/c?//");
    check(&replace("^/(.)/(.)", "/$2/$1"), "/a/b", "/b/a");
    // Braces are those of a placeholder first, as in Caddy.
    check(&replace("^/(.)/(.)", "/$2/${1}x"), "/a/b", "/b/");
    check(&replace("a", "{http.request.method}"), "/a", "/GET");
    check(&replace("/.*", ""), "/a", "/");
}

#[test]
fn queries_change_in_a_fixed_order() {
    let query = |query: Json| json!({"query": query});
    check(&query(json!({})), "/?b=1&a=%31&a=2;", "/?a=1&b=1");
    check(
        &query(json!({"rename": [{"key": "a", "val": "b"}]})),
        "/?b=1&a=2&a=3",
        "/?b=2&b=3",
    );
    check(
        &query(json!({"rename": [{"key": "c", "val": "b"}]})),
        "/?b=1",
        "/?b=1",
    );
    check(
        &query(json!({"set": [{"key": "a", "val": "{http.request.method} x"}]})),
        "/?a=1&a=2",
        "/?a=GET+x",
    );
    check(
        &query(json!({"add": [{"key": "a", "val": "3"}]})),
        "/?a=1&b=2",
        "/?a=1&a=3&b=2",
    );
    check(&query(json!({"delete": ["a", ""]})), "/?a=1&b=2", "/?b=2");
    check(&query(json!({"delete": ["a"]})), "/?a=1", "/");
    let replace =
        |key: &str| query(json!({"replace": [{"key": key, "search_regexp": "(\\d)", "replace": "n$1"}]}));
    check(&replace("a"), "/?a=1&b=2", "/?a=n1&b=2");
    check(&replace("*"), "/?a=1&b=2", "/?a=n1&b=n2");
    check(
        &query(json!({"replace": [{"key": "a", "search": "x", "replace": "y"}]})),
        "/?a=xx",
        "/?a=yy",
    );
}
