//! Sizes in bytes, such as `10MB`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The units, in lowercase. A unit without `b` is the same as with it; `ki` is 1024, `k` is 1000.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
    ("p", 1_000_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
    ("pi", 1 << 50),
    ("pib", 1 << 50),
    ("e", 1_000_000_000_000_000_000),
    ("eb", 1_000_000_000_000_000_000),
    ("ei", 1 << 60),
    ("eib", 1 << 60),
];

/// A number of bytes. In JSON it is that number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It does not begin with a number.
    #[error("a size begins with a number, such as `10MB`")]
    Number,
    /// A unit that does not exist.
    #[error("`{0}` is not a unit of size; units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB")]
    Unit(String),
    /// 16 EiB or more.
    #[error("the size is out of range")]
    Range,
}

impl Size {
    /// Reads a number, in which commas are skipped, with or without a unit in any case; part of a byte is dropped.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let number_len = text
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
            .count();
        let (number, unit) = text.split_at(number_len);
        let number: f64 = number.replace(',', "").parse().map_err(|_| SizeError::Number)?;
        let unit = unit.trim().to_lowercase();
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, unit) = known.ok_or_else(|| SizeError::Unit(unit.chars().take(20).collect()))?;
        let bytes = number * *unit as f64;
        if bytes >= u64::MAX as f64 {
            Err(SizeError::Range)
        } else {
            Ok(Size(bytes as u64))
        }
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Size::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_cause() {
        assert_eq!(Size::parse("MB"), Err(SizeError::Number));
        assert_eq!(Size::parse("-1"), Err(SizeError::Number));
        assert_eq!(Size::parse("10 parsecs"), Err(SizeError::Unit("parsecs".into())));
        assert_eq!(Size::parse("16EiB"), Err(SizeError::Range));
    }

    #[test]
    fn json_is_a_number() {
        assert_eq!(serde_json::to_string(&Size(1 << 20)).unwrap(), "1048576");
        assert_eq!(serde_json::from_str::<Size>("5").unwrap(), Size(5));
        assert!(serde_json::from_str::<Size>("-5").is_err());
    }
}
