//! The cursor with which a directive reads its line.

use crate::diagnostic::{Diagnostic, Located};
use crate::token::Token;
use crate::tree::Segment;

/// Reads the arguments of a line one by one; what is never read is a mistake, told by [`finish`](Args::finish).
///
/// A copy of it looks ahead without moving the original.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    segment: &'a Segment,
    rest: &'a [Token],
}

impl<'a> Args<'a> {
    /// At the first argument of a line.
    pub fn new(segment: &'a Segment) -> Self {
        Self {
            segment,
            rest: &segment.args,
        }
    }

    /// The line itself.
    pub fn segment(&self) -> &'a Segment {
        self.segment
    }

    /// The first word of the line: the directive or option.
    pub fn name(&self) -> &'a Token {
        &self.segment.name
    }

    /// The next argument, if there is one, and goes behind it.
    pub fn next_arg(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next argument, if there is one, and stays before it.
    pub fn peek(&self) -> Option<&'a Token> {
        self.rest.first()
    }

    /// How many arguments are not yet read.
    pub fn count(&self) -> usize {
        self.rest.len()
    }

    /// The next argument; `what` says in the message what is missing: "a body or a status".
    pub fn required(&mut self, what: &str) -> Result<&'a Token, Diagnostic> {
        self.next_arg().ok_or_else(|| self.missing(what))
    }

    /// All arguments that are not yet read, and reads them.
    pub fn remaining(&mut self) -> &'a [Token] {
        std::mem::take(&mut self.rest)
    }

    /// All arguments that are not yet read, at least one; `what` says in the message what is missing.
    pub fn remaining_required(&mut self, what: &str) -> Result<&'a [Token], Diagnostic> {
        if self.rest.is_empty() {
            Err(self.missing(what))
        } else {
            Ok(self.remaining())
        }
    }

    /// An argument that nobody read is a mistake, not a detail.
    pub fn finish(&self) -> Result<(), Diagnostic> {
        self.peek().map_or(Ok(()), |token| Err(self.unexpected(token)))
    }

    /// [`finish`](Args::finish), and there is no block either.
    pub fn finish_line(&self) -> Result<(), Diagnostic> {
        self.finish()?;
        self.no_block()
    }

    /// The lines of the block; none without a block.
    pub fn block(&self) -> &'a [Segment] {
        self.segment.lines()
    }

    /// Whether there is a block, be it empty.
    pub fn has_block(&self) -> bool {
        self.segment.block.is_some()
    }

    /// A block where none belongs is a mistake.
    pub fn no_block(&self) -> Result<(), Diagnostic> {
        let Some(block) = &self.segment.block else {
            return Ok(());
        };
        let name = &self.name().text;
        let message = format!("`{name}` takes no block");
        let at = block.open.as_ref().unwrap_or(&self.name().span);
        let imports = self.name().imports.clone();
        Err(Diagnostic::error("unexpected-block", at, message).imported(imports))
    }

    /// A mistake of the whole line, shown at its first word.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.name(), message)
    }

    /// A mistake of one argument, or of a line of the block.
    pub fn error_at(&self, at: &impl Located, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, at, message)
    }

    /// Something is missing: "`respond` needs a body or a status".
    pub fn missing(&self, what: &str) -> Diagnostic {
        let message = format!("`{}` needs {what}", self.name().text);
        self.error("missing-argument", message)
    }

    /// There is an argument too many.
    pub fn unexpected(&self, token: &Token) -> Diagnostic {
        let (name, text) = (&self.name().text, &token.text);
        let message = format!("`{name}` takes no further argument, but `{text}` follows");
        Diagnostic::error("unexpected-argument", token, message).label("one too many")
    }

    /// A line of the block is not known here; `known` is the table that was searched.
    pub fn unknown_subdirective<'k>(
        &self,
        line: &Segment,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Diagnostic {
        let (name, word) = (&self.name().text, &line.name.text);
        let message = format!("`{name}` has no subdirective `{word}`");
        let diagnostic = Diagnostic::error("unknown-subdirective", line, message)
            .label("not known here")
            .did_you_mean(crate::suggest(word, known));
        if std::ptr::eq(line, self.segment) {
            diagnostic
        } else {
            diagnostic.context(self.name(), "inside this directive")
        }
    }
}

impl<'a> From<&'a Segment> for Args<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self::new(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Origin, Source, parse};

    /// Reads the first line of a site.
    #[track_caller]
    fn check(line: &str, read: impl FnOnce(Args<'_>) -> Result<String, Diagnostic>, expected: &str) {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!(":80\n{line}\n"),
        );
        let parsed = parse(source, &Options::default());
        let segment = &parsed.file.sites[0].block.segments[0];
        let result = read(Args::new(segment)).unwrap_or_else(|mistake| mistake.one_line());
        assert_eq!(result, expected, "{line}");
    }

    fn one(mut args: Args<'_>) -> Result<String, Diagnostic> {
        let first = args.required("a body or a status")?;
        args.finish_line()?;
        Ok(first.text.clone())
    }

    #[test]
    fn reads_exactly_what_is_there() {
        check("respond hi", one, "hi");
        check(
            "respond",
            one,
            "Caddyfile:2:1: `respond` needs a body or a status",
        );
        check(
            "respond hi there",
            one,
            "Caddyfile:2:12: `respond` takes no further argument, but `there` follows",
        );
        check("respond hi {\n}", one, "Caddyfile:2:12: `respond` takes no block");
    }

    #[test]
    fn looks_ahead_without_moving() {
        let read = |mut args: Args<'_>| {
            let ahead = args.peek().map(|token| token.text.clone());
            let mut copy = args;
            copy.remaining();
            let first = args.next_arg().map(|token| token.text.clone());
            assert_eq!(ahead, first);
            Ok(format!("{} {}", args.count(), copy.count()))
        };
        check("x a b c", read, "2 0");
    }

    #[test]
    fn suggests_from_the_table_that_was_searched() {
        let read = |args: Args<'_>| Err(args.unknown_subdirective(&args.block()[0], ["lb_policy"]));
        let expected = "Caddyfile:3:1: `x` has no subdirective `lb_polcy`; did you mean `lb_policy`?";
        check("x {\nlb_polcy\n}", read, expected);
    }
}
