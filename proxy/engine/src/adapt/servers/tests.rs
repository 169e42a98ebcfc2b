//! Whole files. The routes are made of `handle` and `route` only, so that nothing else is tested here.

use fairway_caddyfile::{Diagnostic, Options, Origin, Source};
use serde_json::{Value, json};

use crate::adapt;

fn read(text: &str) -> (Value, Vec<String>) {
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
    let adapted = adapt(source, &Options::default());
    let mistakes = adapted.diagnostics.iter().map(Diagnostic::one_line);
    (serde_json::to_value(&adapted.config).unwrap(), mistakes.collect())
}

/// The expected servers.
#[track_caller]
fn check(text: &str, expected: &Value) {
    let (config, mistakes) = read(text);
    assert_eq!(mistakes, [""; 0], "{text}");
    assert_eq!(&config["apps"]["http"]["servers"], expected, "{text}");
}

/// The expected mistakes, each in one line without the file's name.
#[track_caller]
fn check_refused(text: &str, expected: &[&str]) {
    let (_, mistakes) = read(text);
    let mistakes: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.trim_start_matches("Caddyfile:"))
        .collect();
    assert_eq!(mistakes, expected, "{text}");
}

/// What a directive with an empty block becomes.
fn leaf() -> Value {
    json!({"handler": "subroute"})
}

fn routes(routes: &Value) -> Value {
    json!({"handler": "subroute", "routes": routes})
}

#[test]
fn a_lone_site_without_host_is_not_wrapped() {
    check(
        ":8080\nhandle",
        &json!({"srv0": {"listen": [":8080"], "routes": [{"handle": [leaf()]}]}}),
    );
    check(":8080", &json!({"srv0": {"listen": [":8080"]}}));
    let wrapped = routes(&json!([{"handle": [leaf()]}]));
    check(
        "http://a.test\nhandle",
        &json!({"srv0": {"listen": [":80"], "routes": [
            {"match": [{"host": ["a.test"]}], "handle": [wrapped], "terminal": true}
        ]}}),
    );
}

#[test]
fn bind_chooses_where_a_site_listens() {
    let site = |host: &str| json!([{"match": [{"host": [host]}], "handle": [routes(&json!([{"handle": [leaf()]}]))], "terminal": true}]);
    check(
        "{\ndefault_bind 127.0.0.9\n}\nhttp://a.test {\nbind 127.0.0.1\nbind ::1\nhandle\n}\nhttp://b.test {\nhandle\n}",
        &json!({
            "srv0": {"listen": ["127.0.0.1:80", "[::1]:80"], "routes": site("a.test")},
            "srv1": {"listen": ["127.0.0.9:80"], "routes": site("b.test")},
        }),
    );
    check_refused("http://a.test\nbind", &["2:1: `bind` needs an address"]);
    check_refused(
        "http://a.test\nbind ::1 {\nprotocol h1\n}",
        &["3:1: `bind` has no subdirective `protocol`; did you mean `protocols`?"],
    );
    check_refused(
        "http://a.test\nbind ::1 {\nprotocols\n}",
        &["3:1: `protocols` needs protocols"],
    );
}

#[test]
fn bind_says_what_is_spoken_on_an_address() {
    check(
        ":80 {\nbind 127.0.0.1 {\nprotocols h1\n}\nbind ::1\nhandle\n}",
        &json!({"srv0": {
            "listen": ["127.0.0.1:80", "[::1]:80"], "listen_protocols": [["h1"], null],
            "routes": [{"handle": [leaf()]}]
        }}),
    );
    // The last one wins, and there is an empty server for the second protocol.
    check(
        ":80 {\nbind ::1 {\nprotocols h1\n}\nbind ::1 {\nprotocols h2 h2c\n}\n}\n:81 {\n}",
        &json!({
            "srv0": {"listen": [":81"]},
            "srv1": {"listen": ["[::1]:80"], "listen_protocols": [["h2", "h2c"]]},
            "srv2": {},
        }),
    );
    check(
        "{\ndefault_bind {\nprotocols h1\n}\n}\n:80 {\n}",
        &json!({"srv0": {"listen": [":80"], "listen_protocols": [["h1"]]}}),
    );
    check(
        ":80 {\nbind fd/3 unix//run/a\n}",
        &json!({"srv0": {"listen": ["fd/3", "unix//run/a"]}}),
    );
}

#[test]
fn a_server_has_a_name_of_its_own() {
    check_refused(
        "{\nservers :443 {\nname srv1\n}\n}\na.test {\n}\nhttp://b.test {\n}",
        &[
            "8:1: the server of this site would be named `srv1`, as another one is; choose another `name` in the `servers` options",
        ],
    );
}

#[test]
fn addresses_choose_listeners() {
    let route = |host: &str| json!({"match": [{"host": [host]}], "terminal": true});
    check(
        "a.test, http://a.test, b.test:8443 {\n}",
        &json!({
            "srv0": {"listen": [":443"], "routes": [route("a.test")]},
            "srv1": {"listen": [":80"], "routes": [route("a.test")]},
            "srv2": {"listen": [":8443"], "routes": [route("b.test")]},
        }),
    );
    check(
        "http://a.test, http://b.test:9090 {\n}",
        &json!({
            "srv0": {"listen": [":80"], "routes": [route("a.test")]},
            "srv1": {"listen": [":9090"], "routes": [route("b.test")], "automatic_https": {"skip": ["b.test"]}},
        }),
    );
}

#[test]
fn paths_of_addresses_are_sets_of_matchers() {
    let matches = json!([{"host": ["a.test", "c.test"], "path": ["/x*"]}, {"host": ["b.test"]}]);
    check(
        "http://a.test/x*, http://b.test, http://c.test/x* {\n}",
        &json!({"srv0": {"listen": [":80"], "routes": [{"match": matches, "terminal": true}]}}),
    );
    check(
        "http://a.test, :80 {\nhandle\n}",
        &json!({"srv0": {"listen": [":80"], "routes": [{"handle": [leaf()]}]}}),
    );
}

#[test]
fn the_most_specific_site_is_asked_first() {
    let sites = ":80 {\nhandle\n}\n*.long.test:80 {\n}\na.test:80 {\n}\nab.test:80 {\n}\na.test:80/x {\n}";
    let with_path = json!({"match": [{"host": ["a.test"], "path": ["/x"]}], "terminal": true});
    let route = |host: &str| json!({"match": [{"host": [host]}], "terminal": true});
    let last = json!({"handle": [routes(&json!([{"handle": [leaf()]}]))], "terminal": true});
    check(
        sites,
        &json!({"srv0": {"listen": [":80"], "routes": [
            route("ab.test"), with_path, route("a.test"), route("*.long.test"), last
        ]}}),
    );
}

/// Every block takes a number for rewrites, whether it has any or not.
#[test]
fn handles_exclude_each_other() {
    let grouped = |path: &str, group: &str, handler: Value| json!({"group": group, "match": [{"path": [path]}], "handle": [handler]});
    let inner = routes(&json!([
        grouped("/ab", "group2", leaf()),
        grouped("/a", "group2", leaf())
    ]));
    check(
        ":80 {\nhandle /a* {\nhandle /a\nhandle /ab\n}\nhandle /x*\n}",
        &json!({"srv0": {"listen": [":80"], "routes": [
            grouped("/a*", "group5", inner), grouped("/x*", "group5", leaf()),
        ]}}),
    );
}

#[test]
fn a_route_keeps_its_order() {
    let path = |path: &str| json!({"match": [{"path": [path]}], "handle": [leaf()]});
    let inner = routes(&json!([path("/a"), path("/abc"), {"handle": [leaf(), leaf()]}, path("/d")]));
    check(
        ":80 {\nroute {\nroute /a\nroute /abc\nroute\nhandle\nroute /d\n}\n}",
        &json!({"srv0": {"listen": [":80"], "routes": [{"handle": [inner]}]}}),
    );
}

#[test]
fn named_matchers_are_seen_from_within() {
    let inner = routes(&json!([{"match": [{"method": ["GET"]}], "handle": [leaf()]}]));
    check(
        ":80 {\nroute @get {\nroute @get\n}\n@get method GET\nroute /x\n}",
        &json!({"srv0": {"listen": [":80"], "routes": [
            {"match": [{"method": ["GET"]}], "handle": [inner]},
            {"match": [{"path": ["/x"]}], "handle": [leaf()]},
        ]}}),
    );
}

#[test]
fn errors_have_routes_of_their_own() {
    let all = json!({"handle": [routes(&json!([{"handle": [leaf()]}]))]});
    check(
        ":80 {\nhandle_errors {\nroute\n}\n}",
        &json!({"srv0": {"listen": [":80"], "errors": {"routes": [all]}}}),
    );
    let host = json!([{"host": ["a.test"]}]);
    check(
        "http://a.test {\nhandle_errors {\nroute\n}\n}",
        &json!({"srv0": {
            "listen": [":80"],
            "routes": [{"match": host, "terminal": true}],
            "errors": {"routes": [{"match": host, "handle": [routes(&json!([all]))], "terminal": true}]},
        }}),
    );
}

#[test]
fn named_routes_go_where_they_are_reached() {
    let invoke = |name: &str| json!({"handle": [{"handler": "invoke", "name": name}]});
    let definitions =
        "&(a) {\ninvoke b\n}\n&(b) {\nroute\nhandle\n}\n&(c) {\nroute /x\nroute\n}\n&(d) {\n}\n";
    check(
        &format!("{definitions}:80 {{\ninvoke a\n}}\n:81 {{\nhandle {{\ninvoke c\n}}\n}}\n:82 {{\n}}\n"),
        &json!({
            "srv0": {"listen": [":80"], "routes": [invoke("a")], "named_routes": {
                "a": invoke("b"),
                "b": {"handle": [leaf(), leaf()]},
            }},
            "srv1": {"listen": [":81"], "routes": [{"handle": [routes(&json!([invoke("c")]))]}], "named_routes": {
                "c": {"handle": [routes(&json!([
                    {"match": [{"path": ["/x"]}], "handle": [leaf()]}, {"handle": [leaf()]}
                ]))]},
            }},
            "srv2": {"listen": [":82"]},
        }),
    );
}

#[test]
fn addresses_must_go_together() {
    check_refused(
        "a.test {\n}\na.test {\n}",
        &[
            "3:1: ambiguous site definition: two sites have the address `a.test`; put all directives of an address into one site",
        ],
    );
    check_refused(
        "http://a.test:443 {\n}",
        &["1:1: port 443 is not for http://; write `https://`, or leave the scheme or the port out"],
    );
    check_refused(
        "https://a.test:8080, http://b.test:8080 {\n}",
        &["1:22: `http://b.test:8080` is HTTP, but `:8080` serves HTTPS"],
    );
    check_refused(
        "ftp://a.test {\n}",
        &["1:1: the scheme ftp:// is not supported; write `http://` or `https://`, or leave it out"],
    );
}

#[test]
fn directives_stand_where_they_belong() {
    check_refused(
        "handle {\n}",
        &[
            "1:1: `handle` is a directive, but stands where an address belongs; put it into a site: `example.com { … }`",
        ],
    );
    check_refused(
        ":80 {\nhandle {\nhandle_errors {\n}\n}\n}",
        &["3:1: `handle_errors` belongs directly into a site, not into a block of it"],
    );
    check_refused(
        ":80 {\nhandel {\n}\n}",
        &["2:1: there is no directive `handel`; did you mean `handle`?"],
    );
    check_refused(
        ":80 {\nhandle a\nroute /x b\n}",
        &[
            "2:8: `handle` takes no further argument, but `a` follows",
            "3:10: `route` takes no further argument, but `b` follows",
        ],
    );
}

#[test]
fn a_second_site_needs_braces() {
    let source = Source::new(
        Origin::operator("Caddyfile"),
        "Caddyfile",
        "a.test\nhandle\nb.test {\n}\n",
    );
    let mistakes = adapt(source, &Options::default()).diagnostics;
    let [mistake] = &*mistakes else {
        panic!("{mistakes:?}")
    };
    assert_eq!(mistake.message, "there is no directive `b.test`");
    assert_eq!(mistake.notes.len(), 1);
}

#[test]
fn invoke_knows_its_routes() {
    check_refused(
        "&(api) {\n}\n:80 {\ninvoke apy\n}",
        &["4:8: there is no named route `apy`; did you mean `api`?"],
    );
    check_refused(":80 {\ninvoke\n}", &["2:1: `invoke` needs the name of a route"]);
    check_refused(
        "&(a) {\nhandle {\ninvoke b\n}\n}\n&(b) {\ninvoke a\n}\n&(c) {\ninvoke a\n}\n:80 {\ninvoke c\n}",
        &[
            "1:1: the named route `a` invokes itself, perhaps through others",
            "6:1: the named route `b` invokes itself, perhaps through others",
        ],
    );
    check(
        "&(a) {\ninvoke a\n}\n:80 {\n}",
        &json!({"srv0": {"listen": [":80"]}}),
    );
}

#[test]
fn many_sites_are_no_burden() {
    let site = |number: usize| format!("s{number}.test {{\n@m path /x\nhandle @m\nhandle\n}}\n");
    let text: String = (0..2_000).map(site).collect();
    let (config, mistakes) = read(&text);
    assert_eq!(mistakes, [""; 0]);
    let routes = &config["apps"]["http"]["servers"]["srv0"]["routes"];
    assert_eq!(routes.as_array().map(Vec::len), Some(2_000));
}
