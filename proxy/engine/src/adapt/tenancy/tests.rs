mod bounds;
mod placeholders;
mod snippets;

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Library, Limits, Options, Origin, Snippet, Snippets, Source, Tier};

use super::list::{DIRECTIVES, MATCHERS};
use crate::adapt::object::adapt_object;
use crate::cluster::{Cluster, Notice, ServiceName, ServicePort};
use crate::{directives, matchers};

/// A cluster that has every Service and every named route.
struct Everything;

impl Cluster for Everything {
    fn service(
        &self,
        name: &ServiceName<'_>,
        from: &Origin,
    ) -> Result<(ServicePort, Option<Notice>), Notice> {
        let namespace = name.namespace.or(from.namespace.as_deref());
        let port = ServicePort {
            namespace: namespace.unwrap_or_default().into(),
            name: name.name.into(),
            port: name.port.unwrap_or("80").into(),
        };
        Ok((port, None))
    }

    fn named_route(&self, name: &str, _: &Origin) -> Result<String, Notice> {
        Ok(format!("shop/{name}"))
    }
}

/// The operator's snippets.
struct Shared(Snippets);

impl Library for Shared {
    fn snippet(&self, name: &str, _: &Origin) -> Option<Arc<Snippet>> {
        self.0.get(name).cloned()
    }
}

const SNIPPETS: &str = r"
(files) {
    root /srv/www
    file_server
}
(files_of) {
    root /srv/{args[0]}
    file_server
}
(around) {
    handle {
        header X-From {env.NAME}
        {block}
    }
}
(proxy) {
    reverse_proxy {args[0]} {
        header_up {args[1]} {env.TOKEN}
        transport http {
            tls_insecure_skip_verify
            {block}
        }
    }
}
(secured) {
    tls {
        key_type p256
        {block}
    }
}
(value) {
    header X-Value {args[0]}
}
(match) {
    @x expression `{args[0]} == 'x'`
    respond @x 1
}
";

fn operator() -> Arc<Origin> {
    Arc::new(Origin {
        tier: Tier::Operator,
        ..(*Origin::tenant("CaddyRoute fairway/operator", "fairway")).clone()
    })
}

fn tenant() -> Arc<Origin> {
    Origin::tenant("CaddyRoute shop/shop", "shop")
}

/// All mistakes of the lines of a site, in the form `code line:column`; the first line is 1.
fn judged(origin: Arc<Origin>, lines: &str) -> Vec<String> {
    let snippets = Source::new(operator(), "snippets", SNIPPETS);
    let snippets = fairway_caddyfile::parse(snippets, &Options::default());
    assert!(snippets.diagnostics.is_empty(), "{:?}", snippets.diagnostics);
    let options = Options {
        limits: Limits::object(),
        library: &Shared(snippets.file.snippets),
        ..Options::default()
    };
    let source = Source::new(origin, "spec.caddyfile", format!("a.test {{\n{lines}\n}}\n"));
    let object = adapt_object(source, &options, Rc::new(Everything));
    let mistakes = object.diagnostics.iter().filter(|found| found.is_error());
    let told = mistakes.map(|found| {
        let place = &found.span;
        let code = found.code;
        if code == "operator-only" {
            let what = "is for the operator of the cluster only";
            assert!(found.message.ends_with(what), "{lines}: {}", found.message);
            assert!(found.help.is_some(), "{lines}: {}", found.message);
        }
        format!("{code} {}:{}", place.line() - 1, place.column())
    });
    told.collect()
}

/// A tenant is refused at these places; the operator is not.
#[track_caller]
fn check_refused(lines: &str, places: &[&str]) {
    let expected: Vec<String> = places
        .iter()
        .map(|place| format!("operator-only {place}"))
        .collect();
    assert_eq!(judged(tenant(), lines), expected, "{lines}");
    let told = judged(operator(), lines);
    assert!(
        !told.iter().any(|told| told.starts_with("operator-only")),
        "{lines}: {told:?}"
    );
}

/// Nobody is refused.
#[track_caller]
fn check_allowed(lines: &str) {
    assert_eq!(judged(tenant(), lines), [""; 0], "{lines}");
    assert_eq!(judged(operator(), lines), [""; 0], "{lines}");
}

#[test]
fn every_directive_and_matcher_is_on_the_list() {
    let names = directives::DIRECTIVES.iter().map(|directive| directive.name);
    for name in names {
        assert!(
            DIRECTIVES.iter().any(|word| word.word == name),
            "`{name}` is not on the list"
        );
    }
    for entry in matchers::MATCHERS {
        let name = entry.name;
        assert!(
            MATCHERS.iter().any(|word| word.word == name),
            "`{name}` is not on the list"
        );
    }
    for list in [DIRECTIVES, MATCHERS] {
        assert!(list.is_sorted_by(|one, next| one.word < next.word));
    }
}

#[test]
fn directives_of_the_operator() {
    for line in [
        "root /srv",
        "root * /srv",
        "file_server",
        "file_server browse",
        "try_files {path} /index.html",
        "fs disk",
        "templates",
        "php_fastcgi api:9000",
        "metrics /metrics",
        "tracing {\nspan x\n}",
        "acme_server",
        "bind 127.0.0.1",
        "push /app.css",
        "log_name other",
        "timeouts {\nread_timeout 1s\n}",
    ] {
        check_refused(line, &["1:1"]);
    }
    check_refused("handle /a {\nroute {\n  root /srv\n}\n}", &["3:3"]);
    check_refused(
        "handle_errors {\nfile_server\nrespond 1\n}\ntemplates",
        &["2:1", "5:1"],
    );
}

#[test]
fn lines_of_proxies() {
    for line in [
        "dynamic a 10.0.0.1 80",
        "health_upstream 10.0.0.1:80",
        "trusted_proxies private_ranges",
        "transport http {\nlocal_address 10.0.0.1\n}",
        "transport http {\nforward_proxy_url http://x\n}",
        "transport http {\nnetwork_proxy none\n}",
        "transport http {\ntls_client_auth /a.pem /a.key\n}",
        "transport http {\ntls_trusted_ca_certs /a.pem\n}",
        "transport http {\ntls_insecure_skip_verify\n}",
        "transport http {\nresolvers 1.1.1.1\n}",
        "transport http {\nproxy_protocol v2\n}",
    ] {
        let place = if line.contains('\n') { "3:1" } else { "2:1" };
        check_refused(&format!("reverse_proxy api {{\n{line}\n}}"), &[place]);
    }
    check_refused("reverse_proxy api {\ntransport fastcgi\n}", &["2:11"]);
    check_refused(
        "reverse_proxy api {\ntransport http {\ntls_trust_pool file /a.pem\n}\n}",
        &["3:16"],
    );
    check_refused(
        "reverse_proxy api {\ntransport http {\ntls_trust_pool combined {\nsource system\n}\n}\n}",
        &["4:8"],
    );
    check_refused(
        "reverse_proxy api {\nhandle_response {\nroot /srv\n}\n}",
        &["3:1"],
    );
    check_refused("reverse_proxy api {\nlb_retry_match {\nfile /x\n}\n}", &["3:1"]);
    check_refused(
        "reverse_proxy api {\ndynamic a x 1\ntrusted_proxies 10.0.0.0/8\n}",
        &["2:1", "3:1"],
    );
    check_refused("reverse_proxy 10.0.0.1:80", &["1:15"]);
    check_refused("reverse_proxy localhost:1", &["1:15"]);
}

#[test]
fn headers_that_frame_messages() {
    for field in [
        "Connection",
        "-Connection",
        "+transfer-encoding",
        ">Content-Length",
        "?Keep-Alive",
        "TE",
        "Trailer:",
        "Upgrade",
        "-Transfer*",
        "-*",
        "-*-length",
        "-*fer-enc*",
        "{http.request.header.x}",
    ] {
        check_refused(&format!("header {field} x"), &["1:8"]);
    }
    check_refused("header @a {\nX-A 1\nConnection close\n}\n@a path /x", &["3:1"]);
    check_refused("header /x Connection close", &["1:11"]);
    check_refused("request_header Host x", &["1:16"]);
    check_refused("request_header * Content-Length 5", &["1:18"]);
    check_refused("reverse_proxy api {\nheader_up Transfer-Encoding x\n}", &["2:11"]);
    check_refused("reverse_proxy api {\nheader_down -Content-Length\n}", &["2:13"]);
    check_refused(
        "reverse_proxy api {\nhealth_headers {\nConnection x\n}\n}",
        &["3:1"],
    );
}

#[test]
fn certificates_and_logs() {
    for line in [
        "tls {\nload /etc\n}",
        "tls {\nissuer internal\n}",
        "tls {\nca https://x\n}",
        "tls {\nca_root /x\n}",
        "tls {\ndns\n}",
        "tls {\neab a b\n}",
        "tls {\non_demand\n}",
        "tls {\nkey_type p256\n}",
        "tls {\ninsecure_secrets_log /f\n}",
        "tls {\nget_certificate http http://x\n}",
        "log {\noutput stdout\n}",
        "log {\nhostnames b.test\n}",
    ] {
        check_refused(line, &["2:1"]);
    }
    check_refused("tls a@b.c", &["1:5"]);
    check_refused("tls force_automate", &["1:5"]);
    check_refused("tls /a.pem /a.key", &["1:5"]);
    check_refused("tls {\nclient_auth {\ntrust_pool file /f\n}\n}", &["3:12"]);
    check_refused("tls {\nclient_auth {\ntrusted_ca_cert_file /f\n}\n}", &["3:1"]);
    check_refused("tls {\nclient_auth {\nverifier leaf file /f\n}\n}", &["3:15"]);
    check_refused(
        "tls {\nclient_auth {\nverifier leaf {\nfolder /f\n}\n}\n}",
        &["4:1"],
    );
}

#[test]
fn matchers_of_the_operator() {
    check_refused("@a file /x", &["1:4"]);
    check_refused("@a {\nnot file /x\n}", &["2:5"]);
    check_refused("@a {\nnot {\nfile /x\n}\n}", &["3:1"]);
    check_refused("@a expression file('/x')", &["1:4"]);
}

#[test]
fn variables_of_the_operator() {
    check_refused("vars root /", &["1:6"]);
    check_refused("vars /x fs y", &["1:9"]);
    check_refused("vars {\na 1\nroot /\n}", &["3:1"]);
    check_refused("vars {http.request.header.x} /", &["1:6"]);
}

#[test]
fn tenants_route_and_answer() {
    for lines in [
        "respond 1",
        "respond <<HTML\n<p>{host}\nHTML",
        "respond \"{\\\"a\\\": {\\\"b\\\": 1}}\"",
        "respond `a { color: red; }`",
        "respond \"\\{env.HOME\\}\"",
        "respond /x 404",
        "error /x 403",
        "abort /x",
        "redir https://{host}{uri} 308",
        "rewrite /x{uri}",
        "uri strip_prefix /a",
        "uri path_regexp a{2,3} b",
        "method POST",
        "handle /a/* {\nrespond {path}\n}\nhandle {\nabort\n}",
        "handle_path /a/* {\nrespond 1\n}",
        "route {\nrespond 1\n}",
        "handle_errors 4xx {\nrespond {err.status_code}\n}",
        "invoke api",
        "encode zstd gzip",
        "encode {\ngzip 5\nminimum_length 10\nmatch {\nstatus 2xx\n}\n}",
        "map {host} {a} {\nx 1\n~^(.)y ${1}\ndefault {path}\n}\nrespond {a}",
        "vars a {query.x}",
        "vars {\na 1\nb {time.now.unix}\n}",
        "log_skip /x",
        "basic_auth {\nbob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}",
    ] {
        check_allowed(lines);
    }
}

#[test]
fn tenants_change_headers() {
    for lines in [
        "header X-A {http.request.uuid}",
        "header {\n+A b\n-Server\n>C d\n?E f\ndefer\n}",
        "header -X-*",
        "header Strict-Transport-Security max-age=1",
        "request_header X-Client {client_ip}",
        "request_header -Cookie",
        "header @a X {re.a.1}\n@a path_regexp a ^/(.)",
    ] {
        check_allowed(lines);
    }
}

#[test]
fn tenants_name_services() {
    for lines in [
        "reverse_proxy api",
        "reverse_proxy https://api {\ntransport http {\ntls_server_name x.test\nversions 2\ndial_timeout 1s\n}\n}",
        "reverse_proxy api {\nheader_up Host {upstream_hostport}\nheader_up X-A {tls_client_subject}\nheader_down -Server\n}",
        "reverse_proxy api {\nlb_policy least_conn\nlb_retries 2\nlb_retry_match {\nmethod GET\n}\n}",
        "reverse_proxy api {\nhealth_uri /h\nhealth_port 9\nhealth_headers {\nHost x\n}\n}",
        "reverse_proxy api {\nmax_fails 3\nfail_duration 1s\nflush_interval -1\n}",
        "reverse_proxy api {\n@e status 5xx\nhandle_response @e {\nrespond {rp.status_code}\n}\nreplace_status 404\n}",
        "reverse_proxy https://api {\ntransport http {\ntls_trust_pool inline {\ntrust_der AAAA\n}\n}\n}",
        "reverse_proxy https://api {\ntransport http {\ntls_trust_pool combined {\nsource inline {\ntrust_der AAAA\n}\n}\n}\n}",
    ] {
        check_allowed(lines);
    }
}

#[test]
fn tenants_speak_tls() {
    for lines in [
        "tls internal",
        "tls {\nprotocols tls1.3\nalpn h2\ncurves x25519\n}",
        "tls internal {\nciphers TLS_AES_128_GCM_SHA256\n}",
        "tls {\nclient_auth {\nmode require\ntrust_pool inline {\ntrust_der A\n}\n}\n}",
        "tls {\nclient_auth {\ntrusted_ca_cert A\n}\n}",
        "tls {\nclient_auth {\nverifier leaf pem A\n}\n}",
    ] {
        check_allowed(lines);
    }
}

#[test]
fn tenants_match() {
    for lines in [
        "@a path /x /{host}/*",
        "@a path_regexp n ^/a{2,3}/(\\d+)",
        "@a {\nmethod GET\nnot path /x\n}",
        "@a header X-A b*",
        "@a vars {http.vars.x} y",
        "@a vars_regexp {host} ^a{1}",
        "@a `{path}.startsWith('/x') && {http.request.method} == 'GET'`",
        "@a expression `query({'a': ['1', '2']}) || header_regexp('X', 'a{2}')`",
        "@a client_ip private_ranges\nrespond @a 1",
        "@a protocol https",
    ] {
        check_allowed(lines);
    }
}

#[test]
fn what_the_parser_knows_better_is_left_to_it() {
    for (lines, expected) in [
        ("respnd {env.X}", "unknown-directive 1:1"),
        (
            "reverse_proxy api {\nlb_polcy first\n}",
            "unknown-subdirective 2:1",
        ),
        ("tls {\nprotocol tls1.3\n}", "unknown-subdirective 2:1"),
        ("@a pth /x", "unknown-matcher-kind 1:4"),
        ("reverse_proxy api {\ntransport htp\n}", "invalid-value 2:11"),
    ] {
        assert_eq!(judged(tenant(), lines), [expected], "{lines}");
    }
}
