//! `subroute`

use fairway_caddyfile::{Args, Diagnostic, Tier};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;

/// Config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<crate::config::Route>,
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Subroute;

impl Config {
    pub(crate) fn compile(
        &self,
        _compiler: &mut crate::compile::Compiler<'_>,
    ) -> Result<Subroute, CompileError> {
        Ok(Subroute)
    }
}

impl Subroute {
    pub(crate) fn enter(&self) -> Flow<'_> {
        Flow::Next
    }
}
