//! The data plane: all sockets. Listeners, TLS, HTTP/1 and HTTP/2, upstream connections, swap and drain.
//!
//! What it is for: [`plan()`] reads from a config what to listen on; [`Running::start`] serves a
//! [`Table`](fairway_engine::table::Table) there; [`Running::swap`] serves another one from the next request on;
//! [`Running::shutdown`] lets requests and tunnels end.
//!
//! What it must not know: the Caddyfile, Kubernetes. What a request means is the engine's business; this crate is its
//! [`World`](fairway_engine::world::World).
//!
//! Each core has a thread with a runtime, listeners and upstream connections of its own; a request never changes
//! threads. Slow work runs on helper threads.
//!
//! Where to start reading: `traffic.rs` is the life of a thread, `connection.rs` that of a connection, `request.rs`
//! that of a request; `upstream.rs` sends requests on.

mod access_log;
mod batched;
mod bind;
mod connection;
mod gather;
mod metrics;
pub mod names;
mod plain_on_tls;
mod plan;
mod prober;
mod proxy_protocol;
mod request;
mod running;
pub mod tls;
mod traffic;
mod tunnel;
mod upstream;
mod watched;
mod world;

pub use access_log::{AccessLog, Entry};
pub use metrics::{Durations, Totals};
pub use plan::{Listener, Plan, PlanError, Settings, plan};
pub use proxy_protocol::ProxyProtocol;
pub use running::{Ending, Options, Running, StartError};

#[cfg(test)]
mod tests;
