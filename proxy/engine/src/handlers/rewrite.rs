//! `rewrite` changes the target of the request, for all that comes after.
//!
//! ```caddyfile
//! rewrite [<matcher>] <to>
//! ```
//!
//! Only the parts that `<to>` names change: without a `?` the query stays, a bare `?` removes it. Values of placeholders
//! are escaped where they need it. A single argument is always the target, never a matcher. No slash is added at the
//! front. Caddy: `http.handlers.rewrite`, which also serves `uri` and `method`.
//!
//! ```caddyfile
//! rewrite /old/* /new{http.request.uri.path}
//! ```

mod path;
mod query;
mod uri;

use fairway_caddyfile::{Args, Diagnostic, Token};
use http::Method;
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::CompileError;
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::Flow;
use crate::matchers::Set;
use crate::template::{Template, Unknown};

pub use path::{PathRegexp, Substring};
pub use query::{Query, QueryPair, QueryReplacement};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "rewrite",
    parse: Parse::OwnMatcher(parse),
};

/// How long a target may become.
const LONGEST: usize = 64 * 1024;

/// Changes of method and target, in the order of these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The new method; it is written in capitals.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The new target: path, query, or both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// What to take from the front of the path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strip_path_prefix: String,
    /// What to take from the end of the path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strip_path_suffix: String,
    /// Texts to replace in path and query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uri_substring: Vec<Substring>,
    /// Patterns to replace in the path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_regexp: Vec<PathRegexp>,
    /// Changes of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
}

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let (set, to) = one_argument(&mut args, scope, "a target")?;
    let config = Config {
        uri: to.text.clone(),
        ..Config::default()
    };
    Ok(vec![Route::new(set, super::Config::Rewrite(Box::new(config)))])
}

/// Reads a matcher, if there are two arguments, and the last argument, whatever it looks like: `rewrite /x` has no
/// matcher.
pub(crate) fn one_argument<'a>(
    args: &mut Args<'a>,
    scope: &mut Scope<'_>,
    what: &str,
) -> Result<(Option<Set>, &'a Token), Diagnostic> {
    args.no_block()?;
    let mut set = None;
    if args.count() > 1 {
        let first = args.required(what)?;
        set = scope.matcher(first)?.ok_or_else(|| {
            let message = format!("`{}` is no matcher, and another argument follows", first.text);
            args.error_at(first, "invalid-value", message)
                .help("a matcher is `*`, a path that begins with `/`, or `@name`")
        })?;
    }
    let argument = args.required(what)?;
    args.finish()?;
    Ok((set, argument))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Rewrite {
    method: Option<NewMethod>,
    uri: Option<uri::Uri>,
    path: Box<[path::Change]>,
    query: Option<query::Changes>,
}

#[derive(Debug)]
enum NewMethod {
    Fixed(Method),
    Filled(Template),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Rewrite, CompileError> {
        let method = match self.method.as_str() {
            "" => None,
            method => Some(NewMethod::new(method)?),
        };
        let mut path = Vec::new();
        if !self.strip_path_prefix.is_empty() {
            path.push(path::Change::Prefix(Template::new(&self.strip_path_prefix)));
        }
        if !self.strip_path_suffix.is_empty() {
            path.push(path::Change::Suffix(Template::new(&self.strip_path_suffix)));
        }
        let substrings = self
            .uri_substring
            .iter()
            .filter(|substring| !substring.find.is_empty());
        path.extend(substrings.map(path::Change::substring));
        for regexp in &self.path_regexp {
            path.push(regexp.compile()?);
        }
        Ok(Rewrite {
            method,
            uri: (!self.uri.is_empty()).then(|| uri::Uri::new(&self.uri)),
            path: path.into(),
            query: self.query.as_ref().map(Query::compile).transpose()?,
        })
    }
}

impl NewMethod {
    fn new(text: &str) -> Result<Self, CompileError> {
        let template = Template::new(text);
        match template.literal() {
            Some(literal) => match Method::from_bytes(literal.to_ascii_uppercase().as_bytes()) {
                Ok(method) => Ok(Self::Fixed(method)),
                Err(_) => Err(CompileError::new(format!("rewrite: `{literal}` is no method"))),
            },
            None => Ok(Self::Filled(template)),
        }
    }

    fn get(&self, exchange: &Exchange) -> Result<Method, HandlerError> {
        match self {
            Self::Fixed(method) => Ok(method.clone()),
            Self::Filled(template) => {
                let name = template.fill(exchange, Unknown::Empty).to_ascii_uppercase();
                Method::from_bytes(name.as_bytes())
                    .map_err(|_| HandlerError::new(400, format!("`{name}` is no method")))
            }
        }
    }
}

impl Rewrite {
    pub(crate) fn handle(&self, exchange: &mut Exchange) -> Result<Flow<'_>, HandlerError> {
        if let Some(method) = &self.method {
            let method = method.get(exchange)?;
            exchange.set_method(method);
        }
        if let Some(uri) = &self.uri {
            uri.apply(exchange)?;
        }
        for change in &self.path {
            change.apply(exchange)?;
        }
        if let Some(query) = &self.query {
            query.apply(exchange)?;
        }
        Ok(Flow::Next)
    }
}

/// Puts a target together of an escaped path, which may be empty, and a query.
fn set_target(exchange: &mut Exchange, path: &str, query: Option<&str>) -> Result<(), HandlerError> {
    let mut target = String::with_capacity(path.len() + query.map_or(0, str::len) + 2);
    target.push_str(path);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        target.push('?');
        // Nothing behind a query may look like a fragment.
        target.push_str(&query.replace('#', "%23"));
    }
    if target.len() > LONGEST {
        return Err(HandlerError::new(414, "the rewritten target is too long"));
    }
    exchange.set_target(&target)
}

#[cfg(test)]
mod tests;
