//! `copy_response` and `copy_response_headers` take over an upstream's response in `handle_response`.
//!
//! ```caddyfile
//! copy_response [<matcher>] [<status>] {
//!     status <status>
//! }
//! copy_response_headers [<matcher>] {
//!     include <fields…>
//!     exclude <fields…>
//! }
//! ```
//!
//! `copy_response` answers with the response, as `reverse_proxy` does by itself; `status` changes its status and may be
//! a placeholder. `copy_response_headers` adds its headers to whatever answers: all, only some, or all but some; never
//! those that belong to its body or its connection. Anywhere else both are an error of status 500.
//! Caddy: `http.handlers.copy_response`, `http.handlers.copy_response_headers`.
//!
//! ```caddyfile
//! reverse_proxy app:8080 {
//!     @missing status 404
//!     handle_response @missing {
//!         copy_response 410
//!     }
//! }
//! ```

use fairway_caddyfile::{Args, Diagnostic};
use http::HeaderName;
use http::header::CONTENT_LENGTH;
use serde::{Deserialize, Serialize};

use super::respond::Status;
use super::reverse_proxy::remove_hop_by_hop;
use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::values::StatusCode;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "copy_response",
    parse: Parse::Handler(parse),
};

pub(crate) const HEADERS: Directive = Directive {
    name: "copy_response_headers",
    parse: Parse::Handler(parse_headers),
};

/// `copy_response`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The status; may be a placeholder. The upstream's by default.
    #[serde(skip_serializing_if = "StatusCode::is_empty")]
    pub status_code: StatusCode,
}

/// `copy_response_headers`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersConfig {
    /// The headers to copy; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// The headers not to copy. Not together with `include`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    let first = args.next_arg();
    args.finish()?;
    if let Some(status) = first {
        if !status.text.parse::<u16>().is_ok_and(|number| number > 0) {
            let message = format!("`{}` is no status", status.text);
            let mistake = args.error_at(status, "invalid-value", message);
            return Err(mistake.help("a placeholder goes into the block, after `status`"));
        }
        config.status_code = status.text.as_str().into();
    }
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "status" if !config.status_code.is_empty() => {
                return Err(args.error_at(line, "duplicate-option", "`copy_response` has a status already"));
            }
            "status" => config.status_code = words.required("a status")?.text.as_str().into(),
            _ => return Err(args.unknown_subdirective(line, ["status"])),
        }
        words.finish_line()?;
    }
    Ok(super::Config::CopyResponse(config))
}

fn parse_headers(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = HeadersConfig::default();
    args.finish()?;
    for line in args.block() {
        let mut words = Args::new(line);
        let fields = match line.name.text.as_str() {
            "include" => &mut config.include,
            "exclude" => &mut config.exclude,
            _ => return Err(args.unknown_subdirective(line, ["exclude", "include"])),
        };
        let named = words.remaining_required("a field")?;
        fields.extend(named.iter().map(|field| field.text.clone()));
        words.finish_line()?;
        if !config.include.is_empty() && !config.exclude.is_empty() {
            return Err(args.error_at(line, "conflicting-options", CONFLICT));
        }
    }
    Ok(super::Config::CopyResponseHeaders(config))
}

const CONFLICT: &str = "`include` and `exclude` cannot be used together";

/// The run-time form of `copy_response`.
#[derive(Debug)]
pub(crate) struct CopyResponse {
    status: Status,
}

/// The run-time form of `copy_response_headers`.
#[derive(Debug)]
pub(crate) enum CopyResponseHeaders {
    Only(Box<[HeaderName]>),
    Without(Box<[HeaderName]>),
}

impl Config {
    pub(crate) fn compile(&self) -> CopyResponse {
        CopyResponse {
            status: Status::new(&self.status_code),
        }
    }
}

impl HeadersConfig {
    pub(crate) fn compile(&self) -> Result<CopyResponseHeaders, CompileError> {
        // What is no name names no header.
        let names = |fields: &[String]| fields.iter().filter_map(|field| field.parse().ok()).collect();
        match (self.include.is_empty(), self.exclude.is_empty()) {
            (false, false) => Err(CompileError::new(CONFLICT).within("copy_response_headers")),
            (false, true) => Ok(CopyResponseHeaders::Only(names(&self.include))),
            (true, _) => Ok(CopyResponseHeaders::Without(names(&self.exclude))),
        }
    }
}

impl CopyResponse {
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        let held = exchange.held.take().ok_or_else(|| outside("copy_response"))?;
        let status = self.status.get(exchange)?;
        held.respond(status, exchange)
    }
}

impl CopyResponseHeaders {
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        let held = exchange.held.as_ref();
        let mut headers = held
            .ok_or_else(|| outside("copy_response_headers"))?
            .headers()
            .clone();
        remove_hop_by_hop(&mut headers);
        headers.remove(CONTENT_LENGTH);
        for (name, value) in &headers {
            let is_meant = match self {
                Self::Only(names) => names.contains(name),
                Self::Without(names) => !names.contains(name),
            };
            if is_meant {
                exchange.response_headers.append(name, value.clone());
            }
        }
        Ok(Flow::Next)
    }
}

fn outside(name: &str) -> HandlerError {
    HandlerError::internal(format!(
        "`{name}` outside of `handle_response` has no response to copy"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{answer, check_handlers as check, check_handlers_refused as check_refused};

    #[test]
    fn statuses_are_read() {
        check("copy_response", &json!([{"handler": "copy_response"}]));
        check(
            "copy_response 404",
            &json!([{"handler": "copy_response", "status_code": 404}]),
        );
        check(
            "copy_response {\nstatus {vars.a}\n}",
            &json!([{"handler": "copy_response", "status_code": "{vars.a}"}]),
        );
        check_refused("copy_response gone", "`gone` is no status");
        check_refused("copy_response 404 1", "no further argument");
        check_refused("copy_response 404 {\nstatus 410\n}", "has a status already");
        check_refused("copy_response {\nstatus\n}", "needs a status");
        check_refused("copy_response {\nstatsu 1\n}", "did you mean `status`");
    }

    #[test]
    fn fields_are_read() {
        check(
            "copy_response_headers",
            &json!([{"handler": "copy_response_headers"}]),
        );
        check(
            "copy_response_headers {\ninclude A B\ninclude C\n}",
            &json!([{"handler": "copy_response_headers", "include": ["A", "B", "C"]}]),
        );
        check(
            "copy_response_headers {\nexclude A\n}",
            &json!([{"handler": "copy_response_headers", "exclude": ["A"]}]),
        );
        check_refused(
            "copy_response_headers {\ninclude A\nexclude B\n}",
            "cannot be used together",
        );
        check_refused("copy_response_headers /a b", "no further argument");
        check_refused("copy_response_headers {\ninclude\n}", "needs a field");
        check_refused("copy_response_headers {\nonly A\n}", "no subdirective");
        let both = HeadersConfig {
            include: vec!["A".to_owned()],
            exclude: vec!["B".to_owned()],
        };
        both.compile().unwrap_err();
    }

    #[test]
    fn outside_there_is_nothing_to_copy() {
        assert_eq!(answer("copy_response /x\nrespond ok", "GET /x").0, 500);
        assert_eq!(answer("copy_response /x\nrespond ok", "GET /y").0, 200);
        assert_eq!(answer("copy_response_headers /x\nrespond ok", "GET /x").0, 500);
    }
}
