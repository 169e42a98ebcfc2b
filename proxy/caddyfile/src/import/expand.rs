//! Replaying the tokens of a snippet or file, with the arguments and blocks of one import.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::import::Level;
use crate::import::substitute::{Substituted, TooLong, substitute};
use crate::token::{ImportKind, ImportStep, Token};

/// The lines of the block behind an import, by their first word: what follows it, and what its block holds.
pub(super) fn blocks_by_key(block: &[Token]) -> Result<HashMap<&str, Vec<&Token>>, Diagnostic> {
    let mut blocks = HashMap::new();
    let mut at = 0;
    while let Some(key) = block.get(at) {
        at += 1;
        if key.is_open_brace() {
            let message = "anonymous blocks are not supported in the block of an import";
            return Err(
                Diagnostic::error("anonymous-block", key, message).help("write a name before the `{`")
            );
        }
        let mut tokens = Vec::new();
        while let Some(token) = block
            .get(at)
            .filter(|token| !block[at - 1].is_before_line_of(token))
        {
            at += 1;
            if !token.is_open_brace() {
                tokens.push(token);
                continue;
            }
            let mut depth = 1;
            while let Some(token) = block.get(at) {
                at += 1;
                depth += i32::from(token.is_open_brace()) - i32::from(token.is_close_brace());
                if depth == 0 {
                    break;
                }
                tokens.push(token);
            }
            break;
        }
        blocks.insert(key.text.as_str(), tokens);
    }
    Ok(blocks)
}

/// One replay of tokens.
pub(super) struct Expansion<'a> {
    pub(super) args: &'a [Token],
    pub(super) block: &'a [Token],
    pub(super) blocks: &'a HashMap<&'a str, Vec<&'a Token>>,
    pub(super) step: &'a Arc<ImportStep>,
    pub(super) tokens_left: &'a mut usize,
    pub(super) bytes_left: &'a mut usize,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) out: &'a mut Vec<Token>,
}

impl Expansion<'_> {
    pub(super) fn run(&mut self, tokens: &[Token], level: Level) -> Result<(), TooLong> {
        let mut definition = Definition::default();
        let mut previous: Option<&Token> = None;
        for token in tokens {
            let within = level == Level::File && definition.goes_on(previous, token);
            previous = Some(token);
            let here = Token {
                imports: Some(Arc::clone(self.step)),
                ..token.clone()
            };
            if within {
                // A snippet defined by imported text has arguments and blocks of its own.
                self.push(here)?;
            } else if token.text == "{block}" {
                let block = self.block;
                self.push_block(block.iter())?;
            } else if let Some(key) = inside_blocks(&token.text) {
                let blocks = self.blocks;
                self.push_block(blocks.get(key).into_iter().flatten().copied())?;
            } else {
                match substitute(&here, self.args, self.bytes_left, &mut self.warnings)? {
                    Substituted::Unchanged => self.push(here)?,
                    Substituted::One(token) => self.push(token)?,
                    Substituted::Many(tokens) => {
                        for token in tokens {
                            self.push(token)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The tokens of a block given along. Each place it is put at counts as an import of its own, so that its
    /// lines never join those of another.
    fn push_block<'t>(&mut self, tokens: impl Iterator<Item = &'t Token>) -> Result<(), TooLong> {
        let mut last: Option<(Option<Arc<ImportStep>>, Arc<ImportStep>)> = None;
        for token in tokens {
            let known = last
                .as_ref()
                .filter(|(parent, _)| match (parent, &token.imports) {
                    (None, None) => true,
                    (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                    _ => false,
                });
            let step = match known {
                Some((_, step)) => Arc::clone(step),
                None => Arc::new(ImportStep {
                    span: self.step.span.clone(),
                    name: self.step.name.clone(),
                    kind: ImportKind::Block,
                    parent: token.imports.clone(),
                    target: Arc::clone(&self.step.target),
                    depth: token.imports.as_ref().map_or(0, |step| step.depth) + 1,
                }),
            };
            last = Some((token.imports.clone(), Arc::clone(&step)));
            self.push(Token {
                imports: Some(step),
                ..token.clone()
            })?;
        }
        Ok(())
    }

    fn push(&mut self, token: Token) -> Result<(), TooLong> {
        *self.tokens_left = self.tokens_left.checked_sub(1).ok_or(TooLong)?;
        *self.bytes_left = self.bytes_left.checked_sub(token.text.len()).ok_or(TooLong)?;
        self.out.push(token);
        Ok(())
    }
}

fn inside_blocks(text: &str) -> Option<&str> {
    text.strip_prefix("{blocks.")?.strip_suffix('}')
}

/// Finds the definitions of snippets in imported text, by their shape alone: `(name) {` at the start of a line.
#[derive(Default)]
struct Definition {
    depth: usize,
    /// The token's place in its line.
    index: usize,
    /// Whether the line begins with `(name)`.
    named: bool,
    within: bool,
}

impl Definition {
    /// Whether `token` is inside of one.
    fn goes_on(&mut self, previous: Option<&Token>, token: &Token) -> bool {
        if !self.within {
            let starts = previous.is_none_or(|previous| previous.is_before_line_of(token));
            self.index = if starts { 0 } else { self.index + 1 };
            if starts {
                let text = &token.text;
                self.named = text.len() >= 3 && text.starts_with('(') && text.ends_with(')');
            }
        }
        if token.is_open_brace() {
            self.depth += 1;
            self.within |= self.named && self.index == 1 && self.depth == 1;
        } else if token.is_close_brace() {
            self.depth = self.depth.saturating_sub(1);
            self.within &= self.depth > 0;
        }
        self.within
    }
}
