//! What CaddyRoutes define for others: snippets and named routes, by `namespace/name`. Of two with the same name in a
//! namespace the older object's counts.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_caddyfile::{Limits, Options, Origin, Snippet, Source, parse};

use super::fingerprint;
use crate::objects::{CaddyRoute, Key};
use crate::verdict::Exports;

/// What one object defines.
#[derive(Debug, Default)]
pub(super) struct Defined {
    pub snippets: Vec<Arc<Snippet>>,
    pub named_routes: Vec<String>,
    pub sites: usize,
    /// Whether its text could not be read to the end, so that something may be missing.
    pub is_broken: bool,
    /// A hash of the text and the object that it belongs to. What is the same by this is the same; an address would
    /// not tell, because it is used again.
    pub version: u64,
}

impl Defined {
    /// Reads what a text defines, whatever it imports.
    pub(super) fn of(source: Arc<Source>) -> Self {
        let options = Options {
            limits: Limits::object(),
            ..Options::default()
        };
        let version = fingerprint(&(source.name(), source.text()));
        let parsed = parse(source, &options);
        let foreign = ["unknown-snippet", "snippet-refused", "tenant-file-import"];
        let mut mistakes = parsed.diagnostics.iter().filter(|found| found.is_error());
        Self {
            sites: parsed.file.sites.len(),
            is_broken: mistakes.any(|found| !foreign.contains(&found.code)),
            version,
            snippets: parsed.file.snippets.iter().cloned().collect(),
            named_routes: parsed
                .file
                .named_routes
                .into_iter()
                .map(|route| route.name.text)
                .collect(),
        }
    }

    /// The names, sorted.
    pub(super) fn exports(&self) -> Exports {
        let mut exports = Exports {
            snippets: self
                .snippets
                .iter()
                .map(|snippet| snippet.name.text.clone())
                .collect(),
            named_routes: self.named_routes.clone(),
        };
        exports.snippets.sort();
        exports.named_routes.sort();
        exports
    }

    /// The snippet, if there is one and nothing else.
    pub(super) fn only_snippet(mut self) -> Option<Arc<Snippet>> {
        let is_only = self.snippets.len() == 1 && self.sites == 0 && self.named_routes.is_empty();
        self.snippets.pop().filter(|_| is_only && !self.is_broken)
    }

    pub(super) fn snippet(&self, name: &str) -> Option<&Arc<Snippet>> {
        self.snippets.iter().find(|snippet| snippet.name.text == name)
    }
}

/// Something that an object defines, and who may use it.
#[derive(Debug)]
pub(super) struct Definition<T> {
    pub value: T,
    /// That of the text in which it stands.
    pub version: u64,
    pub owner: Arc<CaddyRoute>,
}

impl<T> Definition<T> {
    /// Whether objects of a namespace may use it.
    pub(super) fn may_use(&self, namespace: &str) -> bool {
        self.owner
            .spec
            .exports_to(namespace, &self.owner.metadata.namespace)
    }
}

/// What all objects define.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// By the names that texts have for them: `CaddyRoute shop/api`.
    objects: HashMap<Box<str>, Arc<Defined>>,
    snippets: HashMap<Key, Definition<Arc<Snippet>>>,
    named_routes: HashMap<Key, Definition<()>>,
    /// Names that somebody older has: the younger object, what it is, and the older one.
    pub taken: Vec<Taken>,
}

/// A name that somebody older has.
#[derive(Debug)]
pub(super) struct Taken {
    pub younger: Key,
    pub what: &'static str,
    pub name: String,
    pub older: Key,
}

impl Definitions {
    /// Adds what an object defines; the older objects come first.
    pub(super) fn add(&mut self, owner: &Arc<CaddyRoute>, defined: &Arc<Defined>) {
        let key = owner.metadata.key();
        for snippet in &defined.snippets {
            let name = &snippet.name.text;
            let id = Key::new(&key.namespace, name);
            if let Some(older) = self.snippets.get(&id) {
                self.taken.push(Taken::new(&key, "snippet", name, &older.owner));
            } else {
                let definition = Definition {
                    value: Arc::clone(snippet),
                    version: defined.version,
                    owner: Arc::clone(owner),
                };
                self.snippets.insert(id, definition);
            }
        }
        for name in &defined.named_routes {
            let id = Key::new(&key.namespace, name);
            if let Some(older) = self.named_routes.get(&id) {
                self.taken
                    .push(Taken::new(&key, "named route", name, &older.owner));
            } else {
                self.named_routes.insert(
                    id,
                    Definition {
                        value: (),
                        version: defined.version,
                        owner: Arc::clone(owner),
                    },
                );
            }
        }
        self.objects
            .insert(format!("CaddyRoute {key}").into(), Arc::clone(defined));
    }

    pub(super) fn of_object(&self, object: &str) -> Option<&Arc<Defined>> {
        self.objects.get(object)
    }

    pub(super) fn snippet(&self, namespace: &str, name: &str) -> Option<&Definition<Arc<Snippet>>> {
        self.snippets.get(&Key::new(namespace, name))
    }

    pub(super) fn named_route(&self, namespace: &str, name: &str) -> Option<&Definition<()>> {
        self.named_routes.get(&Key::new(namespace, name))
    }

    /// The names of snippets that a namespace may use.
    pub(super) fn snippets_for(&self, namespace: &str) -> Vec<String> {
        names(&self.snippets, namespace)
    }

    /// The names of named routes that a namespace may use.
    pub(super) fn named_routes_for(&self, namespace: &str) -> Vec<String> {
        names(&self.named_routes, namespace)
    }
}

fn names<T>(all: &HashMap<Key, Definition<T>>, namespace: &str) -> Vec<String> {
    let usable = all.iter().filter(|(_, definition)| definition.may_use(namespace));
    let mut names: Vec<String> = usable
        .map(|(key, _)| {
            if *key.namespace == *namespace {
                key.name.to_string()
            } else {
                key.to_string()
            }
        })
        .collect();
    names.sort();
    names
}

impl Taken {
    fn new(younger: &Key, what: &'static str, name: &str, older: &CaddyRoute) -> Self {
        Self {
            younger: younger.clone(),
            what,
            name: name.to_owned(),
            older: older.metadata.key(),
        }
    }
}

/// The text of a CaddyRoute.
pub(super) fn source(key: &Key, text: &str) -> Arc<Source> {
    let origin = Origin::tenant(&format!("CaddyRoute {key}"), &key.namespace);
    Source::new(origin, &format!("CaddyRoute {key}, spec.caddyfile"), text)
}
