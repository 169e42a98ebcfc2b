//! What stands outside of blocks: sites, snippets, named routes, the global options.

use crate::diagnostic::Diagnostic;
use crate::import::Level;
use crate::parse::Parser;
use crate::parse::block::Place;
use crate::source::Span;
use crate::token::Token;
use crate::tree::{Block, NamedRoute, Site, Snippet};

impl Parser<'_> {
    pub(super) fn file(&mut self) {
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
            } else if let Some(next) = self.peek() {
                let message = format!("the address before `{}` is empty", next.text);
                let diagnostic = Diagnostic::error("address-missing", next, message)
                    .help("write the address of a site, or leave the quotes out");
                self.report(diagnostic);
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
                let token = self.next()?;
                self.report_stray_brace(&token);
                if !keys.is_empty() {
                    return Some(keys);
                }
                continue;
            }
            let mut token = self.next()?;
            if token.text.ends_with('{') {
                self.brace_at_address(&mut token);
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

    /// An address that ends with a brace. At the end of a line, goes on as if there were a space between them.
    fn brace_at_address(&mut self, token: &mut Token) {
        let message = format!("site address `{}` ends with a curly brace", token.text);
        let diagnostic = Diagnostic::error("address-brace", token, message)
            .help("put a space between the address and the brace");
        self.report(diagnostic);
        if !token.is_quoted() && self.is_at_line_start() {
            token.text.pop();
            let start = token.span.end.saturating_sub(1);
            let span = Span {
                start,
                ..token.span.clone()
            };
            self.pending.push(Token {
                text: "{".into(),
                span,
                ..token.clone()
            });
        }
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
        self.routes
            .insert(name.text.clone(), self.file.named_routes.len());
        self.file.named_routes.push(NamedRoute { name, block });
    }
}

/// The name between `open` and `)`.
fn inside<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(')')
}
