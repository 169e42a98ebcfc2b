//! The fuzzer: one program with all targets; `FUZZ_TARGET` names the one to run, the rest of its command line is
//! libFuzzer's. `fuzz/run` builds it with coverage, makes the corpus, and keeps the table of hours.
//!
//! What every target holds: no panic, no overflow of the stack, and, by libFuzzer's own limits, neither a hang nor
//! growth without bound. Each holds more where more is promised; see the module of the target.

#![no_main]

mod caddyfile;
mod config;
mod kubernetes;
mod objects;
mod world;

// The readers of Kubernetes objects are part of a program, not of a library.
#[allow(dead_code, unreachable_pub)]
#[path = "../../controller/src/manifests.rs"]
mod manifests;
#[allow(dead_code)]
#[path = "../../controller/src/snapshot.rs"]
mod snapshot;
#[allow(dead_code)]
#[path = "../../controller/src/verdict.rs"]
mod verdict;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// The targets by name.
const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("lexer", |data| text(data, caddyfile::lexer)),
    ("parser", |data| text(data, caddyfile::parser)),
    ("imports", |data| text(data, caddyfile::imports)),
    ("formatter", |data| text(data, caddyfile::formatter)),
    ("adapt", |data| text(data, config::adapt)),
    ("tenant", |data| text(data, config::tenant)),
    ("json", |data| text(data, config::json)),
    ("matchers", |data| text(data, config::matchers)),
    ("objects", kubernetes::objects),
];

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET names no target: `{name}`")).1
});

fuzz_target!(|data: &[u8]| TARGET(data));

/// Runs a target whose input is text. Other bytes become U+FFFD, as they do when a file is read.
fn text(data: &[u8], target: fn(&str)) {
    target(&String::from_utf8_lossy(data));
}
