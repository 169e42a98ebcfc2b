//! Patterns with `%`: compared with the escaped path.

use crate::paths::glob_match;

/// Whether a pattern with `%` fits an escaped path, both in lower case.
///
/// The path is walked along with the pattern, and rewritten so that it is escaped only where the pattern is; the rest
/// is decoded. A glob decides then.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let Some(rewritten) = rewrite(pattern.as_bytes(), path.as_bytes()) else {
        return false;
    };
    let rewritten = String::from_utf8_lossy(&rewritten).to_lowercase();
    glob_match(&pattern.replace("%*", "*"), &rewritten).unwrap_or(false)
}

fn rewrite(pattern: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut rewritten = Vec::with_capacity(path.len());
    let (mut at, mut in_path) = (0, 0);
    while at < pattern.len() && in_path < path.len() {
        let escape = escape(&path[in_path..]);
        if escape.is_some() {
            // Its last digit, where a star goes on.
            in_path += 2;
        }
        let is_escape = pattern[at] == b'%' && at + 2 < pattern.len() && pattern[at + 1] != b'*';
        if is_escape {
            // Must be the same in the path; without an escape there, nothing stands against it.
            rewritten.extend(escape.map_or(&[][..], |(written, _)| written));
            in_path += 1;
            at += 3;
        } else if matches!(pattern[at], b'%' | b'*') {
            let keep_escapes = pattern[at] == b'%';
            at += usize::from(keep_escapes);
            let rest = &path[in_path..];
            let length = match pattern.get(at + 1) {
                Some(next) => rest.iter().position(|byte| byte == next)?,
                None => rest.len(),
            };
            if keep_escapes {
                rewritten.extend(&rest[..length]);
            } else {
                decode(&rest[..length], &mut rewritten);
            }
            in_path += length;
            at += 1;
        } else {
            rewritten.push(escape.map_or(path[in_path], |(_, byte)| byte));
            in_path += 1;
            at += 1;
        }
    }
    // The end of a pattern is not the end of the path: what is left counts.
    decode(path.get(in_path..).unwrap_or_default(), &mut rewritten);
    Some(rewritten)
}

/// The escape that a text begins with, and what it stands for.
fn escape(text: &[u8]) -> Option<(&[u8], u8)> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*high)? * 16 + digit(*low)?;
    Some((&text[..3], u8::try_from(value).ok()?))
}

fn decode(mut text: &[u8], decoded: &mut Vec<u8>) {
    while let [first, rest @ ..] = text {
        if let Some((_, byte)) = escape(text) {
            decoded.push(byte);
            text = &text[3..];
        } else {
            decoded.push(*first);
            text = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fits;
    use crate::matchers::testing::check;

    #[track_caller]
    fn check_path(pattern: &str, path: &str, expected: bool) {
        check(&format!("path {pattern}"), &format!("GET {path}"), expected);
    }

    #[test]
    fn escapes_stay_where_the_pattern_has_them() {
        check_path("/a%2Fb", "/a%2Fb", true);
        check_path("/a%2Fb", "/a%2fb", true);
        check_path("/a%2Fb", "/a/b", false);
        check_path("/foo%2fbar/baz", "/foo%2Fbar/baz", true);
        check_path("/foo%2fbar/baz", "/foo/bar/baz", false);
        check_path("/admin%2fpanel", "/ADMIN%2fpanel", true);
        check_path("/foo/bar%2fbaz", "/foo/%62ar%2Fbaz", true);
    }

    #[test]
    fn stars_span() {
        check_path("/bands/%*/x", "/bands/AC%2FDC/x", true);
        check_path("/bands/%*/x", "/bands/AC/DC/x", false);
        check_path("/bands/*/bands%2f", "/bands/a/bands%2f", true);
        check_path("/foo%2fbar/*", "/foo%2fbar/baz", true);
        check_path("/*%2fb", "/a%2fb", true);
        check_path("/*%2fb", "/a/b", false);
    }

    #[test]
    fn longer_paths_do_not_fit() {
        check_path("/a%2fb", "/a%2fb/c", false);
        check_path("/a%2fb", "/a%2fbc", false);
        check_path("/a%2fb", "/a%2f", false);
    }

    #[test]
    fn broken_escapes_are_text() {
        check_path("/100%", "/100%25", false);
        check_path("/%zz", "/a", false);
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern in "[/%*a2f\\[é]{0,12}", path in "[/%a2f*é]{0,16}") {
            fits(&pattern, &path);
        }
    }
}
