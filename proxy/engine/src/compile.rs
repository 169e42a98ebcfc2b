//! From config to table: the last step that can fail. Strings become regexes, matchers, templates and pools.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Route as RouteConfig, Server as ServerConfig};
use crate::handlers::Handler;
use crate::matchers::Sets;
use crate::table::{Index, Route, Routes, Server, Table};

mod logs;
mod trusted_proxies;

pub use logs::AccessLogs;
pub use trusted_proxies::TrustedProxies;
pub(crate) use trusted_proxies::parse_range;

/// How deep routes may lie in routes.
const DEPTH: usize = 100;

/// Why a config cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct CompileError {
    /// The part of the config, from its top: `srv0: route 2: static_response`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl CompileError {
    /// An error of the part that is being compiled.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
        }
    }

    /// Says in what larger part it lies.
    #[must_use]
    pub fn within(mut self, part: impl std::fmt::Display) -> Self {
        self.path = if self.path.is_empty() {
            part.to_string()
        } else {
            format!("{part}: {}", self.path)
        };
        self
    }
}

/// Compiles a config.
pub fn compile(config: &Config) -> Result<Table, CompileError> {
    let servers = config.apps.http.as_ref().map(|http| &http.servers);
    let servers = servers.into_iter().flatten();
    let servers = servers.map(|(name, server)| {
        Compiler::default()
            .server(name, server)
            .map(Arc::new)
            .map_err(|error| error.within(name))
    });
    Ok(Table {
        servers: servers.collect::<Result<_, _>>()?,
    })
}

/// What handlers need while they are compiled: other routes.
#[derive(Debug, Default)]
pub(crate) struct Compiler<'c> {
    /// The named routes of the server.
    named: HashMap<&'c str, Named<'c>>,
    depth: usize,
}

#[derive(Debug)]
enum Named<'c> {
    Config(&'c RouteConfig),
    /// Being compiled now: to need it again means a cycle.
    Pending,
    Done(Arc<Routes>),
}

impl<'c> Compiler<'c> {
    fn server(mut self, name: &str, config: &'c ServerConfig) -> Result<Server, CompileError> {
        let named = config.named_routes.iter().flatten();
        self.named = named
            .map(|(name, route)| (name.as_str(), Named::Config(route)))
            .collect();
        let errors = match &config.errors {
            Some(errors) => Some(Arc::new(
                self.routes(&errors.routes)
                    .map_err(|error| error.within("errors"))?,
            )),
            None => None,
        };
        let mut groups = Groups::default();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (index, route) in config.routes.iter().enumerate() {
            let route = self
                .route(route, &mut groups)
                .map_err(|error| error.within(Numbered(index)))?;
            routes.push(Arc::new(route));
        }
        Ok(Server {
            name: name.into(),
            routes: routes.into(),
            index: Index::new(config.routes.iter().map(|route| &*route.matches)),
            errors,
            trusted_proxies: TrustedProxies::compile(config)?,
            logs: AccessLogs::compile(config),
        })
    }

    /// Compiles a list of routes.
    pub(crate) fn routes(&mut self, configs: &[RouteConfig]) -> Result<Routes, CompileError> {
        if self.depth == DEPTH {
            return Err(CompileError::new(format!(
                "routes lie more than {DEPTH} deep in routes"
            )));
        }
        self.depth += 1;
        let mut groups = Groups::default();
        let mut routes = Vec::with_capacity(configs.len());
        for (index, config) in configs.iter().enumerate() {
            routes.push(
                self.route(config, &mut groups)
                    .map_err(|error| error.within(Numbered(index)))?,
            );
        }
        self.depth -= 1;
        Ok(Routes(routes.into()))
    }

    /// The named route that `invoke` calls; compiled once, shared by all who call it.
    pub(crate) fn named_route(&mut self, name: &str) -> Result<Arc<Routes>, CompileError> {
        let unknown = || CompileError::new(format!("there is no named route `{name}`"));
        let (&key, named) = self.named.get_key_value(name).ok_or_else(unknown)?;
        let config = match named {
            Named::Done(routes) => return Ok(Arc::clone(routes)),
            Named::Pending => {
                return Err(CompileError::new(format!(
                    "the named route `{name}` invokes itself"
                )));
            }
            Named::Config(config) => *config,
        };
        self.named.insert(key, Named::Pending);
        let routes = self.routes(std::slice::from_ref(config));
        let routes = Arc::new(routes.map_err(|error| error.within(format_args!("named route `{name}`")))?);
        self.named.insert(key, Named::Done(Arc::clone(&routes)));
        Ok(routes)
    }

    fn route(&mut self, config: &RouteConfig, groups: &mut Groups) -> Result<Route, CompileError> {
        let mut handlers = Vec::with_capacity(config.handle.len());
        for handler in &config.handle {
            handlers.push(Handler::compile(handler, self)?);
        }
        Ok(Route {
            group: config
                .group
                .as_deref()
                .filter(|group| !group.is_empty())
                .map(|group| groups.number(group)),
            matchers: Sets::compile(&config.matches)?,
            handlers: handlers.into(),
            terminal: config.terminal,
        })
    }
}

/// The groups of one list of routes. Other lists have others, even under the same names.
#[derive(Default)]
struct Groups(HashMap<String, u16>);

impl Groups {
    fn number(&mut self, name: &str) -> u16 {
        let next = self.0.len() as u16;
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

struct Numbered(usize);

impl std::fmt::Display for Numbered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {}", self.0)
    }
}
