//! How upstreams are spoken to.

/// A transport, compiled. Requests of equal transports share connections.
#[derive(Debug, Default)]
pub struct Transport;
