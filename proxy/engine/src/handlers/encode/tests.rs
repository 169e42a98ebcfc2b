use serde_json::{Value as Json, json};

use super::*;
use crate::error::HandlerError;
use crate::handlers::{Filter, Response};
use crate::test_util::{exchange, handlers};

#[track_caller]
fn adapts(line: &str, mut expected: Json) {
    if let Some(config) = expected.as_object_mut() {
        config.insert("handler".into(), json!("encode"));
        expected = json!([expected]);
    }
    assert_eq!(handlers(line), expected, "{line}");
}

#[test]
fn json_is_that_of_caddy() {
    let both = json!({"gzip": {}, "zstd": {}});
    adapts("encode", json!({"encodings": both, "prefer": ["zstd", "gzip"]}));
    adapts(
        "encode gzip zstd",
        json!({"encodings": both, "prefer": ["gzip", "zstd"]}),
    );
    adapts(
        "encode gzip",
        json!({"encodings": {"gzip": {}}, "prefer": ["gzip"]}),
    );
    adapts(
        "encode gzip {\nzstd best {\ndisable_checksum\n}\nminimum_length 256\nmatch status 2xx\n}",
        json!({
            "encodings": {"gzip": {}, "zstd": {"level": "best", "checksum": false}},
            "prefer": ["zstd", "gzip"],
            "minimum_length": 256,
            "match": {"status_code": [2]},
        }),
    );
    adapts(
        "encode {\ngzip 9\nzstd {\nlevel fastest\n}\n}",
        json!({"encodings": {"gzip": {"level": 9}, "zstd": {"level": "fastest"}}, "prefer": ["gzip", "zstd"]}),
    );
}

#[test]
fn mistakes_are_told() {
    for (line, expected) in [
        (
            "encode gzipp",
            "2:8: there is no encoding `gzipp`; did you mean `gzip`?",
        ),
        (
            "encode {\ngzipp\n}",
            "3:1: `encode` has no subdirective `gzipp`; did you mean `gzip`?",
        ),
        ("encode {\ngzip x\n}", "3:6: `x` is no whole number"),
        (
            "encode {\ngzip 1 2\n}",
            "3:8: `gzip` takes no further argument, but `2` follows",
        ),
        (
            "encode {\nzstd bst\n}",
            "3:6: `bst` is no level of zstd; did you mean `best`?",
        ),
        (
            "encode {\nminimum_length\n}",
            "3:1: `minimum_length` needs a length in bytes",
        ),
        (
            "encode {\nzstd best {\nlevel best\n}\n}",
            "4:1: the level of `zstd` is given already",
        ),
        (
            "encode {\nmatch status 200\nmatch status 201\n}",
            "4:1: `encode` has a response matcher already; put all conditions into one block",
        ),
    ] {
        adapts(line, json!(format!("Caddyfile:{expected}")));
    }
}

#[test]
fn what_cannot_work_is_refused() {
    #[track_caller]
    fn refused(config: Json, expected: &str) {
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(config.compile().unwrap_err().to_string(), expected);
    }
    refused(
        json!({"prefer": ["gzip"]}),
        "encode: `gzip` is preferred, but not switched on",
    );
    refused(
        json!({"encodings": {"gzip": {}}, "prefer": ["gzip", "gzip"]}),
        "encode: `gzip` is preferred twice",
    );
    refused(
        json!({"encodings": {"gzip": {"level": 10}}}),
        "encode: the level of gzip must be from -3 to 9, 10 is not",
    );
    refused(
        json!({"encodings": {"zstd": {"level": "x"}}}),
        "encode: `x` is no level of zstd",
    );
    refused(
        json!({"minimum_length": -1}),
        "encode: `minimum_length` must not be negative, as -1 is",
    );
}

/// The response's status, headers (as lines) and body as they leave the filter.
fn respond(config: &Json, request: &str, status: u16, headers: &str, body: Body) -> (HeaderMap, Body) {
    let config: Config = serde_json::from_value(config.clone()).unwrap();
    let handler = config.compile().unwrap();
    let mut exchange = exchange(request);
    handler.handle(&mut exchange);
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        exchange.response_headers.append(name, value.parse().unwrap());
    }
    let mut response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        body,
    };
    while let Some(Filter::Encode(pending)) = exchange.filters.pop() {
        pending.apply(&mut exchange, &mut response);
    }
    (exchange.response_headers, response.body)
}

fn all() -> Json {
    json!({"encodings": {"gzip": {}, "zstd": {}}})
}

/// Which encoding a response of 600 bytes gets.
#[track_caller]
fn check(request: &str, status: u16, headers: &str, expected: Option<&str>) {
    let body = Body::from("a".repeat(600));
    let request = format!("GET /\n{request}");
    let (headers, body) = respond(&all(), &request, status, headers, body);
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap());
    assert_eq!(encoding, expected, "{request} {headers:?}");
    assert_eq!(
        body.size_hint().exact() == Some(600),
        expected.is_none() || expected == Some("br")
    );
}

#[test]
fn compresses_what_is_meant() {
    check(
        "Accept-Encoding: gzip",
        200,
        "content-type: text/plain",
        Some("gzip"),
    );
    check(
        "Accept-Encoding: gzip, zstd",
        200,
        "content-type: text/plain",
        Some("zstd"),
    );
    check(
        "Accept-Encoding: gzip",
        500,
        "content-type: application/json; x",
        Some("gzip"),
    );
}

#[test]
fn leaves_all_else_alone() {
    let gzip = "Accept-Encoding: gzip";
    check("", 200, "content-type: text/plain", None);
    check("Accept-Encoding: br", 200, "content-type: text/plain", None);
    check("Accept-Encoding: gzip;q=0", 200, "content-type: text/plain", None);
    check(gzip, 200, "content-type: image/png", None);
    check(gzip, 200, "", None);
    check(
        gzip,
        200,
        "content-type: text/plain\ncontent-encoding: br",
        Some("br"),
    );
    check(
        gzip,
        200,
        "content-type: text/plain\ncache-control: max-age=1, no-transform",
        None,
    );
    check(
        "Cache-Control: no-transform\nAccept-Encoding: gzip",
        200,
        "content-type: text/plain",
        None,
    );
    check(gzip, 206, "content-type: text/plain", None);
    let small = Body::from("a".repeat(512));
    let (headers, _) = respond(
        &all(),
        "GET /\nAccept-Encoding: gzip",
        200,
        "content-type: text/plain",
        small,
    );
    assert!(!headers.contains_key(CONTENT_ENCODING));
}

#[test]
fn headers_tell_of_it() {
    let request = "HEAD /\nAccept-Encoding: gzip";
    let before =
        "content-type: text/css\ncontent-length: 600\naccept-ranges: bytes\netag: \"a\"\nvary: Cookie";
    let (headers, body) = respond(&all(), request, 200, before, Body::Empty);
    assert!(body.is_empty());
    assert!(!headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(ACCEPT_RANGES));
    assert_eq!(headers[ETAG], "\"a-gzip\"");
    let varies: Vec<_> = headers.get_all(VARY).iter().collect();
    assert_eq!(varies, ["Cookie", "Accept-Encoding"]);

    let weak = "content-type: text/css\netag: W/\"a\"\nvary: a, accept-encoding";
    let (headers, _) = respond(&all(), request, 200, weak, "a".repeat(600).into());
    assert_eq!(headers[ETAG], "W/\"a\"");
    assert_eq!(headers.get_all(VARY).iter().count(), 1);

    let (headers, _) = respond(&all(), request, 304, "etag: \"a\"", Body::Empty);
    assert_eq!(
        (&headers[VARY], &headers[ETAG]),
        (&"Accept-Encoding".parse().unwrap(), &"\"a\"".parse().unwrap())
    );
}

#[test]
fn etags_come_back_as_their_makers_know_them() {
    for (sent, expected) in [
        ("\"a-gzip\"", "\"a\""),
        ("\"a-zstd\"", "\"a-zstd\""),
        ("W/\"a-gzip\"", "W/\"a-gzip\""),
        ("\"a\"", "\"a\""),
        ("-gzip\"", "\""),
    ] {
        let config: Config = serde_json::from_value(all()).unwrap();
        let mut exchange = exchange(&format!("GET /\nAccept-Encoding: gzip\nIf-None-Match: {sent}"));
        config.compile().unwrap().handle(&mut exchange);
        assert_eq!(exchange.headers[IF_NONE_MATCH], expected);
    }
}

#[test]
fn errors_are_not_encoded_by_what_came_before() {
    let config: Config = serde_json::from_value(all()).unwrap();
    let handler = config.compile().unwrap();
    let mut exchange = exchange("GET /\nAccept-Encoding: gzip");
    let run = |exchange: &mut Exchange| {
        let mut response = Response {
            status: StatusCode::NOT_FOUND,
            body: "a".repeat(600).into(),
        };
        exchange
            .response_headers
            .insert("content-type", "text/html".parse().unwrap());
        let Some(Filter::Encode(pending)) = exchange.filters.pop() else {
            panic!("no filter");
        };
        pending.apply(exchange, &mut response);
        exchange.response_headers.contains_key(CONTENT_ENCODING)
    };
    handler.handle(&mut exchange);
    exchange.error = Some(HandlerError::new(404, ""));
    assert!(!run(&mut exchange));
    handler.handle(&mut exchange);
    assert!(run(&mut exchange));
}
