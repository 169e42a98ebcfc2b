//! Durations in Go's syntax, with Caddy's `d` for days.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The longest text taken, in bytes.
const MAX_LENGTH: usize = 1024;

/// What the smallest duration is, without its sign.
const LIMIT: u64 = 1 << 63;

/// The units and their length in nanoseconds; both spellings of the micro sign are taken.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration in nanoseconds, possibly negative.
///
/// In JSON it is written as the number of nanoseconds, and read from that or from text such as `"1m30s"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// More than 1024 bytes.
    #[error("the duration is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not a sequence of numbers with units.
    #[error("a duration is one or more numbers, each with a unit, such as `1m30s`")]
    Form,
    /// A number that no unit follows.
    #[error("a number in the duration has no unit; units are d, h, m, s, ms, us and ns")]
    NoUnit,
    /// A unit that does not exist.
    #[error("`{0}` is not a unit of a duration; units are d, h, m, s, ms, us and ns")]
    Unit(String),
    /// Days, where only hours and less are known.
    #[error("days are not known here; write hours, such as `48h`")]
    NoDays,
    /// More than 64 bits of nanoseconds, about 292 years.
    #[error("the duration is out of range")]
    Range,
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Duration(0);

    /// A duration of whole seconds; the longest duration if that is out of range.
    pub const fn from_secs(seconds: i64) -> Self {
        Duration(seconds.saturating_mul(1_000_000_000))
    }

    /// A duration of whole milliseconds; the longest duration if that is out of range.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Duration(milliseconds.saturating_mul(1_000_000))
    }

    /// Reads text such as `1m30s`, `1.5h`, `-250ms`, `7d` or `0`.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        if text.len() > MAX_LENGTH {
            return Err(DurationError::TooLong);
        }
        parse_go(&days_to_hours(text)?)
    }

    /// Reads text as [`parse`](Self::parse) does, but knows no days: a few of Caddy's options are like that.
    pub fn parse_without_days(text: &str) -> Result<Self, DurationError> {
        if text.len() > MAX_LENGTH {
            return Err(DurationError::TooLong);
        }
        if text.contains('d') {
            return Err(DurationError::NoDays);
        }
        parse_go(text)
    }

    /// The duration for the standard library; `None` unless it is above zero.
    pub fn to_std(self) -> Option<std::time::Duration> {
        u64::try_from(self.0)
            .ok()
            .filter(|nanos| *nanos > 0)
            .map(std::time::Duration::from_nanos)
    }

    /// Whether it is zero, which in most of Caddy's options is the same as not set.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Duration::parse(text)
    }
}

impl From<std::time::Duration> for Duration {
    /// The longest duration if the value is out of range.
    fn from(value: std::time::Duration) -> Self {
        Duration(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Duration {
    /// Go's form: `1m30s`, `1.5s`, `250ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        f.write_str(if self.0 < 0 { "-" } else { "" })?;
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}\u{b5}s", Fraction(nanos, 3)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", Fraction(nanos, 6)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", Fraction(nanos % 60_000_000_000, 9))
            }
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of nanoseconds, or text such as \"1m30s\"")
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<Duration, E> {
                Ok(Duration(nanos))
            }

            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<Duration, E> {
                i64::try_from(nanos)
                    .map(Duration)
                    .map_err(|_| E::custom(DurationError::Range))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).map_err(E::custom)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Duration, E> {
                Ok(Duration::ZERO)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A number divided by a power of ten, printed without zeros at the end.
struct Fraction(u64, u32);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fraction(value, digits) = *self;
        let divisor = 10_u64.pow(digits);
        write!(f, "{}", value / divisor)?;
        if value % divisor == 0 {
            return Ok(());
        }
        let decimals = format!("{:0width$}", value % divisor, width = digits as usize);
        write!(f, ".{}", decimals.trim_end_matches('0'))
    }
}

/// Replaces every number of days by hours.
///
/// Reading goes on at the place of the `d`, inside the hours, because Caddy's does: `0.5d1d` is refused.
fn days_to_hours(text: &str) -> Result<String, DurationError> {
    if !text.contains('d') {
        return Ok(text.to_owned());
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut in_number = false;
    let mut number_start = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        if byte == b'd' {
            let number = std::str::from_utf8(&bytes[number_start..at]).unwrap_or_default();
            let days: f64 = number.parse().map_err(|_| DurationError::Form)?;
            let hours = days * 24.0;
            if !hours.is_finite() {
                return Err(DurationError::Range);
            }
            bytes.splice(number_start..=at, format!("{hours}h").bytes());
            continue;
        }
        if !in_number {
            number_start = at;
        }
        in_number = byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
        at += 1;
    }
    String::from_utf8(bytes).map_err(|_| DurationError::Form)
}

/// Reads Go's syntax: an optional sign, then numbers with units.
fn parse_go(text: &str) -> Result<Duration, DurationError> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        // Two halves of the limit that wrap to zero are zero in Go.
        total = total.wrapping_add(part);
        if total > LIMIT {
            return Err(DurationError::Range);
        }
        rest = after;
    }
    if negative {
        return Ok(Duration(total.wrapping_neg().cast_signed()));
    }
    i64::try_from(total)
        .map(Duration)
        .map_err(|_| DurationError::Range)
}

/// Reads one number with its unit, and gives the nanoseconds and what follows.
fn parse_part(text: &str) -> Result<(u64, &str), DurationError> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Form);
    }
    let unit_len = rest
        .bytes()
        .take_while(|byte| *byte != b'.' && !byte.is_ascii_digit())
        .count();
    let (unit, rest) = rest.split_at(unit_len);
    if unit.is_empty() {
        return Err(DurationError::NoUnit);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, unit) = known.ok_or_else(|| DurationError::Unit(unit.chars().take(20).collect()))?;

    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| DurationError::Range)?
    };
    if whole > LIMIT / unit {
        return Err(DurationError::Range);
    }
    let nanos = whole * unit + fraction_of(fraction, *unit);
    if nanos > LIMIT {
        Err(DurationError::Range)
    } else {
        Ok((nanos, rest))
    }
}

/// A decimal fraction of a unit in nanoseconds, in the floating point steps that Go takes.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0;
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        if value > (LIMIT - 1) / 10 || value * 10 + digit > LIMIT {
            break;
        }
        value = value * 10 + digit;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_json(json: &str, expected: Option<i64>) {
        assert_eq!(
            serde_json::from_str(json).ok(),
            expected.map(Duration),
            "for {json}"
        );
    }

    #[test]
    fn json_is_a_number_or_text() {
        check_json("1500", Some(1500));
        check_json("-1", Some(-1));
        check_json(r#""1.5s""#, Some(1_500_000_000));
        check_json("null", Some(0));
        check_json("1.5", None);
        check_json("1e3", None);
        check_json("9223372036854775808", None);
        check_json(r#""5""#, None);
        check_json("true", None);
        check_json("[1]", None);
        assert_eq!(
            serde_json::to_string(&Duration::from_secs(90)).unwrap(),
            "90000000000"
        );
    }

    #[test]
    fn only_positive_durations_convert() {
        assert_eq!(
            Duration::from_millis(5).to_std(),
            Some(std::time::Duration::from_millis(5))
        );
        assert_eq!(Duration::ZERO.to_std(), None);
        assert_eq!(Duration(-1).to_std(), None);
        assert_eq!(Duration::from(std::time::Duration::MAX), Duration(i64::MAX));
    }

    #[test]
    fn refusals_name_the_cause() {
        assert_eq!(Duration::parse("5"), Err(DurationError::NoUnit));
        assert_eq!(Duration::parse("5w"), Err(DurationError::Unit("w".into())));
        assert_eq!(Duration::parse("d"), Err(DurationError::Form));
        assert_eq!(Duration::parse("400y"), Err(DurationError::Unit("y".into())));
        assert_eq!(Duration::parse("3000000h"), Err(DurationError::Range));
        assert_eq!(Duration::parse(&"1".repeat(1025)), Err(DurationError::TooLong));
    }
}
