//! An Ingress becomes a part: its paths, with the directives of its annotations before the backends.

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, Limits, Options, Origin, Source, suggest};
use fairway_engine::adapt::object::{AdaptedLines, adapt_lines};
use fairway_engine::cluster::{Cluster, ServiceName, ServicePort};
use fairway_engine::config::Route;
use fairway_engine::handlers::reverse_proxy::{DynamicUpstreams, KubernetesUpstreams};
use fairway_engine::handlers::{Config as Handler, invoke, reverse_proxy, subroute};

use super::assemble::matches;
use super::caddy_route::{check, is_host, unavailable};
use super::part::{Part, Path};
use super::world::{Asking, Question};
use crate::blame;
use crate::objects::{Backend, Ingress, Key, PathType, Tls};
use crate::verdict::{Finding, State};

/// Snippets to import before the backends, by name.
const IMPORT: &str = "fairway.dev/import";
/// Directives before the backends.
const CADDYFILE: &str = "fairway.dev/caddyfile";

/// Renders an Ingress. If its annotations are broken, all its paths answer 503: never the backend without them.
pub(super) fn render(ingress: &Ingress, serial: u64, asking: &Rc<Asking>) -> (Part, Vec<(Question, u64)>) {
    let mut rendering = Rendering {
        ingress,
        key: ingress.metadata.key(),
        asking,
        findings: Vec::new(),
        invoked: Vec::new(),
        before: Vec::new(),
        is_unavailable: false,
    };
    rendering.annotations();
    let paths = rendering.paths();
    let Rendering {
        key,
        findings,
        is_unavailable,
        ..
    } = rendering;
    let state = if is_unavailable {
        State::Unavailable
    } else if paths.is_empty() && findings.iter().any(Finding::is_error) {
        State::Refused
    } else {
        State::Accepted
    };
    let part = Part {
        kind: "Ingress",
        created: ingress.metadata.creation_timestamp.clone(),
        serial,
        sites: Vec::new(),
        paths,
        named_routes: Vec::new(),
        tls: ingress.spec.tls.iter().map(Tls::pair).collect(),
        findings,
        state,
        last_good: None,
        key,
    };
    (part, asking.take().questions)
}

struct Rendering<'r> {
    ingress: &'r Ingress,
    key: Key,
    asking: &'r Rc<Asking>,
    findings: Vec<Finding>,
    /// The named routes that the annotations invoke.
    invoked: Vec<String>,
    /// What the annotations do.
    before: Vec<Handler>,
    is_unavailable: bool,
}

impl Rendering<'_> {
    fn origin(&self) -> Arc<Origin> {
        Origin::tenant(&format!("Ingress {}", self.key), &self.key.namespace)
    }

    fn annotations(&mut self) {
        let annotations = &self.ingress.metadata.annotations;
        for name in annotations.keys().filter(|name| name.starts_with("fairway.dev/")) {
            if name != IMPORT && name != CADDYFILE {
                let message = format!("there is no annotation `{name}`; it has no effect");
                let finding = Finding::warning("unknown-annotation", "metadata.annotations", message);
                let near = suggest(name, [IMPORT, CADDYFILE]);
                self.findings.push(match near {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding,
                });
            }
        }
        if let Some(names) = self.ingress.metadata.annotation(IMPORT) {
            let mut lines = String::new();
            for name in names.split([',', ' ', '\n']).filter(|name| !name.is_empty()) {
                if name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
                {
                    lines.extend(["import ", name, "\n"]);
                } else {
                    self.is_unavailable = true;
                    let message = format!("`{name}` cannot be the name of a snippet");
                    let finding = Finding::error("invalid-value", format!("annotation {IMPORT}"), message);
                    self.findings
                        .push(finding.help("names stand alone, with a comma between them"));
                }
            }
            self.lines(IMPORT, &lines);
        }
        if let Some(text) = self.ingress.metadata.annotation(CADDYFILE) {
            self.lines(CADDYFILE, text);
        }
    }

    /// Reads the directives of an annotation.
    fn lines(&mut self, annotation: &str, text: &str) {
        let name = format!("Ingress {}, annotation {annotation}", self.key);
        let source = Source::new(self.origin(), &name, text);
        let options = Options {
            library: &**self.asking,
            limits: Limits::object(),
            ..Options::default()
        };
        let AdaptedLines {
            routes,
            invoked,
            diagnostics,
        } = adapt_lines(source, &options, Rc::clone(self.asking) as _);
        self.is_unavailable |= diagnostics.iter().any(Diagnostic::is_error);
        self.findings.extend(diagnostics.iter().map(Finding::diagnostic));
        if self.is_unavailable {
            return;
        }
        if let Err(error) = check(routes.clone(), &invoked) {
            self.is_unavailable = true;
            let found = blame::routes(&routes, &invoked, None);
            if found.is_empty() {
                let field = format!("annotation {annotation}");
                self.findings
                    .push(Finding::error(blame::NOT_SERVABLE, field, error));
            }
            self.findings.extend(found.iter().map(Finding::diagnostic));
            return;
        }
        self.invoked.extend(invoked);
        if !routes.is_empty() {
            self.before.push(Handler::Subroute(subroute::Config {
                routes,
                ..subroute::Config::default()
            }));
        }
    }

    fn paths(&mut self) -> Vec<Path> {
        let spec = &self.ingress.spec;
        let mut paths = Vec::new();
        for (number, rule) in spec.rules.iter().enumerate() {
            let host = rule.host.to_ascii_lowercase();
            if !is_host(&host) {
                let message = format!("`{}` is not a host", rule.host);
                self.findings.push(Finding::error(
                    "invalid-host",
                    format!("spec.rules[{number}].host"),
                    message,
                ));
                continue;
            }
            for (place, path) in rule.http.iter().flat_map(|http| &http.paths).enumerate() {
                let field = format!("spec.rules[{number}].http.paths[{place}]");
                let is_exact = path.kind == PathType::Exact;
                let text = if path.text.is_empty() && !is_exact {
                    "/"
                } else {
                    &*path.text
                };
                if !text.starts_with('/') {
                    let message = format!("the path `{text}` does not begin with `/`");
                    self.findings.push(Finding::error("invalid-path", field, message));
                    continue;
                }
                let made = self.path(&host, text, is_exact, &path.backend, field);
                let alone = Route {
                    matches: matches(&made).into_iter().collect(),
                    ..Route::default()
                };
                if let Err(error) = check(vec![alone], &[]) {
                    let finding = Finding::error("invalid-path", made.field, error);
                    self.findings.push(finding);
                    continue;
                }
                paths.push(made);
            }
        }
        if let Some(backend) = &spec.default_backend {
            let mut hosts: Vec<String> = spec
                .rules
                .iter()
                .map(|rule| rule.host.to_ascii_lowercase())
                .collect();
            hosts.retain(|host| is_host(host));
            hosts.push(String::new());
            hosts.sort();
            hosts.dedup();
            for host in hosts {
                let field = format!("spec.defaultBackend@{host}");
                let made = self.path(&host, "/", false, backend, field);
                paths.push(Path {
                    is_default: true,
                    ..made
                });
            }
        }
        paths
    }

    fn path(&mut self, host: &str, path: &str, is_exact: bool, backend: &Backend, field: String) -> Path {
        let (mut handle, mut invoked) = (self.before.clone(), self.invoked.clone());
        match self.backend(backend, &field) {
            Ok((handler, name)) => {
                handle.push(handler);
                invoked.extend(name);
            }
            Err(finding) => {
                self.findings.push(finding);
                handle = vec![unavailable()];
                invoked.clear();
            }
        }
        if self.is_unavailable {
            handle = vec![unavailable()];
            invoked.clear();
        }
        Path {
            host: host.into(),
            text: path.into(),
            is_exact,
            is_default: false,
            handle,
            invoked,
            field,
        }
    }

    /// What sends requests to a backend, and the named route that it needs.
    fn backend(&mut self, backend: &Backend, field: &str) -> Result<(Handler, Option<String>), Finding> {
        let field = format!("{field}.backend");
        if let Some(resource) = &backend.resource {
            if resource.kind != "CaddyRoute" || resource.api_group != "fairway.dev" {
                let message = format!("a {} cannot be a backend here", resource.kind);
                let finding = Finding::error("unknown-backend", field, message);
                return Err(finding.help("`resource` may name a CaddyRoute of the group fairway.dev"));
            }
            let route = Key::new(&self.key.namespace, &resource.name);
            let name = self.asking.resource(&route);
            let name = name.map_err(|notice| Finding::notice("error", field, notice))?;
            return Ok((Handler::Invoke(invoke::Config { name: name.clone() }), Some(name)));
        }
        let Some(service) = &backend.service else {
            return Err(Finding::error(
                "unknown-backend",
                field,
                "the backend names neither a Service nor a resource",
            ));
        };
        let port = service.port.text();
        let name = ServiceName {
            namespace: None,
            name: &service.name,
            port: (!port.is_empty()).then_some(&*port),
        };
        let answer = self.asking.service(&name, &self.origin());
        let (port, notice) = answer.map_err(|notice| Finding::notice("error", field.clone(), notice))?;
        self.findings
            .extend(notice.map(|notice| Finding::notice("warning", field, notice)));
        Ok((proxy_to(port), None))
    }
}

/// Sends requests to the endpoints of a Service port, one after the other.
fn proxy_to(port: ServicePort) -> Handler {
    Handler::ReverseProxy(Box::new(reverse_proxy::Config {
        dynamic_upstreams: Some(DynamicUpstreams::Kubernetes(KubernetesUpstreams {
            services: vec![port],
        })),
        ..reverse_proxy::Config::default()
    }))
}
