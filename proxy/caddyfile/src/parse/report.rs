//! Collecting what is wrong.

use crate::diagnostic::{Diagnostic, Located};
use crate::parse::Parser;
use crate::token::Token;

impl Parser<'_> {
    /// Keeps a diagnostic, as long as there is room.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < self.options.limits.diagnostics {
            self.diagnostics.push(diagnostic);
        } else {
            // A warning makes room for an error, so that no flood of warnings hides a mistake.
            let warning = self.diagnostics.iter().rposition(|kept| !kept.is_error());
            if let (true, Some(index)) = (diagnostic.is_error(), warning) {
                self.diagnostics[index] = diagnostic;
            }
            self.dropped += 1;
        }
    }

    /// The place that the next reported diagnostic will have in the list.
    pub(crate) fn next_report(&self) -> usize {
        self.diagnostics.len()
    }

    /// Ends the parse: a limit was passed.
    pub(crate) fn halt(&mut self, diagnostic: Diagnostic) {
        self.report(diagnostic);
        self.pending.clear();
        self.unfinished = true;
    }

    /// Says what may have been meant by the names that no snippet has.
    pub(super) fn explain_missing(&mut self) {
        for (index, name) in std::mem::take(&mut self.missing) {
            let Some(diagnostic) = self.diagnostics.get_mut(index) else {
                continue;
            };
            if diagnostic.help.is_some() || diagnostic.span != name.span {
                continue;
            }
            if let Some(later) = self.file.snippets.get(&name.text) {
                diagnostic
                    .context
                    .push((later.name.span.clone(), "defined only here".into()));
                diagnostic.help = Some("move the snippet above its first import".into());
                continue;
            }
            let library = self.options.library.names(&name.origin);
            let own = self
                .file
                .snippets
                .iter()
                .map(|snippet| snippet.name.text.as_str());
            let word = crate::suggest(&name.text, own.chain(library.iter().map(String::as_str)));
            diagnostic.help = word.map(|word| format!("did you mean `{word}`?"));
        }
    }

    /// A brace that is never closed; told once, for the innermost. An open quote is the likelier cause.
    pub(super) fn report_unclosed(&mut self, open: &impl Located) {
        if self.unfinished {
            return;
        }
        self.unfinished = true;
        let message = "unexpected end of file: a block is not closed";
        let diagnostic = match self.open_quotes.pop() {
            None => Diagnostic::error("unclosed-block", open, message)
                .label("opened here")
                .help("close it by a `}` on a line of its own"),
            Some((quote, imports)) => Diagnostic::error("unclosed-quote", &quote, "a quote is never closed")
                .label("goes on to the end of the file")
                .context(open, "so this block is not closed")
                .help("close the quote")
                .imported(imports),
        };
        self.report(diagnostic);
    }

    /// Caddy takes the end of the last block for the end of the site, too.
    pub(super) fn warn_of_open_site(&mut self, open: &impl Located) {
        if self.unfinished {
            return;
        }
        let message = "unexpected end of file: the site is not closed, only the last block in it";
        let diagnostic = Diagnostic::warning("unclosed-block", open, message)
            .label("opened here")
            .help("close it by a `}` on a line of its own");
        self.report(diagnostic);
    }

    /// A closing brace outside of every block.
    pub(super) fn report_stray_brace(&mut self, close: &Token) {
        let diagnostic = Diagnostic::error("unexpected-close-brace", close, "`}` closes no block")
            .help("remove it, or add the `{` that it should close");
        self.report(diagnostic);
    }

    /// Caddy lets an open quote end with the file if everything else is closed.
    pub(super) fn warn_of_open_quotes(&mut self) {
        for (quote, imports) in std::mem::take(&mut self.open_quotes) {
            let diagnostic = Diagnostic::warning("unclosed-quote", &quote, "a quote is never closed")
                .label("goes on to the end of the file")
                .help("close the quote")
                .imported(imports);
            self.report(diagnostic);
        }
    }
}
