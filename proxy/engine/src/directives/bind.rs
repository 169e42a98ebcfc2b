//! `bind`: where a site listens, instead of on all addresses.
//!
//! ```caddyfile
//! bind <addresses…> {
//!     protocols <h1|h2|h2c|h3…>
//! }
//! ```
//!
//! The port is that of the site's address. Several add up; an address that is given twice has the protocols of the last
//! one. The global option `default_bind` is for sites without any; it may leave out the addresses.
//!
//! ```caddyfile
//! bind 127.0.0.1 [::1]
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::settings::texts;
use crate::adapt::{Scope, SiteValue};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "bind",
    parse: Parse::Site(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    if args.count() == 0 {
        return Err(args.missing("an address"));
    }
    read(&mut args).map(|bind| vec![SiteValue::Bind(bind)])
}

/// Where sites listen, and what is spoken there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bind {
    /// Addresses without ports; an empty one is all of them.
    pub addresses: Vec<String>,
    /// `h1`, `h2`, `h2c`, `h3`; those of the server if empty.
    pub protocols: Vec<String>,
}

/// Reads what follows `bind` or `default_bind`.
pub(crate) fn read(args: &mut Args<'_>) -> Result<Bind, Diagnostic> {
    let addresses = args.remaining().iter();
    let mut bind = Bind {
        addresses: addresses.map(|address| address.text.clone()).collect(),
        protocols: Vec::new(),
    };
    for line in args.block() {
        if line.name.text != "protocols" {
            return Err(args.unknown_subdirective(line, ["protocols"]));
        }
        bind.protocols = texts(&mut Args::new(line), "protocols")?;
    }
    Ok(bind)
}
