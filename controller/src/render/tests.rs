//! Whole snapshots: who gets which host, what a broken object does to its neighbours, and that nothing remembered
//! differs from what is rendered anew.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::verdict::State;

/// A snapshot of the class `fairway` and some objects.
fn snapshot(objects: &[Value]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    let class = json!({"metadata": {"name": "fairway"}, "spec": {"controller": classes::CONTROLLER}});
    snapshot.classes.insert(
        Key::new("", "fairway"),
        Arc::new(serde_json::from_value(class).unwrap()),
    );
    for object in objects {
        let metadata = &object["metadata"];
        let key = Key::new(
            metadata["namespace"].as_str().unwrap(),
            metadata["name"].as_str().unwrap(),
        );
        let object = object.clone();
        match object["kind"].as_str().unwrap() {
            "CaddyRoute" => drop(
                snapshot
                    .routes
                    .insert(key, Arc::new(serde_json::from_value(object).unwrap())),
            ),
            "Ingress" => drop(
                snapshot
                    .ingresses
                    .insert(key, Arc::new(serde_json::from_value(object).unwrap())),
            ),
            "Service" => drop(
                snapshot
                    .services
                    .insert(key, Arc::new(serde_json::from_value(object).unwrap())),
            ),
            kind => panic!("{kind}"),
        }
    }
    Arc::new(snapshot)
}

/// A CaddyRoute; `age` is when it was created.
fn route(name: &str, age: u32, caddyfile: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({
        "kind": "CaddyRoute",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": format!("2026-01-{age:02}T00:00:00Z")},
        "spec": {"ingressClassName": "fairway", "caddyfile": caddyfile},
    })
}

/// An Ingress with one path to the Service `web`.
fn ingress(name: &str, age: u32, host: &str, path: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({
        "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": format!("2026-01-{age:02}T00:00:00Z")},
        "spec": {"ingressClassName": "fairway", "rules": [{"host": host, "http": {"paths": [
            {"path": path, "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
        ]}}]},
    })
}

fn service(name: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": {"ports": [{"port": 80}]}})
}

/// `kind namespace/name state: codes of errors`, of each object that is not simply accepted.
fn judged(rendered: &Rendered) -> Vec<String> {
    let verdicts = rendered
        .verdicts
        .iter()
        .filter(|verdict| verdict.state != State::Accepted);
    verdicts
        .map(|verdict| {
            let errors = verdict.findings.iter().filter(|finding| finding.is_error());
            let codes: Vec<&str> = errors.map(|finding| finding.code).collect();
            let Verdict {
                kind,
                namespace,
                name,
                state,
                ..
            } = verdict;
            format!("{kind} {namespace}/{name} {state:?}: {}", codes.join(" "))
        })
        .collect()
}

/// The ids of the routes of the server `http`, in order.
fn order(rendered: &Rendered) -> Vec<String> {
    let servers = &rendered.config.apps.http.as_ref().unwrap().servers;
    servers["http"]
        .routes
        .iter()
        .filter_map(|route| route.id.as_ref().map(ToString::to_string))
        .collect()
}

#[track_caller]
fn check(objects: &[Value], expected_judged: &[&str], expected_order: &[&str]) {
    let rendered = Renderer::default().render(&snapshot(objects));
    assert_eq!(judged(&rendered), expected_judged);
    assert_eq!(order(&rendered), expected_order);
}

#[test]
fn the_longest_path_and_the_exact_host_come_first() {
    check(
        &[
            service("shop/web"),
            ingress("shop/a", 1, "*.a.test", "/"),
            ingress("shop/b", 2, "b.a.test", "/"),
            ingress("shop/c", 3, "b.a.test", "/long"),
            ingress("shop/d", 4, "", "/"),
        ],
        &[],
        &[
            "Ingress/shop/c#spec.rules[0].http.paths[0]",
            "Ingress/shop/b#spec.rules[0].http.paths[0]",
            "end of b.a.test",
            "Ingress/shop/a#spec.rules[0].http.paths[0]",
            "end of *.a.test",
            "Ingress/shop/d#spec.rules[0].http.paths[0]",
        ],
    );
}

#[test]
fn the_older_object_keeps_a_host() {
    check(
        &[
            route("a/site", 1, "x.test {\nrespond 1\n}"),
            route("a/young", 2, "x.test, y.test {\nrespond 2\n}"),
            route("b/thief", 3, "x.test {\nrespond 3\n}"),
            ingress("a/paths", 4, "x.test", "/"),
            service("a/web"),
        ],
        &[
            "CaddyRoute a/young PartiallyAccepted: host-held-by",
            "CaddyRoute b/thief Refused: host-conflict",
            "Ingress a/paths Refused: host-held-by",
        ],
        &["CaddyRoute/a/site#0", "CaddyRoute/a/young#0"],
    );
}

#[test]
fn a_host_goes_over_when_the_older_object_goes() {
    let older = route("a/site", 1, "x.test {\nrespond 1\n}");
    let younger = route("b/site", 2, "x.test {\nrespond 2\n}");
    let mut renderer = Renderer::default();
    let both = renderer.render(&snapshot(&[older, younger.clone()]));
    assert_eq!(order(&both), ["CaddyRoute/a/site#0"]);
    let one = renderer.render(&snapshot(&[younger]));
    assert_eq!(order(&one), ["CaddyRoute/b/site#0"]);
    assert_eq!(renderer.rendered, 0);
}

#[test]
fn a_broken_text_gives_way_to_the_last_good_one() {
    let mut renderer = Renderer::default();
    let good = renderer.render(&snapshot(&[route("a/site", 1, "x.test {\nrespond 1\n}")]));
    let broken = renderer.render(&snapshot(&[route("a/site", 1, "x.test {\nrespnd 2\n}")]));
    assert_eq!(judged(&broken), ["CaddyRoute a/site LastGood: unknown-directive"]);
    assert_eq!(broken.config, good.config);
    let cold = Renderer::default().render(&snapshot(&[route("a/site", 1, "x.test {\nrespnd 2\n}")]));
    assert_eq!(judged(&cold), ["CaddyRoute a/site Refused: unknown-directive"]);
}

/// A route as it is read after a restart: with what its status keeps.
fn after_restart(mut object: Value, verdict: &Verdict) -> Value {
    object["status"] = json!({ "lastGood": verdict.last_good });
    object
}

#[test]
fn a_restart_finds_the_last_good_text_in_the_status() {
    let lib = |text: &str| route("a/lib", 1, text);
    let user = |text: &str| route("a/site", 2, text);
    let good_user = "x.test {\nimport hello\nrespond 1\n}";
    let mut renderer = Renderer::default();
    let good = renderer.render(&snapshot(&[lib("(hello) {\nheader X y\n}"), user(good_user)]));
    // Both are broken, and then the process starts anew.
    let (lib, user) = (lib("(hello) {\nheadr X y\n}"), user("x.test {\nrespnd 1\n}"));
    let broken = renderer.render(&snapshot(&[lib.clone(), user.clone()]));
    assert_eq!(broken.config, good.config);
    let user = after_restart(user, &broken.verdicts[1]);
    let restarted = Renderer::default().render(&snapshot(&[lib, user]));
    assert_eq!(restarted.config, good.config);
    assert_eq!(
        judged(&restarted),
        ["CaddyRoute a/site LastGood: unknown-directive"]
    );
}

#[test]
fn a_restart_finds_what_a_broken_object_defines_for_others() {
    let user = route("a/site", 2, "x.test {\nimport hello\ninvoke api\n}");
    let lib = |text: &str| route("a/lib", 1, text);
    let mut renderer = Renderer::default();
    let text = "(hello) {\nheader X y\n}\n&(api) {\nrespond 1\n}";
    let good = renderer.render(&snapshot(&[lib(text), user.clone()]));
    // The text cannot be read to its end, and then the process starts anew.
    let lib = lib("(hello) {\nheader X y\n");
    let broken = renderer.render(&snapshot(&[lib.clone(), user.clone()]));
    let lib = after_restart(lib, &broken.verdicts[0]);
    let restarted = Renderer::default().render(&snapshot(&[lib, user]));
    assert_eq!(restarted.config, good.config);
    assert_eq!(judged(&restarted), judged(&broken));
}

#[test]
fn a_forged_last_good_text_grants_nothing() {
    let forged = |caddyfile: &str, imports: Value| {
        let mut object = route("a/site", 1, "x.test {\nrespnd 1\n}");
        object["status"] = json!({"lastGood": {"caddyfile": caddyfile, "imports": imports}});
        judged(&Renderer::default().render(&snapshot(&[object]))).concat()
    };
    let refused = "CaddyRoute a/site Unavailable: unknown-directive ";
    assert_eq!(
        forged("x.test {\nfile_server\n}", json!([])),
        format!("{refused}operator-only")
    );
    // A snippet in the name of another namespace is not taken from here.
    let foreign = json!([{"namespace": "b", "name": "s", "caddyfile": "reverse_proxy web"}]);
    assert_eq!(
        forged("x.test {\nimport b/s\n}", foreign),
        format!("{refused}unknown-snippet")
    );
    let escaped = json!([{"namespace": "a", "name": "s", "caddyfile": "}\ny.test {\nrespond 1"}]);
    assert_eq!(
        forged("x.test {\nimport s\n}", escaped),
        format!("{refused}unknown-snippet")
    );
}

#[test]
fn tls_needs_a_host() {
    let text = "x.test {\nrespond 1\n}\nhttps:// {\ntls internal\nrespond 2\n}";
    let rendered = Renderer::default().render(&snapshot(&[route("a/site", 1, text)]));
    assert_eq!(judged(&rendered), ["CaddyRoute a/site Refused: tls-without-host"]);
}

#[test]
fn a_text_that_breaks_a_rule_answers_503() {
    let mut renderer = Renderer::default();
    renderer.render(&snapshot(&[route("a/site", 1, "x.test {\nrespond 1\n}")]));
    let refused = renderer.render(&snapshot(&[route("a/site", 1, "x.test {\nfile_server\n}")]));
    assert_eq!(judged(&refused), ["CaddyRoute a/site Unavailable: operator-only"]);
    let json = serde_json::to_string(&refused.config).unwrap();
    assert!(json.contains(r#""status_code":503"#), "{json}");
}

/// Mistakes that are seen only when everything is put together and made ready to be served.
#[test]
fn what_cannot_be_served_is_refused_before_it_stops_its_neighbours() {
    let secure = |lines: &str| {
        route(
            "a/site",
            1,
            &format!("x.test {{\ntls internal {{\n{lines}\n}}\n}}"),
        )
    };
    for broken in [
        secure("client_auth {\ntrust_pool inline {\ntrust_der AAAA\n}\n}"),
        secure("protocols tls1.3 tls1.2"),
    ] {
        check(&[broken], &["CaddyRoute a/site Refused: not-servable"], &[]);
    }
    check(
        &[secure("protocols tls1.3")],
        &[],
        &["CaddyRoute/a/site#0/redirect"],
    );
    check(
        &[service("a/web"), ingress("a/paths", 1, "x.test", "/a/..;/b")],
        &["Ingress a/paths Refused: invalid-path"],
        &[],
    );
}

/// What nobody has a certificate for must not ask for one: ordering it would fail, and with it everything else.
#[test]
fn hosts_without_a_certificate_are_left_without_one() {
    let mut listed = ingress("a/listed", 1, "tls.test", "/");
    listed["spec"]["tls"] = json!([{"hosts": ["tls.test"]}]);
    let rendered = Renderer::default().render(&snapshot(&[
        service("a/web"),
        listed,
        ingress("a/narrow", 1, "narrow.test", "/path"),
        ingress("a/wide", 1, "*.test", "/path"),
        ingress("a/every", 1, "", "/"),
        route("a/site", 1, "https://site.test {\nrespond 1\n}"),
    ]));
    let servers = &rendered.config.apps.http.as_ref().unwrap().servers;
    let automatic = servers["https"].automatic_https.as_ref().unwrap();
    assert_eq!(
        automatic.skip_certificates,
        ["*.test", "narrow.test", "site.test", "tls.test"]
    );
}

#[test]
fn a_stranger_does_not_turn_a_host_to_https() {
    let mut stranger = ingress("b/stranger", 2, "x.test", "/stolen");
    stranger["spec"]["tls"] = json!([{"hosts": ["x.test", "*.test"], "secretName": "any"}]);
    check(
        &[service("a/web"), ingress("a/web", 1, "x.test", "/"), stranger],
        &["Ingress b/stranger Refused: host-conflict"],
        &["Ingress/a/web#spec.rules[0].http.paths[0]"],
    );
}

/// Each new text may lie where the one before lay; it is another one all the same.
#[test]
fn a_changed_snippet_reaches_all_who_import_it_every_time() {
    let importing = |name: &str, host: &str| {
        let mut ingress = ingress(name, 2, host, "/");
        ingress["metadata"]["annotations"] = json!({"fairway.dev/import": "hello"});
        ingress
    };
    let mut renderer = Renderer::default();
    for round in 100..200 {
        let lib = route("a/lib", 1, &format!("(hello) {{\nheader X-Round {round}\n}}"));
        let rendered = renderer.render(&snapshot(&[
            service("a/web"),
            lib,
            importing("a/one", "one.test"),
            importing("a/two", "two.test"),
        ]));
        let json = serde_json::to_string(&rendered.config).unwrap();
        assert_eq!(json.matches(&format!("[\"{round}\"]")).count(), 2, "{json}");
    }
}

#[test]
fn a_snippet_is_used_as_it_was_while_its_own_object_is_broken() {
    let exporter = |text: &str| route("a/lib", 1, text);
    let user = route("a/site", 2, "x.test {\nimport hello\n}");
    let mut renderer = Renderer::default();
    let good = renderer.render(&snapshot(&[exporter("(hello) {\nrespond 1\n}"), user.clone()]));
    // Its text cannot be read to the end; then the snippet is read, and means nothing.
    for broken in ["(hello) {\nrespond 1\n", "(hello) {\nrespnd 1\n}"] {
        let rendered = renderer.render(&snapshot(&[exporter(broken), user.clone()]));
        assert_eq!(rendered.config, good.config, "{broken}");
    }
    let changed = renderer.render(&snapshot(&[exporter("(hello) {\nrespond 2\n}"), user]));
    assert_ne!(changed.config, good.config);
    assert_eq!(judged(&changed), [""; 0]);
}

#[test]
fn names_of_other_namespaces_need_an_export() {
    let user = route("b/site", 2, "x.test {\nimport a/hello\ninvoke a/api\n}");
    let mut exporter = route("a/lib", 1, "(hello) {\nheader X y\n}\n&(api) {\nrespond 1\n}");
    check(
        &[exporter.clone(), user.clone()],
        &["CaddyRoute b/site Unavailable: snippet-refused not-exported"],
        &["CaddyRoute/b/site#0"],
    );
    exporter["spec"]["exportTo"] = json!(["b"]);
    check(&[exporter, user], &[], &["CaddyRoute/b/site#0"]);
}

#[test]
fn named_routes_without_an_end_answer_503() {
    let text = "&(a) {\ninvoke b\n}\n&(b) {\ninvoke a\n}\nx.test {\ninvoke a\n}";
    let rendered = Renderer::default().render(&snapshot(&[route("a/site", 1, text)]));
    assert!(
        rendered.verdicts[0]
            .findings
            .iter()
            .any(|finding| finding.code == "named-route-cycle")
    );
    fairway_engine::compile(&rendered.config, &fairway_engine::Registry::default()).unwrap();
}

#[test]
fn broken_annotations_never_let_the_backend_through() {
    let mut broken = ingress("a/web", 1, "x.test", "/");
    broken["metadata"]["annotations"] = json!({"fairway.dev/caddyfile": "basic_auht {\n}"});
    let rendered = Renderer::default().render(&snapshot(&[broken, service("a/web")]));
    assert_eq!(
        judged(&rendered),
        ["Ingress a/web Unavailable: unknown-directive"]
    );
    assert!(
        !serde_json::to_string(&rendered.config)
            .unwrap()
            .contains("reverse_proxy")
    );
}

#[test]
fn a_change_renders_the_changed_object_only() {
    let mut objects: Vec<Value> = (0..50)
        .map(|number| ingress(&format!("a/site{number}"), 1, &format!("x{number}.test"), "/"))
        .collect();
    objects.push(service("a/web"));
    let mut renderer = Renderer::default();
    let before = renderer.render(&snapshot(&objects));
    assert_eq!(renderer.rendered, 50);
    objects[7] = ingress("a/site7", 1, "x7.test", "/changed");
    let after = renderer.render(&snapshot(&objects));
    assert_eq!(renderer.rendered, 1);
    let routes = |rendered: &Rendered| {
        rendered.config.apps.http.as_ref().unwrap().servers["http"]
            .routes
            .clone()
    };
    let (before, after) = (routes(&before), routes(&after));
    let same = before
        .iter()
        .zip(&after)
        .filter(|(a, b)| Arc::ptr_eq(a, b))
        .count();
    assert_eq!((same, before.len()), (49, 51));
    // A Service that everybody looked up: all are rendered again.
    objects.pop();
    renderer.render(&snapshot(&objects));
    assert_eq!(renderer.rendered, 50);
}

/// One of the objects that the property test works with: its place, and one of several forms.
fn form(place: usize, form: usize) -> Option<Value> {
    let texts = [
        "(s) {\nheader X y\n}\n&(r) {\nrespond r\n}",
        "x.test {\nimport s\ninvoke r\n}",
        "x.test, *.x.test {\nrespond 1\n}\nhttp://y.test {\nreverse_proxy web:80\n}",
        "y.test {\nrespnd 1\n}",
        "z.test {\nimport b/s\nfile_server\n}",
        "(s) {\nrespond 1\n",
        "z.test {\nhandle /a* {\nrespond 1\n}\nhandle_errors {\nrespond 2\n}\n}",
    ];
    Some(match (place, form) {
        (0..4, form) => {
            let name = ["a/one", "a/two", "b/one", "b/two"][place];
            let mut object = route(name, 5 - place as u32, texts.get(form)?);
            if place == 2 {
                object["spec"]["exportTo"] = json!(["*"]);
            }
            object
        }
        (4 | 5, form) => {
            let (name, host) = [("a/i", "x.test"), ("b/j", "w.test")][place - 4];
            let mut object = ingress(name, 3, host, ["/", "/a", "/a/b"].get(form)?);
            if form == 1 {
                object["metadata"]["annotations"] = json!({"fairway.dev/import": "s"});
            }
            object
        }
        (place, form) => {
            let object = service(["a/web", "b/web"].get(place - 6)?);
            (form < 4).then_some(object)?
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_remembered_is_what_would_be_rendered_anew(
        changes in prop::collection::vec((0..8_usize, 0..9_usize), 1..25),
    ) {
        let mut forms = [0; 8];
        let mut renderer = Renderer::default();
        for (place, new) in changes {
            forms[place] = new;
            let objects: Vec<Value> = forms.iter().enumerate().filter_map(|(place, new)| form(place, *new)).collect();
            let snapshot = snapshot(&objects);
            let cold = renderer.render_cold(&snapshot);
            let warm = renderer.render(&snapshot);
            prop_assert_eq!(serde_json::to_string(&warm.config).unwrap(), serde_json::to_string(&cold.config).unwrap());
            prop_assert_eq!(&warm.verdicts, &cold.verdicts);
            let compiled = fairway_engine::compile(&warm.config, &fairway_engine::Registry::default());
            prop_assert!(compiled.is_ok(), "{:?}", compiled.err());
        }
    }
}
