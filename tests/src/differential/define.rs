//! A whole file: sites, and before them whatever they name.
//!
//! A site that says `@a` gets a line `@a …`, a file that says `import snip_x` a snippet, `invoke nr1` a named route.
//! Now and then one is left out, for that is a mistake that people make.

use std::collections::BTreeSet;

use super::grammar::{Grammar, Piece, end_line};
use super::random::Random;

#[cfg(test)]
/// The rules that a file is put together from.
pub(super) const ROOTS: &[&str] = &[
    "options",
    "site",
    "site_without_braces",
    "top_import",
    "matcher",
    "named_route",
    "snip_plain",
    "snip_args",
    "snip_block",
    "snip_named",
    "snip_proxy",
    "snip_sites",
];

/// The pieces of a file.
pub(super) fn file(grammar: &Grammar, random: &mut Random) -> Vec<Piece> {
    let mut options = Vec::new();
    if random.chance(30) {
        options = grammar.make("options", random);
    }
    let mut rest = Vec::new();
    let single = random.chance(15);
    if single {
        rest = with_matchers(grammar.make("site_without_braces", random), true, grammar, random);
    } else {
        for _ in 0..random.pick(&[1, 1, 1, 1, 2, 2, 3]) {
            rest.extend(with_matchers(
                grammar.make("site", random),
                false,
                grammar,
                random,
            ));
        }
        if random.chance(5) {
            rest.extend(grammar.make("top_import", random));
            end_line(&mut rest);
        }
    }
    let mut known = BTreeSet::new();
    let mut definitions: Vec<Piece> = Vec::new();
    loop {
        let all = [&options[..], &definitions[..], &rest[..]];
        let Some((kind, name)) = all.iter().find_map(|pieces| undefined(pieces, &known)) else {
            break;
        };
        known.insert(name.clone());
        if random.chance(3) {
            continue;
        }
        let (head, rule) = match kind {
            Kind::Snippet => (format!("({name})"), name.as_str()),
            Kind::NamedRoute => (format!("&({name})"), "named_route"),
        };
        let body = with_matchers(block(head, grammar.make(rule, random)), false, grammar, random);
        // What is used by a definition must stand before it.
        definitions.splice(0..0, body);
    }
    options.extend(definitions);
    options.extend(rest);
    options
}

enum Kind {
    Snippet,
    NamedRoute,
}

fn block(head: String, body: Vec<Piece>) -> Vec<Piece> {
    let mut pieces = vec![Piece::Word(head), Piece::Open];
    pieces.extend(body);
    end_line(&mut pieces);
    pieces.push(Piece::Close);
    pieces
}

/// A snippet or named route that is named, and not known yet.
fn undefined(pieces: &[Piece], known: &BTreeSet<String>) -> Option<(Kind, String)> {
    pieces.windows(2).find_map(|pair| {
        let [Piece::Word(verb), Piece::Word(name)] = pair else {
            return None;
        };
        let kind = match verb.as_str() {
            "import" if name.starts_with("snip_") => Kind::Snippet,
            "invoke" => Kind::NamedRoute,
            // `invoke @matcher name`
            _ if name.starts_with("nr") && (verb.starts_with(['@', '/']) || verb == "*") => Kind::NamedRoute,
            _ => return None,
        };
        let is_name = name
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '_');
        (is_name && !known.contains(name)).then(|| (kind, name.clone()))
    })
}

/// Adds the definitions of the matchers that a block names, at its beginning.
fn with_matchers(
    mut pieces: Vec<Piece>,
    is_bare: bool,
    grammar: &Grammar,
    random: &mut Random,
) -> Vec<Piece> {
    let mut used = BTreeSet::new();
    let mut defined = BTreeSet::new();
    let mut begins = true;
    for piece in &pieces {
        if let Piece::Word(word) = piece {
            // `@r…` are response matchers, which stand in their own directive.
            if word.starts_with('@') && !word.starts_with("@r") && word.len() < 4 {
                if begins { &mut defined } else { &mut used }.insert(word.clone());
            }
        }
        begins = !matches!(piece, Piece::Word(_));
    }
    // A site without braces begins after its first line.
    let begin = if is_bare { Piece::Break } else { Piece::Open };
    let at = pieces.iter().position(|piece| *piece == begin);
    let Some(at) = at else { return pieces };
    let mut lines = Vec::new();
    for name in used.difference(&defined) {
        if random.chance(2) {
            continue;
        }
        lines.push(Piece::Word(name.clone()));
        lines.extend(grammar.make("matcher", random));
        end_line(&mut lines);
    }
    let rest = pieces.split_off(at + 1);
    pieces.extend(lines);
    pieces.extend(rest);
    pieces
}
