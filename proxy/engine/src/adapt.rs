//! From a Caddyfile to a config: the JSON that Caddy makes of the same text.
//!
//! [`adapt()`] reads the global options, turns each site into routes, and gathers the sites into servers by their
//! listeners. A mistake never ends it: it is reported, and the rest goes on.

mod address;
mod consolidate;
pub(crate) mod https;
pub(crate) mod logs;
pub(crate) mod matcher;
pub(crate) mod modules;
pub mod object;
mod options;
mod order;
mod pki;
mod scope;
mod servers;
pub(crate) mod settings;
mod shorthand;
mod side_files;
mod storage;
pub(crate) mod tenancy;
pub(crate) mod trust_pool;

use std::collections::HashSet;
use std::sync::Arc;

use fairway_caddyfile::{Diagnostic, Options, Source, Span};

use crate::config::Config;

pub use options::GlobalOptions;
#[cfg(test)]
pub(crate) use scope::Shared;
#[cfg(test)]
pub(crate) use scope::test_shared;
pub(crate) use scope::{Scope, SiteValue};
pub(crate) use shorthand::short_name;
pub(crate) use side_files::SideFiles;

/// What came out of a Caddyfile.
#[derive(Debug)]
pub struct Adapted {
    /// The config; complete if no diagnostic is an error.
    pub config: Config,
    /// All mistakes and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Adapted {
    /// Whether anything makes the text unacceptable.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Adapts a Caddyfile. Never fails, never panics; the work is bounded by the limits of the options.
pub fn adapt(source: Arc<Source>, options: &Options<'_>) -> Adapted {
    servers::adapt(source, options)
}

/// Diagnostics in the order of the text. A line that several sites import is told of once.
fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.source.name().to_owned(), diagnostic.span.start));
    let mut told = HashSet::new();
    diagnostics.retain(|diagnostic| {
        let Span { source, start, end } = &diagnostic.span;
        told.insert((
            Arc::as_ptr(source),
            *start,
            *end,
            diagnostic.code,
            diagnostic.message.clone(),
        ))
    });
    diagnostics
}

#[cfg(test)]
pub(crate) mod tests {
    use fairway_caddyfile::Origin;
    use serde_json::Value as Json;

    use super::*;

    fn adapt_text(text: &str) -> Adapted {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        super::adapt(source, &Options::default())
    }

    /// The JSON of a file without mistakes.
    #[track_caller]
    pub(crate) fn adapt(text: &str) -> Json {
        let adapted = adapt_text(text);
        let mistakes: Vec<_> = adapted.diagnostics.iter().map(Diagnostic::one_line).collect();
        assert_eq!(mistakes, [""; 0], "{text}");
        serde_json::to_value(adapted.config).expect("a config is printed as JSON")
    }

    /// What is wrong with a file.
    pub(crate) fn mistakes(text: &str) -> Vec<String> {
        let adapted = adapt_text(text);
        adapted.diagnostics.iter().map(Diagnostic::one_line).collect()
    }
}
