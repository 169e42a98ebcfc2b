//! Broken objects, one of each kind, and what is said about them.
//!
//! Those of the namespace `mallory` are strangers to the good ones; those named `zz-…` live beside them. All are
//! younger than these.

use serde_json::{Value, json};

use crate::objects::{backend, changed, documents, ingress, path, route, rule, secret, service};

/// A broken object, in a file of its own.
pub(crate) struct Broken {
    pub(crate) name: &'static str,
    pub(crate) text: Vec<u8>,
    pub(crate) told: Told,
}

/// What is said about it.
pub(crate) enum Told {
    /// Kind, object, and the verdict in short.
    Verdict(&'static str, String, &'static str),
    /// A part of the log, where nobody can tell which object is meant.
    Log(&'static str),
    /// It concerns nobody.
    Nothing,
}

impl Broken {
    /// The name of its file, which comes after those of the good ones.
    pub(crate) fn file(&self) -> String {
        format!("zz-{}.yaml", self.name)
    }
}

/// All kinds.
pub(crate) fn all() -> Vec<Broken> {
    let mut all = files();
    all.extend(texts());
    all.extend(directives());
    all.extend(references());
    all.extend(claims());
    all.extend(ingresses());
    all
}

/// Files that are no manifests.
fn files() -> Vec<Broken> {
    let log = |name, text: &[u8], told| Broken {
        name,
        text: text.to_vec(),
        told: Told::Log(told),
    };
    let bomb: String = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, number| {
        let before = number - 1;
        text + &format!("a{number}: &a{number} [*a{before}, *a{before}]\n")
    });
    let header =
        "apiVersion: fairway.dev/v1alpha1\nkind: CaddyRoute\nmetadata: {name: x, namespace: mallory}\n";
    let deep = format!("{header}spec: {}{}\n", "[".repeat(20_000), "]".repeat(20_000));
    vec![
        log("yaml-syntax", b"kind: [Ingress\n", "zz-yaml-syntax.yaml:"),
        log("yaml-indent", b"kind: Ingress\n  metadata: x\n", "zz-yaml-indent.yaml:"),
        log("yaml-bomb", format!("{header}{bomb}").as_bytes(), "zz-yaml-bomb.yaml:"),
        log("yaml-deep", deep.as_bytes(), "zz-yaml-deep.yaml:"),
        log("binary", b"\xff\xfe\x00\x01", "zz-binary.yaml:1: the file is not UTF-8 text"),
        log("no-kind", b"metadata: {name: x}\n", "the document has no `kind`"),
        log(
            "no-name",
            b"apiVersion: v1\nkind: Service\nmetadata: {}\n",
            "the Service has no `metadata.name`",
        ),
        log(
            "wrong-types",
            b"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x, namespace: mallory}\nspec: {rules: 7}\n",
            "Ingress mallory/x cannot be read",
        ),
        log(
            "text-of-a-wrong-type",
            format!("{header}spec: {{caddyfile: [1]}}\n").as_bytes(),
            "CaddyRoute mallory/x cannot be read",
        ),
        log(
            "wrong-version",
            b"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: x}\n",
            "write `apiVersion: networking.k8s.io/v1`",
        ),
        // The same object as a good one.
        log(
            "twice",
            documents(&[route("team-0/plain", "http://plain.team-0.test {\n\trespond stolen\n}")]).as_bytes(),
            "CaddyRoute team-0/plain stands at",
        ),
        Broken {
            name: "unknown-class",
            text: documents(&[changed(
                route("mallory/class", "http://plain.team-0.test {\n\trespond stolen\n}"),
                "/spec/ingressClassName",
                "other".into(),
            )])
            .into(),
            told: Told::Nothing,
        },
        // An endpoint that nobody may reach, one that is none, and a Service that is none.
        Broken {
            name: "endpoints",
            text: documents(&[
                json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {"namespace": "mallory", "name": "x", "labels": {"kubernetes.io/service-name": "x"}},
                    "ports": [{"port": 1}],
                    "endpoints": [{"addresses": ["169.254.169.254", "nowhere", ""]}],
                }),
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "mallory", "name": "x"}}),
            ])
            .into(),
            told: Told::Nothing,
        },
    ]
}

/// Texts that the language does not know.
fn texts() -> Vec<Broken> {
    let nested = format!(
        "http://n.mallory.test {{\n{}{}}}\n",
        "route {\n".repeat(200),
        "}\n".repeat(200)
    );
    let huge = format!(
        "http://h.mallory.test {{\n{}}}\n",
        "\theader X-Long yes\n".repeat(200_000)
    );
    let bomb: String = (1..19).fold("(b0) {\n\theader X y\n}\n".to_owned(), |text, number| {
        let before = number - 1;
        text + &format!("(b{number}) {{\n\timport b{before}\n\timport b{before}\n}}\n")
    });
    vec![
        whole("empty", "", "Accepted"),
        whole(
            "unclosed-block",
            "http://u.mallory.test {\n\trespond 1\n",
            "Refused: unclosed-block",
        ),
        whole(
            "unopened-block",
            "http://u.mallory.test {\n\trespond 1\n}\n}\n",
            "Refused: unexpected-close-brace",
        ),
        whole(
            "unclosed-quote",
            "http://u.mallory.test {\n\trespond \"1\n}\n",
            "Refused: unclosed-quote",
        ),
        whole("nested", &nested, "Refused: nested-too-deep"),
        whole("huge", &huge, "Refused: source-too-long"),
        whole(
            "snippet-cycle",
            "(a) {\n\timport b\n}\n(b) {\n\timport a\n}\nhttp://c.mallory.test {\n\timport a\n}\n",
            "Refused: import-cycle",
        ),
        whole(
            "snippet-bomb",
            &format!("{bomb}http://c.mallory.test {{\n\timport b18\n}}\n"),
            "Refused: too-many-imports",
        ),
        whole(
            "options",
            "{\n\tdebug\n}\nhttp://o.mallory.test {\n\trespond 1\n}\n",
            "Unavailable: operator-only",
        ),
        whole(
            "control-characters",
            "http://c.mallory.test {\n\trespond \u{0}\u{1b}\n}\n",
            "Accepted",
        ),
        whole("no-braces", "respond 1", "Refused: directive-as-address"),
    ]
}

/// Directives that are wrong in themselves.
fn directives() -> Vec<Broken> {
    vec![
        site("unknown-directive", "respnd 1", "Refused: unknown-directive"),
        site(
            "unknown-subdirective",
            "reverse_proxy x:80 {\n\t\tlb_polcy first\n\t}",
            "Refused: service-not-found unknown-subdirective",
        ),
        site("unknown-matcher", "respond @x 1", "Refused: unknown-matcher"),
        site(
            "bad-regex",
            "@x path_regexp (\n\trespond @x 1",
            "Refused: not-servable",
        ),
        site(
            "huge-regex",
            "@x path_regexp (a{1000}){1000}\n\trespond @x 1",
            "Refused: not-servable",
        ),
        site("bad-replacement", "uri path_regexp ( x", "Refused: not-servable"),
        site("bad-header-regex", "header X ( y", "Refused: not-servable"),
        site(
            "bad-map",
            "map {path} {x} {\n\t\t~( y\n\t}",
            "Refused: not-servable",
        ),
        site(
            "bad-cel",
            "@x expression `1 +`\n\trespond @x 1",
            "Refused: not-servable",
        ),
        site("bad-status", "respond 1 9999", "Accepted"),
        site("bad-status-text", "error nothing abc", "Accepted"),
        site(
            "bad-address",
            "@x remote_ip 1.2.3\n\trespond @x 1",
            "Refused: not-servable",
        ),
        site(
            "bad-hash",
            "basic_auth {\n\t\tbob secret\n\t}",
            "Refused: invalid-value not-servable",
        ),
        site(
            "costly-hash",
            "basic_auth {\n\t\tbob $2a$31$abcdefghijklmnopqrstuuAbcdefghijklmnopqrstuvwxyzabcde\n\t}",
            "Refused: invalid-value not-servable",
        ),
        site("bad-encoding", "encode nothing", "Refused: invalid-value"),
        site("bad-header-name", "header \"X Y\" z", "Accepted"),
        site(
            "bad-policy",
            "reverse_proxy x:80 {\n\t\tlb_policy nothing\n\t}",
            "Refused: service-not-found invalid-value",
        ),
        site(
            "bad-weights",
            "reverse_proxy x:80 {\n\t\tlb_policy weighted_round_robin 1 2 3\n\t}",
            "Accepted: service-not-found",
        ),
        site(
            "bad-health-regex",
            "reverse_proxy x:80 {\n\t\thealth_uri /\n\t\thealth_body (\n\t}",
            "Refused: service-not-found not-servable",
        ),
        site(
            "bad-duration",
            "reverse_proxy x:80 {\n\t\tlb_try_duration soon\n\t}",
            "Refused: service-not-found invalid-value",
        ),
        site(
            "bad-tls-protocol",
            "tls {\n\t\tprotocols tls9\n\t}",
            "Refused: invalid-value",
        ),
        site(
            "bad-tls-cipher",
            "tls {\n\t\tciphers NOTHING\n\t}",
            "Refused: invalid-value",
        ),
        site(
            "bad-tls-curve",
            "tls {\n\t\tcurves nothing\n\t}",
            "Refused: invalid-value",
        ),
        site(
            "bad-trust-pool",
            "tls {\n\t\tclient_auth {\n\t\t\ttrust_pool inline {\n\t\t\t\ttrust_der AAAA\n\t\t\t}\n\t\t}\n\t}",
            "Refused: not-servable",
        ),
        secure(
            "bad-trust-pool-over-tls",
            "client_auth {\n\t\t\ttrust_pool inline {\n\t\t\t\ttrust_der AAAA\n\t\t\t}\n\t\t}",
            "Refused: not-servable",
        ),
        secure(
            "protocols-the-wrong-way-round",
            "protocols tls1.3 tls1.2",
            "Refused: not-servable",
        ),
        secure(
            "public-issuer",
            "issuer acme",
            "Unavailable: operator-only no-certificate",
        ),
        secure(
            "certificate-source",
            "get_certificate http http://x.test",
            "Unavailable: operator-only no-certificate",
        ),
        secure(
            "key-type",
            "key_type nothing",
            "Unavailable: operator-only no-certificate",
        ),
        secure(
            "on-demand",
            "on_demand",
            "Unavailable: operator-only no-certificate",
        ),
        site("operator-only", "file_server", "Unavailable: operator-only"),
        site("file-import", "import /etc/*", "Unavailable: tenant-file-import"),
        site(
            "environment",
            "respond {$HOME}",
            "Unavailable: tenant-environment",
        ),
        site("listener", "bind 0.0.0.0", "Unavailable: operator-only"),
        site(
            "certificate-files",
            "tls /etc/a.pem /etc/b.pem",
            "Unavailable: operator-only",
        ),
        site(
            "foreign-upstream",
            "reverse_proxy 127.0.0.1:22",
            "Unavailable: operator-only",
        ),
        site(
            "log-output",
            "log {\n\t\toutput file /tmp/x\n\t}",
            "Unavailable: operator-only",
        ),
        site(
            "not-in-a-route",
            "route {\n\t\ttls internal\n\t}",
            "Refused: misplaced-directive",
        ),
    ]
}

/// Names of others that are not there, or not for everybody.
fn references() -> Vec<Broken> {
    let pair = |hosts: &[&str], name: &str| json!([{"hosts": hosts, "secretName": name}]);
    let with_secret = |name: &'static str, told, secret: Option<Value>| {
        let host = format!("{name}.mallory.test");
        let object = format!("mallory/{name}");
        let text = format!("{host} {{\n\trespond 1\n}}\n");
        let mut objects = vec![changed(
            young(route(&object, &text)),
            "/spec/tls",
            pair(&[&host], name),
        )];
        objects.extend(secret);
        several(name, &objects, Told::Verdict("CaddyRoute", object, told))
    };
    let two = |name: &'static str, first: &str, second: &str, told| {
        let host = format!("http://{name}.mallory.test {{\n\t");
        let objects = [
            young(route(&format!("mallory/{name}"), &first.replace("SITE {", &host))),
            young(route(&format!("mallory/{name}-2"), second)),
        ];
        several(
            name,
            &objects,
            Told::Verdict("CaddyRoute", format!("mallory/{name}"), told),
        )
    };
    vec![
        site("unknown-snippet", "import nothing", "Refused: unknown-snippet"),
        site(
            "unknown-named-route",
            "invoke nothing",
            "Refused: unknown-named-route",
        ),
        site(
            "foreign-snippet",
            "import team-0/hello",
            "Unavailable: snippet-refused",
        ),
        site(
            "foreign-named-route",
            "invoke team-0/api",
            "Unavailable: not-exported",
        ),
        site(
            "unknown-service",
            "reverse_proxy nothing:80",
            "Accepted: service-not-found",
        ),
        site(
            "foreign-service",
            "reverse_proxy web.team-0:80",
            "Unavailable: no-grant",
        ),
        several(
            "unclear-port",
            &[
                service("mallory/unclear"),
                young(route(
                    "mallory/unclear-port",
                    "http://p.mallory.test {\n\treverse_proxy unclear\n}\n",
                )),
            ],
            Told::Verdict(
                "CaddyRoute",
                "mallory/unclear-port".to_owned(),
                "Refused: missing-port",
            ),
        ),
        several(
            "unknown-port",
            &[
                service("mallory/ported"),
                young(route(
                    "mallory/unknown-port",
                    "http://p.mallory.test {\n\treverse_proxy ported:none\n}\n",
                )),
            ],
            Told::Verdict(
                "CaddyRoute",
                "mallory/unknown-port".to_owned(),
                "Accepted: port-not-found",
            ),
        ),
        with_secret("missing-secret", "PartiallyAccepted: secret-not-found", None),
        with_secret(
            "broken-secret",
            "PartiallyAccepted: secret-broken",
            Some(secret("mallory/broken-secret", "no certificate", "no key")),
        ),
        two(
            "snippet-cycle-of-two",
            "(c1) {\n\timport c2\n}\nSITE {\n\timport c1\n}\n",
            "(c2) {\n\timport c1\n}\n",
            "Refused: import-cycle",
        ),
        two(
            "route-cycle-of-two",
            "&(r1) {\n\tinvoke r2\n}\nSITE {\n\tinvoke r1\n}\n",
            "&(r2) {\n\tinvoke r1\n}\n",
            "PartiallyAccepted: named-route-cycle",
        ),
        whole(
            "route-cycle",
            "&(self) {\n\tinvoke self\n}\nhttp://r.mallory.test {\n\tinvoke self\n}\n",
            "PartiallyAccepted: named-route-cycle",
        ),
    ]
}

/// Hosts and names that belong to somebody else.
fn claims() -> Vec<Broken> {
    let beside = |name: &'static str, text: &str, told| {
        let object = format!("team-0/zz-{name}");
        let told = Told::Verdict("CaddyRoute", object.clone(), told);
        several(name, &[young(route(&object, text))], told)
    };
    vec![
        whole(
            "stolen-host",
            "http://plain.team-0.test {\n\trespond stolen\n}\n",
            "Refused: host-conflict",
        ),
        whole(
            "stolen-beside-an-own-one",
            "http://plain.team-0.test, http://own.mallory.test {\n\trespond stolen\n}\n",
            "PartiallyAccepted: host-conflict",
        ),
        beside(
            "held-host",
            "http://plain.team-0.test {\n\trespond stolen\n}\n",
            "Refused: host-held-by",
        ),
        beside(
            "held-path-host",
            "http://web.team-0.test {\n\trespond stolen\n}\n",
            "Refused: host-held-by",
        ),
        beside(
            "taken-names",
            "(hello) {\n\trespond stolen\n}\n&(api) {\n\trespond stolen\n}\n",
            "PartiallyAccepted: name-taken name-taken",
        ),
        whole(
            "wildcard-above",
            "http://*.team-0.test {\n\trespond stolen\n}\n",
            "Accepted",
        ),
        whole("every-host", "http:// {\n\trespond stolen\n}\n", "Accepted"),
        whole(
            "host-twice",
            "http://t.mallory.test {\n\trespond 1\n}\nhttp://t.mallory.test {\n\trespond 2\n}\n",
            "PartiallyAccepted: ambiguous-site",
        ),
        whole(
            "bad-host",
            "http://a_b!.mallory.test {\n\trespond 1\n}\n",
            "Refused: unsupported-address",
        ),
        whole(
            "bad-port",
            "http://p.mallory.test:8080 {\n\trespond 1\n}\n",
            "Refused: unsupported-address",
        ),
        whole(
            "bad-scheme",
            "ftp://p.mallory.test {\n\trespond 1\n}\n",
            "Refused: invalid-address",
        ),
        whole(
            "path-in-address",
            "http://p.mallory.test/x {\n\trespond 1\n}\n",
            "Refused: unsupported-address",
        ),
        whole(
            "email-for-an-issuer",
            "e.mallory.test {\n\ttls me@mallory.test\n}\n",
            "Unavailable: operator-only no-certificate",
        ),
        whole(
            "tls-for-every-name",
            "https:// {\n\ttls internal {\n\t\tprotocols tls1.3\n\t}\n}\n",
            "Refused: tls-without-host",
        ),
        whole(
            "https-without-certificate",
            "https://h.mallory.test {\n\trespond 1\n}\n",
            "PartiallyAccepted: no-certificate",
        ),
        whole(
            "internal-for-all",
            "https:// {\n\ttls internal\n\trespond 1\n}\n",
            "Refused: tls-without-host",
        ),
        whole(
            "internal-wildcard",
            "*.*.mallory.test {\n\ttls internal\n\trespond 1\n}\n",
            "Refused: unsupported-address",
        ),
    ]
}

/// Ingresses.
fn ingresses() -> Vec<Broken> {
    let one = |name: &'static str, host: &str, path: Value, told| {
        let spec = json!({"rules": [rule(host, &[path])]});
        of_ingress(name, &spec, &[], told)
    };
    let resource = |kind: &str| {
        let resource = json!({"apiGroup": "fairway.dev", "kind": kind, "name": "none"});
        json!({"pathType": "Prefix", "path": "/", "backend": {"resource": resource}})
    };
    let good = path("Prefix", "/", "web:80");
    let rules = json!({"rules": [rule("i.mallory.test", std::slice::from_ref(&good))]});
    let with_tls = |hosts: Value, name: &str| {
        json!({
            "rules": [rule("plain.team-0.test", std::slice::from_ref(&good)), rule("t.mallory.test", std::slice::from_ref(&good))],
            "tls": [{"hosts": hosts, "secretName": name}],
        })
    };
    vec![
        one("ingress-bad-host", "a b", good.clone(), "Refused: invalid-host"),
        one(
            "ingress-bad-wildcard",
            "*.*.test",
            good.clone(),
            "Refused: invalid-host",
        ),
        one(
            "ingress-bad-path",
            "p.mallory.test",
            path("Prefix", "p", "web:80"),
            "Refused: invalid-path",
        ),
        one(
            "ingress-odd-path",
            "p.mallory.test",
            path("Prefix", "/{x}/%zz/\u{0}//..", "web:80"),
            "Refused: service-not-found invalid-path",
        ),
        one(
            "ingress-no-service",
            "s.mallory.test",
            path("Prefix", "/", "none:80"),
            "Accepted: service-not-found",
        ),
        one(
            "ingress-stolen-host",
            "plain.team-0.test",
            good.clone(),
            "Refused: service-not-found host-conflict",
        ),
        one(
            "resource-missing",
            "r.mallory.test",
            resource("CaddyRoute"),
            "PartiallyAccepted: unknown-backend",
        ),
        one(
            "resource-of-a-wrong-kind",
            "r.mallory.test",
            resource("Bucket"),
            "PartiallyAccepted: unknown-backend",
        ),
        of_ingress(
            "backend-missing",
            &json!({"defaultBackend": {}}),
            &[],
            "PartiallyAccepted: unknown-backend",
        ),
        of_ingress(
            "default-for-all",
            &json!({"defaultBackend": backend("web:80")}),
            &[],
            "Accepted: service-not-found",
        ),
        of_ingress("no-rules", &json!({}), &[], "Accepted"),
        of_ingress(
            "path-twice",
            &json!({"rules": [rule("t.mallory.test", &[good.clone(), good.clone()])]}),
            &[],
            "PartiallyAccepted: service-not-found service-not-found path-twice",
        ),
        of_ingress(
            "ingress-missing-secret",
            &with_tls(json!(["t.mallory.test"]), "none"),
            &[],
            "PartiallyAccepted: service-not-found service-not-found host-conflict secret-not-found",
        ),
        of_ingress(
            "ingress-foreign-tls",
            &with_tls(json!(["plain.team-0.test", "", "a b"]), "none"),
            &[],
            "PartiallyAccepted: service-not-found service-not-found host-conflict secret-not-found",
        ),
        of_ingress(
            "ingress-tls-without-a-secret",
            &with_tls(json!(["t.mallory.test"]), ""),
            &[],
            "PartiallyAccepted: service-not-found service-not-found host-conflict",
        ),
        of_ingress(
            "broken-annotation",
            &rules,
            &[("caddyfile", "respnd 1\n")],
            "Unavailable: unknown-directive service-not-found",
        ),
        of_ingress(
            "annotation-out-of-its-block",
            &rules,
            &[("caddyfile", "}\nhttp://plain.team-0.test {\n")],
            "Unavailable: unexpected-close-brace unknown-directive unclosed-block service-not-found",
        ),
        of_ingress(
            "annotation-with-an-unknown-snippet",
            &rules,
            &[("import", "nothing")],
            "Unavailable: unknown-snippet service-not-found",
        ),
        of_ingress(
            "unknown-annotation",
            &rules,
            &[("importt", "x")],
            "Accepted: unknown-annotation service-not-found",
        ),
        several(
            "path-held",
            &[young(ingress(
                "team-0/zz-path-held",
                &json!({"rules": [rule("web.team-0.test", &[path("Prefix", "/page", "none:80")])]}),
            ))],
            Told::Verdict(
                "Ingress",
                "team-0/zz-path-held".to_owned(),
                "Accepted: service-not-found path-held-by",
            ),
        ),
    ]
}

/// A site of its own with some lines.
fn site(name: &'static str, body: &str, told: &'static str) -> Broken {
    whole(
        name,
        &format!("http://{name}.mallory.test {{\n\t{body}\n}}\n"),
        told,
    )
}

/// A site with certificates of its own making, and some lines more about TLS.
fn secure(name: &'static str, body: &str, told: &'static str) -> Broken {
    let text = format!("{name}.mallory.test {{\n\ttls internal {{\n\t\t{body}\n\t}}\n}}\n");
    whole(name, &text, told)
}

/// A CaddyRoute with this text.
fn whole(name: &'static str, text: &str, told: &'static str) -> Broken {
    let object = format!("mallory/{name}");
    let objects = [young(route(&object, text))];
    several(name, &objects, Told::Verdict("CaddyRoute", object, told))
}

fn of_ingress(name: &'static str, spec: &Value, annotations: &[(&str, &str)], told: &'static str) -> Broken {
    let object = format!("mallory/{name}");
    let mut made = young(ingress(&object, spec));
    for (annotation, value) in annotations {
        let pointer = format!("/metadata/annotations/fairway.dev~1{annotation}");
        made = changed(made, &pointer, (*value).into());
    }
    several(name, &[made], Told::Verdict("Ingress", object, told))
}

fn several(name: &'static str, objects: &[Value], told: Told) -> Broken {
    Broken {
        name,
        text: documents(objects).into(),
        told,
    }
}

fn young(object: Value) -> Value {
    changed(
        object,
        "/metadata/creationTimestamp",
        "2026-06-01T00:00:00Z".into(),
    )
}
