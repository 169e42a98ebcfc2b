//! A new target: which parts it has, and how placeholders in them are escaped.

use super::path::canonical;
use super::set_target;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::paths;
use crate::template::{Placeholder, Template};

/// A new target. It is split before anything is filled, so no value can move the bounds of its parts.
#[derive(Debug)]
pub(super) struct Uri {
    /// None: the path stays.
    path: Option<Template>,
    /// None: the query stays.
    query: Option<Box<[Component]>>,
}

/// A piece of a query up to `=` or `&`.
#[derive(Debug)]
struct Component {
    text: Template,
    /// Whether it is a key: what is before it is a `&`, or nothing.
    is_key: bool,
}

impl Uri {
    pub(super) fn new(text: &str) -> Self {
        // A fragment never reaches anybody.
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Self {
            path: (!path.is_empty()).then(|| Template::new(path)),
            query: query.map(components),
        }
    }

    pub(super) fn apply(&self, exchange: &mut Exchange) -> Result<(), HandlerError> {
        let filled = self.path.as_ref().map(|path| {
            path.fill_escaped(exchange, |placeholder, value| {
                escape_in_path(placeholder, value, exchange)
            })
        });
        let (path, injected) = match &filled {
            None => (None, None),
            Some(filled) => match filled.split_once('?') {
                Some((path, injected)) => (Some(path), Some(injected)),
                None => (Some(filled.as_str()), None),
            },
        };
        let query = self.query.as_ref().map(|components| match injected {
            // Braces are escaped so that nobody takes them for placeholders.
            Some(injected) if components.is_empty() => build(
                &self::components(&injected.replace('{', "%7B").replace('}', "%7D")),
                exchange,
            ),
            _ => build(components, exchange),
        });
        let target = exchange.target();
        let path = path.map_or_else(|| target.escaped_path().to_owned(), canonical);
        let query = query.or_else(|| target.query().map(str::to_owned));
        set_target(exchange, &path, query.as_deref())
    }
}

/// Paths are escaped, so that what they hold is not taken for a query; other values are taken as they are.
fn escape_in_path(placeholder: &Placeholder, value: &str, exchange: &Exchange) -> String {
    match placeholder.name() {
        "http.request.uri.path" => canonical_or_sent(exchange),
        "http.matchers.file.relative" => paths::path_escape(value).replace("%2F", "/"),
        _ => value.to_owned(),
    }
}

/// The path as the client escaped it, with braces escaped too.
fn canonical_or_sent(exchange: &Exchange) -> String {
    let sent = exchange.target().escaped_path();
    sent.replace('{', "%7B").replace('}', "%7D")
}

fn components(query: &str) -> Box<[Component]> {
    let mut components = Vec::new();
    let (mut rest, mut is_key) = (query, true);
    while !rest.is_empty() {
        let end = rest.find(['=', '&']).unwrap_or(rest.len());
        components.push(Component {
            text: Template::new(&rest[..end]),
            is_key,
        });
        is_key = rest[end..].starts_with('&');
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    components.into()
}

/// Values are escaped, but a whole query where a key may stand is one already.
fn build(components: &[Component], exchange: &Exchange) -> String {
    let mut query = String::new();
    for component in components {
        let text = component.text.fill_escaped(exchange, |placeholder, value| {
            if component.is_key && placeholder.name() == "http.request.uri.query" {
                value.to_owned()
            } else {
                paths::query_escape(value).into_owned()
            }
        });
        if !component.is_key {
            query.push('=');
        } else if !query.is_empty() && !text.is_empty() {
            query.push('&');
        }
        query.push_str(&text);
    }
    query
}
