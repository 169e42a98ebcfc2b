//! The grammar that texts are made from, and the making.
//!
//! A grammar is text. `name:` begins a rule, each indented line below is one alternative, `#` begins a comment. In an
//! alternative:
//!
//! | written | gives |
//! |---|---|
//! | `word`, `"two words"` | itself |
//! | `<rule>` | one alternative of the rule; also within a word, as in `{header.<field>}` |
//! | `<rule?>`, `<rule*>`, `<rule+>` | none or one; none to three; one to three, on the same line |
//! | `<rule;>` | none to four of them, each on a line of its own |
//! | `{` … `;` … `}` | a block and its lines |
//! | `%3` at the beginning | an alternative that is taken three times as often |
//!
//! `\n` in a word is a line break, `\s` a space, and `\<` a plain `<`. Where texts grow too deep, the first alternative is taken and
//! what may be left out is, so the first one of a rule must not contain itself.

use std::collections::BTreeMap;

use super::random::Random;

/// Beyond this depth only what must be is written.
const DEEP: usize = 9;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A token, as it is written.
    Word(String),
    /// The end of a line.
    Break,
    /// `{` at the end of a line.
    Open,
    /// `}` on a line of its own.
    Close,
}

/// Rules by name.
#[derive(Debug, Default)]
pub struct Grammar {
    rules: BTreeMap<&'static str, Vec<Alternative>>,
}

#[derive(Debug)]
struct Alternative {
    weight: usize,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Word(Vec<Glue>),
    Rule(&'static str, Times),
    Break,
    Open,
    Close,
}

#[derive(Debug)]
enum Glue {
    Text(String),
    Rule(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    Optional,
    Any,
    Some,
    Lines,
}

impl Grammar {
    /// Reads grammars that belong together.
    ///
    /// # Panics
    /// If one names a rule that none defines: the grammars are part of the tests.
    #[must_use]
    pub fn new(texts: &[&'static str]) -> Self {
        let mut grammar = Self::default();
        let mut current = "";
        for line in texts.iter().flat_map(|text| text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let (false, Some(name)) = (line.starts_with(' '), line.strip_suffix(':')) {
                current = name;
                let before = grammar.rules.insert(name, Vec::new());
                assert!(before.is_none(), "the rule {name} stands twice");
            } else {
                let alternatives = grammar.rules.get_mut(current).expect("a rule was begun");
                alternatives.push(alternative(line.trim()));
            }
        }
        for (name, alternatives) in &grammar.rules {
            assert!(!alternatives.is_empty(), "the rule {name} is empty");
            for used in alternatives.iter().flat_map(Alternative::rules) {
                assert!(grammar.rules.contains_key(used), "{name} names <{used}>");
            }
        }
        grammar
    }

    /// The names of all rules.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rules.keys().copied()
    }

    /// All rules that a rule leads to, and itself.
    #[must_use]
    pub fn reachable(&self, from: &[&'static str]) -> Vec<&'static str> {
        let mut found = from.to_vec();
        let mut next = 0;
        while let Some(name) = found.get(next) {
            for used in self.rules[name].iter().flat_map(Alternative::rules) {
                if !found.contains(&used) {
                    found.push(used);
                }
            }
            next += 1;
        }
        found
    }

    /// Makes one text of a rule.
    #[must_use]
    pub fn make(&self, rule: &str, random: &mut Random) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.expand(rule, random, 0, &mut pieces);
        pieces
    }

    fn expand(&self, rule: &str, random: &mut Random, depth: usize, out: &mut Vec<Piece>) {
        let alternatives = &self.rules[rule];
        for item in &choose(alternatives, random, depth).items {
            match item {
                Item::Break => end_line(out),
                Item::Open => out.push(Piece::Open),
                Item::Close => {
                    end_line(out);
                    out.push(Piece::Close);
                }
                Item::Word(parts) => {
                    let mut word = String::new();
                    for part in parts {
                        match part {
                            Glue::Text(text) => word.push_str(text),
                            Glue::Rule(rule) => word.push_str(&self.word(rule, random, depth + 1)),
                        }
                    }
                    out.push(Piece::Word(word));
                }
                Item::Rule(rule, times) => {
                    for _ in 0..times.count(random, depth) {
                        self.expand(rule, random, depth + 1, out);
                        if *times == Times::Lines {
                            end_line(out);
                        }
                    }
                }
            }
        }
    }

    /// The words of a rule as one.
    fn word(&self, rule: &str, random: &mut Random, depth: usize) -> String {
        let mut pieces = Vec::new();
        self.expand(rule, random, depth, &mut pieces);
        let words = pieces.into_iter().filter_map(|piece| match piece {
            Piece::Word(word) => Some(word),
            Piece::Break | Piece::Open | Piece::Close => None,
        });
        words.collect()
    }
}

impl Alternative {
    fn rules(&self) -> Vec<&'static str> {
        let mut rules = Vec::new();
        for item in &self.items {
            match item {
                Item::Rule(rule, _) => rules.push(*rule),
                Item::Word(parts) => rules.extend(parts.iter().filter_map(|part| match part {
                    Glue::Rule(rule) => Some(*rule),
                    Glue::Text(_) => None,
                })),
                Item::Break | Item::Open | Item::Close => {}
            }
        }
        rules
    }
}

impl Times {
    fn count(self, random: &mut Random, depth: usize) -> usize {
        let deep = depth > DEEP;
        match self {
            Times::Once => 1,
            Times::Optional => usize::from(!deep && random.chance(40)),
            Times::Some if deep => 1,
            Times::Any | Times::Lines if deep => 0,
            Times::Any => random.pick(&[0, 0, 1, 1, 2, 3]),
            Times::Some => random.pick(&[1, 1, 1, 1, 2, 3]),
            Times::Lines => random.pick(&[0, 1, 1, 1, 2, 2, 3, 4]),
        }
    }
}

/// Ends a line that has begun.
pub(super) fn end_line(pieces: &mut Vec<Piece>) {
    if matches!(pieces.last(), Some(Piece::Word(_))) {
        pieces.push(Piece::Break);
    }
}

fn choose<'a>(alternatives: &'a [Alternative], random: &mut Random, depth: usize) -> &'a Alternative {
    if depth > DEEP {
        return &alternatives[0];
    }
    let total = alternatives.iter().map(|alternative| alternative.weight).sum();
    let mut left = random.below(total);
    let chosen = alternatives.iter().find(|alternative| {
        let found = left < alternative.weight;
        left = left.saturating_sub(alternative.weight);
        found
    });
    chosen.unwrap_or(&alternatives[0])
}

fn alternative(line: &'static str) -> Alternative {
    let (weight, line) = line
        .strip_prefix('%')
        .and_then(|rest| rest.split_once(' '))
        .and_then(|(weight, rest)| Some((weight.parse().ok()?, rest)))
        .unwrap_or((1, line));
    let items = words(line).into_iter().map(item).collect();
    Alternative { weight, items }
}

/// Splits at spaces outside quotes.
fn words(line: &'static str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = matches!(first, '"' | '`').then(|| closing(rest, first)).flatten();
        let end = quoted.or_else(|| rest.find(' ')).unwrap_or(rest.len());
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

/// Where a quoted word ends, if it does.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == quote && !escaped {
            return Some(at + 1);
        }
        escaped = character == '\\' && !escaped && quote == '"';
    }
    None
}

fn item(word: &'static str) -> Item {
    match word {
        "{" => return Item::Open,
        "}" => return Item::Close,
        ";" => return Item::Break,
        _ => {}
    }
    if let Some((name, "")) = reference(word) {
        for (mark, times) in [
            ('?', Times::Optional),
            ('*', Times::Any),
            ('+', Times::Some),
            (';', Times::Lines),
        ] {
            if let Some(name) = name.strip_suffix(mark) {
                return Item::Rule(name, times);
            }
        }
        return Item::Rule(name, Times::Once);
    }
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(character) = rest.chars().next() {
        if let Some((name, after)) = reference(rest) {
            parts.push(Glue::Text(std::mem::take(&mut text)));
            parts.push(Glue::Rule(name));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\n") {
            text.push('\n');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\s") {
            text.push(' ');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\<") {
            text.push('<');
            rest = after;
        } else {
            text.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    parts.push(Glue::Text(text));
    Item::Word(parts)
}

/// `<name>` at the beginning: the name, and what follows.
fn reference(text: &'static str) -> Option<(&'static str, &'static str)> {
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || "_?*+;".contains(each));
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(grammar: &'static str) -> Vec<Piece> {
        Grammar::new(&[grammar]).make("a", &mut Random::new(1, 1))
    }

    fn word(text: &str) -> Piece {
        Piece::Word(text.to_owned())
    }

    #[test]
    fn words_blocks_and_rules_become_pieces() {
        assert_eq!(
            make("a:\n  x <b> { y ; z-<b>.<b> }\nb:\n  \"1 2\"\n"),
            [
                word("x"),
                word("\"1 2\""),
                Piece::Open,
                word("y"),
                Piece::Break,
                word("z-\"1 2\".\"1 2\""),
                Piece::Break,
                Piece::Close
            ]
        );
        assert_eq!(make("a:\n  \\<<E\\nx\\nE\n"), [word("<<E\nx\nE")]);
    }

    #[test]
    fn what_contains_itself_comes_to_an_end() {
        for number in 0..200 {
            let grammar = Grammar::new(&["a:\n  x\n  %9 y { <a;> ; <a> }\n"]);
            assert!(grammar.make("a", &mut Random::new(3, number)).len() < 1_000_000);
        }
    }

    #[test]
    #[should_panic(expected = "names <b>")]
    fn a_rule_that_is_named_must_be_there() {
        make("a:\n  <b>\n");
    }
}
