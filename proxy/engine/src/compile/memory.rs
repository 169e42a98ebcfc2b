//! What is remembered of the last config that compiled, so that the next one compiles only what changed.
//!
//! A route is known by the address of its config, which is held, so that no other can take the address.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::Route as RouteConfig;
use crate::handlers::reverse_proxy::health::Check;
use crate::table::{Index, Route, Routes};

/// The routes of one config.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Top-level routes with an `@id`, by the address of their config.
    routes: HashMap<usize, Arc<Known<Route>>, foldhash::fast::RandomState>,
    /// Named routes. Servers may have different ones under one name.
    named: HashMap<Box<str>, Vec<Arc<Known<Routes>>>, foldhash::fast::RandomState>,
    /// By the names of servers.
    indexes: HashMap<Box<str>, Indexed>,
}

/// A compiled route, and what it was made of.
#[derive(Debug)]
pub(super) struct Known<T> {
    pub config: Arc<RouteConfig>,
    pub made: Arc<T>,
    pub needs: Needs,
    /// Of a named route: how many lists deep it is, with all that it invokes.
    pub height: usize,
}

/// What a route needs beside its own config. What the named routes need is theirs.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The named routes that it invokes.
    pub named: IndexMap<Box<str>, Arc<Routes>>,
    /// Its health checks.
    pub checks: Vec<Arc<Check>>,
}

/// The routes of a server, and their index.
#[derive(Debug)]
struct Indexed {
    routes: Vec<Arc<RouteConfig>>,
    index: Arc<Index>,
}

/// The memory while a config is compiled: of the one before, and of what there is of the new one.
#[derive(Debug, Default)]
pub(super) struct Recall {
    before: Memory,
    now: Memory,
}

impl Recall {
    pub(super) fn new(before: Memory) -> Self {
        // Most of it will be there again.
        let hasher = foldhash::fast::RandomState::default();
        let routes = HashMap::with_capacity_and_hasher(before.routes.len(), hasher);
        Self {
            before,
            now: Memory {
                routes,
                ..Memory::default()
            },
        }
    }

    /// What is to be remembered: a config that does not compile leaves no trace.
    pub(super) fn finish(self, compiles: bool) -> Memory {
        if compiles { self.now } else { self.before }
    }

    /// What a top-level route was compiled to, in this config or in the one before.
    pub(super) fn route(&self, config: &Arc<RouteConfig>) -> impl Iterator<Item = Arc<Known<Route>>> + use<> {
        let address = Arc::as_ptr(config).addr();
        let find = |memory: &Memory| memory.routes.get(&address).cloned();
        [find(&self.now), find(&self.before)].into_iter().flatten()
    }

    /// What a named route was compiled to, in this config or in the one before.
    pub(super) fn named(&self, name: &str, config: &Arc<RouteConfig>) -> Vec<Arc<Known<Routes>>> {
        let memories = [&self.now, &self.before].into_iter();
        let known = memories.filter_map(|memory| memory.named.get(name)).flatten();
        known
            .filter(|known| Arc::ptr_eq(&known.config, config))
            .cloned()
            .collect()
    }

    /// The index of a server. That of the config before, if its routes have the same matchers.
    pub(super) fn index(&mut self, server: &str, routes: &[Arc<RouteConfig>]) -> Arc<Index> {
        let is_same = |(before, route): (&Arc<RouteConfig>, &Arc<RouteConfig>)| {
            Arc::ptr_eq(before, route) || before.matches == route.matches
        };
        let before = self.before.indexes.get(server).filter(|before| {
            before.routes.len() == routes.len() && before.routes.iter().zip(routes).all(is_same)
        });
        let index = match before {
            Some(before) => Arc::clone(&before.index),
            None => Arc::new(Index::new(routes.iter().map(|route| &*route.matches))),
        };
        let indexed = Indexed {
            routes: routes.to_vec(),
            index: Arc::clone(&index),
        };
        self.now.indexes.insert(server.into(), indexed);
        index
    }

    pub(super) fn keep_route(&mut self, known: Arc<Known<Route>>) -> Arc<Route> {
        let made = Arc::clone(&known.made);
        let address = Arc::as_ptr(&known.config).addr();
        self.now.routes.insert(address, known);
        made
    }

    pub(super) fn keep_named(&mut self, name: &str, known: Arc<Known<Routes>>) {
        let list = self.now.named.entry(name.into()).or_default();
        if !list.iter().any(|kept| Arc::ptr_eq(kept, &known)) {
            list.push(known);
        }
    }
}
