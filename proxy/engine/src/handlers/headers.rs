//! `header` changes the headers of the response, `request_header` those of the request.
//!
//! ```caddyfile
//! header [<matcher>] [[+|-|?|>]<field> [<value> | <find> <replace>]] {
//!     [+|-|?|>]<field> [<value> | <find> <replace>]
//!     defer
//!     match <response matcher>
//! }
//! request_header [<matcher>] [+|-]<field> [<value> | <find> <replace>]
//! ```
//!
//! A field alone is set, `+` adds a value, `-` removes the field (`-X-*` all that begin so), `?` sets it if the response
//! lacks it, three words replace within its values. Response headers change at once, unless `>`, `-`, `?`, `defer` or
//! `match` wait for the response. Placeholders that nobody knows stay as they are. `Host` of a request is its host.
//! Caddy: `http.handlers.headers`.
//!
//! ```caddyfile
//! header {
//!     Strict-Transport-Security max-age=31536000
//!     -Server
//! }
//! ```

mod field;
mod ops;
mod replace;

use std::collections::BTreeMap;
use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::handlers::Filter;
use crate::matchers::Set;
use crate::response_matcher::{self, ResponseMatcher};
use crate::values::canonical_header;

pub use ops::{Ops, Replacement};

pub(crate) use field::{Name, Value};
pub(crate) use ops::{Apart, CompiledOps, OfRequest, OfResponse, parse_named_op, parse_op};

pub(crate) const HEADER: Directive = Directive {
    name: "header",
    parse: Parse::Routes(parse_header),
};

pub(crate) const REQUEST_HEADER: Directive = Directive {
    name: "request_header",
    parse: Parse::Handler(parse_request_header),
};

/// Operations on headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// On those of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Ops>,
    /// On those of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseOps>,
}

/// Operations on the headers of a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Flat")]
pub struct ResponseOps {
    /// The operations.
    #[serde(flatten)]
    pub ops: Ops,
    /// Only if the finished response is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<response_matcher::Config>,
    /// On the finished response, not at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
}

/// [`ResponseOps`] as they are read, so that unknown fields are refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Flat {
    add: BTreeMap<String, Vec<String>>,
    set: BTreeMap<String, Vec<String>>,
    delete: Vec<String>,
    replace: BTreeMap<String, Vec<Replacement>>,
    require: Option<response_matcher::Config>,
    deferred: bool,
}

impl From<Flat> for ResponseOps {
    fn from(flat: Flat) -> Self {
        let Flat {
            add,
            set,
            delete,
            replace,
            require,
            deferred,
        } = flat;
        Self {
            ops: Ops {
                add,
                set,
                delete,
                replace,
            },
            require,
            deferred,
        }
    }
}

fn parse_header(
    mut args: Args<'_>,
    set: Option<Set>,
    _scope: &mut Scope<'_>,
) -> Result<Vec<Route>, Diagnostic> {
    let (mut main, mut defaults) = (ResponseOps::default(), ResponseOps::default());
    let first = args.next_arg();
    if let Some(field) = first {
        main.add_written(&ops::Written::new(&field.text, &mut args));
        args.finish()?;
    }
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "defer" => main.deferred = true,
            "match" => {
                main.require = Some(response_matcher::parse(words)?);
                continue;
            }
            _ if first.is_some() => {
                let message = "`header` takes one field on its line or several in its block, not both";
                let mistake = Diagnostic::error("conflicting-options", line, message);
                return Err(mistake.context(args.name(), "a field stands on this line"));
            }
            name => {
                let field = name.strip_suffix(':').unwrap_or(name);
                let ops = if field.starts_with('?') {
                    &mut defaults
                } else {
                    &mut main
                };
                ops.add_written(&ops::Written::new(field, &mut words));
            }
        }
        words.finish_line()?;
    }
    let routes = [main, defaults]
        .into_iter()
        .filter(|ops| *ops != ResponseOps::default());
    let routes = routes.map(|ops| {
        let config = Config {
            response: Some(ops),
            ..Config::default()
        };
        Route::new(set.clone(), super::Config::Headers(Box::new(config)))
    });
    let routes = routes.collect();
    drop(set);
    Ok(routes)
}

fn parse_request_header(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.no_block()?;
    let mut ops = Ops::default();
    let token = args.required("a header field")?;
    let field = token.text.strip_suffix(':').unwrap_or(&token.text);
    ops::parse_op_on(token, field, &mut args, &mut ops)?;
    Ok(super::Config::Headers(Box::new(Config {
        request: Some(ops),
        ..Config::default()
    })))
}

impl ResponseOps {
    fn add_written(&mut self, written: &ops::Written<'_>) {
        let field = written.field;
        if let Some(name) = field.strip_prefix('?') {
            let require = self.require.get_or_insert_default();
            require.headers.insert(name.to_owned(), None);
            self.ops
                .set
                .insert(canonical_header(name), vec![written.value.to_owned()]);
            return;
        }
        self.deferred |= field.starts_with(['-', '>']);
        self.ops.add_written(written);
    }
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Headers {
    request: Option<CompiledOps>,
    response: Option<Response>,
}

#[derive(Debug)]
enum Response {
    AtOnce(CompiledOps),
    Deferred(Arc<When>),
}

#[derive(Debug)]
struct When {
    ops: CompiledOps,
    require: ResponseMatcher,
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Headers, CompileError> {
        let request = self.request.as_ref().map(Ops::compile).transpose();
        let response = self.response.as_ref().map(ResponseOps::compile).transpose();
        Ok(Headers {
            request: request.map_err(|error| error.within("headers"))?,
            response: response.map_err(|error| error.within("headers"))?,
        })
    }
}

impl ResponseOps {
    fn compile(&self) -> Result<Response, CompileError> {
        let ops = self.ops.compile()?;
        if !self.deferred && self.require.is_none() {
            return Ok(Response::AtOnce(ops));
        }
        let require = self.require.as_ref().map(response_matcher::Config::compile);
        Ok(Response::Deferred(Arc::new(When {
            ops,
            require: require.unwrap_or_default(),
        })))
    }
}

impl Headers {
    /// Changes the headers, or says what is to change in those of the response.
    pub(crate) fn handle(&self, exchange: &mut Exchange) {
        if let Some(ops) = &self.request
            && let Some(host) = ops.apply_to_request(&mut OfRequest(exchange), None)
        {
            exchange.host = host;
        }
        match &self.response {
            None => {}
            Some(Response::AtOnce(ops)) => ops.apply(&mut OfResponse(exchange)),
            Some(Response::Deferred(when)) => {
                exchange.filters.push(Filter::Headers(Deferred(Arc::clone(when))));
            }
        }
    }
}

/// Operations that wait for the response.
#[derive(Debug)]
pub struct Deferred(Arc<When>);

impl Deferred {
    pub(crate) fn apply(self, exchange: &mut Exchange, response: &mut super::Response) {
        if self
            .0
            .require
            .matches(response.status, &exchange.response_headers)
        {
            self.0.ops.apply(&mut OfResponse(exchange));
        }
    }
}

#[cfg(test)]
mod tests;
