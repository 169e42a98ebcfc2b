//! Which objects are ours: those of an IngressClass whose controller is Fairway, or of none if one of these is the
//! default.

use std::collections::HashSet;

use crate::snapshot::Snapshot;

/// What an IngressClass names for Fairway.
pub(crate) const CONTROLLER: &str = "fairway.dev/ingress-controller";

/// The classes that are ours.
#[derive(Debug)]
pub(super) struct Classes<'s> {
    names: HashSet<&'s str>,
    has_default: bool,
}

impl<'s> Classes<'s> {
    pub(super) fn of(snapshot: &'s Snapshot) -> Self {
        let ours = snapshot
            .classes
            .values()
            .filter(|class| class.spec.controller == CONTROLLER);
        Self {
            names: ours.clone().map(|class| class.metadata.name.as_str()).collect(),
            has_default: ours.clone().any(|class| class.is_default()),
        }
    }

    /// Whether an object is ours, by its class and the annotation of old, which wins as it does elsewhere.
    pub(super) fn is_ours(&self, class: Option<&str>, annotation: Option<&str>) -> bool {
        match annotation.or(class) {
            Some(name) => self.names.contains(name),
            None => self.has_default,
        }
    }
}
