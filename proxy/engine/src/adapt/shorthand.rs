//! Short placeholder names.
