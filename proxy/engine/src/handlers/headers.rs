//! `headers`

use fairway_caddyfile::{Args, Diagnostic, Tier};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;

pub(crate) const HEADER: Directive = Directive {
    name: "header",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_header),
};

fn parse_header(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    Ok(super::Config::Headers(Config::default()))
}
pub(crate) const REQUEST_HEADER: Directive = Directive {
    name: "request_header",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_request_header),
};

fn parse_request_header(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    Ok(super::Config::Headers(Config::default()))
}

/// Config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<crate::config::Route>,
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Headers;

impl Config {
    pub(crate) fn compile(&self) -> Result<Headers, CompileError> {
        Ok(Headers)
    }
}

impl Headers {
    pub(crate) fn handle(&self, _exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        Ok(Flow::Next)
    }
}

/// What is done to the response.
#[derive(Debug)]
pub struct Deferred;

impl Deferred {
    pub(crate) fn apply(self, _exchange: &mut Exchange, _response: &mut super::Response) {}
}
