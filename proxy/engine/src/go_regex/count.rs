//! The braces of a counted repetition.

/// What `{n}`, `{n,}` or `{n,m}` says.
pub(super) struct Count {
    pub(super) min: u32,
    /// `None` is without end.
    pub(super) max: Option<u32>,
    /// How long it is in the pattern.
    pub(super) len: usize,
}

impl Count {
    /// Reads a text that begins with `{`; gives nothing where Go takes the brace as itself.
    pub(super) fn read(text: &str) -> Option<Self> {
        let end = text.find('}')?;
        let (min, max) = match text[1..end].split_once(',') {
            None => {
                let exact = read_number(&text[1..end])?;
                (exact, Some(exact))
            }
            Some((min, "")) => (read_number(min)?, None),
            Some((min, max)) => (read_number(min)?, Some(read_number(max)?)),
        };
        Some(Count {
            min,
            max,
            len: end + 1,
        })
    }
}

/// A decimal number without leading zeros; what is too large for any use comes out as the largest.
fn read_number(digits: &str) -> Option<u32> {
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let plain = decimal && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}
