//! Status codes in configs, which may be placeholders.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A status code as an author wrote it: a number, or text with placeholders.
///
/// In JSON it is written as a number if it is one, as a boolean if it is `true` or `false`, and as text otherwise;
/// it is read from each of these. Objects and lists, which Caddy takes and cannot use, are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StatusCode(String);

impl StatusCode {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number, or 0 if the text is none; a number out of range is the nearest in range.
    pub fn to_int(&self) -> i64 {
        parse_int(&self.0).unwrap_or_else(|kind| match kind {
            std::num::IntErrorKind::PosOverflow => i64::MAX,
            std::num::IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        })
    }
}

impl From<&str> for StatusCode {
    fn from(text: &str) -> Self {
        StatusCode(text.to_owned())
    }
}

impl From<String> for StatusCode {
    fn from(text: String) -> Self {
        StatusCode(text)
    }
}

impl From<u16> for StatusCode {
    fn from(code: u16) -> Self {
        StatusCode(code.to_string())
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for StatusCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0.as_str(), parse_int(&self.0)) {
            ("true", _) => serializer.serialize_bool(true),
            ("false", _) => serializer.serialize_bool(false),
            (_, Ok(number)) => serializer.serialize_i64(number),
            (text, Err(_)) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = StatusCode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status code as a number or as text")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<StatusCode, E> {
                Ok(StatusCode(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<StatusCode, E> {
                Ok(StatusCode(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<StatusCode, E> {
                Ok(StatusCode(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<StatusCode, E> {
                Ok(StatusCode(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusCode, E> {
                Ok(StatusCode(text.to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<StatusCode, E> {
                Ok(StatusCode::default())
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Whether a response's status is the configured one, or of the configured class (`4` is all of 400 to 499).
pub fn status_code_matches(actual: u16, configured: u16) -> bool {
    actual == configured || (configured < 100 && actual / 100 == configured)
}

/// Whole numbers as Go's `Atoi` takes them: an optional sign, then digits.
fn parse_int(text: &str) -> Result<i64, std::num::IntErrorKind> {
    text.parse::<i64>().map_err(|error| *error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_match_their_codes() {
        assert!(status_code_matches(404, 404));
        assert!(status_code_matches(404, 4));
        assert!(status_code_matches(499, 4));
        assert!(!status_code_matches(500, 4));
        assert!(!status_code_matches(404, 40));
        assert!(!status_code_matches(200, 404));
    }

    #[test]
    fn structures_are_refused() {
        assert!(serde_json::from_str::<StatusCode>("[404]").is_err());
        assert!(serde_json::from_str::<StatusCode>("{}").is_err());
    }
}
