//! The routes of one host by path. Two kinds of rules have two forms of the path, and so a tree each: `ingress_path`,
//! and Caddy's `path` where a pattern is a whole path or what one begins with. All other routes are for any path.
//!
//! A tree may find routes that do not match: their matchers are asked all the same.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::exchange::Target;
use crate::matchers::ingress_path::{self, Ambiguous, Canonical, canonical};
use crate::matchers::{Set, path};

/// From how many routes on a look-up is worth its memory.
const MANY: usize = 8;

/// How many elements of a path are looked up. What lies deeper is found with its parent.
const DEPTH: usize = 16;

/// The routes of one host.
#[derive(Debug, Default)]
pub(super) struct Paths {
    any: Box<[u32]>,
    ingress: Tree,
    caddy: Tree,
}

impl Paths {
    /// Of the routes at some positions; `None` if they are few, or none has a path that can be looked up.
    pub(super) fn new(positions: &[u32], routes: &[&[Set]]) -> Option<Self> {
        if positions.len() < MANY {
            return None;
        }
        let (mut any, mut ingress, mut caddy) = (Vec::new(), Growing::default(), Growing::default());
        for &position in positions {
            let Some(rules) = rules(routes[position as usize]) else {
                any.push(position);
                continue;
            };
            for rule in rules {
                match rule {
                    Rule::Ingress(end, path) => ingress.insert(&path, end, position),
                    Rule::Caddy(end, path) => caddy.insert(path.as_bytes(), end, position),
                }
            }
        }
        (any.len() < positions.len()).then(|| Self {
            any: any.into(),
            ingress: ingress.freeze(),
            caddy: caddy.freeze(),
        })
    }

    /// Gives the lists of the routes that may match, unless the path has no form: then a route may refuse it.
    pub(super) fn find<'t>(&'t self, forms: &mut Forms<'_>, mut found: impl FnMut(&'t [u32])) -> bool {
        if !self.ingress.is_empty() {
            match forms.ingress() {
                Ok(path) => self.ingress.find(path, &mut found),
                Err(Ambiguous) => return false,
            }
        }
        if !self.caddy.is_empty() {
            self.caddy.find(forms.caddy().as_bytes(), &mut found);
        }
        found(&self.any);
        true
    }
}

/// A request's path in both forms, each made when it is first asked for.
pub(super) struct Forms<'r> {
    target: &'r Target,
    ingress: Option<Result<Canonical<'r>, Ambiguous>>,
    caddy: Option<Cow<'r, str>>,
}

impl<'r> Forms<'r> {
    pub(super) fn new(target: &'r Target) -> Self {
        Self {
            target,
            ingress: None,
            caddy: None,
        }
    }

    fn ingress(&mut self) -> Result<&[u8], Ambiguous> {
        let make = || canonical(self.target.escaped_path());
        match self.ingress.get_or_insert_with(make) {
            Ok(path) => Ok(path),
            Err(Ambiguous) => Err(Ambiguous),
        }
    }

    fn caddy(&mut self) -> &str {
        self.caddy
            .get_or_insert_with(|| path::compared(self.target.path()))
    }
}

/// What a rule says of the paths below its own.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// They are not meant.
    Exact,
    /// They are.
    Open,
}

/// A path in its form, and whether it is open at its end.
enum Rule {
    Ingress(End, Box<[u8]>),
    Caddy(End, Box<str>),
}

/// The rules of a route, if every one of its sets has one that can be looked up.
fn rules(sets: &[Set]) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    if sets.is_empty() {
        return None;
    }
    for set in sets {
        if let Some(config) = &set.ingress_path {
            rules.push(match config.compile().ok()? {
                ingress_path::IngressPath::Exact(path) => Rule::Ingress(End::Exact, path),
                ingress_path::IngressPath::Prefix(path) => Rule::Ingress(End::Open, path),
            });
            continue;
        }
        for pattern in &set.path.as_ref()?.0 {
            rules.push(caddy_rule(pattern)?);
        }
    }
    Some(rules)
}

/// The rule that a pattern is. One that ends amid an element is taken for its parent.
fn caddy_rule(pattern: &str) -> Option<Rule> {
    let (end, stem) = match pattern.strip_suffix('*') {
        Some(stem) => (End::Open, &stem[..=stem.rfind('/')?]),
        None => (End::Exact, pattern),
    };
    let is_plain = pattern.starts_with('/')
        && !pattern.contains("//")
        && !pattern.contains(['%', '{', '}', '\\'])
        && !stem.contains(['*', '?', '[']);
    is_plain.then(|| Rule::Caddy(end, stem.to_lowercase().into()))
}

/// Rules by the elements of their paths.
#[derive(Debug, Default)]
struct Tree {
    /// Of rules for this very path.
    exact: Box<[u32]>,
    /// Of rules for this path and all below.
    open: Box<[u32]>,
    children: HashMap<Box<[u8]>, Tree, foldhash::fast::RandomState>,
}

/// A tree while rules are put into it.
#[derive(Default)]
struct Growing {
    exact: Vec<u32>,
    open: Vec<u32>,
    children: HashMap<Box<[u8]>, Growing, foldhash::fast::RandomState>,
}

impl Tree {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.open.is_empty() && self.children.is_empty()
    }

    fn find<'t>(&'t self, path: &[u8], mut found: impl FnMut(&'t [u32])) {
        if path.first() != Some(&b'/') {
            return;
        }
        let mut node = self;
        found(&node.open);
        for element in elements(path) {
            let Some(child) = node.children.get(element) else {
                return;
            };
            node = child;
            found(&node.open);
        }
        found(&node.exact);
    }
}

impl Growing {
    fn insert(&mut self, path: &[u8], mut end: End, position: u32) {
        let mut node = self;
        for (depth, element) in elements(path).enumerate() {
            if depth == DEPTH {
                end = End::Open;
                break;
            }
            node = node.children.entry(element.into()).or_default();
        }
        let list = match end {
            End::Exact => &mut node.exact,
            End::Open => &mut node.open,
        };
        if list.last() != Some(&position) {
            list.push(position);
        }
    }

    fn freeze(self) -> Tree {
        let children = self.children.into_iter();
        Tree {
            exact: self.exact.into(),
            open: self.open.into(),
            children: children
                .map(|(element, child)| (element, child.freeze()))
                .collect(),
        }
    }
}

/// The elements of a path in its form; a slash at its end is not looked at.
fn elements(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let elements = path.split(|byte| *byte == b'/');
    elements.filter(|element| !element.is_empty())
}
