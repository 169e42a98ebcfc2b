//! Blocks, and the lines in them.

use crate::diagnostic::Diagnostic;
use crate::import::Level;
use crate::parse::Parser;
use crate::token::Token;
use crate::tree::{Block, Segment};

/// What kind of block is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A site with braces, where a line may follow `{` at once, or the global options.
    Site,
    /// A site without braces.
    Bare,
    /// A text that is the body of a block: a closing brace closes nothing.
    Text,
    /// Any other block: its braces end their lines.
    Nested,
}

impl Parser<'_> {
    /// A block whose brace is next.
    pub(super) fn braces(&mut self, depth: usize, place: Place) -> Block {
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
        if block.close.is_none() && place == Place::Site && self.last_closed {
            self.warn_of_open_site(&open);
        } else if block.close.is_none() {
            self.report_unclosed(&open);
        }
        block
    }

    /// The lines of a block, up to its closing brace.
    pub(super) fn lines(&mut self, block: &mut Block, depth: usize, place: Place) {
        while let Some(token) = self.peek() {
            if token.is_close_brace() {
                let Some(close) = self.next() else { return };
                if place == Place::Text {
                    self.report_stray_brace(&close);
                    continue;
                }
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
            Place::Site | Place::Text => {}
            Place::Nested => self.expect_line_end(),
        }
        block.close = Some(close.span);
    }

    /// Reports and leaves out what stands on the line of a closing brace that was just read.
    pub(crate) fn expect_line_end(&mut self) {
        if let Some(next) = self.peek().filter(|_| !self.is_at_line_start()) {
            let closes = next.is_close_brace();
            let message = format!("unexpected `{}` after `}}` on the same line", next.text);
            let diagnostic =
                Diagnostic::error("text-after-close-brace", next, message).help("begin a new line after `}`");
            self.report(diagnostic);
            if !closes {
                self.skip_line();
            }
        }
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
