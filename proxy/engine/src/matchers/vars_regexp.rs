//! `vars_regexp` matches variables, or any placeholder, by regular expressions.
//!
//! ```caddyfile
//! vars_regexp [<name>] <variable>|<{placeholder}> <regexp>
//! ```
//!
//! It is enough that one variable matches, also where several are named; a variable that is not set is empty. Captures
//! are named as those of `path_regexp`. Once in a matcher for each variable.
//! JSON: `http.matchers.vars_regexp`, variables with `{"name", "pattern"}`.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::regexp::{self, Regexp, named};
use crate::matchers::vars::Key;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "vars_regexp",
    parse,
};

/// The expression of each variable, one of which is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, regexp::Config>);

fn parse(lines: &[&Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let variables = &mut set.vars_regexp.get_or_insert_default().0;
    for line in lines {
        let mut args = Args::new(line);
        let (name, [variable, pattern]) = named(&mut args, name, "a variable and a regular expression")?;
        let config = regexp::Config {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        };
        if variables.insert(variable.to_owned(), config).is_some() {
            let message = format!("`vars_regexp` stands once in a matcher for `{variable}`");
            return Err(args
                .error("duplicate-option", message)
                .help("join the expressions: `(?:a)|(?:b)`"));
        }
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct VarsRegexp(Box<[(Key, Regexp)]>);

impl Config {
    pub(crate) fn compile(&self) -> Result<VarsRegexp, CompileError> {
        let variables = self.0.iter().map(|(key, regexp)| {
            let regexp = regexp.compile().map_err(|error| error.within("vars_regexp"))?;
            Ok((Key::new(key), regexp))
        });
        variables.collect::<Result<_, _>>().map(VarsRegexp)
    }
}

impl VarsRegexp {
    pub(crate) fn matches(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|(key, regexp)| {
            // A key may be a capture of an earlier matcher, so the values must be in their place while it is read.
            let text = key.text(exchange).into_owned();
            regexp.find(&text, &mut exchange.values)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check_json, check_not_compiled, check_refused, exchange};
    use crate::template::Value;

    #[test]
    fn reads_name_variable_and_expression() {
        check_json(
            "vars_regexp n a ^b$\nvars_regexp {http.request.uri.path} c",
            r#"{"vars_regexp": {
                "a": {"name": "n", "pattern": "^b$"}, "{http.request.uri.path}": {"name": "m", "pattern": "c"}
            }}"#,
        );
        check_refused(
            "vars_regexp a",
            "`vars_regexp` needs a variable and a regular expression",
        );
        check_refused(
            "vars_regexp a b c d",
            "`vars_regexp` takes no further argument, but `d` follows",
        );
        check_refused("vars_regexp a b {\n}", "`vars_regexp` takes no block");
        check_refused(
            "vars_regexp a b\nvars_regexp a c",
            "`vars_regexp` stands once in a matcher for `a`",
        );
        check_not_compiled("vars_regexp a [", "this class is not closed");
    }

    #[test]
    fn one_of_all_is_enough_and_captures() {
        #[track_caller]
        fn check(lines: &str, expected: Option<&str>) {
            let mut exchange = exchange("GET /p/x");
            exchange.vars.set("v", Value::Text("abc".into()));
            exchange.vars.set("n", Value::Integer(5));
            exchange
                .vars
                .set("p", Value::Text("{http.request.uri.path}".into()));
            exchange.values.set("http.regexp.r.1", Value::Text("old".into()));
            let found = ask(lines, &mut exchange).unwrap();
            let captured = exchange.values.get("http.regexp.m.1").map(ToString::to_string);
            assert_eq!(captured.as_deref().filter(|_| found), expected, "{lines}");
            assert_eq!(found, expected.is_some(), "{lines}");
        }
        check(r"vars_regexp v ^(\w)\w+$", Some("a"));
        check("vars_regexp v ^(b)", None);
        check("vars_regexp n (.)", Some("5"));
        check("vars_regexp missing ^()$", Some(""));
        check("vars_regexp missing (.)", None);
        check("vars_regexp v ^(b)\nvars_regexp n (.)", Some("5"));
        check("vars_regexp {http.request.uri.path} ^/p/(.+)$", Some("x"));
        check("vars_regexp p ^/p/(.+)$", None);
        check("vars_regexp {http.regexp.r.1} (l)", Some("l"));
    }
}
