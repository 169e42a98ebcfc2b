//! Replacement templates: `$1`, `$name`, `${name}`, `$$`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What a name in a template is made of, as Go has it.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}_]+").expect("a constant that tests compile"));

/// The result of a replacement would be longer than the caller allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the replacement is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit that was given, in bytes.
    pub limit: usize,
}

/// Appends a template to `out`, with the groups of one match filled in.
///
/// `$1`, `$name` and `${name}` stand for a group (nothing if it is unknown or took no part), `$$` for a dollar
/// sign. A name without braces is as long as letters, digits and `_` go: `$1x` is `${1x}`. A dollar sign that
/// begins none of these stays. `out` never grows past `limit` bytes.
pub fn expand(
    template: &str,
    captures: &Captures<'_>,
    out: &mut String,
    limit: usize,
) -> Result<(), TooLong> {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        append(out, before, limit)?;
        if let Some(after) = after.strip_prefix('$') {
            append(out, "$", limit)?;
            rest = after;
        } else if let Some((name, after)) = split_name(after) {
            append(out, group(captures, name), limit)?;
            rest = after;
        } else {
            append(out, "$", limit)?;
            rest = after;
        }
    }
    append(out, rest, limit)
}

/// Replaces every match in `subject` by the expanded template, as Go's `ReplaceAllString` does.
///
/// The result is at most `limit` bytes long.
pub fn replace_all(regex: &Regex, subject: &str, template: &str, limit: usize) -> Result<String, TooLong> {
    let mut out = String::new();
    let mut copied = 0;
    for captures in regex.captures_iter(subject) {
        let found = captures.get_match();
        append(&mut out, &subject[copied..found.start()], limit)?;
        expand(template, &captures, &mut out, limit)?;
        copied = found.end();
    }
    append(&mut out, &subject[copied..], limit)?;
    Ok(out)
}

fn append(out: &mut String, text: &str, limit: usize) -> Result<(), TooLong> {
    if text.len() > limit.saturating_sub(out.len()) {
        return Err(TooLong { limit });
    }
    out.push_str(text);
    Ok(())
}

/// Splits what follows a dollar sign into a name and the rest, if it begins with a name.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let (name, rest) = text.split_at(NAME.find(text)?.end());
    if braced {
        Some((name, rest.strip_prefix('}')?))
    } else {
        Some((name, rest))
    }
}

/// The text of a group, by number or by name; a number has no leading zeros and at most nine digits.
fn group<'s>(captures: &Captures<'s>, name: &str) -> &'s str {
    let number = name.bytes().all(|byte| byte.is_ascii_digit())
        && name.len() <= 9
        && (name.len() == 1 || !name.starts_with('0'));
    let found = match name.parse() {
        Ok(index) if number => captures.get(index),
        _ => captures.name(name),
    };
    found.map_or("", |found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_regex::compile;

    /// Recorded from Go: `[pattern, subject, template, result]`.
    const REPLACEMENTS: &str = include_str!("replace.jsonl");

    #[test]
    fn replaces_what_go_replaces() {
        for line in REPLACEMENTS.lines() {
            let row: (String, String, String, String) = serde_json::from_str(line).unwrap();
            let (pattern, subject, template, expected) = row;
            let regex = compile(&pattern).unwrap();
            assert_eq!(
                replace_all(&regex, &subject, &template, 1000),
                Ok(expected),
                "{line}"
            );
        }
    }

    #[track_caller]
    fn check_limit(template: &str, limit: usize, expected: Result<&str, TooLong>) {
        let regex = compile("(b+)").unwrap();
        let found = replace_all(&regex, "abbc", template, limit);
        assert_eq!(found.as_deref().map_err(|error| *error), expected);
    }

    #[test]
    fn output_is_bounded() {
        check_limit("$1$1", 6, Ok("abbbbc"));
        check_limit("$1$1", 5, Err(TooLong { limit: 5 }));
        check_limit("$1$1$1$1$1$1", 4, Err(TooLong { limit: 4 }));
        check_limit("", 2, Ok("ac"));
        check_limit("", 0, Err(TooLong { limit: 0 }));
    }
}
