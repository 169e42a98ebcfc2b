//! What a request means: config, handlers, matchers, table.

pub mod go_regex;
pub mod paths;
pub mod values;
