//! Matchers: which requests a route is for. One file each, from syntax to test.
//!
//! A set matches if all its matchers do; a route matches if any of its sets does, or if it has none. Caddy leaves the
//! order within a set open; here it is fixed, the cheap ones first, and those that set placeholders last.
//! A new matcher is a file, a `mod` line, a field of [`Set`], a variant of [`Matcher`], a line of [`MATCHERS`],
//! one of [`tenancy`](crate::adapt::tenancy), and two match arms.

pub mod client_ip;
pub mod expression;
pub mod file;
pub mod header;
pub mod header_regexp;
pub mod host;
pub mod ingress_path;
pub mod method;
pub mod not;
pub mod path;
pub mod path_regexp;
pub mod protocol;
pub mod query;
mod regexp;
pub mod remote_ip;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod url_pattern;
pub mod vars;
pub mod vars_regexp;

use fairway_caddyfile::{Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::handlers::request_body;
use crate::world::World;

/// A set of matchers as JSON: Caddy's `http.matchers.*` by name. All of them must match. There is one for each site and
/// more, so what few of them have is boxed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Set {
    /// `host`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<host::Config>,
    /// `path`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<path::Config>,
    /// `ingress_path`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_path: Option<ingress_path::Config>,
    /// `method`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<method::Config>,
    /// `protocol`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<protocol::Config>,
    /// `tls`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::Config>,
    /// `header`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Box<header::Config>>,
    /// `query`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Box<query::Config>>,
    /// `remote_ip`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<Box<remote_ip::Config>>,
    /// `client_ip`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<Box<client_ip::Config>>,
    /// `vars`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vars: Option<Box<vars::Config>>,
    /// `not`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<not::Config>,
    /// `header_regexp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_regexp: Option<Box<header_regexp::Config>>,
    /// `path_regexp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regexp: Option<Box<path_regexp::Config>>,
    /// `url_pattern`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_pattern: Option<Box<url_pattern::Config>>,
    /// `vars_regexp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vars_regexp: Option<Box<vars_regexp::Config>>,
    /// `expression`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<Box<expression::Config>>,
    /// `file`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<file::Config>>,
}

/// A matcher's entry in the table: its name in a Caddyfile and how its lines are read.
pub(crate) struct Entry {
    pub name: &'static str,
    /// Reads all lines of that matcher in one definition (`path /a` and `path /b` are two) into the set. `name` is the
    /// matcher's name without `@`, empty for one without.
    pub parse: fn(lines: &[&Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic>,
}

/// All matchers that a Caddyfile may name; [`ingress_path`] has no syntax in one.
pub(crate) const MATCHERS: &[Entry] = &[
    client_ip::MATCHER,
    expression::MATCHER,
    file::MATCHER,
    header::MATCHER,
    header_regexp::MATCHER,
    host::MATCHER,
    method::MATCHER,
    not::MATCHER,
    path::MATCHER,
    path_regexp::MATCHER,
    protocol::MATCHER,
    query::MATCHER,
    remote_ip::MATCHER,
    tls::MATCHER,
    url_pattern::MATCHER,
    vars::MATCHER,
    vars_regexp::MATCHER,
];

/// A matcher ready to run.
#[derive(Debug)]
pub(crate) enum Matcher {
    ClientIp(client_ip::ClientIp),
    Expression(expression::Expression),
    File(file::File),
    Header(header::Header),
    HeaderRegexp(header_regexp::HeaderRegexp),
    Host(host::Host),
    IngressPath(ingress_path::IngressPath),
    Method(method::Method),
    Not(not::Not),
    Path(path::Path),
    PathRegexp(path_regexp::PathRegexp),
    Protocol(protocol::Protocol),
    Query(query::Query),
    RemoteIp(remote_ip::RemoteIp),
    Tls(tls::Tls),
    Vars(vars::Vars),
    VarsRegexp(vars_regexp::VarsRegexp),
}

/// Why a matcher gives no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It cannot. This ends the request instead of counting as "no".
    Error(HandlerError),
    /// The disk must be asked first, away from the traffic threads; then the matchers are to be asked again.
    NeedsFiles(Box<file::Lookup>),
}

impl From<HandlerError> for Unanswered {
    fn from(error: HandlerError) -> Self {
        Self::Error(error)
    }
}

impl Matcher {
    /// Whether it may need to ask the disk.
    pub(crate) fn asks_disk(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Not(matcher) => matcher.asks_disk(),
            Self::Expression(matcher) => matcher.asks_disk(),
            _ => false,
        }
    }

    /// Whether the request is one of those meant. May leave what it captured in [`Exchange::values`].
    pub(crate) fn matches(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        match self {
            Self::ClientIp(matcher) => Ok(matcher.matches(exchange)),
            Self::Expression(matcher) => matcher.matches(exchange),
            Self::File(matcher) => matcher.matches(exchange),
            Self::Header(matcher) => Ok(matcher.matches(exchange)),
            Self::HeaderRegexp(matcher) => Ok(matcher.matches(exchange)),
            Self::Host(matcher) => Ok(matcher.matches(exchange)),
            Self::IngressPath(matcher) => Ok(matcher.matches(exchange)?),
            Self::Method(matcher) => Ok(matcher.matches(exchange)),
            Self::Not(matcher) => matcher.matches(exchange),
            Self::Path(matcher) => Ok(matcher.matches(exchange)),
            Self::PathRegexp(matcher) => Ok(matcher.matches(exchange)),
            Self::Protocol(matcher) => Ok(matcher.matches(exchange)),
            Self::Query(matcher) => Ok(matcher.matches(exchange)),
            Self::RemoteIp(matcher) => Ok(matcher.matches(exchange)),
            Self::Tls(matcher) => Ok(matcher.matches(exchange)),
            Self::Vars(matcher) => Ok(matcher.matches(exchange)),
            Self::VarsRegexp(matcher) => Ok(matcher.matches(exchange)),
        }
    }
}

impl Set {
    /// Makes the matchers of a set, in the order in which they are asked.
    pub(crate) fn compile(&self) -> Result<Box<[Matcher]>, CompileError> {
        let Self {
            host,
            path,
            ingress_path,
            method,
            protocol,
            tls,
            header,
            query,
            remote_ip,
            client_ip,
            vars,
            not,
            header_regexp,
            path_regexp,
            url_pattern,
            vars_regexp,
            expression,
            file,
        } = self;
        let mut matchers = Vec::new();
        if let Some(config) = method {
            matchers.push(Matcher::Method(config.compile()));
        }
        if let Some(config) = host {
            matchers.push(Matcher::Host(config.compile()?));
        }
        if let Some(config) = path {
            matchers.push(Matcher::Path(config.compile()));
        }
        if let Some(config) = ingress_path {
            matchers.push(Matcher::IngressPath(config.compile()?));
        }
        if let Some(config) = protocol {
            matchers.push(Matcher::Protocol(config.compile()));
        }
        if let Some(config) = tls {
            matchers.push(Matcher::Tls(config.compile()));
        }
        if let Some(config) = remote_ip {
            matchers.push(Matcher::RemoteIp(config.compile()?));
        }
        if let Some(config) = client_ip {
            matchers.push(Matcher::ClientIp(config.compile()?));
        }
        if let Some(config) = header {
            matchers.push(Matcher::Header(config.compile()));
        }
        if let Some(config) = query {
            matchers.push(Matcher::Query(config.compile()));
        }
        if let Some(config) = vars {
            matchers.push(Matcher::Vars(config.compile()));
        }
        if let Some(config) = not {
            matchers.push(Matcher::Not(config.compile()?));
        }
        if let Some(config) = path_regexp {
            matchers.push(Matcher::PathRegexp(path_regexp::PathRegexp::compile(config)?));
        }
        if url_pattern.is_some() {
            return Err(CompileError::not_served("url_pattern"));
        }
        if let Some(config) = header_regexp {
            matchers.push(Matcher::HeaderRegexp(config.compile()?));
        }
        if let Some(config) = vars_regexp {
            matchers.push(Matcher::VarsRegexp(config.compile()?));
        }
        if let Some(config) = expression {
            matchers.push(Matcher::Expression(config.compile()?));
        }
        if let Some(config) = file {
            matchers.push(Matcher::File(config.compile()?));
        }
        Ok(matchers.into())
    }

    /// Whether it holds no matcher, and so matches everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Several sets, one of which must match; none matches everything.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    sets: Box<[Box<[Matcher]>]>,
    /// Whether they look at the body of the request.
    hold_body: bool,
}

impl Sets {
    /// Makes the matchers of a list of sets.
    pub(crate) fn compile(sets: &[Set]) -> Result<Self, CompileError> {
        Ok(Self {
            sets: sets.iter().map(Set::compile).collect::<Result<_, _>>()?,
            hold_body: false,
        })
    }

    /// The same; the body is read before they are asked.
    #[must_use]
    pub(crate) fn holding_body(self) -> Self {
        Self {
            hold_body: true,
            ..self
        }
    }

    /// Whether one of them matches; the disk is asked if need be.
    pub(crate) async fn ask<W: World>(
        &self,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<bool, HandlerError> {
        if self.hold_body {
            Box::pin(request_body::hold(exchange)).await?;
        }
        match self.match_any(exchange) {
            Ok(answer) => Ok(answer),
            Err(Unanswered::Error(error)) => Err(error),
            Err(Unanswered::NeedsFiles(lookup)) => Box::pin(self.ask_disk(lookup, exchange, world)).await,
        }
    }

    async fn ask_disk<W: World>(
        &self,
        mut lookup: Box<file::Lookup>,
        exchange: &mut Exchange,
        world: &W,
    ) -> Result<bool, HandlerError> {
        let answer = loop {
            let asked = world.blocking(move || {
                let answer = lookup.run();
                (*lookup, answer)
            });
            exchange.files.push(asked.await);
            // Each matcher of the sets asks at most once, so this ends.
            match self.match_any(exchange) {
                Err(Unanswered::NeedsFiles(another)) => lookup = another,
                Err(Unanswered::Error(error)) => break Err(error),
                Ok(answer) => break Ok(answer),
            }
        };
        // Whoever asks later wants to know what is there then.
        exchange.files.clear();
        answer
    }

    /// Whether one of them matches.
    pub(crate) fn match_any(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        if self.sets.is_empty() {
            return Ok(true);
        }
        for set in &self.sets {
            if match_all(set, exchange)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether all matchers of a set match.
pub(crate) fn match_all(set: &[Matcher], exchange: &mut Exchange) -> Result<bool, Unanswered> {
    for matcher in set {
        if !matcher.matches(exchange)? {
            return Ok(false);
        }
    }
    Ok(true)
}
