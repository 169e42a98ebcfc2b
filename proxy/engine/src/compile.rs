//! From config to table: the last step that can fail. Strings become regexes, matchers, templates and pools.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Route as RouteConfig, Server as ServerConfig};
use crate::handlers::Handler;
use crate::handlers::reverse_proxy::health::Check;
use crate::handlers::reverse_proxy::{BalancerKey, Registry};
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

/// Compiles a config. What upstreams and balancers remember is taken from the registry, where an earlier table left it,
/// if their config is the same.
pub fn compile(config: &Config, registry: &Registry) -> Result<Table, CompileError> {
    registry.prune();
    let configs = config.apps.http.as_ref().map(|http| &http.servers);
    let mut servers = Vec::new();
    let mut checks: Vec<Arc<Check>> = Vec::new();
    for (name, config) in configs.into_iter().flatten() {
        let mut compiler = Compiler {
            registry: registry.clone(),
            scope: name.clone(),
            ..Compiler::default()
        };
        let server = compiler.server(name, config);
        servers.push(Arc::new(server.map_err(|error| error.within(name))?));
        for check in compiler.checks {
            // A named route that several servers invoke is checked once.
            if !checks.iter().any(|known| Arc::ptr_eq(known, &check)) {
                checks.push(check);
            }
        }
    }
    Ok(Table {
        servers: servers.into(),
        checks: checks.into(),
    })
}

/// What handlers need while they are compiled: other routes, and what outlives tables.
#[derive(Debug, Default)]
pub(crate) struct Compiler<'c> {
    /// The named routes of the server.
    named: HashMap<&'c str, Named<'c>>,
    depth: usize,
    registry: Registry,
    /// Whose state is meant: the name of the server, or that of the named route.
    scope: String,
    /// How many equal handlers there were so far, by scope and content.
    ordinals: HashMap<(String, u64), u32>,
    checks: Vec<Arc<Check>>,
}

#[derive(Debug)]
enum Named<'c> {
    Config(&'c RouteConfig),
    /// Being compiled now: to need it again means a cycle.
    Pending,
    Done(Arc<Routes>),
}

impl<'c> Compiler<'c> {
    /// The state that outlives tables.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whose state is meant.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    /// What the next handler with this content is known by.
    pub(crate) fn balancer_key(&mut self, content: u64) -> BalancerKey {
        let next = self.ordinals.entry((self.scope.clone(), content)).or_default();
        let ordinal = *next;
        *next += 1;
        BalancerKey {
            scope: self.scope.as_str().into(),
            content,
            ordinal,
        }
    }

    /// Takes note of health checks that the table needs.
    pub(crate) fn add_check(&mut self, check: Option<&Arc<Check>>) {
        self.checks.extend(check.cloned());
    }

    fn server(&mut self, name: &str, config: &'c ServerConfig) -> Result<Server, CompileError> {
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
        let scope = std::mem::replace(&mut self.scope, format!("&({name})"));
        let routes = self.routes(std::slice::from_ref(config));
        self.scope = scope;
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
