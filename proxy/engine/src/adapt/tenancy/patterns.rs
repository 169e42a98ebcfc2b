//! How many regular expressions a tenant's text may hold, and how large they may be.
//!
//! Each costs memory for as long as the text is served, up to the limits of [`go_regex`], which are also the operator's.

use fairway_caddyfile::{Block, Diagnostic, Segment, Tier, Token};

use crate::go_regex;

/// The most memory that one pattern of a tenant may take when compiled, in bytes.
pub(crate) const MAX_COMPILED: usize = 128 * 1024;

/// The most patterns in the text of one object.
pub(crate) const MAX_PATTERNS: usize = 200;

/// Directives and options whose words may be patterns if there are at least so many.
const HOLDERS: &[(&str, usize)] = &[
    ("header", 3),
    ("header_down", 3),
    ("header_up", 3),
    ("health_body", 1),
    ("request_header", 3),
    ("uri", 3),
];

/// Whether a tenant's pattern is too large.
pub(crate) fn is_too_large(pattern: &str) -> bool {
    go_regex::is_larger_than(pattern, MAX_COMPILED)
}

/// What is wrong with the patterns in the blocks of an object.
pub(crate) fn bounded<'b>(blocks: impl Iterator<Item = &'b Block>) -> Vec<Diagnostic> {
    let mut patterns = Patterns::default();
    for segment in blocks.flat_map(|block| &block.segments) {
        patterns.segment(segment, 0);
    }
    patterns.mistakes
}

#[derive(Default)]
struct Patterns {
    count: usize,
    mistakes: Vec<Diagnostic>,
}

impl Patterns {
    /// Looks at a line; `enough` words of it may be patterns, because of the line that opens its block, unless it is 0.
    fn segment(&mut self, segment: &Segment, enough: usize) {
        if segment.lowest_tier() == Tier::Operator {
            return;
        }
        let words: Vec<&Token> = std::iter::once(&segment.name).chain(&segment.args).collect();
        for word in &words {
            let calls = word.text.matches("regexp(").count() + word.text.matches("matches(").count();
            self.count(calls, word);
        }
        let holder = HOLDERS.iter().find(|(name, _)| *name == segment.name.text);
        if let Some(at) = words.iter().position(|word| word.text.ends_with("regexp")) {
            self.patterns(&words[at + 1..]);
        } else if let Some((_, least)) = holder.filter(|(_, least)| segment.args.len() >= *least) {
            debug_assert!(*least > 0);
            self.patterns(&words[1..]);
        } else if enough > 0 && words.len() >= enough {
            self.patterns(&words);
        } else if let Some(pattern) = segment.name.text.strip_prefix('~') {
            self.pattern(pattern, &segment.name);
            self.count(1, &segment.name);
        }
        let enough = holder.map_or(0, |(_, least)| *least);
        segment.lines().iter().for_each(|line| self.segment(line, enough));
    }

    /// Words of which one is a pattern.
    fn patterns(&mut self, words: &[&Token]) {
        for word in words {
            self.pattern(&word.text, word);
        }
        if let Some(first) = words.first() {
            self.count(1, first);
        }
    }

    fn pattern(&mut self, pattern: &str, at: &Token) {
        if at.origin.tier == Tier::Tenant && is_too_large(pattern) {
            self.mistakes.push(too_large(at));
        }
    }

    /// Counts patterns, and says once that there are too many.
    fn count(&mut self, more: usize, at: &Token) {
        let before = self.count;
        self.count += more;
        if before <= MAX_PATTERNS && self.count > MAX_PATTERNS {
            let message = format!("there are more than {MAX_PATTERNS} regular expressions");
            let help =
                "match by `path`, `host` or `header` where no expression is needed, or split the object";
            self.mistakes
                .push(Diagnostic::error("too-many-patterns", at, message).help(help));
        }
    }
}

fn too_large(at: &Token) -> Diagnostic {
    let message = format!(
        "the regular expression needs more than {} KiB when compiled",
        MAX_COMPILED / 1024
    );
    Diagnostic::error("pattern-too-large", at, message)
        .help("repeat less: `a{1000}` is kept as a thousand parts")
}
