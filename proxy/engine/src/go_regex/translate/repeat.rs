//! Repetitions: `*`, `+`, `?` and `{n,m}`.

use super::super::class::NOTHING;
use super::super::{MAX_DEPTH, RegexError};
use super::{Atom, Translator};

/// What Go's largest count is, also for the product of nested ones.
const MAX_REPEAT: u32 = 1000;

impl Translator<'_> {
    /// Reads what begins with `{`: a counted repetition, or the brace itself.
    pub(super) fn counted(&mut self, was_repeat: bool) -> Result<(), RegexError> {
        let Some(count) = Count::read(self.rest()) else {
            self.push_literal('{');
            self.at += 1;
            return Ok(());
        };
        if count.min > MAX_REPEAT || count.max.is_some_and(|max| max > MAX_REPEAT) {
            return Err(RegexError::new(self.at, "a repetition may count to 1000 at most"));
        }
        if count.max.is_some_and(|max| max < count.min) {
            let message = "the upper count of a repetition is below the lower";
            return Err(RegexError::new(self.at, message));
        }
        let (text, factor) = match count.max {
            Some(0) => ("{0}".to_owned(), None),
            Some(max) => (format!("{{{},{max}}}", count.min), Some(max)),
            None => (format!("{{{},}}", count.min), Some(count.min)),
        };
        self.repeat(was_repeat, count.len, &text, factor)
    }

    /// Repeats the item before: `text` is the operator to write, `len` its length in the pattern, `factor` its
    /// count, which is `None` for what must not match even once and so costs nothing in Go's reckoning.
    pub(super) fn repeat(
        &mut self,
        was_repeat: bool,
        len: usize,
        text: &str,
        factor: Option<u32>,
    ) -> Result<(), RegexError> {
        let operator = &self.pattern[self.at..self.at + len];
        if was_repeat {
            return Err(RegexError::new(
                self.at,
                format!("`{operator}` follows another repetition"),
            ));
        }
        let Some(mut atom) = self.atom else {
            return Err(RegexError::new(
                self.at,
                format!("`{operator}` has nothing to repeat"),
            ));
        };
        atom.product = factor.map_or(1, |factor| atom.product.saturating_mul(factor.max(1)));
        if atom.product > MAX_REPEAT {
            let message = "nested repetitions may count to 1000 at most, multiplied";
            return Err(RegexError::new(self.at, message));
        }
        if atom.repeated {
            self.enclose(&mut atom, "")?;
        }
        self.at += len;
        let lazy = self.rest().starts_with('?');
        self.at += usize::from(lazy);
        if factor.is_none() && atom.captures {
            // The `regex` crate would forget the groups, and Go counts them.
            self.enclose(&mut atom, &format!("{NOTHING}|"))?;
        } else {
            self.out.push_str(text);
            if lazy != self.flags.swap_greed {
                self.out.push('?');
            }
        }
        atom.repeated = true;
        self.height = self.height.max(atom.height);
        self.atom = Some(atom);
        self.after_repeat = true;
        Ok(())
    }

    /// Puts a group around the last item, with more at its end.
    fn enclose(&mut self, atom: &mut Atom, more: &str) -> Result<(), RegexError> {
        atom.height += 1;
        if atom.height + self.groups.len() > MAX_DEPTH {
            return Err(RegexError::new(self.at, "groups nest too deeply"));
        }
        self.out.insert_str(atom.out_start, "(?:");
        self.out.push_str(more);
        self.out.push(')');
        Ok(())
    }
}

/// What `{n}`, `{n,}` or `{n,m}` says.
struct Count {
    min: u32,
    /// `None` is without end.
    max: Option<u32>,
    /// How long it is in the pattern.
    len: usize,
}

impl Count {
    /// Reads a text that begins with `{`; gives nothing where Go takes the brace as itself.
    fn read(text: &str) -> Option<Self> {
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
