//! `intercept` handles the responses of the handlers behind it.
//!
//! ```caddyfile
//! intercept [<matcher>] {
//!     @name {
//!         status <codes…>
//!         header <field> [<value>]
//!     }
//!     replace_status [<@name>] <status>
//!     handle_response [<@name>] {
//!         <directives…>
//!     }
//! }
//! ```
//!
//! The first that is for a response counts; those without a name come last. `{resp.status_code}` and `{resp.header.*}` tell
//! of the response. Its headers stay, and so does whatever the directives do not answer: its body if they give none,
//! its status if they answer not at all. An error is no response. Caddy: `http.handlers.intercept`.
//!
//! ```caddyfile
//! intercept {
//!     @accel header X-Accel-Redirect *
//!     handle_response @accel {
//!         rewrite * {resp.header.X-Accel-Redirect}
//!         file_server
//!     }
//! }
//! ```

use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::reverse_proxy::ResponseHandler;
use super::reverse_proxy::handle_response::{Action, Reader, Responder};
use crate::adapt::Scope;
use crate::compile::{CompileError, Compiler};
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::handlers::{Filter, Response};
use crate::table::Routes;
use crate::template::{Unknown, Value};
use crate::values::canonical_header;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "intercept",
    parse: Parse::Handler(parse),
};

/// What is done with which responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The first that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handle_response: Vec<ResponseHandler>,
}

fn parse(args: Args<'_>, scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.finish()?;
    let mut reader = Reader::default();
    for line in args.block() {
        if !reader.line(line)? {
            return Err(args.unknown_subdirective(line, Reader::NAMES));
        }
    }
    Ok(super::Config::Intercept(Config {
        handle_response: reader.finish(scope)?,
    }))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Intercept(Arc<[Responder]>);

/// What waits for a response.
#[derive(Debug)]
pub struct Pending(Arc<[Responder]>);

impl Config {
    pub(crate) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<Intercept, CompileError> {
        let responders = self.handle_response.iter();
        let responders = responders.map(|handler| Responder::compile(handler, compiler));
        let responders = responders.collect::<Result<_, _>>();
        responders
            .map(Intercept)
            .map_err(|error| error.within("intercept"))
    }
}

impl Intercept {
    /// Waits for the response.
    pub(crate) fn handle(&self, exchange: &mut Exchange) {
        exchange
            .filters
            .push(Filter::Intercept(Pending(Arc::clone(&self.0))));
    }
}

impl Pending {
    /// Changes the status if that is all there is to do; else gives the routes that handle the response.
    pub(crate) fn routes(&self, exchange: &mut Exchange, response: &mut Response) -> Option<&Routes> {
        if response.status.is_informational() {
            return None;
        }
        let is_meant =
            |responder: &&Responder| responder.matches(response.status, &exchange.response_headers);
        match &self.0.iter().find(is_meant)?.action {
            Action::ReplaceStatus(template) => {
                let text = template.fill(exchange, Unknown::Empty);
                let status = text
                    .parse()
                    .ok()
                    .and_then(|status| StatusCode::from_u16(status).ok());
                let status = status.filter(|status| !status.is_informational());
                response.status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                None
            }
            Action::Routes(routes) => {
                describe(exchange, response.status);
                Some(routes)
            }
        }
    }
}

/// Placeholders that tell of a response.
fn describe(exchange: &mut Exchange, status: StatusCode) {
    let status = Value::Integer(status.as_u16().into());
    exchange.values.set("http.intercept.status_code", status);
    for name in exchange.response_headers.keys() {
        let all = exchange.response_headers.get_all(name).iter();
        let all: Vec<_> = all
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let placeholder = format!("http.intercept.header.{}", canonical_header(name.as_str()));
        exchange
            .values
            .set(placeholder, Value::Text(all.join(",").into()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::{answer, check_handlers as check, check_handlers_refused as check_refused};

    #[test]
    fn those_without_a_name_come_last() {
        let lines = "intercept {\nreplace_status 500\n@a status 4xx\nreplace_status @a 404\n\
                     handle_response @a {\nabort\n}\n}";
        check(
            lines,
            &json!([{"handler": "intercept", "handle_response": [
                {"match": {"status_code": [4]}, "status_code": 404},
                {"match": {"status_code": [4]},
                 "routes": [{"handle": [{"handler": "static_response", "abort": true}]}]},
                {"status_code": 500},
            ]}]),
        );
        check("intercept", &json!([{"handler": "intercept"}]));
    }

    #[test]
    fn mistakes_are_told() {
        check_refused("intercept a", "no further argument");
        check_refused("intercept {\nreplace_status\n}", "needs a status");
        check_refused("intercept {\nreplace_status @a 1\n}", "no response matcher `@a`");
        check_refused("intercept {\nreplace_status a 1\n}", "begins with `@`");
        check_refused(
            "intercept {\nhandle_response @a b {\n}\n}",
            "no response matcher `@a`",
        );
        check_refused(
            "intercept {\n@a status 404\nhandle_response @a b {\n}\n}",
            "no further argument",
        );
        check_refused("intercept {\n@a status 404\n@a status 405\n}", "is there already");
        check_refused(
            "intercept {\nhandle_respons {\n}\n}",
            "no subdirective `handle_respons`; did you mean `handle_response`?",
        );
    }

    #[test]
    fn what_routes_do_not_say_stays() {
        #[track_caller]
        fn check(lines: &str, status: u16, headers: &str) {
            let text = format!(
                "intercept {{\n{lines}\n}}\nheader A b\nrespond ok 202\nhandle_errors {{\nheader Err 1\n}}"
            );
            assert_eq!(answer(&text, "GET /"), (status, headers.to_owned()), "{lines}");
        }
        let plain = "a: b\ncontent-type: text/plain; charset=utf-8";
        check("replace_status 404", 404, plain);
        check("replace_status {resp.nothing}", 500, plain);
        check("replace_status 103", 500, plain);
        check(
            "@a status 404\nhandle_response @a {\nrespond no 500\n}",
            202,
            plain,
        );
        check("handle_response {\nrespond 403\n}", 403, plain);
        check(
            "handle_response {\nrespond {resp.header.A} {resp.status_code}\n}",
            202,
            plain,
        );
        check("handle_response {\nheader >C later\n}", 202, plain);
        check(
            "handle_response {\nheader >C later\nrespond 204\n}",
            204,
            &plain.replace("a: b", "a: b\nc: later"),
        );
        check(
            "handle_response {\nerror 418\n}",
            418,
            &format!("{plain}\nerr: 1"),
        );
    }
}
