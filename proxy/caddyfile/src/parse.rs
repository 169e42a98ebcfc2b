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

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Located};
use crate::environment::{Expanded, variables};
use crate::import::{Level, Text};
use crate::lex::{Lexed, lex};
use crate::options::Options;
use crate::origin::Tier;
use crate::source::{Source, Span};
use crate::token::{ImportStep, Mark, Token};
use crate::tree::{Block, File, NamedRoute, Segment, Site, Snippet};

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

pub(crate) struct Parser<'o> {
    pub(crate) options: &'o Options<'o>,
    /// The text that is parsed; imports bring others.
    pub(crate) source: Arc<Source>,
    pub(crate) file: File,
    /// The tokens to come, the next one last.
    pub(crate) pending: Vec<Token>,
    /// Where the last token ended.
    last: Option<Mark>,
    /// Where the last token of the text was, for what is missing at its end.
    last_span: Option<Span>,
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
            last_span: None,
            diagnostics: Vec::new(),
            dropped: 0,
            unfinished: false,
            open_quotes: Vec::new(),
            tokens_left: options.limits.tokens,
            bytes_left: options.limits.imported_bytes,
            imports_left: options.limits.imports,
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

    /// A tenant's `{$NAME}` would show the environment of the controller.
    fn refuse_variables(&mut self, tokens: &[Token]) {
        for token in tokens.iter().filter(|token| token.text.contains("{$")) {
            let text = token.span.text();
            for variable in variables(text) {
                let start = token.span.start + variable.start as u32;
                let end = token.span.start + variable.end as u32;
                let span = Span {
                    source: Arc::clone(&token.span.source),
                    start,
                    end,
                };
                let name = variable.name;
                let message = format!("environment variable `{name}` cannot be read here");
                let diagnostic = Diagnostic::error("tenant-environment", &span, message)
                    .label("only the operator's Caddyfile may use `{$…}`")
                    .help("write the value itself");
                self.report(diagnostic);
            }
        }
    }

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

    /// Says what may have been meant by the names that no snippet has.
    fn explain_missing(&mut self) {
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

    // The stack.

    pub(crate) fn peek(&self) -> Option<&Token> {
        self.pending.last()
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        let token = self.pending.pop()?;
        self.last = Some(token.mark());
        self.last_span = Some(token.span.clone());
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

    /// A brace that is never closed; told once, for the outermost. An open quote is the likelier cause.
    fn report_unclosed(&mut self, open: &impl Located) {
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

    /// Caddy lets an open quote end with the file if everything else is closed.
    fn warn_of_open_quotes(&mut self) {
        for (quote, imports) in std::mem::take(&mut self.open_quotes) {
            let diagnostic = Diagnostic::warning("unclosed-quote", &quote, "a quote is never closed")
                .label("goes on to the end of the file")
                .help("close the quote")
                .imported(imports);
            self.report(diagnostic);
        }
    }

    // The file.

    fn file(&mut self) {
        while self.peek().is_some() {
            self.block();
        }
    }

    fn block(&mut self) {
        let Some(keys) = self.keys() else { return };
        if let [key] = keys.as_slice() {
            if let Some(name) = inside(&key.text, "&(") {
                let name = Token {
                    text: name.to_owned(),
                    ..key.clone()
                };
                return self.named_route(name);
            }
            if let Some(name) = inside(&key.text, "(") {
                let name = Token {
                    text: name.to_owned(),
                    ..key.clone()
                };
                return self.snippet(name);
            }
        }
        if keys.is_empty() {
            if self.is_at(Token::is_open_brace) {
                self.global();
            }
            return;
        }
        let has_braces = self.is_at(Token::is_open_brace);
        let block = if has_braces {
            self.braces(0, Place::Site)
        } else {
            let mut block = Block::default();
            self.lines(&mut block, 0, Place::Bare);
            block
        };
        self.file.sites.push(Site {
            keys,
            block,
            has_braces,
        });
    }

    /// The tokens before the body of a block; the next one is then its brace, or begins its first line. `None` if
    /// there was nothing, or nothing that could be a block.
    fn keys(&mut self) -> Option<Vec<Token>> {
        let mut keys: Vec<Token> = Vec::new();
        let mut comma: Option<Span> = None;
        while let Some(token) = self.peek() {
            if token.text == "import" && self.is_at_line_start() {
                self.import(Level::File);
                continue;
            }
            if token.text.starts_with('@') {
                let message = format!("request matcher `{}` outside of a site", token.text);
                let diagnostic = Diagnostic::error("matcher-outside-site", token, message)
                    .help("request matchers may not be defined globally, they must be in a site block");
                self.report(diagnostic);
                self.next();
                self.skip_line();
                return None;
            }
            if token.is_open_brace() {
                if let Some(comma) = comma {
                    let message = "another address is expected after the comma, but `{` follows";
                    let diagnostic = Diagnostic::error("address-missing", &comma, message)
                        .help("remove the comma, or write the address");
                    self.report(diagnostic);
                }
                return Some(keys);
            }
            if token.is_close_brace() {
                let diagnostic = Diagnostic::error("unexpected-close-brace", token, "`}` closes no block")
                    .help("remove it, or add the `{` that it should close");
                self.report(diagnostic);
                self.next();
                if !keys.is_empty() {
                    return Some(keys);
                }
                continue;
            }
            let mut token = self.next()?;
            if token.text.len() > 1 && token.text.ends_with('{') {
                let message = format!("site address `{}` ends with a curly brace", token.text);
                let diagnostic = Diagnostic::error("address-brace", &token, message)
                    .help("put a space between the address and the brace");
                self.report(diagnostic);
                // Goes on as if the space were there.
                token.text.pop();
                let brace = Span {
                    start: token.span.end.saturating_sub(1),
                    ..token.span.clone()
                };
                let brace = Token {
                    text: "{".into(),
                    quote: crate::Quote::None,
                    span: brace,
                    ..token.clone()
                };
                self.pending.push(brace);
            }
            if !token.text.is_empty() {
                comma = token.text.ends_with(',').then(|| token.span.clone());
                if comma.is_some() {
                    token.text.pop();
                }
                if token.text.contains(',') {
                    let message = format!("site address `{}` contains a comma", token.text);
                    let diagnostic = Diagnostic::error("address-comma", &token, message)
                        .help("put a space after the comma to separate site addresses");
                    self.report(diagnostic);
                }
                if !token.text.is_empty() {
                    keys.push(token);
                }
            }
            if comma.is_none() && self.is_at_line_start() {
                return Some(keys);
            }
        }
        if let Some(comma) = comma.filter(|_| !self.unfinished) {
            let message = "unexpected end of file: another address is expected after the comma";
            self.report(Diagnostic::error("address-missing", &comma, message));
        }
        (!keys.is_empty()).then_some(keys)
    }

    fn global(&mut self) {
        let block = self.braces(0, Place::Site);
        let earlier = self.file.global.as_ref().and_then(|block| block.open.clone());
        let site = self.file.sites.first().map(|site| site.keys[0].span.clone());
        let route = self
            .file
            .named_routes
            .first()
            .map(|route| route.name.span.clone());
        let first = [earlier, site, route].into_iter().flatten().next();
        match (first, &block.open) {
            (Some(first), Some(open)) if !block.segments.is_empty() => {
                let message = "a server block without any key is global configuration, and must be first";
                let diagnostic = Diagnostic::error("global-options-not-first", open, message)
                    .context(first, "this comes before it")
                    .help(
                        "move the global options to the top of the Caddyfile, or give the site its address",
                    );
                self.report(diagnostic);
            }
            (None, _) => self.file.global = Some(block),
            _ => {} // An empty one says nothing.
        }
    }

    /// Whether the brace that a definition needs is there; if not, reports it and leaves the line out.
    fn expect_brace(&mut self, name: &Token, what: &str) -> bool {
        if self.is_at(Token::is_open_brace) {
            return true;
        }
        let found = match self.peek() {
            Some(token) => format!("but found `{}`", token.text),
            None => "but the file ends".to_owned(),
        };
        let message = format!("{what} `{}` needs a block: expecting `{{`, {found}", name.text);
        self.report(Diagnostic::error("definition-without-block", name, message));
        self.skip_line();
        false
    }

    fn snippet(&mut self, name: Token) {
        if !self.expect_brace(&name, "snippet") {
            return;
        }
        let Some(open) = self.next() else { return };
        let body = self.raw_block(&open);
        let span = name.span.clone();
        let imports = name.imports.clone();
        if let Err(earlier) = self.file.snippets.insert(Snippet { name, body }) {
            let name = &earlier.name;
            let message = format!("redeclaration of previously declared snippet `{}`", name.text);
            let diagnostic = Diagnostic::error("duplicate-snippet", &span, message)
                .context(name, "first declared here")
                .imported(imports);
            self.report(diagnostic);
        }
    }

    fn named_route(&mut self, name: Token) {
        if !self.expect_brace(&name, "named route") {
            return;
        }
        let block = self.braces(0, Place::Nested);
        if let Some(earlier) = self
            .file
            .named_routes
            .iter()
            .find(|route| route.name.text == name.text)
        {
            let message = format!("cannot have duplicate named routes: `{}`", name.text);
            let diagnostic = Diagnostic::error("duplicate-named-route", &name, message)
                .context(&earlier.name, "first declared here");
            self.report(diagnostic);
            return;
        }
        self.file.named_routes.push(NamedRoute { name, block });
    }

    // Blocks.

    /// A block whose brace is next.
    fn braces(&mut self, depth: usize, place: Place) -> Block {
        let Some(open) = self.next() else {
            return Block::default();
        };
        let mut block = Block {
            open: Some(open.span.clone()),
            ..Block::default()
        };
        if depth >= self.options.limits.nesting {
            let message = format!("blocks are nested deeper than the {depth} levels allowed");
            self.report(Diagnostic::error("nested-too-deep", &open, message));
            self.raw_block(&open);
            return block;
        }
        if place == Place::Nested && !self.is_at_line_start() {
            let Some(next) = self.peek() else { return block };
            let message = format!("unexpected `{}` after `{{` on the same line", next.text);
            let diagnostic =
                Diagnostic::error("text-after-open-brace", next, message).help("begin a new line after `{`");
            self.report(diagnostic);
        }
        self.lines(&mut block, depth, place);
        if block.close.is_none() {
            self.report_unclosed(&open);
        }
        block
    }

    /// The lines of a block, up to its closing brace.
    fn lines(&mut self, block: &mut Block, depth: usize, place: Place) {
        while let Some(token) = self.peek() {
            if token.is_close_brace() {
                let Some(close) = self.next() else { return };
                self.close(close, block, place);
                return;
            }
            if token.text == "import" {
                self.import(Level::Block);
            } else if token.is_open_brace() {
                self.stray_block(block, depth);
            } else if let Some(segment) = self.segment(depth) {
                block.segments.push(segment);
            }
        }
    }

    fn close(&mut self, close: Token, block: &mut Block, place: Place) {
        match place {
            // Caddy takes it for the end of the site, so this is no error.
            Place::Bare => {
                let message = "`}` closes no block; it ends the site, which has no `{`";
                self.report(
                    Diagnostic::warning("stray-close-brace", &close, message)
                        .help("write `{` behind the address of the site, or remove the `}`"),
                );
            }
            Place::Site => {}
            Place::Nested => {
                if let Some(next) = self.peek().filter(|_| !self.is_at_line_start()) {
                    let closes = next.is_close_brace();
                    let message = format!("unexpected `{}` after `}}` on the same line", next.text);
                    let diagnostic = Diagnostic::error("text-after-close-brace", next, message)
                        .help("begin a new line after `}`");
                    self.report(diagnostic);
                    if !closes {
                        self.skip_line();
                    }
                }
            }
        }
        block.close = Some(close.span);
    }

    /// A block that begins a line: the brace belongs to the end of the line before.
    fn stray_block(&mut self, block: &mut Block, depth: usize) {
        let Some(open) = self.peek() else { return };
        let message = "unexpected `{` on a new line";
        let mut diagnostic = Diagnostic::error("brace-on-new-line", open, message);
        let owner = block
            .segments
            .last_mut()
            .filter(|segment| segment.block.is_none());
        diagnostic = match &owner {
            Some(owner) => diagnostic.context(&owner.name, "does it belong to this line?"),
            None => diagnostic,
        };
        self.report(diagnostic.help("place the `{` at the end of the previous line"));
        let inner = self.braces(depth + 1, Place::Nested);
        if let Some(owner) = block
            .segments
            .last_mut()
            .filter(|segment| segment.block.is_none())
        {
            owner.block = Some(inner);
        }
    }

    /// A line and the block it opens.
    fn segment(&mut self, depth: usize) -> Option<Segment> {
        let mut segment = Segment {
            name: self.next()?,
            args: Vec::new(),
            block: None,
        };
        while let Some(token) = self.peek().filter(|_| !self.is_at_line_start()) {
            if token.is_open_brace() {
                segment.block = Some(self.braces(depth + 1, Place::Nested));
                break;
            }
            if token.is_close_brace() {
                let message =
                    "unexpected `}` at the end of a line, because no matching opening brace is on it";
                let diagnostic = Diagnostic::error("close-brace-on-line", token, message)
                    .help("put the `}` that closes a block on a line of its own, or quote it");
                self.report(diagnostic);
                break; // It is taken for the end of the block.
            }
            let token = self.next()?;
            if token.text == "{}" && !token.is_quoted() && self.is_at_line_start() {
                let diagnostic =
                    Diagnostic::error("empty-braces", &token, "unexpected `{}` at the end of a line")
                        .help("leave the empty block out, or quote the braces");
                self.report(diagnostic);
                segment.block = Some(Block::default());
                break;
            }
            segment.args.push(token);
        }
        Some(segment)
    }
}

/// What kind of block is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A site with braces, where a line may follow `{` at once, or the global options.
    Site,
    /// A site without braces.
    Bare,
    /// Any other block: its braces end their lines.
    Nested,
}

/// The name between `open` and `)`.
fn inside<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(')')
}
