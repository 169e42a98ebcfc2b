//! `fairway crd`: the YAML that teaches Fairway's kinds to a cluster.

use std::io::Write as _;

use anyhow::Context;

/// Prints the definition of every kind.
pub(crate) fn crd() -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(fairway_crds::yaml().as_bytes())
        .context("writing to standard output")
}
