//! `respond` answers with a status and a text.
//!
//! ```caddyfile
//! respond [<matcher>] <status>|<body> [<status>] {
//!     body <text>
//!     close
//! }
//! ```
//!
//! A single argument of three digits is a status, anything else a body. The status is 200 by default; in an error route
//! it is that of the error. `close` ends the connection after the response. Placeholders in the body that nobody knows
//! stay as they are, so JSON can be written as it is. Caddy: `http.handlers.static_response`, which also serves `redir`
//! and `abort`.
//!
//! ```caddyfile
//! respond /healthz "fine" 200
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use fairway_caddyfile::{Args, Diagnostic};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::body::Body;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::headers::{Name, Value};
use crate::handlers::{Flow, Response};
use crate::template::{Template, Unknown};
use crate::values;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "respond",
    parse: Parse::Handler(parse),
};

/// A response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The status; may be a placeholder. 200 by default, in an error route that of the error.
    #[serde(skip_serializing_if = "values::StatusCode::is_empty")]
    pub status_code: values::StatusCode,
    /// Headers, which replace those of the same names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body. Without a `Content-Type` it is JSON if it is a JSON object or array, else plain text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Whether the connection is closed after the response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub close: bool,
    /// Whether the connection is closed instead of a response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub abort: bool,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    let first = args.required("a body or a status")?;
    let second = args.next_arg();
    args.finish()?;
    let status = match second {
        Some(status) => Some(status),
        None => Some(first).filter(|word| is_status(&word.text)),
    };
    if let Some(status) = status {
        config.status_code = status.text.as_str().into();
    }
    if second.is_some() || status.is_none() {
        config.body.clone_from(&first.text);
    }
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "body" if !config.body.is_empty() => {
                let mistake = args.error_at(line, "duplicate-option", "`respond` has a body already");
                return Err(mistake.context(first, "the line of the directive"));
            }
            "body" => config.body.clone_from(&words.required("a text")?.text),
            "close" if config.close => {
                return Err(args.error_at(line, "duplicate-option", "`close` is there twice"));
            }
            "close" => config.close = true,
            _ => return Err(args.unknown_subdirective(line, ["body", "close"])),
        }
        words.finish_line()?;
    }
    Ok(super::Config::StaticResponse(config))
}

/// Whether a single argument is a status: three characters that are a number above 0.
pub(super) fn is_status(text: &str) -> bool {
    text.len() == 3 && text.parse::<i64>().is_ok_and(|number| number > 0)
}

fn is_informational(status: &str) -> bool {
    status.parse::<u16>().is_ok_and(|code| (100..200).contains(&code))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) enum Respond {
    Abort,
    With(Box<Answer>),
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    status: Status,
    headers: Box<[(Name, Box<[Value]>)]>,
    body: Text,
    close: bool,
}

/// The status of a config: a response's, or an error's.
#[derive(Debug)]
pub(super) enum Status {
    /// None was given.
    Default,
    Fixed(u16),
    /// With placeholders; or no number at all, which only a request finds out, as in Caddy.
    Filled(Template),
}

#[derive(Debug)]
enum Text {
    Fixed { bytes: Bytes, content_type: HeaderValue },
    Filled(Template),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Respond, CompileError> {
        if self.abort {
            return Ok(Respond::Abort);
        }
        if is_informational(self.status_code.as_str()) {
            let message = format!("static_response: status {} is not there yet", self.status_code);
            return Err(CompileError::new(message));
        }
        let headers = self.headers.iter().map(|(name, values)| {
            (
                Name::new(name),
                values.iter().map(|value| Value::new(value)).collect(),
            )
        });
        Ok(Respond::With(Box::new(Answer {
            status: Status::new(&self.status_code),
            headers: headers.collect(),
            body: Text::new(&self.body),
            close: self.close,
        })))
    }
}

impl Respond {
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        match self {
            Self::Abort => Ok(Flow::Abort),
            Self::With(answer) => answer.give(exchange).map(Flow::Respond),
        }
    }
}

impl Answer {
    fn give(&self, exchange: &mut Exchange) -> Result<Response, HandlerError> {
        if self.close {
            exchange
                .response_headers
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, values) in &self.headers {
            let Some(name) = name.get(exchange, Unknown::Empty) else {
                continue;
            };
            exchange.response_headers.remove(&name);
            for value in values {
                let value = value.get(exchange, Unknown::Empty);
                exchange.response_headers.append(&name, value);
            }
        }
        let body = self.body.get(exchange);
        let default = exchange.error.as_ref().map_or(200, |error| error.status);
        let status = self.status.get(exchange)?.unwrap_or(default);
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational());
        let status =
            status.ok_or_else(|| HandlerError::internal("a response needs a status from 200 to 999"))?;
        Ok(Response { status, body })
    }
}

impl Status {
    pub(super) fn new(status: &values::StatusCode) -> Self {
        let text = status.as_str();
        if text.is_empty() {
            return Self::Default;
        }
        text.parse()
            .map_or_else(|_| Self::Filled(Template::new(text)), Self::Fixed)
    }

    /// The number; none if none was given.
    pub(super) fn get(&self, exchange: &Exchange) -> Result<Option<u16>, HandlerError> {
        match self {
            Self::Default => Ok(None),
            Self::Fixed(status) => Ok(Some(*status)),
            Self::Filled(template) => {
                let text = template.fill(exchange, Unknown::Empty);
                let status = text
                    .parse()
                    .map_err(|_| HandlerError::internal(format!("`{text}` is no status")))?;
                Ok(Some(status))
            }
        }
    }
}

impl Text {
    fn new(text: &str) -> Self {
        let template = Template::new(text);
        match template.literal_if_kept() {
            Some(literal) => Self::Fixed {
                content_type: HeaderValue::from_static(content_type(&literal)),
                bytes: Bytes::from(literal.into_owned()),
            },
            None => Self::Filled(template),
        }
    }

    /// The body for this request, and its type, unless there is one.
    fn get(&self, exchange: &mut Exchange) -> Body {
        let (bytes, default) = match self {
            Self::Fixed { bytes, content_type } => (bytes.clone(), content_type.clone()),
            Self::Filled(template) => {
                let text = template.fill(exchange, Unknown::Keep).into_owned();
                let content_type = HeaderValue::from_static(content_type(&text));
                (Bytes::from(text), content_type)
            }
        };
        let known = exchange.response_headers.get(CONTENT_TYPE);
        if !bytes.is_empty() && known.is_none_or(HeaderValue::is_empty) {
            exchange.response_headers.insert(CONTENT_TYPE, default);
        }
        bytes.into()
    }
}

/// JSON is only told by whole objects and arrays; everything else is text.
fn content_type(body: &str) -> &'static str {
    let content = body.trim();
    let enclosed = |open, close| content.starts_with(open) && content.ends_with(close);
    let json = content.len() > 2
        && (enclosed('{', '}') || enclosed('[', ']'))
        && serde_json::from_str::<serde::de::IgnoredAny>(content).is_ok();
    if json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::test_util::{exchange, handlers};

    #[track_caller]
    fn check(line: &str, expected: &Json) {
        let mut handler = json!({"handler": "static_response"});
        handler
            .as_object_mut()
            .unwrap()
            .extend(expected.as_object().unwrap().clone());
        assert_eq!(handlers(line), json!([handler]), "{line}");
    }

    #[track_caller]
    fn check_refused(line: &str, mistake: &str) {
        assert_eq!(handlers(line), json!(format!("Caddyfile:{mistake}")), "{line}");
    }

    /// What a config answers: status, type, body.
    #[track_caller]
    fn check_answer(config: &Json, error: Option<u16>, expected: (u16, &str, &str)) {
        let mut exchange = exchange("GET /p\nX-A: v");
        exchange.error = error.map(|status| HandlerError::new(status, ""));
        let respond = Config::deserialize(config).unwrap().compile().unwrap();
        let (status, body) = match respond.handle(&mut exchange) {
            Ok(Flow::Respond(response)) => (response.status.as_u16(), response.body),
            Err(error) => (error.status, error.message.into_owned().into()),
            Ok(other) => panic!("{other:?}"),
        };
        let body = match body {
            Body::Full(bytes) => String::from_utf8(bytes.into()).unwrap(),
            Body::Empty => String::new(),
            Body::Stream(_) => panic!("a stream"),
        };
        let header = exchange.response_headers.get("content-type");
        let content_type = header.map_or("", |value| value.to_str().unwrap());
        assert_eq!((status, content_type, body.as_str()), expected, "{config}");
    }

    #[test]
    fn three_digits_alone_are_a_status() {
        check("respond 404", &json!({"status_code": 404}));
        check("respond 4040", &json!({"body": "4040"}));
        check("respond abc", &json!({"body": "abc"}));
        check("respond 000", &json!({"body": "000"}));
        check("respond hi 201", &json!({"body": "hi", "status_code": 201}));
        check(
            "respond /a hi {http.error.status_code}",
            &json!({
                "body": "hi", "status_code": "{http.error.status_code}"
            }),
        );
    }

    #[test]
    fn a_block_holds_body_and_close() {
        check(
            "respond 200 {\nbody hi\nclose\n}",
            &json!({
                "body": "hi", "status_code": 200, "close": true
            }),
        );
    }

    #[test]
    fn mistakes_are_told() {
        check_refused("respond", "2:1: `respond` needs a body or a status");
        check_refused("respond /a", "2:1: `respond` needs a body or a status");
        check_refused(
            "respond a 200 b",
            "2:15: `respond` takes no further argument, but `b` follows",
        );
        check_refused("respond a {\nbody b\n}", "3:1: `respond` has a body already");
        check_refused("respond 200 {\nbody\n}", "3:1: `body` needs a text");
        check_refused(
            "respond 200 {\nbody a b\n}",
            "3:8: `body` takes no further argument, but `b` follows",
        );
        check_refused("respond 200 {\nclose\nclose\n}", "4:1: `close` is there twice");
        check_refused(
            "respond 200 {\nclsoe\n}",
            "3:1: `respond` has no subdirective `clsoe`; did you mean `close`?",
        );
    }

    #[test]
    fn answers_with_status_and_body() {
        let plain = "text/plain; charset=utf-8";
        check_answer(&json!({}), None, (200, "", ""));
        check_answer(
            &json!({"body": "hi", "status_code": "201"}),
            None,
            (201, plain, "hi"),
        );
        check_answer(
            &json!({"body": "{http.request.uri.path}{a}"}),
            None,
            (200, plain, "/p{a}"),
        );
        check_answer(
            &json!({"body": "{\"a\": [{}, {\"b\": {}}]}"}),
            None,
            (200, "application/json", "{\"a\": [{}, {\"b\": {}}]}"),
        );
        check_answer(
            &json!({"body": " [1]\n"}),
            None,
            (200, "application/json", " [1]\n"),
        );
        check_answer(&json!({"body": "[1"}), None, (200, plain, "[1"));
        check_answer(&json!({"body": "{}"}), None, (200, plain, "{}"));
        check_answer(
            &json!({"body": "{http.request.header.X-A}", "headers": {"content-type": ["a/{http.request.method}{b}"]}}),
            None,
            (200, "a/GET", "v"),
        );
    }

    #[test]
    fn an_error_gives_its_status() {
        check_answer(&json!({}), Some(418), (418, "", ""));
        check_answer(&json!({"status_code": 200}), Some(418), (200, "", ""));
    }

    #[test]
    fn what_is_no_status_is_an_error() {
        check_answer(
            &json!({"status_code": "abc"}),
            None,
            (500, "", "`abc` is no status"),
        );
        check_answer(
            &json!({"status_code": "{nobody}"}),
            None,
            (500, "", "`` is no status"),
        );
        let range = "a response needs a status from 200 to 999";
        check_answer(&json!({"status_code": 99}), None, (500, "", range));
        check_answer(
            &json!({"status_code": "{http.request.header.X-B}100"}),
            None,
            (500, "", range),
        );
        assert!(
            Config {
                status_code: 103.into(),
                ..Config::default()
            }
            .compile()
            .is_err()
        );
    }

    #[test]
    fn closes_and_aborts() {
        let mut exchange = exchange("GET /");
        let close = Config {
            close: true,
            ..Config::default()
        };
        close.compile().unwrap().handle(&mut exchange).unwrap();
        assert_eq!(exchange.response_headers["connection"], "close");
        let abort = Config {
            abort: true,
            ..Config::default()
        };
        assert!(matches!(
            abort.compile().unwrap().handle(&mut exchange),
            Ok(Flow::Abort)
        ));
    }
}
