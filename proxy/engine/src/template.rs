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
}

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
                // Of `{a{b}` only the inner part is a placeholder.
                let start = inner[..end].rfind('{').map_or(0, |brace| brace + 1);
                if start > 0 {
                    literal.push('{');
                    literal.push_str(&inner[..start - 1]);
                }
                let name = inner[start..end].replace("\\}", "}");
                if name.is_empty() {
                    literal.push_str("{}");
                } else {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                    }
                    parts.push(Part::Placeholder(Placeholder::new(&name)));
                }
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

    /// All placeholders in it, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(placeholder),
            Part::Literal(_) => None,
        })
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
                for part in parts {
                    match part {
                        Part::Literal(text) => filled.push_str(text),
                        Part::Placeholder(placeholder) => match placeholder.text(exchange) {
                            Some(text) => filled.push_str(&text),
                            None if unknown == Unknown::Keep => filled.push_str(&placeholder.written()),
                            None => {}
                        },
                    }
                }
                Cow::Owned(filled)
            }
        }
    }

    /// Fills what does not depend on a request; the rest stays as it is written.
    pub fn fill_global(&self) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.to_string(),
            Part::Placeholder(placeholder) => {
                placeholder.global_text().unwrap_or_else(|| placeholder.written())
            }
        };
        self.parts.iter().map(part).collect()
    }

    /// Fills it with each value changed by `escape` (a path is escaped, a query value too). Unknown ones become
    /// nothing.
    pub fn fill_escaped(&self, exchange: &Exchange, escape: impl Fn(&Placeholder, &str) -> String) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Placeholder(placeholder) => {
                    let text = placeholder.text(exchange).unwrap_or_default();
                    filled.push_str(&escape(placeholder, &text));
                }
            }
        }
        filled
    }
}

/// Where the placeholder that begins here ends: the first `}` without a backslash before it.
fn closing(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    (0..bytes.len()).find(|&at| bytes[at] == b'}' && (at == 0 || bytes[at - 1] != b'\\'))
}
