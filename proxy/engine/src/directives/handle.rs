//! `handle` runs its directives for the requests that it matches; of several in a block, only the first that matches
//! runs.
//!
//! ```caddyfile
//! handle [<matcher>] {
//!     <directives…>
//! }
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "handle",
    parse: Parse::Handler(parse),
};

fn parse(args: Args<'_>, scope: &mut Scope<'_>) -> Result<handlers::Config, Diagnostic> {
    args.finish()?;
    Ok(handlers::Config::Subroute(scope.subroute(&args)))
}
