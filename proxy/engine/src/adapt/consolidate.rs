//! Neighbouring routes for the same requests become one.

use crate::config::Route;

/// Joins neighbours that differ only in their handlers.
pub(crate) fn consolidate(routes: impl IntoIterator<Item = Route>) -> Vec<Route> {
    let mut joined: Vec<Route> = Vec::new();
    for route in routes {
        match joined.last_mut() {
            Some(last)
                if last.matches == route.matches
                    && last.terminal == route.terminal
                    && last.group == route.group =>
            {
                last.handle.extend(route.handle);
            }
            _ => joined.push(route),
        }
    }
    joined
}
