//! `remote_ip`

use fairway_caddyfile::{Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "remote_ip",
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
pub(crate) struct RemoteIp;

impl Config {
    pub(crate) fn compile(&self) -> Result<RemoteIp, CompileError> {
        Ok(RemoteIp)
    }
}

impl RemoteIp {
    pub(crate) fn matches(&self, _exchange: &mut Exchange) -> bool {
        false
    }
}
