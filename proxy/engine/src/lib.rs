//! The engine: what a Caddyfile means, and how a request is served by it, without a single socket.
//!
//! What it is for: [`adapt()`] turns a parsed Caddyfile into a [`config::Config`], which is Caddy's JSON, typed;
//! [`compile()`] turns a config into a [`table::Table`]; [`serve()`] answers a request from a table.
//!
//! What it must not know: sockets, TLS, Kubernetes. What it needs from outside (send a request upstream, read a
//! file, run something slow elsewhere) it asks through [`world::World`].
//!
//! Where to start reading: `handlers/respond.rs`, the smallest handler whole: its syntax, its JSON, how it is
//! parsed, compiled and served, and its tests. `directives.rs` is the ordered table of all directives,
//! `exchange.rs` is what a handler works on, `serve.rs` walks a request through the routes.

pub mod adapt;
pub mod auto_https;
pub mod body;
pub mod cluster;
pub mod compile;
pub mod config;
mod directives;
pub mod error;
pub mod exchange;
pub mod explain;
pub mod go_regex;
pub mod handlers;
pub mod matchers;
pub mod paths;
pub mod response_matcher;
pub mod serve;
pub mod table;
pub mod template;
#[cfg(test)]
mod test_util;
pub mod values;
pub mod world;

pub use adapt::{Adapted, adapt};
pub use compile::compile;
pub use handlers::reverse_proxy::Registry;
pub use serve::serve;
