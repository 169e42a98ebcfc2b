//! Sites gathered into servers by their listeners.

use std::sync::Arc;

use fairway_caddyfile::{Options, Source};

use super::Adapted;
use crate::config::Config;

pub(super) fn adapt(source: Arc<Source>, options: &Options<'_>) -> Adapted {
    let parsed = fairway_caddyfile::parse(source, options);
    Adapted {
        config: Config::default(),
        diagnostics: parsed.diagnostics,
    }
}
