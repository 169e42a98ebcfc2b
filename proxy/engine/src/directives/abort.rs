//! `abort`

use fairway_caddyfile::{Args, Diagnostic, Tier};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::config::Route;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "abort",
    tier: Tier::Tenant,
    parse: Parse::OwnMatcher(parse),
};

fn parse(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    Ok(Vec::new())
}
