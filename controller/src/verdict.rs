//! What the author of an object is told about it.

use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, Severity};
use fairway_engine::cluster::Notice;
use serde::{Deserialize, Serialize};

use crate::objects::Key;

/// The verdict on one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    pub kind: &'static str,
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// Of the object that is judged.
    pub generation: i64,
    pub state: State,
    /// The hosts that it serves.
    pub hosts: Vec<String>,
    /// Those that it serves over HTTPS.
    pub secure: Vec<String>,
    /// All mistakes and warnings.
    pub findings: Vec<Finding>,
    /// What other objects can use of it.
    #[serde(skip_serializing_if = "Exports::is_empty")]
    pub exports: Exports,
    /// The text that is served in place of the object's own.
    #[serde(skip)]
    pub last_good: Option<Arc<LastGoodText>>,
}

/// The names that other objects can use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exports {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snippets: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_routes: Vec<String>,
}

impl Exports {
    pub(crate) fn is_empty(&self) -> bool {
        self.snippets.is_empty() && self.named_routes.is_empty()
    }
}

/// A text that was good, and the snippets of other objects that it imported; as it is kept in the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LastGoodText {
    pub generation: i64,
    pub caddyfile: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<LastGoodImport>,
}

/// A snippet: whose it is, its name, and what stands between its braces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LastGoodImport {
    pub namespace: String,
    pub name: String,
    pub caddyfile: String,
}

impl LastGoodText {
    /// How much of a status it takes.
    pub(crate) fn bytes(&self) -> usize {
        let imports = self.imports.iter().map(|import| import.caddyfile.len());
        self.caddyfile.len() + imports.sum::<usize>()
    }
}

/// What is served of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum State {
    /// All of it.
    Accepted,
    /// A part: some host or path belongs to another object, or is not served as it is written.
    PartiallyAccepted,
    /// Its last good text; the one that it has now is broken.
    LastGood,
    /// Nothing but 503: it breaks a rule that protects others, or misses what protects itself.
    Unavailable,
    /// Nothing.
    Refused,
}

/// One thing that is wrong with an object, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub severity: &'static str,
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where in the object: `spec.caddyfile`. Empty for the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// In the text of the field, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The diagnostic, if it is one of a text.
    #[serde(skip)]
    pub diagnostic: Option<Told>,
}

/// A diagnostic of which a finding tells.
#[derive(Clone, Debug)]
pub(crate) struct Told(pub Arc<Diagnostic>);

/// The same if it reads the same.
impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.render() == other.0.render()
    }
}

impl Eq for Told {}

impl Finding {
    /// A mistake in a field of an object.
    pub(crate) fn error(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: "error",
            code,
            message: message.into(),
            help: None,
            field: field.into(),
            line: None,
            column: None,
            diagnostic: None,
        }
    }

    /// Something worth knowing about a field of an object.
    pub(crate) fn warning(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: "warning",
            ..Self::error(code, field, message)
        }
    }

    /// What the cluster says about a name in a field.
    pub(crate) fn notice(severity: &'static str, field: impl Into<String>, notice: Notice) -> Self {
        Self {
            severity,
            help: notice.help,
            ..Self::error(notice.code, field, notice.message)
        }
    }

    /// Says how to put it right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A diagnostic of a text. It stands in another object if an import brought it.
    pub(crate) fn diagnostic(found: &Diagnostic) -> Self {
        let name = found.span.source.name();
        Self {
            severity: match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: found.code,
            message: found.message.clone(),
            help: found.help.clone(),
            field: name.split_once(", ").map_or(name, |(_, field)| field).to_owned(),
            line: Some(found.span.line()),
            column: Some(found.span.column()),
            diagnostic: Some(Told(Arc::new(found.clone()))),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

impl Verdict {
    /// The name of the object.
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }

    /// The place in a list that is sorted by kind and name, as all lists of verdicts are.
    pub(crate) fn place(verdicts: &[Self], kind: &str, key: &Key) -> Option<usize> {
        let wanted = (kind, &key.namespace, &key.name);
        let found = verdicts.binary_search_by(|it| (it.kind, &it.namespace, &it.name).cmp(&wanted));
        found.ok()
    }

    /// Adds a mistake that is seen only beside other objects: not all of the object is served.
    pub(crate) fn blame(&mut self, finding: Finding) {
        self.findings.push(finding);
        self.state = self.state.max(State::PartiallyAccepted);
    }

    /// What is printed: a headline, and each finding below it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (kind, key) = (self.kind, self.key());
        let state = match self.state {
            State::Accepted => "is served",
            State::PartiallyAccepted => "is served in part",
            State::LastGood => "is broken; its last good text goes on",
            State::Unavailable => "answers 503",
            State::Refused => "is not served",
        };
        let mut lines = vec![format!("{kind} {key} {state}")];
        lines.extend(self.findings.iter().map(Finding::line));
        lines
    }
}

impl Finding {
    fn line(&self) -> String {
        let Self { severity, code, .. } = self;
        let in_short = || format!("{severity}[{code}]: {}", self.one_line());
        let report = self.diagnostic.as_ref().map(|told| told.0.render());
        report.unwrap_or_else(in_short)
    }

    /// The place, what is wrong, and the fix.
    pub(crate) fn one_line(&self) -> String {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}: ", self.field),
            _ if self.field.is_empty() => String::new(),
            _ => format!("{}: ", self.field),
        };
        let help = self
            .help
            .as_ref()
            .map_or(String::new(), |help| format!("; {help}"));
        format!("{place}{}{help}", self.message)
    }
}
