//! Tokens, and the chain of imports that brought them.

use std::sync::Arc;

use crate::origin::Origin;
use crate::source::{Source, Span};

/// How a token was quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// Not at all. Only such tokens can be braces.
    None,
    /// `"…"`
    Double,
    /// `` `…` ``
    Backtick,
    /// `<<MARKER … MARKER`
    Heredoc,
}

/// A word of a Caddyfile.
#[derive(Clone, Debug)]
pub struct Token {
    /// The text, without quotes and after substitution.
    pub text: String,
    /// How it was quoted.
    pub quote: Quote,
    /// Where its author wrote it. An argument of an import points to the line that imports.
    pub span: Span,
    /// The logical line on which it begins: continued lines and substituted text count differently from what
    /// [`Span::line`] says. It only serves to tell what stands on one line.
    pub line: u32,
    /// How many lines lie between its beginning and its end, as written: an argument put into a line does not
    /// lengthen the line.
    pub breaks: u32,
    /// The text whose lines `line` counts: the one that the token stands in after substitution.
    pub home: Arc<Source>,
    /// The imports that brought it here, innermost first.
    pub imports: Option<Arc<ImportStep>>,
    /// Whose word it is: the lowest tier among the parts that it was glued from.
    pub origin: Arc<Origin>,
}

impl Token {
    /// The text with its quotes, as `expression` wants it. A heredoc has none.
    pub fn raw(&self) -> String {
        match self.quote {
            Quote::None | Quote::Heredoc => self.text.clone(),
            Quote::Double => format!("\"{}\"", self.text),
            Quote::Backtick => format!("`{}`", self.text),
        }
    }

    /// Whether it was quoted in any way.
    pub fn is_quoted(&self) -> bool {
        self.quote != Quote::None
    }

    /// Whether it opens a block.
    pub fn is_open_brace(&self) -> bool {
        self.text == "{" && !self.is_quoted()
    }

    /// Whether it closes a block.
    pub fn is_close_brace(&self) -> bool {
        self.text == "}" && !self.is_quoted()
    }

    /// The logical line on which it ends.
    pub(crate) fn end_line(&self) -> u32 {
        self.line.saturating_add(self.breaks)
    }

    /// Whether `next`, which follows directly, begins a new line.
    pub(crate) fn is_before_line_of(&self, next: &Token) -> bool {
        is_break(&self.home, self.imports.as_ref(), self.end_line(), next)
    }

    /// What the next token needs to know to tell whether it stands on the same line.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            home: Arc::clone(&self.home),
            imports: self.imports.clone(),
            end_line: self.end_line(),
        }
    }
}

/// The place at which a token ended.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    home: Arc<Source>,
    imports: Option<Arc<ImportStep>>,
    end_line: u32,
}

impl Mark {
    /// Whether `next`, which follows directly, begins a new line.
    pub(crate) fn is_before_line_of(&self, next: &Token) -> bool {
        is_break(&self.home, self.imports.as_ref(), self.end_line, next)
    }
}

/// Another text or another import always begins a new line.
fn is_break(home: &Arc<Source>, imports: Option<&Arc<ImportStep>>, end_line: u32, next: &Token) -> bool {
    let same_import = match (imports, &next.imports) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    !same_import || !Arc::ptr_eq(home, &next.home) || end_line < next.line
}

/// What an import brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// The body of a snippet.
    Snippet,
    /// A file.
    File,
    /// The block written behind an `import`, put where the snippet says `{block}`.
    Block,
}

/// One `import`: where it stands and what it names.
#[derive(Debug)]
pub struct ImportStep {
    /// The word `import`.
    pub span: Span,
    /// The snippet or file that was imported.
    pub name: String,
    /// Which of the two, or a block given along.
    pub kind: ImportKind,
    /// The import that brought the word `import` itself.
    pub parent: Option<Arc<ImportStep>>,
    /// The text that the imported tokens come from; tells cycles.
    pub(crate) target: Arc<Source>,
    /// How many steps there are, this one included.
    pub(crate) depth: u32,
}

impl ImportStep {
    /// This step and those around it, innermost first.
    pub fn chain(&self) -> impl Iterator<Item = &ImportStep> {
        std::iter::successors(Some(self), |step| step.parent.as_deref())
    }

    /// The same at other places.
    pub(crate) fn moved(&self, place: &dyn Fn(&Span) -> Span) -> Arc<Self> {
        let steps: Vec<&Self> = self.chain().collect();
        let outside_in = steps.into_iter().rev();
        let moved = outside_in.fold(None, |parent, step| {
            Some(Arc::new(Self {
                span: place(&step.span),
                name: step.name.clone(),
                kind: step.kind,
                parent,
                target: Arc::clone(&step.target),
                depth: step.depth,
            }))
        });
        moved.expect("a chain has at least the step that it begins with")
    }
}
