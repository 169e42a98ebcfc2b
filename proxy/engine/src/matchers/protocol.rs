//! `protocol`

use fairway_caddyfile::{Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "protocol",
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
pub(crate) struct Protocol;

impl Config {
    pub(crate) fn compile(&self) -> Protocol {
        Protocol
    }
}

impl Protocol {
    pub(crate) fn matches(&self, _exchange: &mut Exchange) -> bool {
        false
    }
}
