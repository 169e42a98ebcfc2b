//! Named routes: compiled when they are first invoked, remembered by name and config.

use std::sync::Arc;

use super::memory::{Known, Needs};
use super::{CompileError, Compiler, DEPTH, too_deep};
use crate::config::Route as RouteConfig;
use crate::table::Routes;

/// A named route of the server whose routes are compiled.
#[derive(Debug)]
pub(super) enum Named<'c> {
    Config(&'c Arc<RouteConfig>),
    /// Being compiled now: to need it again means a cycle.
    Pending,
    Done(Arc<Known<Routes>>),
}

impl Compiler<'_> {
    /// The named route that `invoke` calls; compiled once, shared by all who call it.
    pub(crate) fn named_route(&mut self, name: &str) -> Result<Arc<Routes>, CompileError> {
        let known = self.find_named(name)?;
        let deepest = self.depth + known.height;
        if deepest > DEPTH {
            return Err(too_deep());
        }
        self.deepest = self.deepest.max(deepest);
        let routes = Arc::clone(&known.made);
        self.needs.named.insert(name.into(), Arc::clone(&routes));
        Ok(routes)
    }

    fn find_named(&mut self, name: &str) -> Result<Arc<Known<Routes>>, CompileError> {
        let unknown = || CompileError::new(format!("there is no named route `{name}`"));
        let (&key, named) = self.named.get_key_value(name).ok_or_else(unknown)?;
        let config = match named {
            Named::Done(known) => return Ok(Arc::clone(known)),
            Named::Pending => {
                return Err(CompileError::new(format!(
                    "the named route `{name}` invokes itself"
                )));
            }
            Named::Config(config) => *config,
        };
        self.named.insert(key, Named::Pending);
        let known = self
            .compile_named(name, config)
            .map_err(|error| error.within(format_args!("named route `{name}`")))?;
        self.note(&known.needs);
        self.memory.keep_named(name, Arc::clone(&known));
        self.named.insert(key, Named::Done(Arc::clone(&known)));
        Ok(known)
    }

    fn compile_named(
        &mut self,
        name: &str,
        config: &Arc<RouteConfig>,
    ) -> Result<Arc<Known<Routes>>, CompileError> {
        // As deep as they will be reached, so that the work has a bound here too.
        self.descend()?;
        for known in self.memory.named(name, config) {
            if self.is_valid(&known.needs)? {
                self.depth -= 1;
                return Ok(known);
            }
        }
        self.depth -= 1;
        let deepest = std::mem::replace(&mut self.deepest, self.depth);
        let (routes, needs) = self.apart(|compiler| {
            compiler.in_scope(format!("&{name}"), |compiler| {
                compiler.routes(std::slice::from_ref(config))
            })
        });
        let made = Arc::new(routes?);
        let height = std::mem::replace(&mut self.deepest, deepest) - self.depth;
        Ok(Arc::new(Known {
            config: Arc::clone(config),
            made,
            needs,
            height,
        }))
    }

    /// Whether the named routes that were invoked are the same still. Each is compiled for it if need be: whoever
    /// invokes one that does not compile does not compile either.
    pub(super) fn is_valid(&mut self, needs: &Needs) -> Result<bool, CompileError> {
        for (name, before) in &needs.named {
            if !Arc::ptr_eq(&self.find_named(name)?.made, before) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
