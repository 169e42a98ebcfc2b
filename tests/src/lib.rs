//! What the black-box tests share: finding the program, running recorded cases, counting.
//!
//! What it is for: the suites beside this folder (`adapt.rs`, `serve.rs`, `cli.rs`) see the product from
//! outside, through its command line and its sockets. What it must not know: any crate of the product.
//! Where to start reading: [`conversation`], which plays a `.case` file against a running server.

pub mod cluster;
pub mod conversation;
pub mod differential;
pub mod ledger;
pub mod manifests;
mod missing;
pub mod report;
mod run;
mod suite;
mod waiting;

use std::env;
use std::path::{Path, PathBuf};

pub use missing::Missing;
pub use run::run;
pub use suite::{Outcome, Suite};
pub use waiting::wait_for;

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `fairway` under test: `FAIRWAY_BIN`, or the one in the build folder this test or program stands in.
///
/// An error says in one line what to do about it.
pub fn fairway() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("FAIRWAY_BIN") {
        let path = PathBuf::from(path);
        return path
            .canonicalize()
            .map_err(|error| format!("FAIRWAY_BIN {}: {error}", path.display()));
    }
    let own = env::current_exe().map_err(|error| format!("where does this test stand? {error}"))?;
    let path = own
        .parent()
        .filter(|folder| folder.ends_with("deps"))
        .and_then(Path::parent)
        .or(own.parent())
        .unwrap_or(Path::new("."))
        .join("fairway");
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "no program at {}: run `make build` or set FAIRWAY_BIN",
            path.display()
        ))
    }
}

/// The folder of recorded cases that several projects share: `SHARED`, or `../shared` beside the repository.
#[must_use]
pub fn shared() -> Option<PathBuf> {
    let path = env::var_os("SHARED").map_or_else(|| repository().join("../shared"), PathBuf::from);
    path.join("fixtures")
        .is_dir()
        .then(|| path.canonicalize().unwrap_or(path))
}

/// Whether a missing tool or folder is a failure (`FAIRWAY_REQUIRE=all`) or a skip.
#[must_use]
pub fn requires_all() -> bool {
    env::var("FAIRWAY_REQUIRE").is_ok_and(|value| value == "all")
}

/// Whether expectations are to be rewritten from what Fairway does (`UPDATE_EXPECT=1`).
#[must_use]
pub fn updates() -> bool {
    env::var("UPDATE_EXPECT").is_ok_and(|value| value == "1")
}

/// The real Caddy to record from (`FAIRWAY_RECORD=PATH`), when recording.
#[must_use]
pub fn records_from() -> Option<PathBuf> {
    env::var_os("FAIRWAY_RECORD").map(PathBuf::from)
}
