//! Manifests judged by themselves: what is wrong with their objects, told where it stands in the files.
//!
//! They are rendered as a cluster with just these objects would. What every cluster has beside them is made up: the
//! classes that they name. What may stand in files that were not named is passed over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::Format;
use crate::diagnostics::{self, About, Summary};
use crate::embedded::Places;
use crate::load;
use crate::manifests::{Given, Manifests, Place, Problem, files};
use crate::objects::{IngressClass, IngressClassSpec, Key, Meta};
use crate::render::{CONTROLLER, Renderer};
use crate::snapshot::Snapshot;
use crate::verdict::{Finding, Verdict};

/// The code of a document that cannot be read.
const UNREADABLE: &str = "unreadable-manifest";
/// Annotations by which an Ingress says that it is ours.
const OWN: &str = "fairway.dev/";

/// The files that were named; of a folder, the manifests in it.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Given>> {
    let mut given = Vec::new();
    for path in paths {
        let found = if path.is_dir() {
            files(path)?
        } else {
            vec![path.clone()]
        };
        for path in found {
            let (path, text) = load::read(Some(&path))?;
            given.push(Given { path, text });
        }
    }
    Ok(given)
}

/// Judges manifests and prints what is wrong with them; an error if something is.
pub(crate) fn check(given: &[Given], format: Format) -> anyhow::Result<()> {
    let (manifests, mut snapshot, problems) = Manifests::of(given);
    let services = !snapshot.services.is_empty();
    let secrets = !snapshot.secrets.is_empty();
    complete(&mut snapshot);
    let mut rendered = Renderer::default().render(&Arc::new(snapshot));
    for verdict in &mut rendered.verdicts {
        verdict.findings.retain(|finding| match finding.code {
            "service-not-found" => services,
            "secret-not-found" => secrets,
            _ => true,
        });
    }
    let places = Places::of(given);
    print(&rendered.verdicts, &problems, &manifests, &places, format);
    let findings = rendered.verdicts.iter().flat_map(|verdict| &verdict.findings);
    match problems.len() + findings.filter(|finding| finding.is_error()).count() {
        0 => Ok(()),
        1 => Err(Summary("one mistake in the manifests".to_owned()).into()),
        count => Err(Summary(format!("{count} mistakes in the manifests")).into()),
    }
}

/// Prints what is wrong with documents and with objects, in this order.
pub(crate) fn print(
    verdicts: &[Verdict],
    problems: &[Problem],
    manifests: &Manifests,
    places: &Places,
    format: Format,
) {
    for problem in problems {
        let file = problem.place.file.display().to_string();
        let about = About {
            severity: "error",
            code: UNREADABLE,
            message: &problem.message,
            at: Some((&file, problem.place.line)),
            ..About::default()
        };
        diagnostics::print_about(&about, format);
    }
    for verdict in verdicts {
        for finding in &verdict.findings {
            if let Some(told) = &finding.diagnostic {
                diagnostics::print(&[places.in_file(&told.0)], format);
            } else {
                let place = manifests.first_line(verdict.kind, &verdict.key());
                print_finding(verdict, finding, place.as_ref(), places, format);
            }
        }
    }
}

/// A finding about an object and not about a place in a text.
fn print_finding(
    verdict: &Verdict,
    finding: &Finding,
    place: Option<&Place>,
    places: &Places,
    format: Format,
) {
    let file = place.map(|place| place.file.display().to_string());
    let object_at = file.as_deref().zip(place.map(|place| place.line));
    let object = format!("{} {}", verdict.kind, verdict.key());
    let about = About {
        severity: finding.severity,
        code: finding.code,
        message: &finding.message,
        help: finding.help.as_deref(),
        at: places.line(&format!("{object}, {}", finding.field)).or(object_at),
        object: Some(&object),
        field: Some(&*finding.field).filter(|field| !field.is_empty()),
    };
    diagnostics::print_about(&about, format);
}

/// Adds the classes that every cluster with these objects has.
fn complete(snapshot: &mut Snapshot) {
    let routes = snapshot.routes.values();
    let mut names: BTreeSet<&str> = routes
        .filter_map(|route| route.spec.ingress_class_name.as_deref())
        .collect();
    for ingress in snapshot.ingresses.values() {
        let annotations = &ingress.metadata.annotations;
        if annotations.keys().any(|name| name.starts_with(OWN)) {
            names.extend(ingress.spec.ingress_class_name.as_deref());
            names.extend(ingress.metadata.annotation("kubernetes.io/ingress.class"));
        }
    }
    let missing: Vec<String> = names
        .into_iter()
        .map(str::to_owned)
        .filter(|name| !snapshot.classes.contains_key(&Key::new("", name)))
        .collect();
    let has_default = snapshot
        .classes
        .values()
        .any(|class| class.spec.controller == CONTROLLER && class.is_default());
    for name in missing {
        add_class(snapshot, name, false);
    }
    if !has_default {
        // No object can name it.
        add_class(snapshot, String::new(), true);
    }
}

fn add_class(snapshot: &mut Snapshot, name: String, is_default: bool) {
    let mut metadata = Meta {
        name,
        ..Meta::default()
    };
    if is_default {
        let annotation = "ingressclass.kubernetes.io/is-default-class".to_owned();
        metadata.annotations.insert(annotation, "true".to_owned());
    }
    let class = IngressClass {
        spec: IngressClassSpec {
            controller: CONTROLLER.to_owned(),
            ..IngressClassSpec::default()
        },
        metadata,
    };
    snapshot.classes.insert(class.metadata.key(), Arc::new(class));
}

/// Whether a path on the command line is of manifests.
pub(crate) fn is_of_manifests(path: &Path) -> anyhow::Result<bool> {
    if path.is_dir() {
        return Ok(true);
    }
    let extension = path.extension().unwrap_or_default();
    if extension == "yaml" || extension == "yml" {
        return Ok(true);
    }
    if extension != "json" {
        return Ok(false);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(crate::manifests::is_manifest(Some(path), &text))
}
