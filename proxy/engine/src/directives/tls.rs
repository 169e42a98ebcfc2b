//! `tls`

use fairway_caddyfile::{Args, Diagnostic, Tier};

use super::{Directive, Parse};
use crate::adapt::{Scope, SiteValue};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "tls",
    tier: Tier::Tenant,
    parse: Parse::Site(parse),
};

fn parse(_args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    Ok(Vec::new())
}
