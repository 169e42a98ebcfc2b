//! `fairway crd`: the YAML that teaches Fairway's kinds to a cluster.

use crate::stdout;

/// Prints the definition of every kind.
pub(crate) fn crd() -> anyhow::Result<()> {
    stdout::print(fairway_crds::yaml())
}
