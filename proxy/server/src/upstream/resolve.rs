//! Names of upstreams, as the traffic threads look them up.

use std::io;
use std::net::IpAddr;

use tokio::runtime::Handle;

use crate::names::{self, Names};
use crate::world;

/// The resolver of one traffic thread.
pub(super) struct Resolver {
    helpers: Handle,
    names: Names,
}

impl Resolver {
    pub(super) fn new(helpers: Handle) -> Self {
        Self {
            helpers,
            names: Names::default(),
        }
    }

    /// The addresses of a host, those of IPv4 first. The system's configuration is read away from the traffic threads.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let read = world::run(&self.helpers, names::read_system);
        self.names.addresses_by(host, read).await
    }
}
