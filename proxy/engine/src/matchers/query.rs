//! `query`

use fairway_caddyfile::{Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "query",
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
pub(crate) struct Query;

impl Config {
    pub(crate) fn compile(&self) -> Query {
        Query
    }
}

impl Query {
    pub(crate) fn matches(&self, _exchange: &mut Exchange) -> bool {
        false
    }
}
