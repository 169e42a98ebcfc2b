//! Go's regular expressions on top of the `regex` crate.
//!
//! Caddyfiles are written for Go's `regexp`, and the two dialects differ in more than twenty places, several of
//! them silently (`\d` and Arabic digits, `[a&&b]`, `\<`). So a pattern is never passed through: [`translate`]
//! parses Go's grammar and writes every construct out in a form that means the same to the `regex` crate. What
//! Go refuses is refused.
//!
//! Refused here although Go takes it, because the `regex` crate has no form for it: a group name that begins
//! with a digit, and two groups of one name. Unicode tables are the `regex` crate's, which may be a version ahead of
//! Go's. The limits ([`MAX_LENGTH`], [`MAX_DEPTH`], [`MAX_COMPILED`]) are
//! tighter than Go's, since tenants write patterns.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};

mod class;
mod template;
mod translate;

pub use template::{TooLong, expand, replace_all};

/// The longest pattern taken, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// How deep groups and stacked repetitions may nest.
pub const MAX_DEPTH: usize = 100;

/// The most memory that one compiled pattern may take, in bytes.
pub const MAX_COMPILED: usize = 1024 * 1024;

/// Why a pattern is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexError {
    /// Byte offset into the pattern, at most its length.
    pub offset: usize,
    /// What is wrong, lowercase, without a full stop.
    pub message: Cow<'static, str>,
}

impl RegexError {
    pub(crate) fn new(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        RegexError {
            offset,
            message: message.into(),
        }
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.message, self.offset)
    }
}

impl std::error::Error for RegexError {}

/// Compiles a pattern in Go's syntax, with the meaning that Go's `regexp.Compile` gives it.
///
/// Groups keep their numbers and names.
pub fn compile(pattern: &str) -> Result<Regex, RegexError> {
    build(&translate(pattern)?, MAX_COMPILED).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => RegexError::new(
            0,
            format!("the pattern needs more than {MAX_COMPILED} bytes when compiled"),
        ),
        other => RegexError::new(
            0,
            format!("the pattern cannot be compiled: {}", last_line(&other)),
        ),
    })
}

/// Whether a text is a pattern that needs more than that many bytes when compiled.
pub(crate) fn is_larger_than(pattern: &str, bytes: usize) -> bool {
    let built = translate(pattern).map(|translated| build(&translated, bytes));
    matches!(built, Ok(Err(regex::Error::CompiledTooBig(_))))
}

/// Compiles a pattern that is translated already.
fn build(translated: &str, bytes: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translated)
        .size_limit(bytes)
        .dfa_size_limit(MAX_COMPILED)
        // One of our levels is at most a group, an alternation, a concatenation and a repetition of theirs.
        .nest_limit(4 * MAX_DEPTH as u32 + 16)
        .build()
}

/// Rewrites a pattern in Go's syntax as one for the `regex` crate that matches the same text.
///
/// The result says every flag and every class explicitly, so it is longer than what an author would write.
pub fn translate(pattern: &str) -> Result<String, RegexError> {
    if pattern.len() > MAX_LENGTH {
        let message = format!(
            "the pattern is {} bytes long; at most {MAX_LENGTH} are taken",
            pattern.len()
        );
        return Err(RegexError::new(MAX_LENGTH, message));
    }
    translate::Translator::new(pattern).run()
}

/// The last line of a report of the `regex` crate, which is where it states the cause.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Go: `[pattern, subject, group offsets]`; no offsets for no match, no subject for a refusal.
    const MATCHES: &str = include_str!("go_regex/match.jsonl");

    #[track_caller]
    fn check_refused(pattern: &str, offset: usize, message: &str) {
        let error = compile(pattern).expect_err("must be refused");
        assert_eq!(
            (error.offset, error.message.as_ref()),
            (offset, message),
            "for {pattern:?}"
        );
    }

    #[track_caller]
    fn check_translation(pattern: &str, expected: &str) {
        assert_eq!(translate(pattern).as_deref(), Ok(expected), "for {pattern:?}");
    }

    #[test]
    fn matches_what_go_matches() {
        type Row = (String, Option<String>, Option<Vec<i64>>);
        let mut wrong = Vec::new();
        for line in MATCHES.lines() {
            let (pattern, subject, expected): Row = serde_json::from_str(line).unwrap();
            match (compile(&pattern), subject) {
                (Err(_), None) => {}
                (Err(error), Some(_)) => wrong.push(format!("{pattern:?}: refused: {error}")),
                (Ok(regex), None) => wrong.push(format!("{pattern:?}: accepted as {regex}")),
                (Ok(regex), Some(subject)) => {
                    let found = regex.captures(&subject).map(|captures| offsets(&captures));
                    if found != expected {
                        wrong.push(format!(
                            "{pattern:?} on {subject:?}: {found:?}, Go: {expected:?}, as {regex}"
                        ));
                    }
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} differences:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    fn offsets(captures: &regex::Captures<'_>) -> Vec<i64> {
        let pair = |group: Option<regex::Match<'_>>| match group {
            Some(found) => [found.start(), found.end()].map(|offset| i64::try_from(offset).unwrap()),
            None => [-1, -1],
        };
        captures.iter().flat_map(pair).collect()
    }

    #[test]
    fn every_unicode_name_compiles() {
        for (name, _) in class::unicode_names() {
            assert!(
                compile(&format!(r"\p{{{name}}}\P{{{name}}}[\p{{^{name}}}]")).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn translation_spells_out_what_differs() {
        check_translation(r"^/a\d+$", "^/a[0-9]+$");
        check_translation(r"\bx\B", r"(?-u:\b)x(?-u:\B)");
        check_translation("[a&&b]", r"[a\&\&b]");
        check_translation("(?i)a1", "(?i:a)1");
        check_translation("(?s).(?-s).", r"(?s:.).");
        check_translation("(?U)a*b*?", "a*?b*");
        check_translation("a{,5}", r"a\{,5\}");
        check_translation("(a){0}", r"(?:(a)[^\x{0}-\x{10FFFF}]|)");
        check_translation(r"\p{letter}", r"\p{gc=L}");
    }

    #[test]
    fn refusals_say_what_and_where() {
        check_refused("ab)", 2, "`)` closes no group");
        check_refused("a(b", 1, "this group is not closed");
        check_refused("ab[c", 2, "this class is not closed");
        check_refused("a|*", 2, "`*` has nothing to repeat");
        check_refused("a**", 2, "`*` follows another repetition");
        check_refused("a{1001}", 1, "a repetition may count to 1000 at most");
        check_refused("a{3,2}", 1, "the upper count of a repetition is below the lower");
        check_refused(
            "(a{100}){11}",
            8,
            "nested repetitions may count to 1000 at most, multiplied",
        );
        check_refused(r"a\Z", 1, r"`\Z` is not an escape sequence");
        check_refused(r"a\", 1, r"a `\` at the end escapes nothing");
        check_refused("x(?=a)", 1, "`(?=` is not supported");
        check_refused("(?P<n-m>a)", 4, "a group name takes letters, digits and `_` only");
        check_refused("(?P<1a>x)", 4, "a group name may not begin with a digit here");
        check_refused("(?P<n>a)(?P<n>b)", 12, "the group name `n` is used twice");
        check_refused("[z-a]", 1, "the range ends before it begins");
        check_refused("[[:foo:]]", 1, "`[:foo:]` is not a class");
        check_refused(r"é\p{Foo}", 2, "`Foo` is not a Unicode category or script");
    }

    #[test]
    fn limits_hold() {
        assert!(compile(&"a".repeat(MAX_LENGTH)).is_ok());
        assert_eq!(
            compile(&"a".repeat(MAX_LENGTH + 1)).unwrap_err().offset,
            MAX_LENGTH
        );

        let nested = |depth: usize| format!("{}a{}", "(a|b".repeat(depth), ")*".repeat(depth));
        assert!(compile(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            compile(&nested(MAX_DEPTH + 1)).unwrap_err().message,
            "groups nest too deeply"
        );

        let stacked = |count: usize| format!("a{}", "*(?)".repeat(count));
        assert!(compile(&stacked(MAX_DEPTH)).is_ok());
        assert!(compile(&stacked(MAX_LENGTH / 4 - 1)).is_err());
        let mixed = format!("{}a{}", "(".repeat(90), "*(?)*(?))".repeat(90));
        assert!(compile(&mixed).is_err());

        assert!(
            compile(r"(?:\pL{1000}){1}")
                .unwrap_err()
                .message
                .contains("when compiled")
        );
        assert!(compile(&r"(?i)[^\pL]".repeat(1600)).is_err());

        let wide = |count: usize| format!("(?i){}", r"[\x00-\x{10FFFF}]".repeat(count));
        assert!(compile(&wide(60)).is_ok());
        let message = "the classes are too wide, taken together, to ignore case";
        assert_eq!(compile(&wide(70)).unwrap_err().message, message);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_compiled_or_refused_in_bounds(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "a", "é", "(", ")", "(?i)", "(?", "(?P<n>", ":", "|", "*", "?", "{2}", "{", "}", "[", "[^", "]",
                    "[:alpha:]", "-", "^", "$", ".", "\\", "\\d", "\\Q", "\\E", "\\x", "41", "\\pL", "\\p{", "&&",
                ]),
                0..12,
            ),
        ) {
            let pattern = parts.concat();
            match translate(&pattern) {
                Ok(translated) => {
                    proptest::prop_assert!(compile(&pattern).is_ok(), "{pattern:?} became {translated:?}");
                }
                Err(error) => proptest::prop_assert!(pattern.is_char_boundary(error.offset)),
            }
        }
    }
}
