//! Definitions of matchers, `@name …`.
//!
//! ```caddyfile
//! @name <matcher> <args…>
//! @name {
//!     <matcher> <args…>
//!     <matcher> <args…>
//! }
//! @name "<expression>"
//! ```
//!
//! All lines of a definition must match. Those of one kind are read together: most kinds match if one of their lines
//! does. A definition without lines matches everything.

use std::collections::HashMap;

use fairway_caddyfile::{Block, Diagnostic, Quote, Segment, Span, Token, suggest};

use super::tenancy;
use crate::matchers::{Entry, MATCHERS, Set};

/// How deep `not` may nest, in lines and blocks together. Each level copies what it negates, and is a level of the JSON.
const MAX_NEGATIONS: usize = 32;

/// The matchers with a name in a block, by this name with its `@`.
pub(crate) type Named = HashMap<String, Definition>;

/// A matcher with a name.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub set: Set,
    /// Where it is defined.
    pub span: Span,
}

/// Adds the matcher that a line defines. After a mistake in its lines the name is known all the same, so that its
/// uses are not reported as well.
pub(crate) fn define(segment: &Segment, matchers: &mut Named) -> Result<(), Diagnostic> {
    let name = &segment.name;
    if let Some(earlier) = matchers.get(&name.text) {
        let message = format!("the matcher `{}` is defined more than once", name.text);
        return Err(Diagnostic::error("duplicate-matcher", name, message)
            .label("defined again")
            .context(&earlier.span, "first defined here")
            .help("give one of them another name; those of the blocks around are visible here"));
    }
    let mut set = Set::default();
    let negations = negations_fit(segment.args.iter(), segment.block.as_ref(), 0);
    let result = negations.and_then(|()| read(segment, &mut set));
    let span = name.span.clone();
    matchers.insert(name.text.clone(), Definition { set, span });
    result
}

/// Reads lines of matchers into a set. `name` is the definition's name without `@`, empty where there is none.
pub(crate) fn read_lines(lines: &[Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let mut kinds: Vec<(&Entry, Vec<&Segment>)> = Vec::new();
    for line in lines {
        let entry = find(line)?;
        match kinds.iter_mut().find(|(known, _)| known.name == entry.name) {
            Some((_, lines)) => lines.push(line),
            None => kinds.push((entry, vec![line])),
        }
    }
    kinds
        .into_iter()
        .try_for_each(|(entry, lines)| (entry.parse)(&lines, name, set))
}

/// Holds the limit of `not`s within `not`s, before any is read. The blocks in the way are as deep as the parser allows.
fn negations_fit<'s>(
    words: impl Iterator<Item = &'s Token>,
    block: Option<&'s Block>,
    above: usize,
) -> Result<(), Diagnostic> {
    let mut depth = above;
    for word in words.take_while(|word| word.text == "not") {
        depth += 1;
        if depth > MAX_NEGATIONS {
            let message = format!("`not` is nested deeper than the {MAX_NEGATIONS} levels allowed");
            return Err(Diagnostic::error("nested-too-deep", word, message)
                .help("two of them that follow each other cancel out"));
        }
    }
    let mut lines = block.iter().flat_map(|block| &block.segments);
    lines.try_for_each(|line| {
        let words = std::iter::once(&line.name).chain(&line.args);
        negations_fit(words, line.block.as_ref(), depth)
    })
}

/// The lines of a definition: what follows the name, or its block.
fn read(segment: &Segment, set: &mut Set) -> Result<(), Diagnostic> {
    let name = segment.name.text.trim_start_matches('@');
    let Some((first, rest)) = segment.args.split_first() else {
        return read_lines(segment.lines(), name, set);
    };
    if first.is_quoted() {
        if let Some(next) = rest.first() {
            // Caddy drops what follows.
            let message = format!(
                "the matcher `{}` is an expression that ends with its quote, but `{}` follows",
                segment.name.text, next.text
            );
            return Err(Diagnostic::error("unexpected-argument", next, message)
                .label("one too many")
                .help(
                    "put quotes around the whole expression, or none around the name of a kind of matcher",
                ));
        }
        let mut word = first.clone();
        word.text = "expression".into();
        word.quote = Quote::None;
        let line = Segment {
            name: word,
            args: segment.args.clone(),
            block: segment.block.clone(),
        };
        return read_lines(&[line], name, set);
    }
    let line = Segment {
        name: first.clone(),
        args: rest.to_vec(),
        block: segment.block.clone(),
    };
    read_lines(&[line], name, set)
}

/// The matcher that a line names, if its author may write it.
fn find(line: &Segment) -> Result<&'static Entry, Diagnostic> {
    let name = line.name.text.as_str();
    let Some(entry) = MATCHERS.iter().find(|entry| entry.name == name) else {
        let known = MATCHERS.iter().map(|entry| entry.name);
        let message = format!("there is no kind of matcher `{name}`");
        return Err(Diagnostic::error("unknown-matcher-kind", line, message)
            .label("not known here")
            .did_you_mean(suggest(name, known)));
    };
    tenancy::judge_matcher(line)?;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};
    use serde_json::{Value, json};

    use super::*;

    /// Reads definitions; the result is their sets, or the first mistake in one line.
    fn read_all(text: &str) -> Result<Named, String> {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!(":80\n{text}\n"),
        );
        let parsed = parse(source, &Options::default());
        assert!(parsed.diagnostics.is_empty(), "{text}");
        let mut named = Named::default();
        for segment in &parsed.file.sites[0].block.segments {
            define(segment, &mut named).map_err(|mistake| mistake.one_line())?;
        }
        Ok(named)
    }

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        let named = read_all(text).unwrap();
        let sets: serde_json::Map<String, Value> = named
            .into_iter()
            .map(|(name, defined)| (name, serde_json::to_value(defined.set).unwrap()))
            .collect();
        assert_eq!(&Value::Object(sets), expected, "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(read_all(text).unwrap_err(), expected, "{text}");
    }

    #[test]
    fn reads_one_line_or_a_block() {
        check("@a method GET", &json!({"@a": {"method": ["GET"]}}));
        check("@a {\nmethod GET\n}", &json!({"@a": {"method": ["GET"]}}));
        check("@a {\n}", &json!({"@a": {}}));
        check("@a", &json!({"@a": {}}));
    }

    #[test]
    fn lines_of_one_kind_are_read_together() {
        check(
            "@a {\nmethod GET\nmethod PUT POST\n}",
            &json!({"@a": {"method": ["GET", "PUT", "POST"]}}),
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        check_refused(
            "@a metod GET",
            "Caddyfile:2:4: there is no kind of matcher `metod`; did you mean `method`?",
        );
        check_refused("@a method", "Caddyfile:2:4: `method` needs a method");
        check_refused(
            "@a \"path\" /a",
            "Caddyfile:2:11: the matcher `@a` is an expression that ends with its quote, but `/a` follows; put quotes \
             around the whole expression, or none around the name of a kind of matcher",
        );
    }

    #[test]
    fn negations_are_bounded() {
        let nested = |depth: usize| format!("@a {}path /", "not ".repeat(depth));
        assert!(read_all(&nested(MAX_NEGATIONS)).is_ok());
        let help = "two of them that follow each other cancel out";
        let expected = format!("`not` is nested deeper than the 32 levels allowed; {help}");
        check_refused(&nested(20_000), &format!("Caddyfile:2:132: {expected}"));
        let blocks = format!(
            "@a {{\n{}path /{}\n}}",
            "not not {\n".repeat(17),
            "\n}".repeat(17)
        );
        check_refused(&blocks, &format!("Caddyfile:19:1: {expected}"));
    }

    #[test]
    fn a_name_has_one_meaning() {
        let text = "@a method GET\n@a method PUT";
        let help = "give one of them another name; those of the blocks around are visible here";
        let expected = format!("Caddyfile:3:1: the matcher `@a` is defined more than once; {help}");
        check_refused(text, &expected);
    }
}
