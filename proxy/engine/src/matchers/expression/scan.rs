//! What is done to the text of an expression before it is parsed: its size is checked, and placeholders become names.
//!
//! The parser's recursion, and that of the evaluation, is bounded here, by counting.

use crate::template::Placeholder;

/// The longest expression, in bytes.
pub(super) const MAX_LENGTH: usize = 4096;

/// The most operators, selections and indexes.
pub(super) const MAX_OPERATORS: usize = 200;

/// How deep brackets may nest.
pub(super) const MAX_DEPTH: usize = 32;

/// The begin of the names that stand for placeholders; their number follows.
const PREFIX: &str = "placeholder_";

/// Checks the size of an expression; gives it with names for its placeholders, and these.
pub(super) fn scan(text: &str) -> Result<(String, Vec<Placeholder>), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!(
            "it is {} bytes long; at most {MAX_LENGTH} are taken",
            text.len()
        ));
    }
    if text.contains(PREFIX) {
        return Err(format!("names may not begin with `{PREFIX}`"));
    }
    let mut scanned = String::with_capacity(text.len());
    let mut placeholders: Vec<Placeholder> = Vec::new();
    let (mut operators, mut depth) = (0, 0_usize);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(name) = placeholder(rest) {
            rest = &rest[name.len() + 2..];
            let known = placeholders.iter().position(|known| known.name() == name);
            let index = known.unwrap_or_else(|| {
                placeholders.push(Placeholder::new(name));
                placeholders.len() - 1
            });
            // A name must not grow into another by the letter or digit beside it: `{a.b}2` is no number 2.
            if scanned.ends_with(is_word) {
                scanned.push(' ');
            }
            scanned.push_str(&ident(index));
            if rest.starts_with(is_word) {
                scanned.push(' ');
            }
            continue;
        }
        let pairs = ["&&", "||", "==", "!=", "<=", ">="];
        let length = match first {
            '"' | '\'' => string(rest, is_raw(&scanned)),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ if pairs.iter().any(|pair| rest.starts_with(pair)) => 2,
            _ => first.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_operator = "+-*/%<>=!&|?:.[".contains(first) && !part.starts_with("//");
        operators += usize::from(is_operator || part == "in");
        if depth > MAX_DEPTH {
            return Err(format!("brackets nest more than {MAX_DEPTH} deep"));
        }
        if operators > MAX_OPERATORS {
            return Err(format!("it has more than {MAX_OPERATORS} operators"));
        }
        if matches!(first, '"' | '\'') {
            unescape(part, &mut scanned);
        } else {
            scanned.push_str(part);
        }
    }
    Ok((scanned, placeholders))
}

/// The name in an expression for a placeholder.
pub(super) fn ident(index: usize) -> String {
    format!("{PREFIX}{index}")
}

/// Which placeholder a name in an expression stands for.
pub(super) fn index(ident: &str) -> Option<usize> {
    ident.strip_prefix(PREFIX)?.parse().ok()
}

/// The name of the placeholder that a text begins with.
fn placeholder(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins = name.as_bytes().first()?.is_ascii_alphabetic();
    (begins && name.len() > 1 && name.bytes().all(word)).then_some(name)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether the string that follows is raw: `r"…"`.
fn is_raw(before: &str) -> bool {
    let start = before.trim_end_matches(is_word).len();
    ["r", "rb", "br"].contains(&before[start..].to_ascii_lowercase().as_str())
}

/// How long the string is that a text begins with.
fn string(text: &str, raw: bool) -> usize {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let quote = if text.starts_with(&triple) {
        &*triple
    } else {
        quote
    };
    let mut at = quote.len();
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(quote) {
            return at + quote.len();
        }
        at += next.len_utf8();
        if next == '\\' && !raw {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

/// Takes away the backslash before the placeholders of a string.
fn unescape(string: &str, out: &mut String) {
    let mut rest = string;
    while let Some(at) = rest.find("\\{") {
        let escaped = placeholder(&rest[at + 1..]).is_some();
        out.push_str(&rest[..if escaped { at } else { at + 1 }]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(scan(text).map(|(scanned, _)| scanned), Ok(expected.to_owned()));
    }

    #[test]
    fn placeholders_become_names() {
        check(
            "{http.a} == {b-c} || {http.a}",
            "placeholder_0 == placeholder_1 || placeholder_0",
        );
        check("{n} {'a': 1} {}", "{n} {'a': 1} {}");
        check(r#""{host}" + r'{host}'"#, r#""{host}" + r'{host}'"#);
        check(r"'\{host}' + '\{1}'", r"'{host}' + '\{1}'");
        check(r"'a\'{host}' {host}", r"'a\'{host}' placeholder_0");
        check(r"r'a\' {host}", r"r'a\' placeholder_0");
        check("'''a'{host}''' {host}", "'''a'{host}''' placeholder_0");
    }

    #[test]
    fn a_placeholder_stays_a_word_of_its_own() {
        check("{a.b}2 == 1", "placeholder_0 2 == 1");
        check("{a.b}x{c.d}{a.b}", "placeholder_0 x placeholder_1 placeholder_0");
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(scan(text).map(|_| ()), Err(expected.to_owned()));
    }

    #[test]
    fn limits_hold() {
        check_refused(&" ".repeat(4097), "it is 4097 bytes long; at most 4096 are taken");
        check_refused(&"(".repeat(33), "brackets nest more than 32 deep");
        for operator in ["+1", "==1", ".x", "[0]", "?1", ":1", "!", "-", " in x", " && x"] {
            check_refused(&operator.repeat(201), "it has more than 200 operators");
            assert!(scan(&operator.repeat(200)).is_ok(), "{operator}");
        }
        check_refused("placeholder_0", "names may not begin with `placeholder_`");
        assert!(scan(&format!("'{}' // {}", "+(".repeat(900), "+(".repeat(900))).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(text in r#"([a-z'"{}\\/.é]|''')*"#) {
            let _ = scan(&text);
        }
    }
}
