//! The custom resource types of Fairway, and nothing else.
//!
//! What it is for: one Rust type for each kind that Fairway adds to a cluster, its schema with every bound that the
//! API server holds, and the YAML that teaches the kind to a cluster. What it must not know: what a Caddyfile means
//! (here it is a string, so that the language can grow without a new version of the kind), how objects are watched,
//! how a status comes about.
//!
//! Where to start reading: [`caddyroute`] is the kind, [`bounds`] is how much of everything may stand in it.

pub mod bounds;
pub mod caddyroute;
mod schema;
mod unknown;
mod yaml;

pub use caddyroute::{CaddyRoute, CaddyRouteSpec, CaddyRouteStatus};
pub use unknown::unknown_fields;
pub use yaml::yaml;
