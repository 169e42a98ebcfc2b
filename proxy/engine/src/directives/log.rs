//! `log`: the requests of a site are logged.
//!
//! ```caddyfile
//! log [NAME] {
//!     hostnames HOST…
//!     no_hostname
//!     output stdout|stderr|discard|file FILE|net ADDRESS
//!     format json|console|filter|append|journald …
//!     level LEVEL
//!     sampling { interval DURATION; first COUNT; thereafter COUNT }
//! }
//! ```
//!
//! `log` alone is a test.

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::{Scope, SiteValue, logs};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "log",
    parse: Parse::Site(parse),
};

fn parse(args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    Ok(vec![SiteValue::Log(logs::read_site(args, scope)?)])
}
