//! From tokens to a tree.
//!
//! ```text
//! file    = { block }
//! block   = [ keys ] body            keys: site addresses, `(snippet)` or `&(named-route)`; none: global options
//! body    = "{" lines "}" | lines    only a single site may be without braces
//! lines   = { segment | import }
//! segment = word { word } [ "{" newline lines "}" ] newline
//! ```
//!
//! The parser never fails: it reports a mistake, goes on at the next line or site, and returns what it understood.
//! It reads from a stack of tokens, so that an import only has to put its tokens on top.

mod block;
mod file;
mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::environment::Expanded;
use crate::import::Text;
use crate::lex::{Lexed, lex};
use crate::options::Options;
use crate::origin::Tier;
use crate::parse::block::Place;
use crate::source::{Source, Span};
use crate::token::{ImportStep, Mark, Token};
use crate::tree::{Block, File};

/// What came out of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What was understood; complete if no diagnostic is an error.
    pub file: File,
    /// All mistakes, in the order of their discovery.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether anything makes the text unacceptable.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a text and expands its imports. Never fails, never panics; the work is bounded by the options' limits.
pub fn parse(source: Arc<Source>, options: &Options<'_>) -> Parsed {
    let mut parser = Parser::new(source, options);
    let source = Arc::clone(&parser.source);
    if let Some(tokens) = parser.read(&source, None) {
        parser.pending = tokens;
        parser.pending.reverse();
    }
    parser.file();
    parser.finish()
}

/// What came out of a text that is the body of a block.
#[derive(Clone, Debug)]
pub struct ParsedLines {
    /// What was understood; complete if no diagnostic is an error. It has no braces.
    pub block: Block,
    /// All mistakes, in the order of their discovery.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses directives that stand alone, as in the annotation of an object: what could stand in the braces of a site.
/// Bounded like [`parse`].
pub fn parse_lines(source: Arc<Source>, options: &Options<'_>) -> ParsedLines {
    let mut parser = Parser::new(source, options);
    let source = Arc::clone(&parser.source);
    if let Some(tokens) = parser.read(&source, None) {
        parser.pending = tokens;
        parser.pending.reverse();
    }
    let mut block = Block::default();
    parser.lines(&mut block, 0, Place::Text);
    ParsedLines {
        block,
        diagnostics: parser.finish().diagnostics,
    }
}

pub(crate) struct Parser<'o> {
    pub(crate) options: &'o Options<'o>,
    /// The text that is parsed; imports bring others.
    pub(crate) source: Arc<Source>,
    pub(crate) file: File,
    /// The tokens to come, the next one last.
    pub(crate) pending: Vec<Token>,
    /// Where the last token ended.
    last: Option<Mark>,
    /// Whether it closed a block.
    pub(crate) last_closed: bool,
    diagnostics: Vec<Diagnostic>,
    dropped: usize,
    /// Something swallowed the rest of the text, or a limit was passed: a missing end is no news.
    unfinished: bool,
    /// Quotes that are never closed, and how their text was imported.
    open_quotes: Vec<(Span, Option<Arc<ImportStep>>)>,
    /// What imports may still produce.
    pub(crate) tokens_left: usize,
    pub(crate) bytes_left: usize,
    pub(crate) imports_left: usize,
    /// Where the named routes of a name stand in the file.
    routes: HashMap<String, usize>,
    /// The files read so far.
    pub(crate) texts: HashMap<PathBuf, Option<Arc<Text>>>,
    /// Diagnostics about a snippet that was not found, and the name.
    pub(crate) missing: Vec<(usize, Token)>,
}

impl<'o> Parser<'o> {
    fn new(source: Arc<Source>, options: &'o Options<'o>) -> Self {
        Self {
            options,
            source,
            file: File::default(),
            pending: Vec::new(),
            last: None,
            last_closed: false,
            diagnostics: Vec::new(),
            dropped: 0,
            unfinished: false,
            open_quotes: Vec::new(),
            tokens_left: options.limits.tokens,
            bytes_left: options.limits.imported_bytes,
            imports_left: options.limits.imports,
            routes: HashMap::new(),
            texts: HashMap::new(),
            missing: Vec::new(),
        }
    }

    /// Makes tokens of a text; `None` if it is too long.
    pub(crate) fn read(
        &mut self,
        source: &Arc<Source>,
        imports: Option<&Arc<ImportStep>>,
    ) -> Option<Vec<Token>> {
        let limits = self.options.limits;
        let start = Span {
            source: Arc::clone(source),
            start: 0,
            end: 0,
        };
        let allowed = limits.source_bytes.min(u32::MAX as usize / 2);
        let tenant = source.origin().tier == Tier::Tenant;
        let expanded = if source.text().len() > allowed {
            None
        } else if tenant {
            Some(Expanded::unchanged(source.text()))
        } else {
            Expanded::new(source.text(), self.options.environment, allowed)
        };
        let Some(expanded) = expanded else {
            let message = format!("the text is longer than the {allowed} bytes allowed");
            self.report(Diagnostic::error("source-too-long", &start, message).imported(imports.cloned()));
            return None;
        };
        let Lexed {
            tokens,
            diagnostics,
            unfinished,
            open_quote,
            too_many,
        } = lex(source, &expanded, self.tokens_left);
        self.unfinished |= unfinished || too_many;
        if let Some(quote) = open_quote {
            self.open_quotes.push((quote, imports.cloned()));
        }
        self.tokens_left -= tokens.len();
        for diagnostic in diagnostics {
            self.report(diagnostic.imported(imports.cloned()));
        }
        if too_many {
            let message = format!("more than the {} tokens allowed", limits.tokens);
            let end = tokens.last().map_or(start, |token| token.span.clone());
            self.report(Diagnostic::error("too-many-tokens", &end, message).imported(imports.cloned()));
        }
        if tenant {
            self.refuse_variables(&tokens);
        }
        Some(tokens)
    }

    /// A tenant's `{$NAME}` would show the environment of the controller. It is no variable then, so it may also be
    /// cut short by a blank.
    fn refuse_variables(&mut self, tokens: &[Token]) {
        for token in tokens.iter().filter(|token| token.text.contains("{$")) {
            for (at, _) in token.span.text().match_indices("{$") {
                let inside = &token.span.text()[at + "{$".len()..];
                let name = inside.split([':', '}', '{']).next().unwrap_or(inside);
                if name.is_empty() && !inside.starts_with(':') {
                    continue;
                }
                let start = token.span.start + at as u32;
                let end = start + ("{$".len() + name.len()) as u32;
                let closed = inside[name.len()..].starts_with('}');
                let span = Span {
                    start,
                    end: end + u32::from(closed),
                    ..token.span.clone()
                };
                let message = format!("environment variable `{name}` cannot be read here");
                let diagnostic = Diagnostic::error("tenant-environment", &span, message)
                    .label("only the operator's Caddyfile may use `{$…}`")
                    .help("write the value itself");
                self.report(diagnostic);
            }
        }
    }

    fn finish(mut self) -> Parsed {
        self.explain_missing();
        self.warn_of_open_quotes();
        if self.dropped > 0
            && let Some(last) = self.diagnostics.last()
        {
            let (count, severity) = (self.dropped, last.severity);
            let mut more =
                Diagnostic::error("too-many-mistakes", &last.span, format!("{count} more mistakes"));
            more.severity = severity;
            self.diagnostics.push(more);
        }
        Parsed {
            file: self.file,
            diagnostics: self.diagnostics,
        }
    }

    pub(crate) fn peek(&self) -> Option<&Token> {
        self.pending.last()
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        let token = self.pending.pop()?;
        self.last = Some(token.mark());
        self.last_closed = token.is_close_brace();
        Some(token)
    }

    /// Whether the next token begins a line. The end of the text does, too.
    pub(crate) fn is_at_line_start(&self) -> bool {
        match (&self.last, self.peek()) {
            (Some(last), Some(next)) => last.is_before_line_of(next),
            _ => true,
        }
    }

    /// The next token, if it stands on the same line.
    pub(crate) fn next_on_line(&mut self) -> Option<Token> {
        if self.is_at_line_start() {
            None
        } else {
            self.next()
        }
    }

    fn is_at(&self, test: impl Fn(&Token) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    /// Leaves out the rest of the line, and the block it opens.
    fn skip_line(&mut self) {
        while !self.is_at_line_start() {
            match self.next() {
                Some(token) if token.is_open_brace() => drop(self.raw_block(&token)),
                _ => {}
            }
        }
    }

    /// The tokens up to the brace that closes the block which `open` opened.
    pub(crate) fn raw_block(&mut self, open: &Token) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut depth = 1;
        while let Some(token) = self.next() {
            if token.is_open_brace() {
                depth += 1;
            } else if token.is_close_brace() {
                depth -= 1;
                if depth == 0 {
                    return tokens;
                }
            }
            tokens.push(token);
        }
        self.report_unclosed(open);
        tokens
    }
}

#[cfg(test)]
pub(crate) mod tests;
