//! From config to table: the last step that can fail. Strings become regexes, matchers, templates and pools.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::{Config, Route as RouteConfig, Server as ServerConfig};
use crate::handlers::reverse_proxy::health::Check;
use crate::handlers::reverse_proxy::{BalancerKey, Registry};
use crate::handlers::{Config as HandlerConfig, Handler};
use crate::matchers::Sets;
use crate::table::{Route, Routes, Server, Table};

mod logs;
mod memory;
mod mentions;
mod named;
mod not_served;
#[cfg(test)]
mod tests;
mod trusted_proxies;

use memory::{Known, Needs, Recall};
use mentions::mentions_body;
use named::Named;

pub use logs::AccessLogs;
pub(crate) use memory::Memory;
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
    /// The `@id` of the top-level route that it lies in, if that has one: without this route the config may compile.
    pub id: Option<Arc<str>>,
}

impl CompileError {
    /// An error of the part that is being compiled.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
            id: None,
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

    fn of(mut self, route: &RouteConfig) -> Self {
        self.id.clone_from(&route.id);
        self
    }
}

/// Compiles a config. What upstreams and balancers remember is taken from the registry, where an earlier table left it,
/// if their config is the same. So are whole routes: what the config before this one held under the same `Arc`, a
/// top-level route with an `@id` or a named route, is not compiled again.
pub fn compile(config: &Config, registry: &Registry) -> Result<Table, CompileError> {
    not_served::check(config)?;
    registry.prune();
    let mut compiler = Compiler {
        registry: registry.clone(),
        memory: Recall::new(registry.take_memory()),
        ..Compiler::default()
    };
    let servers = compiler.servers(config);
    registry.keep_memory(compiler.memory.finish(servers.is_ok()));
    let table = Table {
        servers: servers?.into(),
        checks: compiler.checks.into_values().collect(),
    };
    registry.count(&table);
    Ok(table)
}

/// Judges a config by itself: whether it compiles, and every named route of it, invoked or not. Nothing is kept.
pub fn check(config: &Config) -> Result<(), CompileError> {
    not_served::check(config)?;
    let mut compiler = Compiler::default();
    compiler.servers(config)?;
    for (name, server) in servers(config) {
        compiler.enter(server);
        for route in server.named_routes.iter().flat_map(IndexMap::keys) {
            compiler.named_route(route).map_err(|error| error.within(name))?;
        }
    }
    Ok(())
}

fn servers(config: &Config) -> impl Iterator<Item = (&String, &ServerConfig)> {
    config.apps.http.iter().flat_map(|http| &http.servers)
}

/// What handlers need while they are compiled: other routes, and what outlives tables.
#[derive(Debug, Default)]
pub(crate) struct Compiler<'c> {
    registry: Registry,
    memory: Recall,
    /// The named routes of the server.
    named: HashMap<&'c str, Named<'c>>,
    /// In how many lists the compiler is.
    depth: usize,
    /// In how many it was at most, since the named route that is compiled began.
    deepest: usize,
    /// Whose state is meant: a route by its `@id`, a named route, or a server's listeners with the hosts and paths of the route.
    scope: String,
    /// How many equal handlers there were so far, by scope and content.
    ordinals: HashMap<(String, u64), u32>,
    /// What the route that is compiled needs.
    needs: Needs,
    /// The checks of all routes, by their addresses: one that several need is there once.
    checks: IndexMap<usize, Arc<Check>>,
    /// Whether the route that is compiled mentions the body of a request; none before that was looked for.
    mentions_body: Option<bool>,
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
        self.needs.checks.extend(check.cloned());
    }

    fn servers(&mut self, config: &'c Config) -> Result<Vec<Arc<Server>>, CompileError> {
        let compile = |(name, config): (&String, &'c ServerConfig)| {
            let server = self.server(name, config);
            server.map(Arc::new).map_err(|error| error.within(name))
        };
        servers(config).map(compile).collect()
    }

    fn server(&mut self, name: &str, config: &'c ServerConfig) -> Result<Server, CompileError> {
        not_served::check_server(config)?;
        self.enter(config);
        // Names are numbers, which others may push along; no two servers listen on the same address.
        let server = match config.listen.as_slice() {
            [] => name.to_owned(),
            listen => listen.join(","),
        };
        let errors = config.errors.as_ref().map(|errors| {
            let routes = self.errors(&server, &errors.routes);
            routes.map(Arc::new).map_err(|error| error.within("errors"))
        });
        let errors = errors.transpose()?;
        let mut groups = Groups::default();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (index, route) in config.routes.iter().enumerate() {
            if route.id.is_none() {
                self.scope = format!("server {server}{}", Site(route));
            }
            let compiled = self.top_level(route, &mut groups);
            routes.push(compiled.map_err(|error| error.within(Numbered(index)).of(route))?);
        }
        let terminal = routes.iter().take_while(|route| route.terminal).count();
        Ok(Server {
            name: name.into(),
            rest: routes[terminal..].into(),
            routes: routes.into(),
            index: self.memory.index(name, &config.routes),
            errors,
            trusted_proxies: TrustedProxies::compile(config)?,
            logs: AccessLogs::compile(config),
        })
    }

    /// Begins with a server, whose named routes are those that count.
    fn enter(&mut self, config: &'c ServerConfig) {
        let named = config.named_routes.iter().flatten();
        self.named = named
            .map(|(name, route)| (name.as_str(), Named::Config(route)))
            .collect();
        self.ordinals.clear();
    }

    fn errors(&mut self, server: &str, configs: &[RouteConfig]) -> Result<Routes, CompileError> {
        let mut groups = Groups::default();
        let mut routes = Vec::with_capacity(configs.len());
        for (index, config) in configs.iter().enumerate() {
            self.scope = format!("errors of server {server}{}", Site(config));
            let (route, needs) = self.apart(|compiler| compiler.route(config, &mut groups));
            self.note(&needs);
            routes.push(route.map_err(|error| error.within(Numbered(index)).of(config))?);
        }
        Ok(Routes(routes.into()))
    }

    /// Compiles a route of a server, or remembers it. The number of a group belongs to its list, so a route with one is
    /// not remembered.
    fn top_level(
        &mut self,
        config: &Arc<RouteConfig>,
        groups: &mut Groups,
    ) -> Result<Arc<Route>, CompileError> {
        let is_kept = config.id.is_some() && config.group.is_none();
        if is_kept {
            for known in self.memory.route(config) {
                if self.is_valid(&known.needs)? {
                    self.note(&known.needs);
                    return Ok(self.memory.keep_route(known));
                }
            }
        }
        let (route, needs) = self.apart(|compiler| compiler.route(config, groups));
        let route = Arc::new(route?);
        self.note(&needs);
        if is_kept {
            self.memory.keep_route(Arc::new(Known {
                config: Arc::clone(config),
                made: Arc::clone(&route),
                needs,
                height: 0,
            }));
        }
        Ok(route)
    }

    /// Compiles a list of routes.
    pub(crate) fn routes(&mut self, configs: &[RouteConfig]) -> Result<Routes, CompileError> {
        self.descend()?;
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

    fn route(&mut self, config: &RouteConfig, groups: &mut Groups) -> Result<Route, CompileError> {
        let is_mentioned = *self.mentions_body.get_or_insert_with(|| mentions_body(config));
        let handlers = |compiler: &mut Self| {
            let mut handlers = Vec::with_capacity(config.handle.len());
            for handler in &config.handle {
                // The handlers within these see for themselves.
                let looks_within =
                    matches!(handler, HandlerConfig::Subroute(_) | HandlerConfig::Intercept(_));
                if is_mentioned && !looks_within && mentions_body(handler) {
                    handlers.push(Handler::HoldBody);
                }
                handlers.push(Handler::compile(handler, compiler)?);
            }
            Ok(handlers.into())
        };
        let handlers = match &config.id {
            Some(id) => self.in_scope(format!("@{id}"), handlers),
            None => handlers(self),
        };
        Ok(Route {
            handlers: handlers?,
            group: config
                .group
                .as_deref()
                .filter(|group| !group.is_empty())
                .map(|group| groups.number(group)),
            matchers: if is_mentioned && mentions_body(&config.matches) {
                Sets::compile(&config.matches)?.holding_body()
            } else {
                Sets::compile(&config.matches)?
            },
            terminal: config.terminal,
        })
    }

    /// Goes into a list.
    fn descend(&mut self) -> Result<(), CompileError> {
        if self.depth == DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        Ok(())
    }

    /// Compiles under another scope, in which equal handlers are counted anew.
    fn in_scope<T>(&mut self, scope: String, compile: impl FnOnce(&mut Self) -> T) -> T {
        let scope = std::mem::replace(&mut self.scope, scope);
        let ordinals = std::mem::take(&mut self.ordinals);
        let made = compile(self);
        self.scope = scope;
        self.ordinals = ordinals;
        made
    }

    /// Compiles, and tells what that needed.
    fn apart<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> (T, Needs) {
        let outer = std::mem::take(&mut self.needs);
        let is_mentioned = self.mentions_body.take();
        let made = compile(self);
        self.mentions_body = is_mentioned;
        (made, std::mem::replace(&mut self.needs, outer))
    }

    /// Takes what a route needs into the table.
    fn note(&mut self, needs: &Needs) {
        for check in &needs.checks {
            self.checks
                .entry(Arc::as_ptr(check).addr())
                .or_insert_with(|| Arc::clone(check));
        }
    }
}

fn too_deep() -> CompileError {
    CompileError::new(format!("routes lie more than {DEPTH} deep in routes"))
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

/// The hosts that a route is for, each after a space.
struct Site<'c>(&'c RouteConfig);

impl std::fmt::Display for Site<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for set in &self.0.matches {
            let hosts = set.host.iter().flat_map(|hosts| &hosts.0);
            let paths = set.path.iter().flat_map(|paths| &paths.0);
            for part in hosts.chain(paths) {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}
