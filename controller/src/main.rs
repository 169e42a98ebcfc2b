//! The `fairway` binary.

fn main() {}
