//! `vars` sets variables, for placeholders `{vars.name}` and the matcher `vars`.
//!
//! ```caddyfile
//! vars [<matcher>] [<name> <value>] {
//!     <name> <value>
//! }
//! ```
//!
//! A value without quotes that looks like a number or a truth is one; any other is text, and may hold placeholders, as
//! the name may. Caddy: `http.handlers.vars`, which also serves `root`.
//!
//! ```caddyfile
//! vars /beta/* stage "beta"
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::template::{Template, Unknown, Value};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "vars",
    parse: Parse::Handler(parse),
};

/// Variables by name; text may hold placeholders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub BTreeMap<String, Json>);

impl Config {
    /// One variable that is text.
    pub fn text(name: &str, value: &str) -> Self {
        Self(BTreeMap::from([(name.to_owned(), value.into())]))
    }
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    if let Some(name) = args.next_arg() {
        let value = args.required("a name and a value")?;
        args.finish()?;
        config.0.insert(name.text.clone(), scalar(value)?);
    }
    for line in args.block() {
        let mut words = Args::new(line);
        let value = words.required("a value")?;
        words.finish_line()?;
        config.0.insert(line.name.text.clone(), scalar(value)?);
    }
    Ok(super::Config::Vars(config))
}

/// A word as Go reads it: a whole number, a number, a truth, or text.
pub(super) fn scalar(token: &Token) -> Result<Json, Diagnostic> {
    let text = token.text.as_str();
    if token.is_quoted() {
        return Ok(text.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into());
    }
    if let Ok(number) = without_underscores(text).parse::<f64>() {
        let digits = text.contains(|letter: char| letter.is_ascii_digit());
        return match number {
            // Too large for a number, so it is text.
            number if number.is_infinite() && digits => Ok(text.into()),
            // What is whole is written so.
            number if number.fract() == 0.0 && number.abs() < 9e15 => Ok((number as i64).into()),
            number => Number::from_f64(number).map(Json::Number).ok_or_else(|| {
                let message = format!("`{text}` is a number that JSON does not have");
                Diagnostic::error("invalid-value", token, message).help("put it in quotes if it is text")
            }),
        };
    }
    Ok(match text {
        "t" | "T" | "true" | "True" | "TRUE" => true.into(),
        "f" | "F" | "false" | "False" | "FALSE" => false.into(),
        text => text.into(),
    })
}

/// A number without underscores, which Go takes between digits unless it is a whole one.
fn without_underscores(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separates = |at: usize| digit(at.checked_sub(1)) && digit(Some(at + 1));
    if text.contains('_') && text.match_indices('_').all(|(at, _)| separates(at)) {
        Cow::Owned(text.replace('_', ""))
    } else {
        Cow::Borrowed(text)
    }
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Vars(Box<[(Template, Source)]>);

#[derive(Debug)]
enum Source {
    Fixed(Value),
    Filled(Template),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Vars, CompileError> {
        // Files lie in the file system of the machine, which is the default.
        let other = |system: &Json| !matches!(system.as_str(), Some("" | "default"));
        if self.0.get("fs").is_some_and(other) {
            return Err(CompileError::not_served("fs"));
        }
        let vars = self.0.iter();
        Ok(Vars(
            vars.map(|(name, value)| (Template::new(name), Source::new(value)))
                .collect(),
        ))
    }
}

impl Source {
    fn new(value: &Json) -> Self {
        Self::Fixed(match value {
            Json::String(text) => {
                let template = Template::new(text);
                let Some(literal) = template.literal() else {
                    return Self::Filled(template);
                };
                Value::Text(literal.into())
            }
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => number.as_i64().map_or_else(
                || Value::Float(number.as_f64().unwrap_or_default()),
                Value::Integer,
            ),
            Json::Array(list) => Value::List(list.iter().map(text).collect()),
            Json::Object(_) => Value::Text(text(value)),
        })
    }

    fn value(&self, exchange: &Exchange) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Filled(template) => Value::Text(template.fill(exchange, Unknown::Empty).into()),
        }
    }
}

fn text(value: &Json) -> Box<str> {
    value
        .as_str()
        .map_or_else(|| value.to_string().into(), Into::into)
}

impl Vars {
    /// Sets them all.
    pub(crate) fn handle(&self, exchange: &mut Exchange) {
        for (name, source) in &self.0 {
            let name = name.fill(exchange, Unknown::Empty).into_owned();
            let value = source.value(exchange);
            if name == "http.auth.user.id" {
                exchange.values.set(name.clone(), value.clone());
            }
            exchange.vars.set(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{check_handlers as check, exchange};

    #[test]
    fn words_have_types() {
        for (word, expected) in [
            ("1", json!(1)),
            ("+07", json!(7)),
            ("-1", json!(-1)),
            ("1.50", json!(1.5)),
            ("2.0", json!(2)),
            ("1e3", json!(1000)),
            ("1_0", json!(10)),
            ("1__0", json!("1__0")),
            ("_1", json!("_1")),
            ("1e999", json!("1e999")),
            ("t", json!(true)),
            ("FALSE", json!(false)),
            ("yes", json!("yes")),
            ("\"1\"", json!("1")),
            ("`true`", json!("true")),
            ("{http.x}", json!("{http.x}")),
        ] {
            check(
                &format!("vars a {word}"),
                &json!([{"handler": "vars", "a": expected}]),
            );
        }
    }

    #[test]
    fn several_in_a_block() {
        check(
            "vars a b {\nc d\ne 2\n}",
            &json!([{"handler": "vars", "a": "b", "c": "d", "e": 2}]),
        );
        check("vars", &json!([{"handler": "vars"}]));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("vars a", "2:1: `vars` needs a name and a value"),
            (
                "vars a b c",
                "2:10: `vars` takes no further argument, but `c` follows",
            ),
            ("vars {\na\n}", "3:1: `a` needs a value"),
            (
                "vars {\na b c\n}",
                "3:5: `a` takes no further argument, but `c` follows",
            ),
            (
                "vars a inf",
                "2:8: `inf` is a number that JSON does not have; put it in quotes if it is text",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn sets_them_all() {
        let config = json!({
            "a": 1, "b": 1.5, "c": true, "d": "x", "e": "{http.request.method}{none}", "f": null,
            "{http.request.method}": ["x", 2], "http.auth.user.id": "me"
        });
        let mut exchange = exchange("GET /p");
        Config::deserialize(config)
            .unwrap()
            .compile()
            .unwrap()
            .handle(&mut exchange);
        for (name, text) in [
            ("a", "1"),
            ("b", "1.5"),
            ("c", "true"),
            ("d", "x"),
            ("e", "GET"),
            ("f", ""),
            ("GET", "x,2"),
        ] {
            assert_eq!(exchange.vars.get(name).unwrap().text(), text, "{name}");
        }
        assert_eq!(exchange.vars.get("a"), Some(&Value::Integer(1)));
        assert_eq!(exchange.values.get("http.auth.user.id").unwrap().text(), "me");
    }
}
