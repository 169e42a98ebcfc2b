//! Standard output, for verbs that print.

use std::io::Write as _;

use anyhow::Context;

/// Prints what a verb was asked for.
pub(crate) fn print(bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let written = std::io::stdout().write_all(bytes.as_ref());
    written.context("writing to standard output")
}
