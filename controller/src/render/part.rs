//! What one object adds to the config, before anybody knows which of its hosts it gets.

use std::rc::Rc;
use std::sync::Arc;

use fairway_caddyfile::Snippet;
use fairway_engine::config::{Policy, Route, TlsConnectionPolicy};
use fairway_engine::handlers;

use super::world::Question;
use crate::objects::Key;
use crate::verdict::{Finding, LastGoodText, State};

/// The part of one object.
#[derive(Debug)]
pub(super) struct Part {
    pub kind: &'static str,
    pub key: Key,
    /// When it was created; the older wins.
    pub created: String,
    /// New for every rendering: what was made of another is not its.
    pub serial: u64,
    pub sites: Vec<Site>,
    pub paths: Vec<Path>,
    /// By their full names.
    pub named_routes: Vec<Named>,
    /// Hosts and the Secret with their certificate.
    pub tls: Vec<(Vec<String>, Box<str>)>,
    pub findings: Vec<Finding>,
    /// What is served of it, as far as it depends on itself alone.
    pub state: State,
    /// The text that is served in place of its own.
    pub last_good: Option<Arc<LastGoodText>>,
}

/// A site of a CaddyRoute.
#[derive(Debug)]
pub(super) struct Site {
    /// Those of its addresses that may be claimed.
    pub addresses: Vec<Address>,
    pub handle: Vec<handlers::Config>,
    pub errors: Vec<Route>,
    pub written: fairway_engine::config::Written,
    pub invoked: Vec<String>,
    pub tls: Option<TlsConnectionPolicy>,
    /// How its certificates are got, if it says so: `tls internal`.
    pub automation: Option<Policy>,
}

/// An address that a tenant may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub scheme: Scheme,
    /// Empty for every host.
    pub host: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// HTTPS if there is a certificate, else HTTP.
    Any,
    Http,
    Https,
}

/// A path of an Ingress.
#[derive(Debug)]
pub(super) struct Path {
    /// Empty for every host.
    pub host: Box<str>,
    pub text: Box<str>,
    pub is_exact: bool,
    /// The default backend: everything that no path of its host takes.
    pub is_default: bool,
    pub handle: Vec<handlers::Config>,
    pub invoked: Vec<String>,
    /// Where in the object: `spec.rules[0].http.paths[1]`.
    pub field: String,
}

/// A named route.
#[derive(Debug)]
pub(super) struct Named {
    /// `namespace/name`
    pub name: String,
    pub route: Arc<Route>,
    pub invoked: Vec<String>,
}

/// A part, and what it was made from.
#[derive(Debug)]
pub(super) struct Remembered {
    pub part: Rc<Part>,
    /// A hash of the fields that were read.
    pub fields: u64,
    /// The questions that were asked, and what tells their answers.
    pub asked: Vec<(Question, u64)>,
    /// The last text that was good, if the current one is not; or the current one.
    pub last_good: Option<LastGood>,
}

/// A text that was good once, and all that it imported then.
#[derive(Clone, Debug)]
pub(super) struct LastGood {
    /// The generation of the object that had it.
    pub generation: i64,
    pub text: Arc<str>,
    pub imported: Arc<[Imported]>,
}

/// A snippet of another object, as it was when it was imported.
#[derive(Clone, Debug)]
pub(super) struct Imported {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub snippet: Arc<Snippet>,
    /// Whether it is known to be what its own namespace wrote. What stands in a status may be forged, and would speak
    /// for that namespace.
    pub is_trusted: bool,
}

/// What was asked, and what came in by it.
pub(super) struct Asked {
    pub questions: Vec<(Question, u64)>,
    pub imported: Vec<Imported>,
}
