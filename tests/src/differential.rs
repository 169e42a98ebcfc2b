//! Caddyfiles made by chance, to hold our adapter against Caddy's.
//!
//! A text is named by a seed and a number. [`text`] makes it from the grammar in `tests/differential/grammar`, defines
//! what it uses ([`define`]), lays it out ([`layout`]), and breaks some ([`mutate`]). [`Real`] asks Caddy, [`shrink`]
//! makes a text that shows a difference small, and [`Departures`] knows which differences are meant.

mod define;
pub mod departures;
pub mod files;
mod grammar;
mod layout;
mod mutate;
mod random;
pub mod real;
mod shrink;

use std::sync::LazyLock;

pub use departures::Departures;
pub use grammar::Grammar;
pub use shrink::shrink;

use layout::Layout;
use random::Random;

/// The grammar of Caddyfiles.
pub static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    Grammar::new(&[
        include_str!("../differential/grammar/files.txt"),
        include_str!("../differential/grammar/options.txt"),
        include_str!("../differential/grammar/directives.txt"),
        include_str!("../differential/grammar/proxy.txt"),
        include_str!("../differential/grammar/tls.txt"),
        include_str!("../differential/grammar/logs.txt"),
        include_str!("../differential/grammar/matchers.txt"),
        include_str!("../differential/grammar/values.txt"),
    ])
});

/// A text, and whether it was broken on purpose.
#[derive(Clone, Debug)]
pub struct Made {
    /// The Caddyfile.
    pub text: String,
    /// Whether mistakes were put into it.
    pub is_broken: bool,
}

/// The text of a number.
#[must_use]
pub fn text(seed: u64, number: u64) -> Made {
    let mut random = Random::new(seed, number);
    let pieces = define::file(&GRAMMAR, &mut random);
    let layout = if random.chance(25) {
        Layout::Loose
    } else {
        Layout::Tidy
    };
    let text = layout::write(&pieces, layout, &mut random);
    if random.chance(35) {
        Made {
            text: mutate::mutate(&text, &mut random),
            is_broken: true,
        }
    } else {
        Made {
            text,
            is_broken: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_reached() {
        let reached = GRAMMAR.reachable(define::ROOTS);
        let missing: Vec<_> = GRAMMAR.names().filter(|name| !reached.contains(name)).collect();
        assert!(missing.is_empty(), "no text contains {missing:?}");
    }

    #[test]
    fn a_number_names_one_text() {
        assert_eq!(text(5, 6).text, text(5, 6).text);
        assert_ne!(text(5, 6).text, text(5, 7).text);
    }
}
