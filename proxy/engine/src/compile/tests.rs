#![expect(clippy::needless_pass_by_value, reason = "`json!` reads better without a `&`")]

use std::sync::Weak;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Errors, Http};
use crate::test_util::exchange;

/// A top-level route with an `@id`.
fn route(id: &str, handlers: Value) -> Arc<RouteConfig> {
    let host = format!("{id}.test");
    from(json!({"@id": id, "match": [{"host": [host]}], "handle": handlers, "terminal": true}))
}

/// A named route.
fn named(handlers: Value) -> Arc<RouteConfig> {
    from(json!({ "handle": handlers }))
}

fn from(json: Value) -> Arc<RouteConfig> {
    Arc::new(serde_json::from_value(json).unwrap())
}

fn text(body: &str) -> Value {
    json!([{"handler": "static_response", "body": body}])
}

fn invoke(name: &str) -> Value {
    json!([{"handler": "invoke", "name": name}])
}

/// A proxy with a health check, by which its state is seen.
fn proxy(dial: &str) -> Value {
    json!([{"handler": "reverse_proxy", "upstreams": [{"dial": dial}], "health_checks": {"active": {"uri": "/"}}}])
}

/// A config of the servers `http` and `https`, both with these routes.
fn config(routes: &[&Arc<RouteConfig>], named: &[(&str, &Arc<RouteConfig>)]) -> Config {
    let named = named
        .iter()
        .map(|(name, route)| ((*name).to_owned(), Arc::clone(route)));
    let server = ServerConfig {
        routes: routes.iter().copied().cloned().collect(),
        named_routes: Some(named.collect()),
        ..ServerConfig::default()
    };
    let servers = ["http", "https"].map(|name| (name.to_owned(), server.clone()));
    let mut config = Config::default();
    config.apps.http = Some(Http {
        servers: servers.into_iter().collect(),
        ..Http::default()
    });
    config
}

/// Which routes of the first server are not those of the table before, by their positions.
#[track_caller]
fn check_compiled(before: &Table, after: &Table, expected: &[usize]) {
    let [before, after] = [before, after].map(|table| &table.servers[0].routes);
    let known = |route: &Arc<Route>| before.iter().any(|known| Arc::ptr_eq(known, route));
    let new: Vec<usize> = (0..after.len()).filter(|&at| !known(&after[at])).collect();
    assert_eq!(new, expected);
}

/// For each check after, its place among those before.
#[track_caller]
fn check_state(before: &Table, after: &Table, expected: &[Option<usize>]) {
    let place = |check: &Arc<Check>| before.checks.iter().position(|known| Arc::ptr_eq(known, check));
    let places: Vec<_> = after.checks.iter().map(place).collect();
    assert_eq!(places, expected);
}

#[test]
fn one_of_ten_thousand_routes_is_compiled_when_one_changed() {
    let registry = Registry::default();
    let mut routes: Vec<_> = (0..10_000)
        .map(|number| route(&number.to_string(), text("a")))
        .collect();
    let all = |routes: &[Arc<RouteConfig>]| config(&routes.iter().collect::<Vec<_>>(), &[]);
    let before = compile(&all(&routes), &registry).unwrap();
    routes[4321] = route("4321", text("b"));
    let after = compile(&all(&routes), &registry).unwrap();
    check_compiled(&before, &after, &[4321]);
    routes.swap_remove(17);
    check_compiled(&after, &compile(&all(&routes), &registry).unwrap(), &[]);
}

#[test]
fn the_index_is_made_anew_only_if_matchers_changed() {
    let registry = Registry::default();
    let mut before = compile(&config(&[], &[]), &registry).unwrap();
    let mut check = |routes: &[&Arc<RouteConfig>], expected: bool| {
        let after = compile(&config(routes, &[]), &registry).unwrap();
        for (before, after) in before.servers.iter().zip(&after.servers) {
            assert_eq!(Arc::ptr_eq(&before.index, &after.index), expected);
        }
        let first = after.servers[0]
            .index
            .candidates("a.test", exchange("GET /").target())
            .next();
        assert_eq!(
            first,
            routes.iter().position(|route| route.id.as_deref() == Some("a"))
        );
        before = after;
    };
    let (one, two) = (route("a", text("a")), route("b", text("b")));
    check(&[&one, &two], false);
    check(&[&one, &two], true);
    check(&[&one, &route("b", text("c"))], true);
    check(&[&two, &one], false);
    check(&[&two, &one, &route("c", text("c"))], false);
    check(&[&two], false);
    check(&[&one], false);
}

#[test]
fn a_route_in_two_servers_is_one() {
    let (site, api) = (route("a", proxy("a:80")), named(proxy("b:80")));
    let other = route("b", invoke("api"));
    let table = compile(&config(&[&site, &other], &[("api", &api)]), &Registry::default()).unwrap();
    for at in [0, 1] {
        assert!(Arc::ptr_eq(
            &table.servers[0].routes[at],
            &table.servers[1].routes[at]
        ));
    }
    assert_eq!(table.checks.len(), 2);
}

#[test]
fn only_routes_with_an_id_and_without_a_group_are_remembered() {
    let registry = Registry::default();
    let grouped = from(json!({"@id": "c", "group": "g", "handle": text("c")}));
    let config = config(&[&route("a", text("a")), &named(text("b")), &grouped], &[]);
    let before = compile(&config, &registry).unwrap();
    check_compiled(&before, &compile(&config, &registry).unwrap(), &[1, 2]);
}

#[test]
fn a_named_route_that_changed_changes_those_who_invoke_it() {
    let registry = Registry::default();
    let (one, two, three) = (
        route("a", invoke("outer")),
        route("b", invoke("inner")),
        route("c", invoke("other")),
    );
    let (outer, inner, other) = (named(invoke("inner")), named(text("1")), named(proxy("a:80")));
    let with = |inner| {
        config(
            &[&one, &two, &three],
            &[("outer", &outer), ("inner", inner), ("other", &other)],
        )
    };
    let first = compile(&with(&inner), &registry).unwrap();
    let second = compile(&with(&named(text("2"))), &registry).unwrap();
    check_compiled(&first, &second, &[0, 1]);
    check_state(&first, &second, &[Some(0)]);
    // What is not invoked is not compiled, and disturbs nobody.
    let broken = named(json!([{"handler": "invoke", "name": "nobody"}]));
    let third = config(&[&three], &[("other", &other), ("unused", &broken)]);
    check_compiled(&second, &compile(&third, &registry).unwrap(), &[]);
}

#[test]
fn servers_may_have_different_routes_under_one_name() {
    let site = route("a", invoke("api"));
    let mut config = config(&[&site], &[("api", &named(proxy("a:80")))]);
    let https = &mut config.apps.http.as_mut().unwrap().servers["https"];
    https.named_routes = Some([("api".to_owned(), named(proxy("b:80")))].into_iter().collect());
    let registry = Registry::default();
    let before = compile(&config, &registry).unwrap();
    assert!(!Arc::ptr_eq(
        &before.servers[0].routes[0],
        &before.servers[1].routes[0]
    ));
    check_state(
        &before,
        &compile(&config, &registry).unwrap(),
        &[Some(0), Some(1)],
    );
}

#[test]
fn checks_of_remembered_routes_stay_in_the_table() {
    let registry = Registry::default();
    let (one, two) = (route("a", proxy("a:80")), route("b", invoke("api")));
    let api = named(proxy("b:80"));
    let before = compile(&config(&[&one, &two], &[("api", &api)]), &registry).unwrap();
    let more = config(&[&route("c", text("c")), &two, &one], &[("api", &api)]);
    check_state(&before, &compile(&more, &registry).unwrap(), &[Some(1), Some(0)]);
}

#[test]
fn what_the_config_does_not_name_is_forgotten() {
    let registry = Registry::default();
    let (one, two) = (route("a", invoke("api")), route("b", text("b")));
    let api = named(proxy("a:80"));
    let before = compile(&config(&[&one, &two], &[("api", &api)]), &registry).unwrap();
    let route = Arc::downgrade(&before.servers[0].routes[0]);
    let check = Arc::downgrade(&before.checks[0]);
    drop(before);
    assert!(route.upgrade().is_some(), "remembered");
    compile(&config(&[&two], &[("api", &api)]), &registry).unwrap();
    assert!(Weak::upgrade(&route).is_none() && check.upgrade().is_none());
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&api)), (1, 1));
}

#[test]
fn a_config_that_does_not_compile_leaves_no_trace() {
    let registry = Registry::default();
    let (one, broken) = (route("a", text("a")), route("b", invoke("nobody")));
    let before = compile(&config(&[&one], &[]), &registry).unwrap();
    let error = compile(&config(&[&one, &broken], &[]), &registry).unwrap_err();
    assert_eq!(
        error.to_string(),
        "http: route 1: there is no named route `nobody`"
    );
    assert_eq!(Arc::strong_count(&broken), 1);
    check_compiled(&before, &compile(&config(&[&one], &[]), &registry).unwrap(), &[]);
}

#[test]
fn equal_text_shares_no_state_and_keeps_its_own() {
    let registry = Registry::default();
    let twice = |id| route(id, json!([proxy("a:80")[0], proxy("a:80")[0]]));
    let (one, two) = (twice("a"), twice("b"));
    let before = compile(&config(&[&one, &two], &[]), &registry).unwrap();
    assert_eq!(before.checks.len(), 4);
    // Rendered anew, in another order, with one more before them.
    let after = config(&[&twice("c"), &twice("b"), &twice("a")], &[]);
    let after = compile(&after, &registry).unwrap();
    check_state(&before, &after, &[None, None, Some(2), Some(3), Some(0), Some(1)]);
}

#[test]
fn a_site_before_another_does_not_take_its_state() {
    let registry = Registry::default();
    let site =
        |host: &str| from(json!({"match": [{"host": [host]}], "handle": proxy("a:80"), "terminal": true}));
    let rest = from(json!({"handle": proxy("a:80")}));
    let errors = |config: &mut Config, hosts: &[&str]| {
        for server in config.apps.http.as_mut().unwrap().servers.values_mut() {
            let routes = hosts.iter().map(|host| (*site(host)).clone()).collect();
            server.errors = Some(Errors { routes });
        }
    };
    let mut before = config(&[&site("b.test"), &rest], &[]);
    errors(&mut before, &["b.test"]);
    let before = compile(&before, &registry).unwrap();
    assert_eq!(before.checks.len(), 6);
    let mut after = config(&[&site("a.test"), &site("b.test"), &rest], &[]);
    errors(&mut after, &["a.test", "b.test"]);
    let after = compile(&after, &registry).unwrap();
    let [http, https] = [
        [None, Some(0), None, Some(1), Some(2)],
        [None, Some(3), None, Some(4), Some(5)],
    ];
    check_state(&before, &after, &[http, https].concat());
}

#[test]
fn an_error_names_the_route_without_which_the_rest_compiles() {
    let (fine, broken) = (route("a", invoke("ok")), route("b", invoke("deep")));
    let ok = named(text("ok"));
    let mut routes = chain(DEPTH);
    routes[0].0 = "deep".to_owned();
    let names = routes.iter().map(|(name, route)| (name.as_str(), route));
    let names: Vec<_> = names.chain([("ok", &ok)]).collect();
    let registry = Registry::default();
    let error = compile(&config(&[&fine, &broken], &names), &registry).unwrap_err();
    assert_eq!(error.id.as_deref(), Some("b"));
    compile(&config(&[&fine], &names), &registry).unwrap();

    let mut config = config(&[&fine], &names);
    let errors = vec![(*broken).clone()];
    config.apps.http.as_mut().unwrap().servers["https"].errors = Some(Errors { routes: errors });
    assert_eq!(compile(&config, &registry).unwrap_err().id.as_deref(), Some("b"));
    assert_eq!(check(&Config::default()), Ok(()));
}

/// Named routes `0` to `length`, each of which invokes the next.
fn chain(length: usize) -> Vec<(String, Arc<RouteConfig>)> {
    let link = |at: usize| {
        let handlers = if at == length {
            text("end")
        } else {
            invoke(&(at + 1).to_string())
        };
        (at.to_string(), named(handlers))
    };
    (0..=length).map(link).collect()
}

#[test]
fn depth_is_the_same_however_it_came_about() {
    for (length, compiles) in [(DEPTH - 1, true), (DEPTH, false)] {
        let chain = chain(length);
        let names: Vec<_> = chain.iter().map(|(name, route)| (name.as_str(), route)).collect();
        let (top, middle) = (route("a", invoke("0")), route("b", invoke("50")));
        let whole = config(&[&top], &names);
        assert_eq!(
            compile(&whole, &Registry::default()).is_ok(),
            compiles,
            "{length}"
        );
        let registry = Registry::default();
        compile(&config(&[&middle], &names), &registry).unwrap();
        assert_eq!(compile(&whole, &registry).is_ok(), compiles, "{length}");
        let both = config(&[&middle, &top], &names);
        assert_eq!(compile(&both, &Registry::default()).is_ok(), compiles, "{length}");
    }
}

#[track_caller]
fn check_judged(routes: &[&Arc<RouteConfig>], named: &[(&str, &Arc<RouteConfig>)], expected: &str) {
    let found = check(&config(routes, named)).map_err(|error| error.to_string());
    assert_eq!(found.err().unwrap_or_default(), expected);
}

#[test]
fn an_object_is_judged_by_itself() {
    let (fine, broken) = (named(text("a")), named(invoke("nobody")));
    check_judged(&[], &[], "");
    check_judged(&[&route("a", invoke("x"))], &[("x", &fine)], "");
    let unknown = "http: route 0: there is no named route `x`";
    check_judged(&[&route("a", invoke("x"))], &[], unknown);
    let unused = "http: named route `x`: route 0: there is no named route `nobody`";
    check_judged(&[], &[("x", &broken)], unused);
    let itself = "http: named route `x`: route 0: the named route `x` invokes itself";
    check_judged(&[], &[("x", &named(invoke("x")))], itself);
    let pattern = from(json!({"match": [{"path_regexp": {"pattern": "("}}], "handle": text("a")}));
    let found = check(&config(&[&pattern], &[])).unwrap_err();
    assert_eq!(found.path, "http: route 0: path_regexp");
}

/// What a step of the property puts into a route or a named route.
fn handlers(kind: u8, version: u8) -> Value {
    match kind {
        0 | 1 => text(&version.to_string()),
        2 => proxy(&format!("{version}:80")),
        3 => json!([{"handler": "subroute", "routes": [{"handle": invoke("x")}, {"handle": proxy("a:80")}]}]),
        4 => json!([invoke("x")[0], invoke("y")[0]]),
        _ => invoke(["x", "y", "z"][usize::from(version) % 3]),
    }
}

/// What a table does, without what differs from run to run.
fn shown(table: &Table) -> String {
    let servers = table.servers.iter();
    let servers: Vec<_> = servers.map(|server| format!("{:?}", server.routes)).collect();
    format!("{} {}", servers.join("\n"), table.checks.len())
}

proptest! {
    /// Each step replaces a route or a named route; some do not compile.
    #[test]
    fn incremental_is_cold(steps in prop::collection::vec((0..7_usize, 0..6_u8, 0..4_u8), 1..24)) {
        let registry = Registry::default();
        let ids = ["a", "b", "c", "d"];
        let mut routes: Vec<_> = ids.iter().map(|id| route(id, text("0"))).collect();
        let mut named_routes = [named(text("x")), named(text("y")), named(text("z"))];
        for (at, kind, version) in steps {
            match at.checked_sub(ids.len()) {
                None => routes[at] = route(ids[at], handlers(kind, version)),
                Some(at) => named_routes[at] = named(handlers(kind, version)),
            }
            routes.rotate_left(usize::from(version) % 2);
            let ids: Vec<_> = routes.iter().collect();
            let [x, y, z] = &named_routes;
            let config = config(&ids, &[("x", x), ("y", y), ("z", z)]);
            let cold = compile(&config, &Registry::default()).map(|table| shown(&table));
            let warm = compile(&config, &registry).map(|table| shown(&table));
            prop_assert_eq!(warm.is_ok(), cold.is_ok());
            if let Ok(warm) = warm {
                prop_assert_eq!(warm, cold.unwrap());
            }
        }
    }
}
