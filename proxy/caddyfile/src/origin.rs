//! Who wrote a text, and so what it may do.

use std::sync::Arc;

/// How far the author of a text is trusted. The order is meaning: the lowest tier among the parts of something
/// judges the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Any object of a user of the cluster.
    Tenant,
    /// The cluster's operator, and whoever runs the standalone program.
    Operator,
}

/// The object that a text belongs to. Every token carries one, through every import.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The object as messages name it: `Caddyfile`, or `CaddyRoute shop/api, spec.caddyfile`.
    pub object: Box<str>,
    /// How far its author is trusted.
    pub tier: Tier,
    /// The namespace in which its names of Services and Secrets are looked up; none outside a cluster.
    pub namespace: Option<Box<str>>,
}

impl Origin {
    /// An operator's text outside any namespace.
    pub fn operator(object: &str) -> Arc<Self> {
        Arc::new(Self {
            object: object.into(),
            tier: Tier::Operator,
            namespace: None,
        })
    }

    /// A tenant's object in its namespace.
    pub fn tenant(object: &str, namespace: &str) -> Arc<Self> {
        Arc::new(Self {
            object: object.into(),
            tier: Tier::Tenant,
            namespace: Some(namespace.into()),
        })
    }
}
