//! `route` runs its directives in the order in which they are written.
//!
//! ```caddyfile
//! route [<matcher>] {
//!     <directives…>
//! }
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "route",
    parse: Parse::Handler(parse),
};

fn parse(args: Args<'_>, scope: &mut Scope<'_>) -> Result<handlers::Config, Diagnostic> {
    args.finish()?;
    Ok(handlers::Config::Subroute(scope.subroute_as_written(&args)))
}
