//! `bind`: where a site listens, instead of on all addresses.
//!
//! ```caddyfile
//! bind <addresses…>
//! ```
//!
//! The port is that of the site's address. Several add up; the global option `default_bind` is for sites without any.
//!
//! ```caddyfile
//! bind 127.0.0.1 [::1]
//! ```

use fairway_caddyfile::{Args, Diagnostic, Tier};

use super::{Directive, Parse};
use crate::adapt::{Scope, SiteValue};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "bind",
    tier: Tier::Operator,
    parse: Parse::Site(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    let addresses = args.remaining_required("an address")?;
    if let Some(line) = args.block().first() {
        if line.name.text != "protocols" {
            return Err(args.unknown_subdirective(line, ["protocols"]));
        }
        let message = "`protocols` for one address is a part of Caddy that Fairway does not have yet";
        return Err(Diagnostic::error("not-yet", &line.name, message)
            .help("the global option `servers { protocols … }` sets them for a server"));
    }
    let addresses = addresses.iter().map(|address| address.text.clone());
    Ok(vec![SiteValue::Bind(addresses.collect())])
}
