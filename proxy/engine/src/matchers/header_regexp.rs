//! `header_regexp` matches header fields by regular expressions.
//!
//! ```caddyfile
//! header_regexp [<name>] <field> <regexp>
//! ```
//!
//! One value of the field must match; of several fields, each. Every line of the request is one value: lists with
//! commas are not taken apart. Captures are named as those of `path_regexp`. Once in a matcher for each field.
//! JSON: `http.matchers.header_regexp`, fields with `{"name", "pattern"}`.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::header::Field;
use crate::matchers::regexp::{self, Regexp, named};
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "header_regexp",
    parse,
};

/// What each field must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, regexp::Config>);

fn parse(lines: &[&Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let fields = &mut set.header_regexp.get_or_insert_default().0;
    for line in lines {
        let mut args = Args::new(line);
        let (name, [field, pattern]) = named(&mut args, name, "a field and a regular expression")?;
        let config = regexp::Config {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        };
        if fields.insert(field.to_owned(), config).is_some() {
            let message = format!("`header_regexp` stands once in a matcher for `{field}`");
            return Err(args
                .error("duplicate-option", message)
                .help("join the expressions: `(?:a)|(?:b)`"));
        }
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct HeaderRegexp(Box<[(Field, Regexp)]>);

impl Config {
    pub(crate) fn compile(&self) -> Result<HeaderRegexp, CompileError> {
        let fields = self.0.iter().map(|(field, regexp)| {
            let regexp = regexp.compile().map_err(|error| error.within("header_regexp"))?;
            Ok((Field::new(field), regexp))
        });
        fields.collect::<Result<_, _>>().map(HeaderRegexp)
    }
}

impl HeaderRegexp {
    pub(crate) fn matches(&self, exchange: &mut Exchange) -> bool {
        let mut values = std::mem::take(&mut exchange.values);
        let found = self.0.iter().all(|(field, regexp)| {
            field
                .values(exchange)
                .any(|value| regexp.find(&String::from_utf8_lossy(value), &mut values))
        });
        exchange.values = values;
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check, check_json, check_not_compiled, check_refused, exchange};

    #[test]
    fn reads_name_field_and_expression() {
        check_json(
            "header_regexp a X-A ^b$\nheader_regexp X-B c",
            r#"{"header_regexp": {"X-A": {"name": "a", "pattern": "^b$"}, "X-B": {"name": "m", "pattern": "c"}}}"#,
        );
        check_refused(
            "header_regexp X-A",
            "`header_regexp` needs a field and a regular expression",
        );
        check_refused(
            "header_regexp a b c d",
            "`header_regexp` takes no further argument, but `d` follows",
        );
        check_refused(
            "header_regexp X-A a\nheader_regexp X-A b",
            "`header_regexp` stands once in a matcher for `X-A`",
        );
        check_not_compiled("header_regexp X-A [", "this class is not closed");
        check_not_compiled("header_regexp a.b X-A x", "the name `a.b` takes letters");
    }

    #[test]
    fn one_value_of_each_field_must_match() {
        let lines = "header_regexp x-a ^b$\nheader_regexp X-B c";
        check(lines, "GET /\nX-A: b\nX-B: abc", true);
        check(lines, "GET /\nX-A: a\nX-A: b\nX-B: c", true);
        check(lines, "GET /\nX-A: b", false);
        check(lines, "GET /\nX-A: a,b\nX-B: c", false);
        check("header_regexp Host ^a[.]", "GET /\nHost: a.test:81", true);
    }

    #[test]
    fn captures() {
        let mut exchange = exchange("GET /\nX-B: bz");
        assert_eq!(ask("header_regexp hr X-B ^b(.)$", &mut exchange), Ok(true));
        let captured = exchange.values.get("http.regexp.hr.1").map(ToString::to_string);
        assert_eq!(captured.as_deref(), Some("z"));
    }
}
