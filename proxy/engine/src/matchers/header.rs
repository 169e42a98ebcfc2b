//! `header` matches header fields of the request.
//!
//! ```caddyfile
//! header <field> <value>
//! header !<field>
//! ```
//!
//! `*` at the begin or the end of a value, or both, stands for any text; `*` alone for any value. Case counts. Every
//! line of the request is one value: lists with commas are not taken apart. Of several values for a field one must
//! match, of several fields each. `!` asks for the field's absence. `Host` is the host that the client named. Values
//! may hold placeholders. JSON: `http.matchers.header`, fields with lists of values; an empty list asks for the field's
//! presence, null for its absence.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use http::header::HeaderName;
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::template::{Template, Unknown};
use crate::values::canonical_header;

pub(crate) const MATCHER: Entry = Entry {
    name: "header",
    parse,
};

/// The values that each field may have: none of them, any if empty, one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, Option<Vec<String>>>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let fields = &mut set.header.get_or_insert_default().0;
    for line in lines {
        let mut args = Args::new(line);
        let field = args.required("a field")?;
        if let Some(absent) = field.text.strip_prefix('!') {
            if absent.is_empty() {
                let message = "`header !` needs the name of a field directly after the `!`";
                return Err(args.error_at(field, "invalid-value", message));
            }
            fields.insert(absent.to_owned(), None);
        } else {
            let value = args.required("a value")?.text.clone();
            fields
                .entry(canonical_header(&field.text))
                .or_default()
                .get_or_insert_default()
                .push(value);
        }
        args.finish_line()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Header(Box<[(Field, Allowed)]>);

/// The values that a field may have, as in [`Config`].
type Allowed = Option<Box<[Template]>>;

impl Config {
    pub(crate) fn compile(&self) -> Header {
        let fields = self.0.iter().map(|(field, values)| {
            let templates = |values: &Vec<String>| values.iter().map(|value| Template::new(value)).collect();
            (Field::new(field), values.as_ref().map(templates))
        });
        Header(fields.collect())
    }
}

impl Header {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        self.0.iter().all(|(field, allowed)| match allowed.as_deref() {
            None => field.values(exchange).next().is_none(),
            Some([]) => field.values(exchange).next().is_some(),
            Some(allowed) => field.values(exchange).any(|value| {
                let mut allowed = allowed.iter();
                allowed.any(|allowed| fits(allowed.fill(exchange, Unknown::Empty).as_bytes(), value))
            }),
        })
    }
}

/// Whether a value is what a pattern with stars at its ends allows.
fn fits(allowed: &[u8], value: &[u8]) -> bool {
    match allowed {
        b"*" => true,
        [b'*', inner @ .., b'*'] => inner.is_empty() || value.windows(inner.len()).any(|part| part == inner),
        [b'*', end @ ..] => value.ends_with(end),
        [start @ .., b'*'] => value.starts_with(start),
        _ => value == allowed,
    }
}

/// Where the values of a field come from.
#[derive(Debug)]
pub(super) enum Field {
    Host,
    Named(HeaderName),
    /// No request can have it.
    Impossible,
}

impl Field {
    pub(super) fn new(name: &str) -> Self {
        match name.parse::<HeaderName>() {
            Ok(name) if name == http::header::HOST => Self::Host,
            Ok(name) => Self::Named(name),
            Err(_) => Self::Impossible,
        }
    }

    pub(super) fn values<'e>(&self, exchange: &'e Exchange) -> impl Iterator<Item = &'e [u8]> {
        let host = match self {
            Self::Host if !exchange.host.is_empty() => Some(exchange.host.as_bytes()),
            _ => None,
        };
        let lines = match self {
            Self::Named(name) => Some(exchange.headers.get_all(name)),
            _ => None,
        };
        let lines = lines.into_iter().flatten().map(http::HeaderValue::as_bytes);
        host.into_iter().chain(lines)
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_refused, exchange, read};

    #[test]
    fn reads_fields_and_values() {
        check_json(
            "header x-a b\nheader X-A c\nheader !y-B\nheader X-C *",
            r#"{"header": {"X-A": ["b", "c"], "y-B": null, "X-C": ["*"]}}"#,
        );
        check_json("header !X-A\nheader X-A b", r#"{"header": {"X-A": ["b"]}}"#);
        check_json("header X-A b\nheader !X-A", r#"{"header": {"X-A": null}}"#);
        check_refused("header", "`header` needs a field");
        check_refused("header X-A", "`header` needs a value");
        check_refused(
            "header X-A b c",
            "`header` takes no further argument, but `c` follows",
        );
        check_refused(
            "header !X-A b",
            "`header` takes no further argument, but `b` follows",
        );
        check_refused(
            "header !",
            "`header !` needs the name of a field directly after the `!`",
        );
        check_refused("header X-A b {\n}", "`header` takes no block");
    }

    #[test]
    fn stars_stand_at_the_ends() {
        for (value, given, expected) in [
            ("foo", "foo", true),
            ("foo", "Foo", false),
            ("foo*", "foobar", true),
            ("foo*", "xfoo", false),
            ("*foo", "xfoo", true),
            ("*foo", "foox", false),
            ("*foo*", "xfoox", true),
            ("*foo*", "fo", false),
            ("f*o", "foo", false),
            ("*", "anything", true),
            ("**", "anything", true),
        ] {
            check(
                &format!("header Field {value}"),
                &format!("GET /\nField: {given}"),
                expected,
            );
        }
    }

    #[test]
    fn fields_and_values() {
        check("header A b", "GET /", false);
        check("header A b", "GET /\nA: a\nA: b", true);
        check("header A b", "GET /\nA: a,b", false);
        check("header A a\nheader A b", "GET /\nA: b", true);
        check("header A a\nheader B b", "GET /\nA: a", false);
        check("header A a\nheader B b", "GET /\nA: a\nB: b", true);
        check("header !A", "GET /", true);
        check("header !A", "GET /\nA: a", false);
        check("header A *", "GET /", false);
        check("header Host a.test", "GET /\nHost: a.test", true);
        check("header host a.test", "GET /\nHost: b.test", false);
        check("header !Host", "GET /\nHost: b.test", false);
        check("header Bad{}Name x", "GET /\nA: x", false);
        check("header A {http.request.uri.path}", "GET /x\nA: /x", true);
        check("header A {http.request.header.B}*", "GET /x\nA: xy\nB: x", true);
        check("header A {unknown}", "GET /x\nA: y", false);
    }

    #[test]
    fn empty_list_asks_for_presence() {
        let set: crate::matchers::Set = serde_json::from_str(r#"{"header": {"A": []}}"#).unwrap();
        assert_ne!(Ok(&set), read("header A *").as_ref());
        let matchers = set.compile().unwrap();
        for (request, expected) in [("GET /\nA: ", true), ("GET /", false)] {
            let found = crate::matchers::match_all(&matchers, &mut exchange(request));
            assert_eq!(found, Ok(expected), "{request}");
        }
    }
}
