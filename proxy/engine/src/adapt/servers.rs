//! Sites gathered into servers by their listeners.

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Options, Source, Span};

use super::address::Address;
use super::{Adapted, SiteValue};
use crate::config::Config;

/// A site as one server has it: a site whose addresses lie on several listeners is in several servers.
#[derive(Debug)]
pub(crate) struct SiteFacts {
    /// Those of its addresses that this server serves.
    pub keys: Vec<Address>,
    /// What its directives say beside routes, and where; shared by all servers that have the site.
    pub values: Rc<Vec<(Span, SiteValue)>>,
    /// The server: `srv0`.
    pub server: String,
    /// Where the server listens.
    pub listen: Vec<String>,
}

pub(super) fn adapt(source: Arc<Source>, options: &Options<'_>) -> Adapted {
    let parsed = fairway_caddyfile::parse(source, options);
    Adapted {
        config: Config::default(),
        diagnostics: parsed.diagnostics,
    }
}
