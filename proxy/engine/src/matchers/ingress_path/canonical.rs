//! The one form in which paths of rules and requests are compared.

use std::ops::Deref;

use smallvec::SmallVec;

/// A path in its form: whole bytes, but `/` inside an element is `%2F`, and `%` is `%25`.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack, while it is compared"
)]
pub(crate) enum Canonical<'p> {
    /// It had it already.
    Same(&'p [u8]),
    Made(SmallVec<[u8; 256]>),
}

/// A path whose `.` and `..` lead elsewhere, depending on who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// Brings an escaped path into its form. One that does not begin with `/` is left as it is.
pub(crate) fn canonical(path: &str) -> Result<Canonical<'_>, Ambiguous> {
    let bytes = path.as_bytes();
    let [b'/', elements @ ..] = bytes else {
        return Ok(Canonical::Same(bytes));
    };
    let is_plain = !bytes.iter().any(|byte| matches!(byte, b'%' | b'\\'))
        && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if is_plain {
        return Ok(Canonical::Same(bytes));
    }
    let mut form = Form::default();
    let mut elements = elements.split(|byte| *byte == b'/').peekable();
    while let Some(element) = elements.next() {
        form.push(element, elements.peek().is_none())?;
    }
    Ok(Canonical::Made(form.made))
}

impl Deref for Canonical<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Same(path) => path,
            Self::Made(path) => path,
        }
    }
}

/// The elements so far, each with a slash before it.
#[derive(Default)]
struct Form {
    made: SmallVec<[u8; 256]>,
    /// Whether others may have seen more elements, or fewer: a `..` would take them to another place.
    is_unsure: bool,
}

impl Form {
    fn push(&mut self, element: &[u8], is_last: bool) -> Result<(), Ambiguous> {
        let start = self.made.len();
        self.made.push(b'/');
        let is_unsure = self.push_decoded(element);
        match &self.made[start + 1..] {
            b"" => self.is_unsure |= !is_last,
            b"." => {}
            b".." => {
                if self.is_unsure {
                    return Err(Ambiguous);
                }
                let before = &self.made[..start];
                let parent = before.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                self.made.truncate(parent);
                if is_last {
                    self.made.push(b'/');
                }
                return Ok(());
            }
            element => {
                if has_hidden_dots(element) {
                    return Err(Ambiguous);
                }
                self.is_unsure |= is_unsure || element[0] == b';';
                return Ok(());
            }
        }
        // No element; a slash stays at the end.
        self.made.truncate(start + usize::from(is_last));
        Ok(())
    }

    /// Whether somebody may see several elements in it, or none.
    fn push_decoded(&mut self, mut element: &[u8]) -> bool {
        let mut is_unsure = false;
        while let [first, rest @ ..] = element {
            let (byte, rest) = match decode(element) {
                Some(byte) => (byte, &element[3..]),
                None => (*first, rest),
            };
            is_unsure |= matches!(byte, b'/' | b'\\');
            match byte {
                b'/' => self.made.extend_from_slice(b"%2F"),
                b'%' => self.made.extend_from_slice(b"%25"),
                byte => self.made.push(byte),
            }
            element = rest;
        }
        is_unsure
    }
}

/// The byte that the escape stands for with which a text begins.
fn decode(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// Whether an element holds `.` or `..` for those who split it at escaped slashes and at `\`, or who cut off what
/// follows a `;`.
fn has_hidden_dots(mut element: &[u8]) -> bool {
    loop {
        let is_end = |at: usize| element[at] == b'\\' || element[at..].starts_with(b"%2F");
        let end = (0..element.len()).find(|&at| is_end(at));
        let part = &element[..end.unwrap_or(element.len())];
        if matches!(part.split(|byte| *byte == b';').next(), Some(b"." | b"..")) {
            return true;
        }
        let Some(end) = end else { return false };
        let width = if element[end] == b'\\' { 1 } else { 3 };
        element = &element[end + width..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Canonical, canonical};

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let form = canonical(path).unwrap_or_else(|_| panic!("{path}: refused"));
        assert_eq!(String::from_utf8_lossy(&form), expected, "{path}");
        assert_eq!(
            matches!(form, Canonical::Same(_)),
            path == expected && !path.contains('%'),
            "{path}"
        );
    }

    #[test]
    fn paths_have_one_form() {
        check("/", "/");
        check("/a/b-c;d", "/a/b-c;d");
        check("*", "*");
        check("//", "/");
        check("/..", "/");
        check("/a/", "/a/");
        check("/a//b/", "/a/b/");
        check("/a/./b/.", "/a/b/");
        check("/a/b/../../..", "/");
        check("/a/%2e%2E/b", "/b");
        check("/%41%2f%25%zz%2", "/A%2F%25%25zz%252");
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(path in "/([/.a%2eEfF5cC;]|\\\\|%2F){0,16}") {
            if let Ok(form) = canonical(&path) {
                let text = String::from_utf8_lossy(&form).into_owned();
                if text.as_bytes() != &*form {
                    return Ok(());
                }
                let again = canonical(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
                prop_assert_eq!(&*again, &*form);
            }
        }
    }
}
