use crate::error::HandlerError;
use crate::matchers::testing::{ask, check, check_json, check_not_compiled, check_refused, exchange};
use crate::matchers::{Set, match_all};
use crate::template::Value;

#[test]
fn one_word_is_the_expression_several_are_joined() {
    check_json(
        "expression `{http.a} == 1`",
        r#"{"expression": {"expr": "{http.a} == 1", "name": "m"}}"#,
    );
    check_json(
        r#"expression {http.a} == "b c""#,
        r#"{"expression": "{http.a} == \"b c\""}"#,
    );
    check_json(
        "expression {http.a} == `b`",
        r#"{"expression": "{http.a} == `b`"}"#,
    );
    check_json("not expression `true`", r#"{"not": [{"expression": "true"}]}"#);
    check_refused("expression", "`expression` needs an expression");
    check_refused("expression true {\n}", "`expression` takes no block");
    check_refused(
        "expression true\nexpression false",
        "`expression` stands once in a matcher",
    );
}

/// An expression without backticks, a request, the answer.
#[track_caller]
fn check_cel(expression: &str, request: &str, expected: bool) {
    check(&format!("expression `{expression}`"), request, expected);
}

#[test]
fn placeholders_are_values() {
    let request = "PUT /a/b?n=7\nX-N: 3\nHost: a.test";
    for (expression, expected) in [
        (r#"{http.request.method} == "PUT""#, true),
        (r#"{http.request.method} == "GET""#, false),
        (r#"{http.request.uri.path}.startsWith("/a")"#, true),
        (r#"{http.request.uri.path}.split("/")[1] == "a""#, true),
        ("size({http.request.uri.path}) > 10", false),
        ("int({http.request.uri.query.n}) >= 5", true),
        (r#"{http.request.header.X-N} in ["1", "3"]"#, true),
        (r#"{http.request.header.Missing} == """#, true),
        ("{http.regexp.unknown.1} == null", true),
        ("{http.vars.unknown} == null", true),
        (r#"{http.request.host} + "x" == "a.testx""#, true),
        (
            r#"({http.request.method} == "PUT" ? {http.request.host} : "no") == "a.test""#,
            true,
        ),
        (
            r#""A".lowerAscii() == "a" && {http.request.host}.endsWith(".test")"#,
            true,
        ),
        (r#"["/e1", "/a/b"].exists(p, p == {http.request.uri.path})"#, true),
        (r#"["/e1", "/a/b"].all(p, p == {http.request.uri.path})"#, false),
        (r#"{http.request.uri.path}.matches("^/[a-z]/\\w$")"#, true),
        (r#"matches({http.request.uri.path}, "x")"#, false),
        ("math.greatest(1, int({http.request.header.X-N})) == 3", true),
        ("{'a': 1}.a == 1 // {comment}", true),
        (r#"has({"a": 1}.b) || {http.request.host} != "b""#, true),
        (r#"'{http.request.host}' == "a.test""#, false),
    ] {
        check_cel(expression, request, expected);
    }
}

#[test]
fn values_have_types() {
    #[track_caller]
    fn check(expression: &str, expected: bool) {
        let mut exchange = exchange("GET /");
        exchange.error = Some(HandlerError::new(404, "gone"));
        exchange.vars.set("number", Value::Integer(5));
        exchange.vars.set("truth", Value::Bool(true));
        exchange
            .vars
            .set("list", Value::List(["a".into(), "b".into()].into()));
        let found = ask(&format!("expression `{expression}`"), &mut exchange);
        assert_eq!(found, Ok(expected), "{expression}");
    }
    check("{http.error.status_code} in [404, 410]", true);
    check("{http.error.status_code} in [500]", false);
    check(
        "{http.error.status_code} >= 400 && {http.error.status_code} <= 499",
        true,
    );
    check(
        "{http.error.status_code} >= 500 && {http.error.status_code} <= 599",
        false,
    );
    check(
        "{http.error.status_code} >= 300 && {http.error.status_code} <= 399 || {http.error.status_code} in [404]",
        true,
    );
    check(r#"{http.error.status_code} == "404""#, false);
    check("{http.vars.number} + 1 == 6", true);
    check("{http.vars.truth} || false", true);
    check("!{http.vars.truth}", false);
    check(r#""b" in {http.vars.list}"#, true);
    check("{http.request.duration_ms} < 1e9", true);
}

#[test]
fn matchers_are_functions() {
    let request = "GET /p/x?k=b\nX-A: 1\nX-B: bz\nHost: h.test";
    for (expression, expected) in [
        (r#"path("/q*", "/p*") && method("GET")"#, true),
        (r#"path("/p*") && method("POST")"#, false),
        (r#"host("*.test")"#, true),
        ("host({http.request.host})", true),
        (r#"path("/" + {http.request.uri.path.0} + "/*")"#, true),
        (r#"header({"X-A": "1"})"#, true),
        (r#"header({"X-A": ["2", "3"]})"#, false),
        (r#"header({"X-A": "*", "X-B": "c*"})"#, false),
        (r#"query({"k": ["a", "b"]})"#, true),
        (r#"vars({"{http.request.host}": "h.test"})"#, true),
        (r#"vars({"a": "b"})"#, false),
        (r"vars({'\{http.request.uri.path}': '/p/x'})", true),
        (r"header({'Host': '\{http.request.host}'})", true),
        (r"header({'X-C': '\\\{http.request.host}'})", false),
        (
            r#"query({"k": ["0", "1", {http.request.uri.query.k} + "1"]})"#,
            false,
        ),
        (r#"query({"k": {http.request.uri.query.k}})"#, true),
        ("path_regexp('')", true),
        (r#"protocol("HTTP")"#, true),
        (r#"remote_ip("192.0.2.0/24")"#, true),
        (r#"client_ip("10.0.0.0/8")"#, false),
        (r#"[1, 2].exists(n, path("/p*") && n == 2)"#, true),
        (r#"path("/p*") == true"#, true),
        (r#"!path("/p*") || !method("GET")"#, false),
        ("path_regexp('^/(p)/') && {http.regexp.m.1} == 'p'", true),
        (
            "path_regexp('n', '^/(p)/') && {http.regexp.n.1} == 'p' && {http.regexp.m.1} == null",
            true,
        ),
        ("header_regexp('X-B', '^b(.)$') && {http.regexp.m.1} == 'z'", true),
        (
            "header_regexp('hr', 'X-B', '^b(.)$') && {http.regexp.hr.1} == 'z'",
            true,
        ),
    ] {
        check_cel(expression, request, expected);
    }
}

#[test]
fn matcher_that_does_not_count_is_not_asked() {
    let mut exchange = exchange("GET /p");
    assert_eq!(
        ask("expression `true || path_regexp('p')`", &mut exchange),
        Ok(true)
    );
    assert!(exchange.values.get("http.regexp.m.0").is_none());
}

#[test]
fn failure_is_status_500() {
    #[track_caller]
    fn check(expression: &str, expected: Option<bool>) {
        let found = ask(&format!("expression `{expression}`"), &mut exchange("GET /"));
        let found = found.map_err(|error| error.status);
        assert_eq!(found, expected.ok_or(500), "{expression}");
    }
    check("int({http.request.uri.query.n}) >= 5", None);
    check("{http.request.host} > 5", None);
    check("true ? {http.request.host} : {http.request.host}", None);
    check("{http.request.host} || false", None);
    check("{http.request.host} || true", Some(true));
    check("int({http.request.host}) == 1 && false", Some(false));
    check("int({http.request.host}) == 1 && true", None);
    check("{http.request.uri.path}.split('/')[7] == ''", None);
}

#[test]
fn refuses() {
    for (expression, reason) in [
        ("{http.request.host} ==", "expression: "),
        ("{http.request.host} == 'a", "expression: "),
        ("(true", "expression: "),
        ("", "expression: "),
        (
            "{http.request.host}",
            "a placeholder alone is neither true nor false",
        ),
        ("1 + 1", "it gives something else than true or false"),
        ("'a'", "it gives something else than true or false"),
        (
            "size({http.request.host})",
            "it gives something else than true or false",
        ),
        ("true && [1]", "it gives something else than true or false"),
        ("1 + 'a' == 2", "expression: "),
        ("unknown == 1", "there is no variable `unknown`"),
        ("unknown(1) == 1", "there is no function `unknown`"),
        (
            "{http.request.host}.unknown() == 1",
            "there is no function `unknown`",
        ),
        ("path()", "`path` takes strings and placeholders, at least one"),
        ("path(1)", "`path` takes strings and placeholders, at least one"),
        (
            "method({http.request.method})",
            "`method` takes strings, at least one",
        ),
        ("path_regexp('a', 'b', 'c')", "`path_regexp` takes 1 or 2 strings"),
        ("path_regexp('(')", "this group is not closed"),
        ("header_regexp('a')", "`header_regexp` takes 2 or 3 strings"),
        (r"header({'Field': '\\{foobar}'})", "expression: "),
        ("query({1: '1'})", "`query` takes one map of strings"),
        ("query(Message{field: '1'})", "`query` takes one map of strings"),
        ("vars('foo', 'bar')", "`vars` takes one map of strings"),
        ("protocol(true)", "`protocol` takes strings, at least one"),
        ("header('a')", "`header` takes one map of strings"),
        ("header({'a': 1})", "`header` takes one map of strings"),
        ("protocol('a', 'b')", "`protocol` takes one string"),
        ("remote_ip('forwarded')", "is neither an IP address nor a range"),
        ("host('a', 'a')", "`a` stands twice"),
        ("'a'.matches('(')", "this group is not closed"),
        ("'a'.matches({http.request.host})", "must be a literal"),
        (
            "'a'.replace('a', 'b') == 'b'",
            "the function `replace` is not offered here",
        ),
        (
            "[1].exists(x, [1].exists(y, x == y))",
            "may not stand within or after another",
        ),
        (
            "[1].map(x, x).exists(y, y == 1)",
            "may not stand within or after another",
        ),
        ("a.b{c: 1} == 1", "there is no type `a.b`"),
    ] {
        check_not_compiled(&format!("expression `{expression}`"), reason);
    }
}

#[test]
fn largest_expressions_neither_overflow_nor_panic() {
    let placeholder = "{http.request.host}";
    let chains = [
        format!("size({placeholder}){} > 0", " + 1".repeat(190)),
        format!("{placeholder} == 'a'{}", " == true".repeat(190)),
        format!("{placeholder} == 'a'{}", " || true".repeat(190)),
        format!("{placeholder} == 'a'{}", " && true".repeat(190)),
        format!("{}({placeholder} == 'a')", "!".repeat(190)),
        format!("{}size({placeholder}) == 1", "-".repeat(190)),
        format!("{placeholder}{} == 'a'", "[0]".repeat(190)),
        format!("{placeholder}{} == 'a'", ".x".repeat(190)),
        format!("{placeholder}{} == 'a'", ".trim()".repeat(190)),
        format!("{}{placeholder} == 'a'{}", "(".repeat(32), ")".repeat(32)),
        format!("{}{placeholder}{} == 'a'", "[".repeat(32), "]".repeat(32)),
        format!("{}{placeholder} == 'a'{}", "dyn(".repeat(32), ")".repeat(32)),
        format!("{}{placeholder} == 'a'", "true ? true : ".repeat(90)),
        format!("{}{placeholder}{} == 1", "{'a': ".repeat(30), "}".repeat(30)),
        format!("{placeholder} in [{}'b']", "'a', ".repeat(500)),
    ];
    for chain in chains {
        let set: Set = serde_json::from_value(serde_json::json!({ "expression": chain })).unwrap();
        let matchers = set.compile().unwrap_or_else(|error| panic!("{error}"));
        let _ = match_all(&matchers, &mut exchange("GET /"));
    }
}
