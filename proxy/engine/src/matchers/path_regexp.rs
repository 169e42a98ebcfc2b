//! `path_regexp`

use fairway_caddyfile::{Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "path_regexp",
    tier: Tier::Tenant,
    parse,
};

/// Config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<String>);

fn parse(_lines: &[&Segment], _name: &str, _set: &mut Set) -> Result<(), Diagnostic> {
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct PathRegexp;

impl Config {
    pub(crate) fn compile(&self) -> Result<PathRegexp, CompileError> {
        Ok(PathRegexp)
    }
}

impl PathRegexp {
    pub(crate) fn matches(&self, _exchange: &mut Exchange) -> bool {
        false
    }
}
