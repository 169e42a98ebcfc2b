//! Site addresses.
