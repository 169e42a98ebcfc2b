//! `vars` matches variables, or any placeholder.
//!
//! ```caddyfile
//! vars <variable>|<{placeholder}> <values…>
//! ```
//!
//! Values are compared as text, and may hold placeholders. It is enough that one variable has one of its values, also
//! where several are named. A variable that is not set is empty. JSON: `http.matchers.vars`, variables with lists of
//! values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::template::{Placeholder, Template, Unknown, Value};

pub(crate) const MATCHER: Entry = Entry { name: "vars", parse };

/// The values of each variable, one of which is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, Vec<String>>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let variables = &mut set.vars.get_or_insert_default().0;
    for line in lines {
        let mut args = Args::new(line);
        let key = args.required("a variable")?;
        let values = args.remaining_required("a value to compare with")?;
        let values = values.iter().map(|token| token.text.clone());
        variables.entry(key.text.clone()).or_default().extend(values);
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Vars(Box<[(Key, Box<[Template]>)]>);

/// What is compared: a variable, or a placeholder.
#[derive(Debug)]
pub(super) enum Key {
    Variable(Box<str>),
    Placeholder(Placeholder),
}

impl Key {
    /// Reads a name; one in braces is a placeholder.
    pub(super) fn new(text: &str) -> Self {
        let placeholder = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        match placeholder.filter(|name| !name.contains('{')) {
            Some(name) => Self::Placeholder(Placeholder::new(name.trim_matches('}'))),
            None => Self::Variable(text.into()),
        }
    }

    /// The value as text; empty if there is none.
    pub(super) fn text<'a>(&'a self, exchange: &'a Exchange) -> Cow<'a, str> {
        let value = match self {
            Self::Variable(name) => exchange.vars.get(name).map(Value::text),
            Self::Placeholder(placeholder) => placeholder.text(exchange),
        };
        value.unwrap_or(Cow::Borrowed(""))
    }
}

impl Config {
    pub(crate) fn compile(&self) -> Vars {
        let variables = self.0.iter().map(|(key, values)| {
            let values = values.iter().map(|value| Template::new(value));
            (Key::new(key), values.collect())
        });
        Vars(variables.collect())
    }
}

impl Vars {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let one_of = |(key, allowed): &(Key, Box<[Template]>)| {
            let value = key.text(exchange);
            allowed
                .iter()
                .any(|allowed| allowed.fill(exchange, Unknown::Empty) == value)
        };
        self.0.is_empty() || self.0.iter().any(one_of)
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check, check_json, check_refused, exchange};
    use crate::template::Value;

    #[test]
    fn reads_variables_and_values() {
        check_json(
            "vars a 1 2\nvars {http.request.host} b\nvars a 3",
            r#"{"vars": {"a": ["1", "2", "3"], "{http.request.host}": ["b"]}}"#,
        );
        check_refused("vars", "`vars` needs a variable");
        check_refused("vars a", "`vars` needs a value to compare with");
        check_refused("vars a b {\n}", "`vars` takes no block");
    }

    #[test]
    fn one_of_all_is_enough() {
        #[track_caller]
        fn check(lines: &str, expected: bool) {
            let mut exchange = exchange("GET /x\nB: b");
            exchange.vars.set("a", Value::Text("1".into()));
            exchange.vars.set("n", Value::Integer(5));
            exchange.vars.set("t", Value::Bool(true));
            exchange
                .vars
                .set("p", Value::Text("{http.request.header.B}".into()));
            assert_eq!(ask(lines, &mut exchange), Ok(expected), "{lines}");
        }
        check("vars a 1", true);
        check("vars a 2", false);
        check("vars a 2 1", true);
        check("vars a 2\nvars n 5", true);
        check("vars n 6", false);
        check("vars t true", true);
        check(r#"vars missing """#, true);
        check("vars missing x", false);
        check("vars p b", false);
        check("vars p \\{http.request.header.B\\}", true);
        check("vars {http.vars.a} 1", true);
    }

    #[test]
    fn placeholders_are_keys_and_values() {
        check("vars {http.request.uri.path} /x", "GET /x", true);
        check(
            "vars {http.request.uri.path} {http.request.header.P}",
            "GET /x\nP: /x",
            true,
        );
        check("vars {http.request.uri.path} /y", "GET /x", false);
        check(r#"vars {unknown} """#, "GET /x", true);
    }
}
