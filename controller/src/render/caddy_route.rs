//! A CaddyRoute becomes a part: its sites and named routes.

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, Library, Limits, Options, Snippet};
use fairway_engine::adapt::object::{self, AdaptedObject, adapt_object};
use fairway_engine::config::{Automation, Config, Http, Policy, Route, Server, Tls as TlsApp, Written};
use fairway_engine::handlers::{Config as Handler, respond, subroute};
use fairway_engine::matchers::{Set, host};
use fairway_server::tls::Secrets;
use indexmap::IndexMap;

use super::definitions::{Defined, source};
use super::part::{Address, Asked, Imported, LastGood, Named, Part, Scheme, Site};
use super::world::{Asking, Remembering};
use crate::objects::{CaddyRoute, Key, Tls};
use crate::verdict::{Finding, LastGoodImport, LastGoodText, State};
use crate::{blame, serving};

/// What a CaddyRoute becomes, and the text that is good as of now.
pub(super) struct Made {
    pub part: Part,
    pub last_good: Option<LastGood>,
}

/// Renders a CaddyRoute. A text with mistakes gives way to the last good one; a text that breaks a rule answers 503.
pub(super) fn render(
    route: &CaddyRoute,
    serial: u64,
    asking: &Rc<Asking>,
    last_good: Option<LastGood>,
) -> (Made, Vec<(super::world::Question, u64)>) {
    let text = &route.spec.caddyfile;
    let (adapted, mistakes) = adapt(route, text, &**asking, asking);
    let Asked {
        questions: mut asked,
        imported,
    } = asking.take();
    let findings: Vec<Finding> = mistakes.iter().map(Finding::diagnostic).collect();
    let is_broken = mistakes.iter().any(|found| found.is_error() && !is_policy(found));
    if !is_broken {
        let is_refused = mistakes.iter().any(Diagnostic::is_error);
        let state = if is_refused {
            State::Unavailable
        } else {
            State::Accepted
        };
        let part = part(route, serial, adapted, state, findings);
        let now = LastGood {
            generation: route.metadata.generation,
            text: text.as_str().into(),
            imported: imported.into(),
        };
        // A text that is refused is no good one, and takes the place of none.
        let last_good = if is_refused { last_good } else { Some(now) };
        return (Made { part, last_good }, asked);
    }
    let Some(good) = last_good else {
        let part = part(route, serial, AdaptedObject::default(), State::Refused, findings);
        return (
            Made {
                part,
                last_good: None,
            },
            asked,
        );
    };
    let remembering = Remembering {
        today: Rc::clone(asking),
        imported: Arc::clone(&good.imported),
    };
    let (adapted, old_mistakes) = adapt(route, &good.text, &remembering, asking);
    asked.extend(asking.take().questions);
    // It was good; what is wrong with it today is a rule, or something that it needs is gone.
    let is_refused = old_mistakes.iter().any(Diagnostic::is_error);
    let state = if is_refused {
        State::Unavailable
    } else {
        State::LastGood
    };
    let mut findings = findings;
    if is_refused {
        findings.extend(
            old_mistakes
                .iter()
                .filter(|found| found.is_error())
                .map(Finding::diagnostic),
        );
    }
    let mut part = part(route, serial, adapted, state, findings);
    let kept = kept(&good);
    if kept.bytes() > fairway_crds::bounds::CADDYFILE {
        let message = "the last good text and what it imports are too large to be kept over a restart";
        let finding = Finding::warning("last-good-not-kept", "spec.caddyfile", message);
        part.findings.push(finding.help("mend the text before that"));
    } else {
        part.last_good = Some(Arc::new(kept));
    }
    (
        Made {
            part,
            last_good: Some(good),
        },
        asked,
    )
}

/// A good text as it is kept in the status.
fn kept(good: &LastGood) -> LastGoodText {
    let imports = good.imported.iter().map(|imported| LastGoodImport {
        namespace: imported.namespace.to_string(),
        name: imported.name.to_string(),
        caddyfile: body(&imported.snippet).to_owned(),
    });
    let mut imports: Vec<LastGoodImport> = imports.collect();
    imports.sort();
    imports.dedup();
    LastGoodText {
        generation: good.generation,
        caddyfile: good.text.to_string(),
        imports,
    }
}

/// What stands between the braces of a snippet.
fn body(snippet: &Snippet) -> &str {
    let (Some(first), Some(last)) = (snippet.body.first(), snippet.body.last()) else {
        return "";
    };
    let text = first.span.source.text();
    text.get(first.span.start as usize..last.span.end as usize)
        .unwrap_or_default()
}

/// A good text as it was kept in the status. Anybody who may write it may have forged it: a snippet of another
/// namespace is not taken from there.
pub(super) fn restore(kept: &LastGoodText, namespace: &str) -> LastGood {
    let imported = kept.imports.iter().filter_map(|import| {
        let LastGoodImport {
            namespace: owner,
            name,
            caddyfile,
        } = import;
        let key = Key::new(owner, name);
        let source = source(&key, &format!("({name}) {{\n{caddyfile}\n}}\n"));
        let snippet = Defined::of(source).only_snippet()?;
        Some(Imported {
            namespace: owner.as_str().into(),
            name: name.as_str().into(),
            snippet,
            is_trusted: owner == namespace,
        })
    });
    LastGood {
        generation: kept.generation,
        text: kept.caddyfile.as_str().into(),
        imported: imported.collect(),
    }
}

fn adapt(
    route: &CaddyRoute,
    text: &str,
    library: &dyn Library,
    asking: &Rc<Asking>,
) -> (AdaptedObject, Vec<Diagnostic>) {
    let key = route.metadata.key();
    let options = Options {
        library,
        limits: Limits::object(),
        ..Options::default()
    };
    let mut adapted = adapt_object(source(&key, text), &options, Rc::clone(asking) as _);
    let mut mistakes = std::mem::take(&mut adapted.diagnostics);
    mistakes.extend(adapted.sites.iter().filter_map(tls_of_every_host));
    for site in &adapted.sites {
        mistakes.extend(
            site.addresses
                .iter()
                .filter_map(|address| claimable(address).err()),
        );
    }
    if !mistakes.iter().any(Diagnostic::is_error) {
        mistakes.extend(compile_alone(&adapted));
    }
    (adapted, mistakes)
}

/// A site for every host cannot say how TLS is spoken: handshakes for the hosts of others would follow it.
fn tls_of_every_host(site: &object::Site) -> Option<Diagnostic> {
    let address = site.addresses.iter().find(|address| address.host.is_empty())?;
    let says = site.tls.is_some() || site.automation.is_some();
    says.then(|| {
        let message = "`tls` needs a host in every address of its site";
        Diagnostic::error("tls-without-host", &address.span.0, message).label("stands for every host")
    })
}

/// Whether a mistake is the breach of a rule, and not a fault of the text: then no older text helps.
fn is_policy(found: &Diagnostic) -> bool {
    matches!(
        found.code,
        "operator-only"
            | "not-exported"
            | "snippet-refused"
            | "no-grant"
            | "tenant-file-import"
            | "tenant-environment"
    )
}

/// The address as something to be claimed.
fn claimable(address: &object::Address) -> Result<Address, Diagnostic> {
    let refuse = |message: String| {
        Err(
            Diagnostic::error("unsupported-address", &address.span.0, message).help(
                "in a cluster a site has a host, with `http://`, `https://` or port 80 or 443 if it matters",
            ),
        )
    };
    let scheme = match (address.scheme.as_str(), address.port.as_str()) {
        ("", "") => Scheme::Any,
        ("http", "" | "80") | ("", "80") => Scheme::Http,
        ("https", "" | "443") | ("", "443") => Scheme::Https,
        (_, port) => return refuse(format!("port {port} is not served in a cluster")),
    };
    if !address.path.is_empty() {
        let path = &address.path;
        return refuse(format!(
            "the address has a path, `{path}`; put it into a `handle {path}*`"
        ));
    }
    if !is_host(&address.host) {
        return refuse(format!("`{}` is not a host", address.host));
    }
    Ok(Address {
        scheme,
        host: address.host.as_str().into(),
    })
}

/// A name, a name behind `*.`, or nothing for every host.
pub(super) fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.is_empty() || (host.len() <= 253 && name.split('.').all(is_label))
}

/// What cannot be compiled although it can be read: a regular expression, a template. Named routes of others count as
/// good; they are judged with their own object.
fn compile_alone(adapted: &AdaptedObject) -> Vec<Diagnostic> {
    let sites = adapted.sites.iter().map(|site| {
        let routes = site.routes.iter().chain(&site.errors).cloned().collect();
        let at = site.addresses.first().map(|address| &address.span.0);
        (routes, &site.invoked, at)
    });
    let named = adapted.named_routes.iter().map(|named| {
        let at = named.route.written.0.as_ref();
        (vec![named.route.clone()], &named.invoked, at)
    });
    let mut mistakes = Vec::new();
    for (routes, invoked, at) in sites.chain(named) {
        let Err(error) = check(routes.clone(), invoked) else {
            continue;
        };
        let found = blame::routes(&routes, invoked, at);
        if found.is_empty() {
            mistakes.extend(at.map(|at| Diagnostic::error(blame::NOT_SERVABLE, at, error)));
        }
        mistakes.extend(found);
    }
    if mistakes.is_empty() {
        mistakes.extend(adapted.sites.iter().find_map(|site| {
            let error = check_tls(site).err()?;
            let at = &site.addresses.first()?.span.0;
            Some(Diagnostic::error(blame::NOT_SERVABLE, at, error))
        }));
    }
    mistakes
}

/// Takes what a site says about TLS through the same steps as all sites together, so that none of them fails there.
fn check_tls(site: &object::Site) -> Result<(), String> {
    if site.tls.is_none() && site.automation.is_none() {
        return Ok(());
    }
    let hosts = site.addresses.iter().map(|address| address.host.clone());
    let hosts: Vec<String> = hosts.filter(|host| !host.is_empty()).collect();
    let server = Server {
        listen: vec![":443".to_owned()],
        routes: vec![Arc::new(Route {
            matches: vec![Set {
                host: Some(host::Config(hosts.clone())),
                ..Set::default()
            }],
            ..Route::default()
        })],
        tls_connection_policies: Some(site.tls.iter().cloned().collect()),
        ..Server::default()
    };
    let policies = site.automation.iter().map(|policy| Policy {
        subjects: hosts.clone(),
        ..policy.clone()
    });
    let mut config = config_of(server);
    config.apps.tls = Some(TlsApp {
        automation: Some(Automation {
            policies: policies.collect(),
            ..Automation::default()
        }),
        ..TlsApp::default()
    });
    let prepared = serving::prepare(
        config,
        &fairway_engine::Registry::default(),
        &Secrets::default(),
        None,
    );
    prepared.map(drop).map_err(|error| format!("{error:#}"))
}

/// Compiles routes by themselves.
pub(crate) fn check(routes: Vec<Route>, invoked: &[String]) -> Result<(), String> {
    let empty = Arc::new(Route::default());
    let named: IndexMap<_, _> = invoked
        .iter()
        .map(|name| (name.clone(), Arc::clone(&empty)))
        .collect();
    let server = Server {
        routes: routes.into_iter().map(Arc::new).collect(),
        named_routes: Some(named),
        ..Server::default()
    };
    let config = config_of(server);
    fairway_engine::compile::check(&config).map_err(|error| error.message)
}

/// A config of one server.
fn config_of(server: Server) -> Config {
    let mut config = Config::default();
    config.apps.http = Some(Http {
        servers: [("check".to_owned(), server)].into_iter().collect(),
        ..Http::default()
    });
    config
}

/// The answer of a site that breaks a rule.
pub(crate) fn unavailable() -> Handler {
    Handler::StaticResponse(respond::Config {
        status_code: "503".into(),
        ..respond::Config::default()
    })
}

fn part(
    route: &CaddyRoute,
    serial: u64,
    adapted: AdaptedObject,
    state: State,
    findings: Vec<Finding>,
) -> Part {
    let key = route.metadata.key();
    let is_unavailable = state == State::Unavailable;
    let sites = adapted.sites.into_iter().map(|site| {
        let written = Written(site.addresses.first().map(|address| address.span.0.clone()));
        let addresses = site.addresses.iter();
        let addresses = addresses.filter_map(|address| claimable(address).ok()).collect();
        let (handle, errors, invoked) = if is_unavailable {
            (unavailable(), Vec::new(), Vec::new())
        } else {
            let routes = subroute::Config {
                routes: site.routes,
                ..subroute::Config::default()
            };
            (Handler::Subroute(routes), site.errors, site.invoked)
        };
        Site {
            addresses,
            handle: vec![handle],
            errors,
            written,
            invoked,
            tls: site.tls,
            automation: site.automation,
        }
    });
    let named_routes = adapted.named_routes.into_iter().map(|named| {
        let (route, invoked) = if is_unavailable {
            (Route::new(None, unavailable()), Vec::new())
        } else {
            (named.route, named.invoked)
        };
        Named {
            name: format!("{}/{}", key.namespace, named.name),
            route: Arc::new(route),
            invoked,
        }
    });
    Part {
        kind: "CaddyRoute",
        created: route.metadata.creation_timestamp.clone(),
        serial,
        sites: sites.collect(),
        paths: Vec::new(),
        named_routes: named_routes.collect(),
        tls: route.spec.tls.iter().map(Tls::pair).collect(),
        findings,
        state,
        last_good: None,
        key,
    }
}
