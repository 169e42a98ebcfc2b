//! `method` matches the request's method.
//!
//! ```caddyfile
//! method <verbs…>
//! ```
//!
//! The verbs are compared as written. Caddy: `http.matchers.method`.

use fairway_caddyfile::{Args, Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "method",
    tier: Tier::Tenant,
    parse,
};

/// The methods, one of which the request must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<String>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let methods = set.method.get_or_insert_default();
    for line in lines {
        let mut args = Args::new(line);
        methods.0.extend(
            args.remaining_required("a method")?
                .iter()
                .map(|token| token.text.clone()),
        );
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Method(Box<[Box<str>]>);

impl Config {
    pub(crate) fn compile(&self) -> Method {
        Method(self.0.iter().map(|method| method.as_str().into()).collect())
    }
}

impl Method {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        self.0.iter().any(|method| **method == *exchange.method.as_str())
    }
}
