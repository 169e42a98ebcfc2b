//! `respond`

use fairway_caddyfile::{Args, Diagnostic, Tier};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "respond",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_directive),
};

fn parse_directive(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    Ok(super::Config::StaticResponse(Config::default()))
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
pub(crate) struct Respond;

impl Config {
    pub(crate) fn compile(&self) -> Result<Respond, CompileError> {
        Ok(Respond)
    }
}

impl Respond {
    pub(crate) fn handle(&self, _exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        Ok(Flow::Next)
    }
}
