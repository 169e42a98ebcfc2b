//! Diagnostics on standard error: for people, or for editors and pipelines as lines of JSON.
//!
//! Standard output belongs to what a verb was asked for, so that one run can give both.

use std::fmt;
use std::io::Write as _;

use fairway_caddyfile::{Diagnostic, ImportKind, ImportStep, Severity, Span};
use serde::Serialize;

use crate::blame::NOT_SERVABLE;
use crate::cli::Format;

/// The code of a failure that is not a place in a text.
const FAILED: &str = "failed";

/// A text that is refused, and all that is wrong with it. Whoever gets it prints it.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Broken {
    /// The file, or `standard input`.
    pub name: String,
    /// The mistakes, and the warnings beside them.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.diagnostics.iter().filter(|found| found.is_error());
        match errors.count() {
            1 => write!(f, "one mistake in {}", self.name),
            count => write!(f, "{count} mistakes in {}", self.name),
        }
    }
}

/// A failure whose causes were printed already: their number, which says nothing to a program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Summary(pub String);

/// A config that reads well and cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct NotServable(pub anyhow::Error);

/// Prints diagnostics, each with its excerpt or as a line of JSON.
pub(crate) fn print(diagnostics: &[Diagnostic], format: Format) {
    for diagnostic in diagnostics {
        match format {
            Format::Text => say(&format!("{}\n", diagnostic.render())),
            Format::Json => say(&json(&Line::of(diagnostic))),
        }
    }
}

/// Prints what is wrong with a line of a file, or with an object, of which no more is known than that.
pub(crate) fn print_about(place: &About<'_>, format: Format) {
    match format {
        Format::Text => say(&format!("{place}\n")),
        Format::Json => say(&json(&Line::about(place))),
    }
}

/// Prints why a verb failed: the chain of causes in one line, or the mistakes of a text.
pub(crate) fn print_failure(error: &anyhow::Error, format: Format) {
    let broken = error.downcast_ref::<Broken>();
    if let Some(broken) = broken {
        print(&broken.diagnostics, format);
    }
    let text = format!("{error:#}");
    match format {
        // A report of diagnostics was printed already and may leave nothing to say.
        Format::Text if text.is_empty() => {}
        Format::Text => say(&format!("Error: {text}")),
        Format::Json if broken.is_some() || error.is::<Summary>() => {}
        Format::Json => say(&json(&Line::about(&About {
            severity: "error",
            code: if error.is::<NotServable>() {
                NOT_SERVABLE
            } else {
                FAILED
            },
            message: &text,
            ..About::default()
        }))),
    }
}

/// Something wrong whose column is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub severity: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub help: Option<&'a str>,
    /// The file, and the line in it.
    pub at: Option<(&'a str, usize)>,
    /// The object, and the field in it.
    pub object: Option<&'a str>,
    pub field: Option<&'a str>,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        if let Some((file, line)) = self.at {
            write!(f, "\n --> {file}:{line}")?;
        }
        if let Some(help) = self.help {
            write!(f, "\n  = help: {help}")?;
        }
        match (self.object, self.field) {
            (Some(object), Some(field)) => write!(f, "\n  = note: in {object}, {field}"),
            (Some(object), None) => write!(f, "\n  = note: in {object}"),
            _ => Ok(()),
        }
    }
}

/// Whoever reads may have gone; that is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn json(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("strings and numbers become JSON")
}

/// One diagnostic as editors and pipelines read it. What is absent is left out.
#[derive(Default, Serialize)]
struct Line<'d> {
    severity: &'d str,
    code: &'d str,
    message: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'d str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Position>,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'d str,
    /// Other places that took part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<Related<'d>>,
    /// The imports that led to the place, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import<'d>>,
}

/// A place in a file.
#[derive(Default, Serialize)]
struct Position {
    /// Counted from 1.
    line: u32,
    /// Characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    /// UTF-16 units, counted from 0: the `character` of the Language Server Protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    utf16: Option<u32>,
    /// Bytes from the beginning of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    byte: Option<u32>,
}

#[derive(Serialize)]
struct Related<'d> {
    message: &'d str,
    file: &'d str,
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Import<'d> {
    kind: &'static str,
    name: &'d str,
    file: &'d str,
    start: Position,
    end: Position,
}

impl<'d> Line<'d> {
    fn of(diagnostic: &'d Diagnostic) -> Self {
        let related = diagnostic.context.iter().map(|(span, message)| Related {
            message,
            file: span.source.name(),
            start: Position::start(span),
            end: Position::end(span),
        });
        let steps = diagnostic.imports.iter().flat_map(|step| step.chain());
        Self {
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: diagnostic.code,
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
            notes: diagnostic.notes.iter().map(String::as_str).collect(),
            file: Some(diagnostic.span.source.name()),
            start: Some(Position::start(&diagnostic.span)),
            end: Some(Position::end(&diagnostic.span)),
            label: &diagnostic.label,
            related: related.collect(),
            imports: steps.map(Import::of).collect(),
            ..Self::default()
        }
    }

    fn about(about: &About<'d>) -> Self {
        let line = about.at.and_then(|(_, line)| u32::try_from(line).ok());
        Self {
            severity: about.severity,
            code: about.code,
            message: about.message,
            help: about.help,
            file: about.at.map(|(file, _)| file),
            object: about.object,
            field: about.field,
            start: line.map(|line| Position {
                line,
                ..Position::default()
            }),
            ..Self::default()
        }
    }
}

impl Position {
    fn start(span: &Span) -> Self {
        Self {
            line: span.line(),
            column: Some(span.column()),
            utf16: Some(span.utf16_column() - 1),
            byte: Some(span.start),
        }
    }

    fn end(span: &Span) -> Self {
        Self::start(&span.end_point())
    }
}

impl<'d> Import<'d> {
    fn of(step: &'d ImportStep) -> Self {
        Self {
            kind: match step.kind {
                ImportKind::Snippet => "snippet",
                ImportKind::File => "file",
                ImportKind::Block => "block",
            },
            name: &step.name,
            file: step.span.source.name(),
            start: Position::start(&step.span),
            end: Position::end(&step.span),
        }
    }
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};

    use super::*;

    /// The first diagnostic of a text as JSON, without what is not looked at.
    fn first(text: &str) -> serde_json::Value {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let parsed = parse(source, &Options::default());
        serde_json::to_value(Line::of(&parsed.diagnostics[0])).unwrap()
    }

    #[test]
    fn places_are_told_in_every_unit() {
        let line = first("ä😀.test {\n\t# 😀\n\t{\n\t}\n}\n");
        assert_eq!(line["code"], "brace-on-new-line");
        let start = serde_json::json!({"line": 3, "column": 2, "utf16": 1, "byte": 23});
        assert_eq!(line["start"], start);
        let line = first("😀,b.test {\n}\n");
        assert_eq!(line["end"]["utf16"], 9);
        assert_eq!(line["end"]["column"], 9);
        assert_eq!(line["end"]["byte"], 11);
    }

    #[test]
    fn imports_are_told_from_the_inside() {
        let line = first("(a) {\n\timport none\n}\n(b) {\n\timport a\n}\nx.test {\n\timport b\n}\n");
        let imports: Vec<_> = line["imports"].as_array().unwrap().iter().collect();
        assert_eq!(imports.len(), 2);
        assert_eq!(
            (&imports[0]["name"], &imports[1]["name"]),
            (&"a".into(), &"b".into())
        );
        assert_eq!(imports[1]["start"]["line"], 8);
        assert_eq!(line["file"], "Caddyfile");
    }

    #[test]
    fn a_line_without_a_column_has_none() {
        let about = About {
            severity: "error",
            code: "x",
            message: "y",
            at: Some(("a.yaml", 3)),
            ..About::default()
        };
        let line = serde_json::to_string(&Line::about(&about)).unwrap();
        let expected = r#"{"severity":"error","code":"x","message":"y","file":"a.yaml","start":{"line":3}}"#;
        assert_eq!(line, expected);
        assert_eq!(about.to_string(), "error[x]: y\n --> a.yaml:3");
    }
}
