//! Percent escapes in paths and queries.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How many parameters a query may have before it is taken as malformed altogether.
pub const MAX_QUERY_PARAMETERS: usize = 10_000;

/// A `%` that no two hexadecimal digits follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`%` at byte {offset} is not followed by two hexadecimal digits")]
pub struct EscapeError {
    /// Byte offset of the `%`.
    pub offset: usize,
}

/// Escapes text so that it can be one element of a path; `/` is escaped too.
pub fn path_escape(text: &str) -> Cow<'_, str> {
    escape(text, |byte| {
        matches!(byte, b'$' | b'&' | b'+' | b':' | b'=' | b'@')
    })
}

/// Escapes text so that it can be a key or a value of a query; a space becomes `+`.
pub fn query_escape(text: &str) -> Cow<'_, str> {
    match escape(text, |byte| byte == b' ') {
        Cow::Borrowed(text) if !text.contains(' ') => Cow::Borrowed(text),
        text => Cow::Owned(text.replace(' ', "+")),
    }
}

/// Escapes a decoded path as a whole, as it goes into a URL by default. The path `*` stays as it is.
pub fn escaped_path(path: &str) -> Cow<'_, str> {
    if path == "*" {
        return Cow::Borrowed(path);
    }
    escape(path, |byte| {
        matches!(byte, b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@')
    })
}

/// Decodes percent escapes in a path. Bytes that are not UTF-8 stay escaped, see the [module](super).
pub fn path_unescape(text: &str) -> Result<Cow<'_, str>, EscapeError> {
    unescape(text, false)
}

/// Decodes percent escapes and `+` in a key or a value of a query. Bytes that are not UTF-8 stay escaped.
pub fn query_unescape(text: &str) -> Result<Cow<'_, str>, EscapeError> {
    unescape(text, true)
}

/// Reads a query (without the `?`) into its parameters, in order, and says whether a part of it was malformed.
///
/// A parameter with a wrong escape or a `;` is left out, the others stay. A query of more than
/// [`MAX_QUERY_PARAMETERS`] gives none.
pub fn parse_query(raw: &str) -> (Vec<(String, String)>, bool) {
    let separators = raw.bytes().filter(|byte| *byte == b'&').count();
    if separators >= MAX_QUERY_PARAMETERS {
        return (Vec::new(), true);
    }
    let mut pairs = Vec::new();
    let mut malformed = false;
    for parameter in raw.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (query_unescape(key), query_unescape(value)) {
            (Ok(key), Ok(value)) if !parameter.contains(';') => {
                pairs.push((key.into_owned(), value.into_owned()));
            }
            _ => malformed = true,
        }
    }
    (pairs, malformed)
}

/// Writes parameters as a query, sorted by key; values of one key keep their order.
pub fn encode_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    let mut out = String::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&query_escape(key));
        out.push('=');
        out.push_str(&query_escape(value));
    }
    out
}

/// Escapes all but letters, digits, `-._~` and what `keep` allows; what is not ASCII is always escaped.
fn escape(text: &str, keep: impl Fn(u8) -> bool) -> Cow<'_, str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || keep(byte);
    let Some(first) = text.bytes().position(|byte| !plain(byte)) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for byte in text.as_bytes()[first..].iter().copied() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            push_escape(&mut out, byte);
        }
    }
    Cow::Owned(out)
}

fn unescape(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, EscapeError> {
    let special = |byte: u8| byte == b'%' || (plus_is_space && byte == b'+');
    let bytes = text.as_bytes();
    let Some(first) = bytes.iter().position(|byte| special(*byte)) else {
        return Ok(Cow::Borrowed(text));
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut at = first;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'%' => {
                let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
                    return Err(EscapeError { offset: at - 1 });
                };
                decoded.push((high << 4 | low) as u8);
                at += 2;
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    Ok(Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|error| keep_escaped(error.as_bytes())),
    ))
}

/// Text in which every byte that is not UTF-8 is a percent escape.
fn keep_escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_escape(&mut out, *byte));
    }
    out
}

fn push_escape(out: &mut String, byte: u8) {
    write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_escapes_are_located() {
        assert_eq!(path_unescape("a%20%zz"), Err(EscapeError { offset: 4 }));
        assert_eq!(query_unescape("é%2"), Err(EscapeError { offset: 2 }));
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(path_unescape("/a/b+c"), Ok(Cow::Borrowed(_))));
        assert!(matches!(query_unescape("abc"), Ok(Cow::Borrowed(_))));
        assert!(matches!(escaped_path("/a/b"), Cow::Borrowed(_)));
        assert!(matches!(query_escape("abc"), Cow::Borrowed(_)));
    }

    #[test]
    fn queries_have_a_limit() {
        let (pairs, malformed) = parse_query(&"a&".repeat(MAX_QUERY_PARAMETERS - 1));
        assert_eq!((pairs.len(), malformed), (MAX_QUERY_PARAMETERS - 1, false));
        assert_eq!(
            parse_query(&"a&".repeat(MAX_QUERY_PARAMETERS)),
            (Vec::new(), true)
        );
    }
}
