//! `{$NAME}` and `{$NAME:default}`: variables put into the text before it is read.
//!
//! The replacement is textual: it works in comments, quotes and addresses, and a value may make several words or
//! lines. It is not looked at again. A default applies only to a variable that is not set; neither set nor
//! defaulted is empty text.

use std::borrow::Cow;

use crate::options::Environment;

/// A text with its variables replaced, and the way back.
pub(crate) struct Expanded<'a> {
    pub(crate) text: Cow<'a, str>,
    pieces: Vec<Piece>,
}

/// One replacement.
struct Piece {
    /// Where the value begins and ends in the new text.
    start: usize,
    end: usize,
    /// Where `{$` begins and `}` ends in the original.
    original_start: usize,
    original_end: usize,
}

/// A variable's place in a text: from `{$` to the byte behind `}`.
struct Variable<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    default: Option<&'a str>,
}

/// The variables of a text, in order. `{$}` is none; without a `}` the rest of the text has none.
fn variables(text: &str) -> impl Iterator<Item = Variable<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("{$")?;
            let inside = start + "{$".len();
            let close = inside + text[inside..].find('}')?;
            from = close + "}".len();
            if close > inside {
                let inside = &text[inside..close];
                let (name, default) = match inside.split_once(':') {
                    Some((name, default)) => (name, Some(default)),
                    None => (inside, None),
                };
                return Some(Variable {
                    start,
                    end: from,
                    name,
                    default,
                });
            }
        }
    })
}

impl<'a> Expanded<'a> {
    /// The text as it is.
    pub(crate) fn unchanged(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            pieces: Vec::new(),
        }
    }

    /// Replaces all variables; `None` if the new text would be longer than `limit`.
    pub(crate) fn new(text: &'a str, environment: &dyn Environment, limit: usize) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut out = String::new();
        let mut copied = 0;
        for variable in variables(text) {
            out.push_str(&text[copied..variable.start]);
            copied = variable.end;
            let value = environment.var(variable.name);
            let start = out.len();
            out.push_str(value.as_deref().or(variable.default).unwrap_or(""));
            pieces.push(Piece {
                start,
                end: out.len(),
                original_start: variable.start,
                original_end: variable.end,
            });
            if out.len() > limit {
                return None;
            }
        }
        if pieces.is_empty() {
            return Some(Self::unchanged(text));
        }
        out.push_str(&text[copied..]);
        (out.len() <= limit).then_some(Self {
            text: Cow::Owned(out),
            pieces,
        })
    }

    /// Where a token that begins at `at` of the new text begins in the original.
    pub(crate) fn original_start(&self, at: usize) -> u32 {
        let after = self.pieces.partition_point(|piece| piece.start <= at);
        let original = match after.checked_sub(1).map(|index| &self.pieces[index]) {
            None => at,
            Some(piece) if at < piece.end => piece.original_start,
            Some(piece) => piece.original_end + (at - piece.end),
        };
        original as u32
    }

    /// Where a token that ends at `at` of the new text ends in the original.
    pub(crate) fn original_end(&self, at: usize) -> u32 {
        let after = self.pieces.partition_point(|piece| piece.start < at);
        let original = match after.checked_sub(1).map(|index| &self.pieces[index]) {
            None => at,
            Some(piece) if at <= piece.end => piece.original_end,
            Some(piece) => piece.original_end + (at - piece.end),
        };
        original as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table;

    impl Environment for Table {
        fn var(&self, name: &str) -> Option<String> {
            let value = match name {
                "X" => "value",
                "EMPTY" => "",
                "LINES" => "a\nb",
                "NESTED" => "{$X}",
                "SITES" => "a.com b.com",
                _ => return None,
            };
            Some(value.to_owned())
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let expanded = Expanded::new(text, &Table, 1000).expect("within the limit");
        assert_eq!(expanded.text, expected, "{text}");
    }

    #[test]
    fn replaces_as_caddy_does() {
        check("{$X}", "value"); // E1
        check("{$NO:a:b}", "a:b");
        check("{$EMPTY:d}", ""); // E2
        check("{$X:d}", "value");
        check("respond {$NO} 200", "respond  200"); // E3
        check("{$} {$X}", "{$} value"); // E4
        check("{$NO:{y}}", "{y}"); // E5: the default is `{y`, a `}` is left over
        check("{$X} {$NO", "value {$NO"); // E6
        check("# {$X} \"{$X}\" `{$X}`", "# value \"value\" `value`"); // E7
        check("{$NESTED}", "{$X}"); // E8
        check("{$NO}{$NO}", "");
        check("{env.X}", "{env.X}"); // E10
        check("{$:d}", "d");
    }

    #[test]
    fn refuses_to_grow_beyond_the_limit() {
        assert!(Expanded::new(&"{$X}".repeat(10), &Table, 49).is_none());
        assert!(Expanded::new(&"{$X}".repeat(10), &Table, 50).is_some());
    }

    /// The word `word` of the new text comes from `original` in the old one.
    #[track_caller]
    fn check_origin(text: &str, word: &str, original: &str) {
        let expanded = Expanded::new(text, &Table, 1000).expect("within the limit");
        let at = expanded.text.find(word).expect("the word is there");
        let (start, end) = (
            expanded.original_start(at),
            expanded.original_end(at + word.len()),
        );
        assert_eq!(&text[start as usize..end as usize], original, "{word} of {text}");
    }

    #[test]
    fn words_lead_back_to_what_was_written() {
        check_origin("respond {$X} 200", "value", "{$X}");
        check_origin("respond {$X} 200", "200", "200");
        check_origin("respond {$X} 200", "respond", "respond");
        check_origin("a-{$X}-b c", "a-value-b", "a-{$X}-b");
        check_origin("{$SITES} {", "b.com", "{$SITES}");
        check_origin("{$X}{$X}x y", "valuevaluex", "{$X}{$X}x");
        check_origin("{$NO} y {$NO}z", "y", "y");
        check_origin("{$LINES} z", "z", "z");
    }
}
