//! Fifty objects of both kinds in five namespaces, each with a page that shows that it is served, and a version; and in
//! each namespace one more that is served over TLS.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::objects::{changed, ingress, path, route, rule, serving};
use crate::tls::Pair;

/// How many namespaces there are.
const TEAMS: usize = 5;
/// What each of them has.
const ROLES: [&str; 10] = [
    "lib",
    "plain",
    "proxy",
    "imports",
    "invokes",
    "errors",
    "web",
    "annotated",
    "directives",
    "resource",
];

/// The hosts that are served over TLS: an Ingress for each namespace, with a Secret.
pub(crate) fn secure() -> Vec<(String, Value)> {
    let team = |team: usize| {
        let host = format!("secure.team-{team}.test");
        let spec = json!({
            "rules": [rule(&host, &[path("Prefix", "/", "web:http")])],
            "tls": [{"hosts": [host], "secretName": "pair"}],
        });
        (host, ingress(&format!("team-{team}/secure"), &spec))
    };
    (0..TEAMS).map(team).collect()
}

/// A good object.
#[derive(Debug, Clone)]
pub(crate) struct Good {
    team: String,
    role: &'static str,
    /// Its host.
    pub(crate) host: String,
}

/// All of them.
pub(crate) fn all() -> Vec<Good> {
    let mut all = Vec::new();
    for team in 0..TEAMS {
        all.extend(ROLES.map(|role| Good {
            team: format!("team-{team}"),
            role,
            host: format!("{role}.team-{team}.test"),
        }));
    }
    all
}

/// The Services behind them.
pub(crate) fn services(address: SocketAddr) -> Vec<Value> {
    let teams = (0..TEAMS).map(|team| format!("team-{team}/web"));
    teams.flat_map(|web| serving(&web, address)).collect()
}

/// The Secrets for [`secure`], all with the same certificate.
pub(crate) fn secrets(pair: &Pair) -> Vec<Value> {
    let teams = (0..TEAMS).map(|team| format!("team-{team}/pair"));
    teams.map(|object| pair.secret(&object)).collect()
}

impl Good {
    pub(crate) fn file(&self) -> String {
        format!("{}-{}.yaml", self.team, self.role)
    }

    /// A page and its answer, in whatever version.
    pub(crate) fn page(&self) -> (&'static str, String) {
        let Self { team, role, .. } = self;
        match *role {
            "lib" => ("/page", "200 lib".to_owned()),
            "plain" => ("/page", format!("200 {team} plain")),
            "imports" | "annotated" => ("/page", format!("200 hello {team}")),
            "invokes" | "resource" => ("/page", format!("200 {team} api /page")),
            "errors" => ("/page", "404 sorry".to_owned()),
            "directives" => ("/page/special", format!("200 {team} special")),
            _ => ("/page", "200 web sees /page".to_owned()),
        }
    }

    /// A page that is there in this version alone, and its answer.
    pub(crate) fn version(&self, version: usize) -> (String, String) {
        let page = format!("/version-{version}");
        let answer = match self.role {
            "annotated" => format!("200 hello {}", self.team),
            "resource" => format!("200 {} api {page}", self.team),
            "web" | "directives" => format!("200 web sees {page}"),
            _ => "200 version".to_owned(),
        };
        (page, answer)
    }

    /// The object in one of its versions.
    pub(crate) fn object(&self, version: usize) -> Value {
        let Self { team, role, host } = self;
        let name = format!("{team}/{role}");
        let site = |body: &str| {
            format!(
                "http://{host} {{\n\thandle /version-{version} {{\n\t\trespond version\n\t}}\n\t{body}\n}}\n"
            )
        };
        let rules = |backend: Option<Value>| {
            let backed = |mut path: Value| {
                if let Some(backend) = &backend {
                    path["backend"] = backend.clone();
                }
                path
            };
            let version = format!("/version-{version}");
            json!({"rules": [rule(host, &[
                backed(path("Prefix", "/page", "web:http")),
                backed(path("Exact", &version, "web:80")),
            ])]})
        };
        match *role {
            "lib" => {
                let lib = format!(
                    "(hello) {{\n\trespond \"hello {team}\"\n}}\n&(api) {{\n\trespond \"{team} api {{path}}\"\n}}\n"
                );
                route(&name, &(lib + &site("respond lib")))
            }
            "plain" => route(&name, &site(&format!("respond \"{team} plain\""))),
            "proxy" => route(
                &name,
                &site("reverse_proxy web:http {\n\tlb_policy least_conn\n}"),
            ),
            "imports" => route(&name, &site("import hello")),
            "invokes" => route(&name, &site("handle {\n\t\tinvoke api\n\t}")),
            "errors" => route(
                &name,
                &site("error /page 404\n\thandle_errors {\n\trespond sorry\n}"),
            ),
            "annotated" => changed(
                ingress(&name, &rules(None)),
                "/metadata/annotations/fairway.dev~1import",
                "hello".into(),
            ),
            "directives" => changed(
                ingress(&name, &rules(None)),
                "/metadata/annotations/fairway.dev~1caddyfile",
                format!("respond /page/special \"{team} special\"\n").into(),
            ),
            "resource" => {
                let resource = json!({"apiGroup": "fairway.dev", "kind": "CaddyRoute", "name": "lib"});
                ingress(&name, &rules(Some(json!({"resource": resource}))))
            }
            _ => ingress(&name, &rules(None)),
        }
    }
}
