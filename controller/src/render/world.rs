//! What the author of one object may see of the others: snippets, named routes, Services; and a note of every question
//! asked, misses included. An object is rendered again only if its own text or one of the answers changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::{Library, Origin, Snippet, suggest};
use fairway_engine::cluster::{Cluster, Notice, ServiceName, ServicePort};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::definitions::Definitions;
use super::part::{Asked, Imported};
use crate::objects::Key;
use crate::snapshot::Snapshot;

/// All objects, while they are rendered.
#[derive(Debug)]
pub(super) struct World {
    pub snapshot: Arc<Snapshot>,
    pub definitions: Definitions,
}

/// A question about other objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// The snippet that a name means to an object.
    Snippet { name: Box<str>, from: Asker },
    /// The named route that a name means to an object.
    NamedRoute { name: Box<str>, from: Asker },
    /// The named route of a CaddyRoute that is the backend of an Ingress.
    Resource { route: Key },
    /// A port of a Service.
    Service {
        namespace: Box<str>,
        name: Box<str>,
        port: Option<Box<str>>,
        from: Asker,
    },
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    /// As its texts name it: `CaddyRoute shop/api`.
    object: Box<str>,
    namespace: Box<str>,
}

impl Asker {
    fn of(origin: &Origin) -> Self {
        Self {
            object: origin.object.clone(),
            namespace: origin.namespace.clone().unwrap_or_default(),
        }
    }

    fn kind(&self) -> &str {
        self.object.split(' ').next().unwrap_or_default()
    }
}

/// The answer to a question about a Service.
type ServiceAnswer = Result<(ServicePort, Option<Notice>), Notice>;

impl World {
    /// What tells whether the answer to a question is still the same.
    pub(super) fn answer(&self, question: &Question) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        match question {
            Question::Snippet { name, from } => match self.snippet(name, from) {
                Ok((_, version)) => version.hash(&mut hasher),
                Err(refusal) => refusal.hash(&mut hasher),
            },
            Question::NamedRoute { name, from } => match self.named_route(name, from) {
                Ok(full) => full.hash(&mut hasher),
                Err(notice) => (notice.code, notice.message).hash(&mut hasher),
            },
            Question::Resource { route } => match self.resource(route) {
                Ok(full) => full.hash(&mut hasher),
                Err(notice) => (notice.code, notice.message).hash(&mut hasher),
            },
            Question::Service {
                namespace,
                name,
                port,
                from,
            } => match self.service(namespace, name, port.as_deref(), from) {
                Ok((port, notice)) => (port, notice.map(|notice| notice.message)).hash(&mut hasher),
                Err(notice) => (notice.code, notice.message).hash(&mut hasher),
            },
        }
        hasher.finish()
    }

    /// The snippet and the version of its text, or why there is none.
    fn snippet(&self, name: &str, from: &Asker) -> Result<(Arc<Snippet>, u64), Option<String>> {
        if let Some(own) = self.definitions.of_object(&from.object)
            && let Some(snippet) = own.snippet(name)
        {
            return Ok((Arc::clone(snippet), own.version));
        }
        let (namespace, plain) = full_name(name, from);
        let Some(found) = self.definitions.snippet(namespace, plain) else {
            return Err(None);
        };
        if found.may_use(&from.namespace) {
            return Ok((Arc::clone(&found.value), found.version));
        }
        Err(Some(not_exported("snippet", namespace, plain, &from.namespace)))
    }

    /// The full name of a named route.
    fn named_route(&self, name: &str, from: &Asker) -> Result<String, Notice> {
        let (namespace, plain) = full_name(name, from);
        let Some(found) = self.definitions.named_route(namespace, plain) else {
            let known = self.definitions.named_routes_for(&from.namespace);
            return Err(Notice {
                code: "unknown-named-route",
                message: format!("there is no named route `{name}`"),
                help: suggest(name, known.iter().map(String::as_str)).map_or_else(
                    || {
                        Some(format!(
                            "define it in a CaddyRoute of this namespace: `&({plain}) {{ … }}`"
                        ))
                    },
                    |word| Some(format!("did you mean `{word}`?")),
                ),
            });
        };
        if found.may_use(&from.namespace) {
            return Ok(format!("{namespace}/{plain}"));
        }
        Err(Notice {
            code: "not-exported",
            message: not_exported("named route", namespace, plain, &from.namespace),
            help: None,
        })
    }

    /// The named route that a CaddyRoute offers as a backend: the one of its own name, or its only one.
    pub(super) fn resource(&self, route: &Key) -> Result<String, Notice> {
        let refuse = |message: String, help: &str| {
            Err(Notice {
                code: "unknown-backend",
                message,
                help: Some(help.to_owned()),
            })
        };
        let Some(defined) = self.definitions.of_object(&format!("CaddyRoute {route}")) else {
            return refuse(
                format!("there is no CaddyRoute {route}"),
                "the `resource` of a backend names a CaddyRoute of the same namespace",
            );
        };
        let mut names = defined.named_routes.iter();
        let own = names.clone().find(|name| **name == *route.name);
        let only = names.next().filter(|_| names.next().is_none());
        match own.or(only) {
            Some(name) => Ok(format!("{}/{name}", route.namespace)),
            None => refuse(
                format!(
                    "CaddyRoute {route} has no named route `{}`, and not exactly one other",
                    route.name
                ),
                "a backend is a named route: `&(name) { … }`",
            ),
        }
    }

    fn service(&self, namespace: &str, name: &str, port: Option<&str>, from: &Asker) -> ServiceAnswer {
        if namespace != &*from.namespace && !self.is_granted(namespace, "Service", name, from) {
            return Err(Notice {
                code: "no-grant",
                message: format!(
                    "Service {namespace}/{name} lies in another namespace, which does not grant its use"
                ),
                help: Some(format!(
                    "a ReferenceGrant in namespace `{namespace}` may allow it for {}s of `{}`",
                    from.kind(),
                    from.namespace
                )),
            });
        }
        let answer = |port: &str| ServicePort {
            namespace: namespace.into(),
            name: name.into(),
            port: port.into(),
        };
        let notice = |code, message: String, help: Option<String>| Some(Notice { code, message, help });
        let written = port.unwrap_or_default();
        let Some(service) = self.snapshot.services.get(&Key::new(namespace, name)) else {
            let known = self.snapshot.services.range(Key::new(namespace, "")..);
            let known = known
                .take_while(|(key, _)| *key.namespace == *namespace)
                .map(|(key, _)| &*key.name);
            let message = format!("there is no Service {namespace}/{name} yet; requests get 503");
            let help = suggest(name, known).map(|word| format!("did you mean `{word}`?"));
            return Ok((answer(written), notice("service-not-found", message, help)));
        };
        let ports = &service.spec.ports;
        let list = || {
            let ports = ports.iter().map(|port| match &*port.name {
                "" => port.port.to_string(),
                name => format!("{} ({name})", port.port),
            });
            ports.collect::<Vec<_>>().join(", ")
        };
        match (port, &ports[..]) {
            (Some(text), _) => {
                if let Some(port) = service.port(text) {
                    return Ok((answer(&port.port.to_string()), None));
                }
                let message = format!("Service {namespace}/{name} has no port `{text}`; requests get 503");
                let help = format!("its ports are {}", list());
                Ok((answer(text), notice("port-not-found", message, Some(help))))
            }
            (None, [only]) => Ok((answer(&only.port.to_string()), None)),
            (None, _) => Err(Notice {
                code: "missing-port",
                message: format!("Service {namespace}/{name} has not exactly one port; say which is meant"),
                help: Some(format!("its ports are {}", list())),
            }),
        }
    }

    fn is_granted(&self, namespace: &str, kind: &str, name: &str, from: &Asker) -> bool {
        let grants = self.snapshot.grants.range(Key::new(namespace, "")..);
        let mut grants = grants.take_while(|(key, _)| *key.namespace == *namespace);
        grants.any(|(_, grant)| grant.allows(from.kind(), &from.namespace, kind, name))
    }
}

/// The namespace and the name that a name means to somebody.
fn full_name<'n>(name: &'n str, from: &'n Asker) -> (&'n str, &'n str) {
    name.split_once('/').unwrap_or((&from.namespace, name))
}

fn not_exported(what: &str, namespace: &str, name: &str, from: &str) -> String {
    format!(
        "the {what} `{namespace}/{name}` is not exported to the namespace `{from}`; its object may say so in `exportTo`"
    )
}

/// Asks for one object, and notes what was asked.
#[derive(Debug)]
pub(super) struct Asking {
    world: Rc<World>,
    asked: RefCell<HashMap<Question, u64>>,
    imported: RefCell<Vec<Imported>>,
}

impl Asking {
    pub(super) fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            asked: RefCell::default(),
            imported: RefCell::default(),
        })
    }

    /// The named route that a CaddyRoute offers as a backend.
    pub(super) fn resource(&self, route: &Key) -> Result<String, Notice> {
        self.note(Question::Resource { route: route.clone() });
        self.world.resource(route)
    }

    /// All questions, with what tells their answers.
    pub(super) fn take(&self) -> Asked {
        Asked {
            questions: self.asked.take().into_iter().collect(),
            imported: self.imported.take(),
        }
    }

    fn note(&self, question: Question) {
        let answer = self.world.answer(&question);
        self.asked.borrow_mut().insert(question, answer);
    }
}

impl Library for Asking {
    fn snippet(&self, name: &str, from: &Origin) -> Option<Arc<Snippet>> {
        let from = Asker::of(from);
        let question = Question::Snippet {
            name: name.into(),
            from: from.clone(),
        };
        let found = self.world.snippet(name, &from).ok();
        let found = found.map(|(snippet, _)| snippet);
        if let Some(found) = &found {
            let (namespace, plain) = full_name(name, &from);
            self.imported.borrow_mut().push(Imported {
                namespace: namespace.into(),
                name: plain.into(),
                snippet: Arc::clone(found),
                is_trusted: true,
            });
        }
        self.note(question);
        found
    }

    fn refusal(&self, name: &str, from: &Origin) -> Option<String> {
        self.world.snippet(name, &Asker::of(from)).err().flatten()
    }

    fn names(&self, from: &Origin) -> Vec<String> {
        self.world
            .definitions
            .snippets_for(from.namespace.as_deref().unwrap_or_default())
    }
}

impl Cluster for Asking {
    fn service(&self, name: &ServiceName<'_>, from: &Origin) -> ServiceAnswer {
        let from = Asker::of(from);
        let namespace = name.namespace.unwrap_or(&from.namespace);
        let answer = self.world.service(namespace, name.name, name.port, &from);
        self.note(Question::Service {
            namespace: namespace.into(),
            name: name.name.into(),
            port: name.port.map(Into::into),
            from: from.clone(),
        });
        answer
    }

    fn named_route(&self, name: &str, from: &Origin) -> Result<String, Notice> {
        let from = Asker::of(from);
        self.note(Question::NamedRoute {
            name: name.into(),
            from: from.clone(),
        });
        self.world.named_route(name, &from)
    }
}

/// The snippets of a text that was good once, as they were then; grants and Services are those of today.
#[derive(Debug)]
pub(super) struct Remembering {
    pub today: Rc<Asking>,
    pub imported: Arc<[Imported]>,
}

impl Library for Remembering {
    fn snippet(&self, name: &str, from: &Origin) -> Option<Arc<Snippet>> {
        let from = Asker::of(from);
        self.today.note(Question::Snippet {
            name: name.into(),
            from: from.clone(),
        });
        let today = self.today.world.snippet(name, &from);
        // A grant that was revoked counts at once.
        if matches!(today, Err(Some(_))) {
            return None;
        }
        let (namespace, plain) = full_name(name, &from);
        let mut then = self.imported.iter().filter(|then| then.is_trusted);
        let then = then.find(|then| *then.namespace == *namespace && *then.name == *plain);
        then.map(|then| Arc::clone(&then.snippet))
            .or(today.ok().map(|(snippet, _)| snippet))
    }

    fn refusal(&self, name: &str, from: &Origin) -> Option<String> {
        self.today.refusal(name, from)
    }
}
