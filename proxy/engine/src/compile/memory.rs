//! What is remembered of the last config that compiled, so that the next one compiles only what changed.
//!
//! A route is known by the address of its config, which is held, so that no other can take the address.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::Route as RouteConfig;
use crate::handlers::reverse_proxy::health::Check;
use crate::table::{Route, Routes};

/// The routes of one config.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Top-level routes with an `@id`, by the address of their config.
    routes: HashMap<usize, Arc<Known<Route>>, foldhash::fast::RandomState>,
    /// Named routes. Servers may have different ones under one name.
    named: HashMap<Box<str>, Vec<Arc<Known<Routes>>>, foldhash::fast::RandomState>,
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

/// The memory while a config is compiled: of the one before, and of what there is of the new one.
#[derive(Debug, Default)]
pub(super) struct Recall {
    before: Memory,
    now: Memory,
}

impl Recall {
    pub(super) fn new(before: Memory) -> Self {
        // Most of it will be there again.
        let routes = HashMap::with_capacity_and_hasher(before.routes.len(), Default::default());
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
