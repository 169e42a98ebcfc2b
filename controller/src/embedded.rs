//! The Caddyfiles within manifests, and where each of their characters stands in the YAML.
//!
//! A diagnostic speaks of a place in the text of an object; its author looks at a file. So texts are found again in the
//! file, and places are carried over; where a column cannot be known, the scalar as a whole is told.

mod scalar;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, Origin, Source, Span};
use serde::Deserialize;
use serde_saphyr::Spanned;

pub(crate) use scalar::{Reformatted, Scalar};

use crate::manifests::{Given, documents};

/// The annotations that hold Caddyfiles, or names in them.
const ANNOTATION: &str = "fairway.dev/caddyfile";
const IMPORT: &str = "fairway.dev/import";

/// A Caddyfile in a manifest.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// What messages call it: `CaddyRoute shop/api, spec.caddyfile`.
    pub name: String,
    /// The text that the YAML means.
    pub text: String,
    /// Where it stands in its file.
    pub scalar: Scalar,
}

/// What is looked at in a document.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: String,
    name: String,
    annotations: BTreeMap<String, Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    caddyfile: Option<Spanned<String>>,
}

/// The Caddyfiles of a file, in their order. Documents that cannot be read have none.
pub(crate) fn find(file: &str) -> Vec<Embedded> {
    let mut found = Vec::new();
    for (_, document) in documents(file) {
        // Where the document begins in the file.
        let base = document.as_ptr() as usize - file.as_ptr() as usize;
        let Ok(read) = serde_saphyr::from_str::<Document>(document) else {
            continue;
        };
        let namespace = match &*read.metadata.namespace {
            "" => "default",
            namespace => namespace,
        };
        let object = format!("{} {namespace}/{}", read.kind, read.metadata.name);
        let mut add = |field: &str, value: Spanned<String>| {
            let Some(start) = value.defined.span().byte_offset() else {
                return;
            };
            let scalar = Scalar::at(file, base + start as usize, &value.value);
            found.push(Embedded {
                name: format!("{object}, {field}"),
                text: value.value,
                scalar,
            });
        };
        if read.kind == "CaddyRoute" && read.api_version.starts_with("fairway.dev/") {
            if let Some(text) = read.spec.caddyfile {
                add("spec.caddyfile", text);
            }
        } else if read.kind == "Ingress" {
            for (name, text) in read.metadata.annotations {
                if name == ANNOTATION || name == IMPORT {
                    add(&format!("annotation {name}"), text);
                }
            }
        }
    }
    found.sort_by_key(|found| found.scalar.start);
    found
}

impl Embedded {
    /// Whether it is a Caddyfile, and not names that stand in one.
    pub(crate) fn is_caddyfile(&self) -> bool {
        !self.name.ends_with(IMPORT)
    }
}

/// Where the texts of objects stand in files.
#[derive(Debug, Default)]
pub(crate) struct Places {
    texts: HashMap<String, (Arc<Source>, Embedded)>,
}

impl Places {
    /// Those of the Caddyfiles of manifests.
    pub(crate) fn of(given: &[Given]) -> Self {
        let mut places = Self::default();
        for given in given {
            let origin = Origin::operator(&given.name());
            let source = Source::new(origin, &given.name(), given.text.as_str());
            for embedded in find(&given.text) {
                let entry = places.texts.entry(embedded.name.clone());
                // Of an object that is there twice, the first counts.
                entry.or_insert_with(|| (Arc::clone(&source), embedded));
            }
        }
        places
    }

    /// The diagnostic as it is told of a file. One of a text that is in no file stays as it is.
    pub(crate) fn in_file(&self, diagnostic: &Diagnostic) -> Diagnostic {
        let mut notes = Vec::new();
        let home = &diagnostic.span;
        let embedded = self.texts.get(home.source.name());
        let is_caddyfile = embedded.is_some_and(|(_, embedded)| embedded.is_caddyfile());
        if is_caddyfile && self.is_exact(home) == Some(false) {
            let (name, line, column) = (home.source.name(), home.line(), home.column());
            notes.push(format!(
                "line {line}, column {column} of {name}; write the text as a block below `|`, and its place is told here"
            ));
        }
        let mut moved = diagnostic.clone().moved(&|span| self.span(span));
        moved.notes.extend(notes);
        moved
    }

    /// The place in the file.
    fn span(&self, span: &Span) -> Span {
        let Some((source, embedded)) = self.texts.get(span.source.name()) else {
            return span.clone();
        };
        let range = self.is_exact(span).filter(|is_exact| *is_exact).and_then(|_| {
            let start = embedded.scalar.byte(span.start)?;
            // The end may be the beginning of a line further down; the character before tells where the place ends.
            let end = match span.end.checked_sub(1).filter(|last| *last >= span.start) {
                Some(last) => embedded.scalar.byte(last)? + 1,
                None => start,
            };
            Some((start, end))
        });
        let (start, end) = range.unwrap_or(embedded.scalar.whole());
        Span {
            source: Arc::clone(source),
            start,
            end,
        }
    }

    /// Whether the place of a text in a file is known to the character. `None` if the text is in no file.
    fn is_exact(&self, span: &Span) -> Option<bool> {
        let (_, embedded) = self.texts.get(span.source.name())?;
        let is_same = *embedded.text == *span.source.text();
        Some(is_same && embedded.scalar.byte(span.start).is_some())
    }

    /// File and line of a text, by the name that messages have for it.
    pub(crate) fn line(&self, name: &str) -> Option<(&str, usize)> {
        let (source, embedded) = self.texts.get(name)?;
        let before = source.text().get(..embedded.scalar.start)?;
        Some((source.name(), before.matches('\n').count() + 1))
    }
}
