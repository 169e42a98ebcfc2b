//! Strings that may hold placeholders: parsed once, filled per request.
//!
//! Rules: Caddy's replacer. `{name}` is a placeholder, `\{` and `\}` are braces; a value is never filled again.

mod placeholder;

use std::borrow::Cow;
use std::fmt;

use crate::exchange::Exchange;

pub use placeholder::Placeholder;

/// The value of a placeholder or a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Set, to nothing.
    Null,
    /// Text.
    Text(Box<str>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A truth.
    Bool(bool),
    /// Several strings.
    List(Box<[Box<str>]>),
}

impl Value {
    /// Its text, as it stands in a filled template.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Self::List(list) => Cow::Owned(list.join(",")),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A string with placeholders, ready to be filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// A template without placeholders is one literal, or nothing.
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(Box<str>),
    Placeholder(Placeholder),
    /// `{a{b}`: a placeholder of that name if there is one, else what is within.
    Nested(Placeholder, Box<[Part]>),
}

/// How deep braces may lie within a placeholder; of deeper ones the outer are text.
const NESTED: usize = 16;

/// What becomes of a placeholder that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It stays as it is written.
    Keep,
    /// It becomes nothing.
    Empty,
}

impl Template {
    /// Reads a string. Never fails: what is no placeholder is text.
    pub fn new(text: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let mut open = true;
        while let Some(at) = rest.find(['{', '\\', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("\\{").or_else(|| rest.strip_prefix("\\}")) {
                literal.push_str(&rest[1..2]);
                rest = after;
                continue;
            }
            let inner = rest.strip_prefix('{').filter(|_| open);
            let closed = inner.and_then(|inner| closing(inner).map(|end| (inner, end)));
            // Without an end for this brace there is none for later ones: look only once.
            open = open && (inner.is_none() || closed.is_some());
            if let Some((inner, end)) = closed {
                push_placeholder(&inner[..end], &mut literal, &mut parts);
                rest = &inner[end + 1..];
            } else {
                literal.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Self { parts: parts.into() }
    }

    /// The text, if there is no placeholder in it.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The placeholder, if the template is nothing else.
    pub fn sole_placeholder(&self) -> Option<&Placeholder> {
        match &*self.parts {
            [Part::Placeholder(placeholder)] => Some(placeholder),
            _ => None,
        }
    }

    /// The text, if it is the same for every request as long as unknown placeholders are kept: braces of JSON or of a
    /// style sheet look like placeholders that nobody can know.
    pub fn literal_if_kept(&self) -> Option<Cow<'_, str>> {
        if let Some(literal) = self.literal() {
            return Some(Cow::Borrowed(literal));
        }
        if !self.placeholders().all(Placeholder::is_never_known) {
            return None;
        }
        let mut text = String::new();
        fill(&self.parts, &|_| None, Unknown::Keep, &mut text);
        Some(Cow::Owned(text))
    }

    /// All placeholders in it, in order; those within others too.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        let mut all = Vec::new();
        collect(&self.parts, &mut all);
        all.into_iter()
    }

    /// Fills it. Costs nothing without placeholders.
    pub fn fill<'a>(&'a self, exchange: &'a Exchange, unknown: Unknown) -> Cow<'a, str> {
        match &*self.parts {
            [] => Cow::Borrowed(""),
            [Part::Literal(text)] => Cow::Borrowed(text),
            [Part::Placeholder(placeholder)] => match placeholder.text(exchange) {
                Some(text) => text,
                None if unknown == Unknown::Keep => Cow::Owned(placeholder.written()),
                None => Cow::Borrowed(""),
            },
            parts => {
                let mut filled = String::new();
                let value = |placeholder: &'a Placeholder| placeholder.text(exchange);
                fill(parts, &value, unknown, &mut filled);
                Cow::Owned(filled)
            }
        }
    }

    /// Fills what does not depend on a request; the rest stays as it is written.
    pub fn fill_global(&self) -> String {
        let mut filled = String::new();
        let value = |placeholder: &Placeholder| placeholder.global_text().map(Cow::Owned);
        fill(&self.parts, &value, Unknown::Keep, &mut filled);
        filled
    }

    /// Fills it with each value changed by `escape` (a path is escaped, a query value too). Unknown ones become
    /// nothing.
    pub fn fill_escaped(&self, exchange: &Exchange, escape: impl Fn(&Placeholder, &str) -> String) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Placeholder(placeholder) | Part::Nested(placeholder, _) => {
                    let text = placeholder.text(exchange).unwrap_or_default();
                    filled.push_str(&escape(placeholder, &text));
                }
            }
        }
        filled
    }
}

/// Fills parts with the values of those placeholders that have one.
fn fill<'t>(
    parts: &'t [Part],
    value: &impl Fn(&'t Placeholder) -> Option<Cow<'t, str>>,
    unknown: Unknown,
    filled: &mut String,
) {
    for part in parts {
        let (placeholder, within) = match part {
            Part::Literal(text) => {
                filled.push_str(text);
                continue;
            }
            Part::Placeholder(placeholder) => (placeholder, None),
            Part::Nested(placeholder, within) => (placeholder, Some(within)),
        };
        match (value(placeholder), unknown, within) {
            (Some(text), ..) => filled.push_str(&text),
            (None, Unknown::Empty, _) => {}
            (None, Unknown::Keep, None) => filled.push_str(&placeholder.written()),
            (None, Unknown::Keep, Some(within)) => fill(within, value, unknown, filled),
        }
    }
}

fn collect<'t>(parts: &'t [Part], all: &mut Vec<&'t Placeholder>) {
    for part in parts {
        match part {
            Part::Literal(_) => {}
            Part::Placeholder(placeholder) => all.push(placeholder),
            Part::Nested(placeholder, within) => {
                all.push(placeholder);
                collect(within, all);
            }
        }
    }
}

/// Adds the placeholder that `name` is, with those that are within it.
fn push_placeholder(name: &str, literal: &mut String, parts: &mut Vec<Part>) {
    let bytes = name.as_bytes();
    // Where names begin: at the front, and behind each brace that no backslash stands before.
    let brace = |at: &usize| bytes[*at] == b'{' && (*at == 0 || bytes[*at - 1] != b'\\');
    let mut starts: Vec<usize> = std::iter::once(0)
        .chain((0..bytes.len()).filter(brace).map(|at| at + 1))
        .collect();
    if starts.len() > NESTED {
        let first = starts[starts.len() - NESTED];
        literal.push('{');
        literal.push_str(&unescape(&name[..first - 1]));
        starts.retain(|start| *start >= first);
    }
    let innermost = starts[starts.len() - 1];
    let mut part = Part::Placeholder(Placeholder::new(&name[innermost..]));
    for pair in starts.windows(2).rev() {
        let before = format!("{{{}", unescape(&name[pair[0]..pair[1] - 1]));
        let within = [Part::Literal(before.into()), part];
        part = Part::Nested(Placeholder::new(&name[pair[0]..]), within.into());
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
    parts.push(part);
}

/// Text without the backslashes before braces.
fn unescape(text: &str) -> String {
    text.replace("\\{", "{").replace("\\}", "}")
}

/// Where the placeholder that begins here ends: the first `}` without a backslash before it, or at the end of the text.
fn closing(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let escaped = |at: usize| at > 0 && bytes[at - 1] == b'\\' && at + 1 < bytes.len();
    (0..bytes.len()).find(|&at| bytes[at] == b'}' && !escaped(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::exchange;

    /// Filled with unknown placeholders kept, and with them empty.
    #[track_caller]
    fn check(text: &str, kept: &str, emptied: &str) {
        let mut exchange = exchange("GET /a%20b?q=1&q=2\nX-A: {http.request.method}");
        exchange.vars.set("{x", Value::Text("odd".into()));
        let template = Template::new(text);
        assert_eq!(template.fill(&exchange, Unknown::Keep), kept, "{text:?} kept");
        assert_eq!(
            template.fill(&exchange, Unknown::Empty),
            emptied,
            "{text:?} emptied"
        );
        if let Some(literal) = template.literal_if_kept() {
            assert_eq!(literal, kept, "{text:?} as a literal");
        }
    }

    #[test]
    fn known_placeholders_are_filled() {
        check("", "", "");
        check("plain", "plain", "plain");
        check("{http.request.method}", "GET", "GET");
        check(
            "a{http.request.method}b{http.request.uri.query.q}",
            "aGETb1,2",
            "aGETb1,2",
        );
        check("{http.request.header.None}{http.vars.none}", "", "");
    }

    #[test]
    fn unknown_placeholders_are_kept_or_empty() {
        check("x{nobody}y", "x{nobody}y", "xy");
        check("{http.request.cookie.none}", "{http.request.cookie.none}", "");
        check("x{}y", "x{}y", "xy");
        check("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}", "}");
    }

    #[test]
    fn values_are_not_filled_again() {
        check(
            "{http.request.header.X-A}",
            "{http.request.method}",
            "{http.request.method}",
        );
    }

    #[test]
    fn braces_can_be_escaped() {
        check(
            "\\{http.request.method\\}",
            "{http.request.method}",
            "{http.request.method}",
        );
        check("\\\\{a", "\\{a", "\\{a");
        check("a\\b", "a\\b", "a\\b");
        check("{a\\}b}", "{a}b}", "");
        check("{a\\{b}", "{a{b}", "");
        check("x{a\\}", "x{a}", "x");
        check("{a\\}b", "{a}b", "{a}b");
    }

    #[test]
    fn braces_within_a_name_begin_anew() {
        check("{a{http.request.method}z", "{aGETz", "z");
        check("{a{b{http.request.method}", "{a{bGET", "");
        check("{a{b}", "{a{b}", "");
        check("{http.vars.{x}}", "odd}", "odd}");
    }

    #[test]
    fn what_never_ends_is_text() {
        check("{", "{", "{");
        check("a}b", "a}b", "a}b");
        check("{a {b", "{a {b", "{a {b");
        check("{http.request.method}{a", "GET{a", "GET{a");
        let deep = "{".repeat(1000);
        check(&deep, &deep, &deep);
        let filled = format!("{}GET", "{".repeat(999));
        let template = Template::new(&format!("{deep}http.request.method}}"));
        assert_eq!(template.fill(&exchange("GET /"), Unknown::Keep), filled);
    }

    #[test]
    fn json_is_known_to_be_literal() {
        for text in ["{\"a\": {\"b\": {}}}", "{}", "a { b: c; }"] {
            assert_eq!(Template::new(text).literal_if_kept().as_deref(), Some(text));
        }
        for text in [
            "{http.request.method}",
            "{\"a\": \"{http.request.method}\"}",
            "{name}",
        ] {
            assert_eq!(Template::new(text).literal_if_kept(), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[{}a\\\\é.]*") {
            let exchange = exchange("GET /");
            let template = Template::new(&text);
            template.fill(&exchange, Unknown::Empty);
            template.literal_if_kept();
            if !text.contains(['{', '}']) {
                proptest::prop_assert_eq!(template.fill(&exchange, Unknown::Keep), text);
            }
        }
    }
}
