//! `fairway explain`: which object and which line answers a request.

mod asked;
mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use fairway_caddyfile::suggest;
use fairway_engine::config::Config;
use fairway_engine::explain::{Explainer, Explanation};
use fairway_engine::handlers::reverse_proxy::Registry;
use fairway_engine::matchers::ingress_path;

use crate::cli::{self, Format};
use crate::endpoints::Endpoints;
use crate::manifests::Manifests;
use crate::objects::Key;
use crate::render::Renderer;
use crate::snapshot::Snapshot;
use crate::verdict::{State, Verdict};
use crate::{envfile, load, serving};
use asked::{Asked, Listener, Scheme};
use report::{Object, Report};

/// Prints the way of a request; an error if nothing answers it.
pub(crate) fn explain(args: &cli::Explain) -> anyhow::Result<()> {
    let asked = Asked::new(args)?;
    match &args.manifests {
        Some(folder) => of_manifests(folder, &asked, args.format),
        None => of_config(&args.config, &asked, args.format),
    }
}

fn of_config(args: &cli::Config, asked: &Asked, format: Format) -> anyhow::Result<()> {
    envfile::apply(&args.envfile)?;
    let mut loaded = load::load(args)?;
    serving::complete(&mut loaded.config)?;
    let config = loaded.config;
    let explainer = Explainer::new(&config, &Registry::default())?;
    let is_served = |explanation: &Explanation<'_>| !explanation.steps.is_empty();
    let (listener, explanation) = find(&explainer, &config, asked, is_served)?;
    if !is_served(&explanation) {
        return Err(nobody(asked, &listener, &config));
    }
    let main = loaded
        .path
        .map_or("-".to_owned(), |path| path.display().to_string());
    print(
        &Report::new(asked.url(&listener), &explanation, &main, None, &mut |_| None),
        format,
    )
}

fn of_manifests(folder: &Path, asked: &Asked, format: Format) -> anyhow::Result<()> {
    let mut manifests = Manifests::new(folder);
    let (snapshot, problems) = manifests.read()?;
    let snapshot = Arc::new(snapshot);
    for problem in &problems {
        eprintln!("{problem}\n");
    }
    let rendered = Renderer::default().render(&snapshot);
    let mut config = rendered.config;
    serving::complete(&mut config)?;
    let registry = Registry::default();
    let explainer = Explainer::new(&config, &registry)?;
    let mut endpoints = Endpoints::new(true);
    for port in registry.named_services() {
        registry.set_endpoints(&port, &endpoints.of(&snapshot, &port));
    }
    let is_served = |explanation: &Explanation<'_>| object_of(explanation).is_some();
    let (listener, explanation) = find(&explainer, &config, asked, is_served)?;
    let Some((kind, key, field)) = object_of(&explanation) else {
        for verdict in &rendered.verdicts {
            if verdict.state != State::Accepted && names(verdict, &asked.host, &snapshot) {
                eprintln!("{}\n", verdict.lines().join("\n"));
            }
        }
        return Err(nobody(asked, &listener, &config));
    };
    let verdict = Verdict::place(&rendered.verdicts, kind, &key);
    let verdict = verdict.context("the object that answers has no verdict")?;
    let object = Object {
        verdict: &rendered.verdicts[verdict],
        place: manifests.first_line(kind, &key).map(|place| place.to_string()),
        field,
    };
    let main = format!("{kind} {key}");
    let report = Report::new(
        asked.url(&listener),
        &explanation,
        &main,
        Some(object),
        &mut |port| Some(endpoints.of(&snapshot, port)),
    );
    print(&report, format)
}

/// The first listener at which the request is served, and what becomes of it there. If it is served nowhere, one for
/// HTTP.
fn find<'c>(
    explainer: &Explainer<'c>,
    config: &Config,
    asked: &Asked,
    is_served: impl Fn(&Explanation<'_>) -> bool,
) -> anyhow::Result<(Listener, Explanation<'c>)> {
    let mut unserved = None;
    for listener in asked.listeners(config)? {
        let (request, connection) = (asked.request(&listener)?, asked.connection(&listener));
        let Some(explanation) = explainer.explain(&listener.server, request, connection) else {
            continue;
        };
        if is_served(&explanation) {
            return Ok((listener, explanation));
        }
        if unserved.is_none() || listener.scheme == Scheme::Http {
            unserved = Some((listener, explanation));
        }
    }
    unserved.context("nothing is served at all")
}

/// Kind and name of the object that answers, and the field, as the id of the first route tells:
/// `Ingress/shop/web#spec.rules[0].http.paths[1]`.
fn object_of(explanation: &Explanation<'_>) -> Option<(&'static str, Key, Option<String>)> {
    let id = explanation.steps.first()?.route.id.as_deref()?;
    let (object, rest) = id.split_once('#').unwrap_or((id, ""));
    let mut parts = object.split('/');
    let kind = match parts.next()? {
        "CaddyRoute" => "CaddyRoute",
        "Ingress" => "Ingress",
        _ => return None,
    };
    let key = Key::new(parts.next()?, parts.next()?);
    let field = (kind == "Ingress" && !rest.is_empty()).then(|| rest.to_owned());
    Some((kind, key, field))
}

/// Whether an object that serves less than it says has to do with a host.
fn names(verdict: &Verdict, host: &str, snapshot: &Snapshot) -> bool {
    let key = verdict.key();
    if verdict.kind == "CaddyRoute" {
        let route = snapshot.routes.get(&key);
        return route.is_some_and(|route| route.spec.caddyfile.contains(host));
    }
    let ingress = snapshot.ingresses.get(&key);
    ingress.is_some_and(|ingress| ingress.spec.rules.iter().any(|rule| rule.host == host))
}

/// The error that nothing answers, with what is near.
fn nobody(asked: &Asked, listener: &Listener, config: &Config) -> anyhow::Error {
    let url = asked.url(listener);
    let servers = config.apps.http.iter().flat_map(|http| http.servers.values());
    let sets = servers
        .flat_map(|server| &server.routes)
        .flat_map(|route| &route.matches);
    let (mut hosts, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for set in sets {
        let of_set = set.host.iter().flat_map(|hosts| &hosts.0);
        for host in of_set {
            hosts.insert(host.as_str());
            if host.eq_ignore_ascii_case(&asked.host) {
                paths.extend(set.ingress_path.iter().map(|path| match path {
                    ingress_path::Config::Exact(path) => format!("{path} (exact)"),
                    ingress_path::Config::Prefix(path) => path.clone(),
                }));
            }
        }
    }
    if !paths.is_empty() {
        let paths: Vec<String> = paths.into_iter().collect();
        return anyhow::anyhow!(
            "nothing answers {url}: of {}, `{}` is none of the paths {}",
            asked.host,
            asked.path(),
            paths.join(", ")
        );
    }
    let hint = match suggest(&asked.host, hosts.iter().copied()) {
        _ if hosts.contains(asked.host.as_str()) => {
            let other = match listener.scheme {
                Scheme::Http => "https",
                Scheme::Https => "http",
            };
            format!("; the host is served, try --{other}")
        }
        Some(near) => format!("; did you mean {near}?"),
        None if hosts.is_empty() => String::new(),
        None => {
            let shown: Vec<&str> = hosts.iter().copied().take(10).collect();
            let more = if hosts.len() > shown.len() { ", …" } else { "" };
            format!("; the hosts are {}{more}", shown.join(", "))
        }
    };
    anyhow::anyhow!("nothing answers {url}{hint}")
}

fn print(report: &Report<'_>, format: Format) -> anyhow::Result<()> {
    use std::io::Write as _;
    let text = match format {
        Format::Text => report.to_string(),
        Format::Json => {
            let mut json = serde_json::to_string_pretty(report).context("printing the answer")?;
            json.push('\n');
            json
        }
    };
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => bail!("printing the answer: {error}"),
        _ => Ok(()),
    }
}
