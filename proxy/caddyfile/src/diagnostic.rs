//! What is wrong with a text, where, and how to put it right.

mod codes;
mod render;

use std::sync::Arc;

use crate::source::Span;
use crate::token::{ImportStep, Token};
use crate::tree::Segment;

pub use codes::CODES;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The text works, but perhaps not as meant.
    Warning,
    /// The text is refused.
    Error,
}

/// A mistake of the author of a text. A value, not a failure: they are collected, all in one run.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnostic {
    /// A stable name of this kind of mistake, in kebab case: one of [`CODES`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lowercase, no full stop, names in backticks, true even without the excerpt.
    pub message: String,
    /// The smallest place that shows it.
    pub span: Span,
    /// What to say at that place; may be empty.
    pub label: String,
    /// Other places that took part, and what to say there.
    pub context: Vec<(Span, String)>,
    /// The fix.
    pub help: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// The imports through which the place was reached, innermost first.
    pub imports: Option<Arc<ImportStep>>,
}

impl Diagnostic {
    /// An error at a token, a line or a span.
    pub fn error(code: &'static str, at: &impl Located, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, at, message.into())
    }

    /// A warning at a token, a line or a span.
    pub fn warning(code: &'static str, at: &impl Located, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, at, message.into())
    }

    fn new(severity: Severity, code: &'static str, at: &impl Located, message: String) -> Self {
        Self {
            code,
            severity,
            message,
            span: at.span().clone(),
            label: String::new(),
            context: Vec::new(),
            help: None,
            notes: Vec::new(),
            imports: at.imports().cloned(),
        }
    }

    /// Says something at the place itself.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Shows another place that took part.
    pub fn context(mut self, at: impl Located, label: impl Into<String>) -> Self {
        self.context.push((at.span().clone(), label.into()));
        self
    }

    /// Says how to put it right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says how to put it right, if that is known.
    pub fn help_if(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into).or(self.help);
        self
    }

    /// Asks whether `word` was meant, if there is one; the result of [`suggest`](crate::suggest).
    pub fn did_you_mean(self, word: Option<&str>) -> Self {
        self.help_if(word.map(|word| format!("did you mean `{word}`?")))
    }

    /// Adds what else is worth knowing.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says through which imports the place was reached.
    pub fn imported(mut self, imports: Option<Arc<ImportStep>>) -> Self {
        self.imports = imports;
        self
    }

    /// The same of other places, such as those of the file in which the text is written down.
    pub fn moved(mut self, place: &dyn Fn(&Span) -> Span) -> Self {
        self.span = place(&self.span);
        for (span, _) in &mut self.context {
            *span = place(span);
        }
        self.imports = self.imports.map(|step| step.moved(place));
        self
    }

    /// Whether the text is refused.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The whole report: message, excerpt of the text, help and notes; ends without a line break.
    pub fn render(&self) -> String {
        render::report(self)
    }

    /// The report in one line, for the condition of an object: `shop/api:7:9: … ; did you mean …?`
    pub fn one_line(&self) -> String {
        render::one_line(self)
    }
}

/// What has a place in a text.
pub trait Located {
    /// The place.
    fn span(&self) -> &Span;

    /// The imports through which it was reached.
    fn imports(&self) -> Option<&Arc<ImportStep>> {
        None
    }
}

impl Located for Span {
    fn span(&self) -> &Span {
        self
    }
}

impl Located for Token {
    fn span(&self) -> &Span {
        &self.span
    }

    fn imports(&self) -> Option<&Arc<ImportStep>> {
        self.imports.as_ref()
    }
}

impl Located for Segment {
    fn span(&self) -> &Span {
        &self.name.span
    }

    fn imports(&self) -> Option<&Arc<ImportStep>> {
        self.name.imports.as_ref()
    }
}

impl<T: Located> Located for &T {
    fn span(&self) -> &Span {
        (*self).span()
    }

    fn imports(&self) -> Option<&Arc<ImportStep>> {
        (*self).imports()
    }
}
