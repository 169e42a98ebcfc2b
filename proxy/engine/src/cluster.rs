//! What the engine knows of a cluster: the names of Service ports, and the questions that directives ask about other
//! objects while a text is adapted. The answers are the controller's.

use std::fmt;

use fairway_caddyfile::{Diagnostic, Origin, Token};
use serde::{Deserialize, Serialize};

/// A port of a Service: what a config names, and under what its endpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// Where the Service lives.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The number of the port, as the Service has it. As written while there is no such Service or port, and empty if
    /// nothing was written.
    pub port: Box<str>,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            port,
        } = self;
        write!(f, "{namespace}/{name}:{port}")
    }
}

/// A Service as a Caddyfile names it: `NAME[.NS[.svc[.cluster.local]]][:PORT|:PORTNAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceName<'t> {
    /// The namespace, if it is written.
    pub namespace: Option<&'t str>,
    /// The Service.
    pub name: &'t str,
    /// The port's number or name, if it is written.
    pub port: Option<&'t str>,
}

/// What the controller has to say about a name: why it may not be used, or what is wrong with it for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The code of the diagnostic.
    pub code: &'static str,
    /// A sentence without its full stop.
    pub message: String,
    /// The fix.
    pub help: Option<String>,
}

impl Notice {
    /// As a mistake at the name.
    pub fn error(self, at: &Token) -> Diagnostic {
        Diagnostic::error(self.code, at, self.message).help_if(self.help)
    }

    /// As a warning at the name.
    pub fn warning(self, at: &Token) -> Diagnostic {
        Diagnostic::warning(self.code, at, self.message).help_if(self.help)
    }
}

/// The other objects of a cluster, as the author of a text may see them.
pub trait Cluster {
    /// The Service port that `from` means. A Service that is not there yet is no refusal: its name comes back as
    /// written, with a notice for the author.
    fn service(&self, name: &ServiceName<'_>, from: &Origin)
    -> Result<(ServicePort, Option<Notice>), Notice>;

    /// The full name, `namespace/name`, of the named route that `from` means outside its own object.
    fn named_route(&self, name: &str, from: &Origin) -> Result<String, Notice>;
}
