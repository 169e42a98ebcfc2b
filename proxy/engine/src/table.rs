//! The table: all compiled routes. Immutable; made by [`compile()`](crate::compile()), read by every request.

use std::sync::Arc;

use crate::handlers::Handler;
use crate::handlers::reverse_proxy::health::Check;
use crate::matchers::Sets;

mod index;

pub use index::Index;

/// What is served: a server for each group of listeners.
#[derive(Debug)]
pub struct Table {
    /// In the order of their names.
    pub servers: Box<[Arc<Server>]>,
    /// The active health checks of upstreams. One that did not change is the same in the next table.
    pub checks: Box<[Arc<Check>]>,
}

/// The routes behind a group of listeners.
#[derive(Debug)]
pub struct Server {
    /// Its name in the config: `srv0`.
    pub name: Box<str>,
    /// The top-level routes, each shared with the requests that chose it.
    pub(crate) routes: Box<[Arc<Route>]>,
    /// Skips routes that cannot match.
    pub(crate) index: Arc<Index>,
    /// The routes from the first on that is not terminal: what a request keeps that chose such a one.
    pub(crate) rest: Arc<[Arc<Route>]>,
    /// Where errors go.
    pub(crate) errors: Option<Arc<Routes>>,
    /// Who may say what the client's address is.
    pub(crate) trusted_proxies: crate::compile::TrustedProxies,
    /// Which hosts' requests are logged, and where.
    pub logs: crate::compile::AccessLogs,
}

/// A list of routes, in order.
#[derive(Debug, Default)]
pub struct Routes(pub(crate) Box<[Route]>);

/// A route: for which requests, and what to do with them.
#[derive(Debug)]
pub struct Route {
    /// Of the routes of a list with the same group only the first that matches runs.
    pub(crate) group: Option<u16>,
    pub(crate) matchers: Sets,
    pub(crate) handlers: Box<[Handler]>,
    /// Whether nothing runs after it.
    pub(crate) terminal: bool,
}
