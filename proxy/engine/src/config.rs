//! The config: Caddy's JSON as Rust types. What the adapter makes, what `fairway adapt` prints, what is compiled.
//!
//! Meanings, defaults and units are Caddy's; unknown fields are refused.

mod http;
mod logging;
mod tls;

use std::sync::Arc;

use fairway_caddyfile::{Segment, Span};
use serde::{Deserialize, Serialize};

pub use http::{AutomaticHttps, Errors, Http, IpSource, ListenerWrapper, Logs, Server, TlsConnectionPolicy};
pub use logging::{Log, Logging};
pub use tls::{Automation, Manager, Policy, Tls};

use crate::handlers;
use crate::matchers;

/// A whole config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The admin endpoint of Caddy; kept, so that its files load, and not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<serde_json::Value>,
    /// Logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Where certificates are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<serde_json::Value>,
    /// The rest.
    #[serde(skip_serializing_if = "Apps::is_empty")]
    pub apps: Apps,
}

/// The parts that do something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Apps {
    /// Servers and routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What hears of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<serde_json::Value>,
    /// File systems beside that of the machine.
    #[serde(rename = "caddy.filesystems", skip_serializing_if = "Option::is_none")]
    pub filesystems: Option<serde_json::Value>,
    /// Certificate authorities of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pki: Option<serde_json::Value>,
}

impl Apps {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Names it for good, as `@id` does in Caddy's JSON; what balancers and upstreams remember hangs on it, and nothing
    /// of it is compiled twice. Unique among the routes of a config.
    #[serde(rename = "@id", skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// Of the routes of a list with the same group only the first that matches runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// For which requests; none: for all.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<matchers::Set>,
    /// What to do with them, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handle: Vec<handlers::Config>,
    /// Whether no route after it runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
    /// The line of a Caddyfile that it comes from.
    #[serde(skip)]
    pub written: Written,
    /// The lines of handlers that joined it from routes of their own.
    #[serde(skip)]
    pub joined: Joined,
}

impl Route {
    /// A route for requests that match `set` (all, without one) with one handler.
    pub fn new(set: Option<matchers::Set>, handler: handlers::Config) -> Self {
        Self {
            matches: set.into_iter().collect(),
            handle: vec![handler],
            ..Self::default()
        }
    }

    /// Where one of its handlers was written.
    pub fn written_at(&self, handler: usize) -> Option<&Span> {
        let mut joined = self.joined.0.iter().rev();
        let joined = joined.find(|(first, _)| *first <= handler);
        joined.map_or(&self.written, |(_, written)| written).0.as_ref()
    }
}

/// Where something was written; of no account when configs are compared.
#[derive(Clone, Debug, Default)]
pub struct Written(pub Option<Span>);

impl Written {
    /// The place of a line from its name to its last argument; only of the name, if they come from different texts.
    pub(crate) fn line(segment: &Segment) -> Self {
        let mut span = segment.name.span.clone();
        if let Some(last) = segment.args.last()
            && Arc::ptr_eq(&last.span.source, &span.source)
        {
            span.end = span.end.max(last.span.end);
        }
        Self(Some(span))
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where the handlers of a route were written, each line with the number of its first handler, ascending; those before
/// the first are of the route's own line. Of no account when configs are compared.
#[derive(Clone, Debug, Default)]
pub struct Joined(pub Vec<(usize, Written)>);

impl PartialEq for Joined {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
