//! Global options.

/// The global options block, read.
#[derive(Clone, Debug, Default)]
pub struct GlobalOptions {}
