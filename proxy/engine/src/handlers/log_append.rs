//! `log_append` adds a field to the access log's entry of a request.
//!
//! ```caddyfile
//! log_append [<matcher>] [<]<field> <value>
//! ```
//!
//! The value is a placeholder, or the name of a variable, or else it is the value itself. It is looked up when the request
//! was answered; a `<` before the field has it looked up at once. The body of a request is always told at once. A field
//! that the entry has anyhow stays as it is. Caddy: `http.handlers.log_append`.
//!
//! ```caddyfile
//! log_append upstream {http.reverse_proxy.upstream.hostport}
//! ```

use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::template::{Placeholder, Value};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "log_append",
    parse: Parse::Handler(parse),
};

/// A field of the access log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// A placeholder, the name of a variable, or the value itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Whether it is looked up at once, not when the request was answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let key = args.required("a field and a value")?;
    let value = args.required("a value")?;
    args.finish_line()?;
    let early = key.text.strip_prefix('<').filter(|key| !key.is_empty());
    Ok(super::Config::LogAppend(Config {
        key: early.unwrap_or(&key.text).to_owned(),
        value: value.text.clone(),
        early: early.is_some(),
    }))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct LogAppend {
    field: Arc<Field>,
    early: bool,
}

#[derive(Debug)]
struct Field {
    key: Box<str>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Placeholder(Placeholder),
    /// A variable if there is one of this name, else the text.
    Text(Box<str>),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<LogAppend, CompileError> {
        let name = self
            .value
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        let name = name.filter(|name| !name.contains('{'));
        let name = name.map(|name| name.trim_end_matches('}'));
        if matches!(name, Some("http.response.body" | "http.response.body_base64")) {
            let message = "log_append: the body of a response cannot be logged yet";
            return Err(CompileError::new(message));
        }
        let is_body = matches!(name, Some("http.request.body" | "http.request.body_base64"));
        let source = match name {
            Some(name) => Source::Placeholder(Placeholder::new(name)),
            None => Source::Text(self.value.as_str().into()),
        };
        Ok(LogAppend {
            field: Arc::new(Field {
                key: self.key.as_str().into(),
                source,
            }),
            early: self.early || is_body,
        })
    }
}

impl LogAppend {
    /// Looks the field up, or takes note to do it later.
    pub(crate) fn handle(&self, exchange: &mut Exchange) {
        if self.early {
            let value = self.field.value(exchange);
            exchange.log.fields.push((self.field.key.clone(), value));
        } else {
            exchange.log.late.push(Arc::clone(&self.field));
        }
    }
}

/// What is added to the access log's entry of a request.
#[derive(Debug, Default)]
pub struct Fields {
    fields: Vec<(Box<str>, Value)>,
    late: Vec<Arc<Field>>,
}

impl Fields {
    /// The fields that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(key, value)| (&**key, value))
    }
}

/// Looks up what waits for the request to be answered; the innermost handler comes first.
pub(crate) fn finish(exchange: &mut Exchange) {
    while let Some(field) = exchange.log.late.pop() {
        let value = field.value(exchange);
        exchange.log.fields.push((field.key.clone(), value));
    }
}

impl Field {
    fn value(&self, exchange: &Exchange) -> Value {
        match &self.source {
            Source::Placeholder(placeholder) => placeholder.value(exchange).unwrap_or(Value::Null),
            Source::Text(text) => {
                let variable = exchange.vars.get(text).cloned();
                variable.unwrap_or_else(|| Value::Text(text.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{check_handlers as check, exchange};

    #[test]
    fn fields_are_read() {
        check(
            "log_append a b",
            &json!([{"handler": "log_append", "key": "a", "value": "b"}]),
        );
        check(
            "log_append <a {b}",
            &json!([{"handler": "log_append", "key": "a", "value": "{b}", "early": true}]),
        );
        check(
            "log_append < b",
            &json!([{"handler": "log_append", "key": "<", "value": "b"}]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("log_append", "2:1: `log_append` needs a field and a value"),
            ("log_append a", "2:1: `log_append` needs a value"),
            (
                "log_append a b c",
                "2:16: `log_append` takes no further argument, but `c` follows",
            ),
            ("log_append a b {\n}", "2:16: `log_append` takes no block"),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
        let body = Config {
            value: "{http.response.body}".to_owned(),
            ..Config::default()
        };
        body.compile().unwrap_err();
    }

    #[test]
    fn values_are_looked_up_early_or_late() {
        #[track_caller]
        fn check(value: &str, early: &Value, late: &Value) {
            let mut exchange = exchange("POST /");
            exchange.body = crate::body::Body::Full("body".into());
            exchange.vars.set("v", Value::Integer(1));
            for early in [true, false] {
                let config = Config {
                    key: format!("{early}"),
                    value: value.to_owned(),
                    early,
                };
                config.compile().unwrap().handle(&mut exchange);
            }
            exchange.vars.set("v", Value::Bool(true));
            exchange.body = crate::body::Body::Empty;
            exchange.set_method(http::Method::PUT);
            finish(&mut exchange);
            finish(&mut exchange);
            let found: Vec<_> = exchange.log.iter().collect();
            assert_eq!(found, [("true", early), ("false", late)], "{value}");
        }
        let text = |text: &str| Value::Text(text.into());
        check("v", &Value::Integer(1), &Value::Bool(true));
        check("w", &text("w"), &text("w"));
        check("{http.request.method}", &text("POST"), &text("PUT"));
        check("{http.vars.v}", &Value::Integer(1), &Value::Bool(true));
        check("{nothing}", &Value::Null, &Value::Null);
        check("{a}{b}", &text("{a}{b}"), &text("{a}{b}"));
        check("{http.request.body}", &text("body"), &text("body"));
    }
}
