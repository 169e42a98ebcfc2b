//! Definitions of matchers, `@name …`.

use std::collections::HashMap;

use fairway_caddyfile::{Diagnostic, Segment};

use crate::matchers::Set;

/// Adds the matcher that a line defines.
pub(crate) fn define(segment: &Segment, matchers: &mut HashMap<String, Set>) -> Result<(), Diagnostic> {
    matchers.insert(segment.name.text.clone(), Set::default());
    Ok(())
}
