//! The order of directives within a block.

use fairway_caddyfile::{Segment, Span};

use crate::config::{Route, Written};
use crate::directives::{DIRECTIVES, Parse};

/// The routes of one directive; they stay together.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its name in the order: `handle_path` counts as `handle`.
    pub directive: &'static str,
    pub routes: Vec<Route>,
    /// Where it stands.
    pub span: Span,
}

impl Item {
    pub(crate) fn new(directive: &'static str, segment: &Segment, mut routes: Vec<Route>) -> Self {
        let span = segment.name.span.clone();
        for route in &mut routes {
            route.written = Written(Some(span.clone()));
        }
        let directive = if directive == "handle_path" {
            "handle"
        } else {
            directive
        };
        Self {
            directive,
            routes,
            span,
        }
    }
}

/// The names of the directives that run, in order.
#[derive(Clone, Debug)]
pub(crate) struct Order(pub Vec<&'static str>);

impl Default for Order {
    fn default() -> Self {
        let running = DIRECTIVES
            .iter()
            .filter(|directive| !matches!(directive.parse, Parse::Site(_)));
        Self(running.map(|directive| directive.name).collect())
    }
}

impl Order {
    /// Sorts the routes of a block.
    pub(crate) fn sort(&self, items: &mut [Item]) {
        items.sort_by_key(|item| self.0.iter().position(|name| *name == item.directive));
    }
}
