//! `error` ends the request with an error, which `handle_errors` may answer.
//!
//! ```caddyfile
//! error [<matcher>] <status>|<message> [<status>] {
//!     message <text>
//! }
//! ```
//!
//! A single argument of three digits is a status, anything else a message. The status is 500 by default. Placeholders
//! in the message that nobody knows stay as they are. Caddy: `http.handlers.error`.
//!
//! ```caddyfile
//! error /private* "not for you" 403
//! ```

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use super::respond::{Status, is_status};
use crate::adapt::Scope;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::template::{Template, Unknown};
use crate::values::StatusCode;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "error",
    parse: Parse::Handler(parse),
};

/// An error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What happened, for `{err.message}` and the log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The status; may be a placeholder. 500 by default.
    #[serde(skip_serializing_if = "StatusCode::is_empty")]
    pub status_code: StatusCode,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    let first = args.required("a message or a status")?;
    let second = args.next_arg();
    args.finish()?;
    match second {
        None if is_status(&first.text) => config.status_code = first.text.as_str().into(),
        None => config.error.clone_from(&first.text),
        Some(status) => {
            config.error.clone_from(&first.text);
            config.status_code = status.text.as_str().into();
        }
    }
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "message" if !config.error.is_empty() => {
                let mistake = args.error_at(line, "duplicate-option", "`error` has a message already");
                return Err(mistake.context(first, "the line of the directive"));
            }
            "message" => config.error.clone_from(&words.required("a text")?.text),
            _ => return Err(args.unknown_subdirective(line, ["message"])),
        }
        words.finish_line()?;
    }
    Ok(super::Config::Error(config))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Error {
    message: Template,
    status: Status,
}

impl Config {
    pub(crate) fn compile(&self) -> Error {
        Error {
            message: Template::new(&self.error),
            status: Status::new(&self.status_code),
        }
    }
}

impl Error {
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        let status = self.status.get(exchange)?.unwrap_or(500);
        let message = self.message.fill(exchange, Unknown::Keep).into_owned();
        Err(HandlerError::new(status, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::test_util::{check_handlers as check, exchange};

    #[track_caller]
    fn check_error(config: &Json, status: u16, message: &str) {
        let error = Config::deserialize(config).unwrap().compile();
        let found = error.handle(&mut exchange("GET /p")).unwrap_err();
        assert_eq!(found, HandlerError::new(status, message.to_owned()), "{config}");
    }

    #[test]
    fn reads_message_and_status() {
        check("error 404", &json!([{"handler": "error", "status_code": 404}]));
        check("error gone", &json!([{"handler": "error", "error": "gone"}]));
        check(
            "error {http.x}",
            &json!([{"handler": "error", "error": "{http.x}"}]),
        );
        check(
            "error gone 410",
            &json!([{"handler": "error", "error": "gone", "status_code": 410}]),
        );
        check(
            "error 410 {\nmessage gone\n}",
            &json!([{"handler": "error", "error": "gone", "status_code": 410}]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("error", "2:1: `error` needs a message or a status"),
            (
                "error a 400 b",
                "2:13: `error` takes no further argument, but `b` follows",
            ),
            ("error a {\nmessage b\n}", "3:1: `error` has a message already"),
            ("error 400 {\nmessage\n}", "3:1: `message` needs a text"),
            (
                "error 400 {\nmesage b\n}",
                "3:1: `error` has no subdirective `mesage`; did you mean `message`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn ends_the_request() {
        check_error(&json!({}), 500, "");
        check_error(
            &json!({"error": "{http.request.method} {x}", "status_code": 410}),
            410,
            "GET {x}",
        );
        check_error(&json!({"status_code": "{http.request.header.X}40"}), 40, "");
        check_error(&json!({"status_code": "abc"}), 500, "`abc` is no status");
    }
}
