//! `authentication`

use fairway_caddyfile::{Args, Diagnostic, Tier};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;

pub(crate) const DIRECTIVE_OLD_NAME: Directive = Directive {
    name: "basicauth",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_directive_old_name),
};

fn parse_directive_old_name(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    Ok(super::Config::Authentication(Config::default()))
}
pub(crate) const DIRECTIVE: Directive = Directive {
    name: "basic_auth",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_directive),
};

fn parse_directive(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    Ok(super::Config::Authentication(Config::default()))
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
pub(crate) struct Authentication;

impl Config {
    pub(crate) fn compile(&self) -> Result<Authentication, CompileError> {
        Ok(Authentication)
    }
}

impl Authentication {
    pub(crate) async fn handle<W: crate::world::World>(
        &self,
        _exchange: &mut Exchange,
        _world: &W,
    ) -> Result<Flow<'_>, HandlerError> {
        Ok(Flow::Next)
    }
}
