//! What `log` directives mean.
