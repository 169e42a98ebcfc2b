//! What a controller has to endure on a real API server: a bad day of the API server, broken objects and texts, many
//! objects, and many changes under load.
//!
//! One program, because most of it is waiting, and the tests of one program wait side by side.

#[path = "../manifests/broken.rs"]
#[allow(dead_code, reason = "the folders of manifests use all of it")]
mod broken;
#[path = "../manifests/objects.rs"]
#[allow(dead_code, reason = "the folders of manifests use all of it")]
mod objects;

mod faults;
mod isolation;
mod last_good;
mod report;
mod swap;

/// A number from the environment, or the usual one.
fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |text| {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.unwrap_or_else(|| panic!("{name} takes a positive number, not `{text}`"))
    })
}
