//! What a Caddyfile says, once imports are expanded: text is parsed once, and only this goes on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::origin::{Origin, Tier};
use crate::source::Span;
use crate::token::Token;

/// A whole Caddyfile.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The block without keys at the top.
    pub global: Option<Block>,
    /// The sites, as written.
    pub sites: Vec<Site>,
    /// The named routes, `&(name) { … }`, as written.
    pub named_routes: Vec<NamedRoute>,
    /// The snippets, `(name) { … }`, as written; those of imported files included.
    pub snippets: Snippets,
}

/// A site: its addresses and what they serve.
#[derive(Clone, Debug)]
pub struct Site {
    /// The addresses, without commas; text not yet checked.
    pub keys: Vec<Token>,
    /// Its directives.
    pub block: Block,
    /// Whether it was written with braces. Only a single site may be without.
    pub has_braces: bool,
}

/// A named route: a block of directives that `invoke` calls.
#[derive(Clone, Debug)]
pub struct NamedRoute {
    /// The name; its text is without `&(` and `)`.
    pub name: Token,
    /// Its directives.
    pub block: Block,
}

/// A snippet: tokens that `import` replays. Its own imports run when it is imported.
#[derive(Clone, Debug)]
pub struct Snippet {
    /// The name; its text is without the parentheses.
    pub name: Token,
    /// What stands between the braces.
    pub body: Vec<Token>,
}

/// Lines, with or without braces around them.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The opening brace.
    pub open: Option<Span>,
    /// The lines.
    pub segments: Vec<Segment>,
    /// The closing brace.
    pub close: Option<Span>,
}

/// A line of a block, with the block that it opens: a directive, a subdirective, an option.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The first word.
    pub name: Token,
    /// The other words of the line.
    pub args: Vec<Token>,
    /// The block opened at its end.
    pub block: Option<Block>,
}

impl Segment {
    /// Shows every token, those of nested blocks included, in the order of the text.
    pub fn tokens(&self, visit: &mut dyn FnMut(&Token)) {
        visit(&self.name);
        self.args.iter().for_each(&mut *visit);
        for segment in self.block.iter().flat_map(|block| &block.segments) {
            segment.tokens(visit);
        }
    }

    /// Hands out every token for change, those of nested blocks included, in the order of the text.
    pub fn tokens_mut(&mut self, visit: &mut dyn FnMut(&mut Token)) {
        visit(&mut self.name);
        self.args.iter_mut().for_each(&mut *visit);
        for segment in self.block.iter_mut().flat_map(|block| &mut block.segments) {
            segment.tokens_mut(visit);
        }
    }

    /// The lowest tier among all its tokens.
    pub fn lowest_tier(&self) -> Tier {
        let mut lowest = self.name.origin.tier;
        self.tokens(&mut |token| lowest = lowest.min(token.origin.tier));
        lowest
    }

    /// The first origin, in the order of the text, among those of the lowest tier.
    pub fn lowest_origin(&self) -> Arc<Origin> {
        let mut lowest = Arc::clone(&self.name.origin);
        self.tokens(&mut |token| {
            if token.origin.tier < lowest.tier {
                lowest = Arc::clone(&token.origin);
            }
        });
        lowest
    }

    /// The lines of its block; none if it has no block.
    pub fn lines(&self) -> &[Segment] {
        self.block.as_ref().map_or(&[], |block| &block.segments)
    }
}

/// Snippets by name, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Snippets {
    ordered: Vec<Arc<Snippet>>,
    by_name: HashMap<String, usize>,
}

impl Snippets {
    /// The snippet of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Snippet>> {
        self.by_name.get(name).map(|index| &self.ordered[*index])
    }

    /// All snippets, as written.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Snippet>> {
        self.ordered.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }

    /// Adds a snippet. If the name is taken, the earlier one stays and is returned.
    pub(crate) fn insert(&mut self, snippet: Snippet) -> Result<(), Arc<Snippet>> {
        if let Some(earlier) = self.get(&snippet.name.text) {
            return Err(Arc::clone(earlier));
        }
        self.by_name.insert(snippet.name.text.clone(), self.ordered.len());
        self.ordered.push(Arc::new(snippet));
        Ok(())
    }
}
