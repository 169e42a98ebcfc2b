//! What a request means: config, handlers, matchers, table.
