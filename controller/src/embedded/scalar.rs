//! One scalar of YAML: which bytes of the file stand for which of the text, and how to put another text there.
//!
//! The YAML reader says where a scalar begins and what it means. How it is written is told from its first character, and
//! every byte that is mapped was compared: what does not agree has no known place.

use std::ops::Range;

/// A scalar in a file.
#[derive(Debug)]
pub(crate) struct Scalar {
    /// Where it begins: the `|`, the quote or the first character.
    pub start: usize,
    /// From where a place in the text is that far behind a place in the file, sorted; empty if that is not known.
    runs: Vec<(usize, usize)>,
    style: Style,
    /// The length of the text.
    length: usize,
}

#[derive(Debug)]
enum Style {
    /// Lines below `|`: what stands before each of them, and the bytes of all.
    Literal {
        indent: String,
        lines: Range<usize>,
        /// Whether the last line has a line break, which at the end of a file may be missing.
        is_ended: bool,
    },
    /// On one line between `"`, the bytes with the quotes.
    Quoted(Range<usize>),
    /// Everything else.
    Other,
}

/// What becomes of a scalar that gets another text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reformatted {
    /// The bytes to replace, and by what.
    Bytes(Range<usize>, String),
    /// It cannot be said in this form.
    NotHere,
}

impl Scalar {
    /// The scalar that begins at a byte of a file and means `value`.
    pub(crate) fn at(file: &str, start: usize, value: &str) -> Self {
        let start = head(file, start).unwrap_or(start);
        let rest = file.get(start..).unwrap_or_default();
        let made = match rest.bytes().next() {
            Some(b'|') => literal(rest, value),
            Some(b'"') => double_quoted(rest, value),
            Some(b'\'') if rest[1..].starts_with(value) && is_plain_line(value) => {
                Some((vec![(0, 1)], Style::Other))
            }
            Some(b'>' | b'\'') | None => None,
            _ if rest.starts_with(value) && is_plain_line(value) => Some((vec![(0, 0)], Style::Other)),
            _ => None,
        };
        let (mut runs, style) = made.unwrap_or((Vec::new(), Style::Other));
        for (_, to) in &mut runs {
            *to += start;
        }
        let style = match style {
            Style::Literal {
                indent,
                lines,
                is_ended,
            } => Style::Literal {
                indent,
                lines: lines.start + start..lines.end + start,
                is_ended,
            },
            Style::Quoted(bytes) => Style::Quoted(bytes.start + start..bytes.end + start),
            Style::Other => Style::Other,
        };
        Self {
            start,
            runs,
            style,
            length: value.len(),
        }
    }

    /// The byte of the file that holds a byte of the text.
    pub(crate) fn byte(&self, at: u32) -> Option<u32> {
        let at = at as usize;
        let run = self
            .runs
            .partition_point(|(from, _)| *from <= at)
            .checked_sub(1)?;
        let (from, to) = *self.runs.get(run).filter(|_| at <= self.length)?;
        u32::try_from(to + (at - from)).ok()
    }

    /// What is marked if no byte is known: its first character.
    pub(crate) fn whole(&self) -> (u32, u32) {
        let start = u32::try_from(self.start).unwrap_or(u32::MAX);
        (start, start.saturating_add(1))
    }

    /// Puts another text in the place of this one.
    pub(crate) fn replace(&self, text: &str) -> Reformatted {
        match &self.style {
            Style::Literal {
                indent,
                lines,
                is_ended,
            } => {
                let mut written = String::with_capacity(text.len() * 2);
                for line in text.lines() {
                    if !line.is_empty() {
                        written.push_str(indent);
                        written.push_str(line);
                    }
                    written.push('\n');
                }
                if !is_ended {
                    written.pop();
                }
                Reformatted::Bytes(lines.clone(), written)
            }
            Style::Quoted(bytes) => {
                let written = serde_json::to_string(text).expect("a string becomes JSON");
                Reformatted::Bytes(bytes.clone(), written)
            }
            Style::Other => Reformatted::NotHere,
        }
    }
}

/// Where the `|` or `>` stands above a text that begins at `start`, if it is a block of lines.
fn head(file: &str, start: usize) -> Option<usize> {
    let before = file.get(..start)?;
    let line_start = before.rfind('\n')? + 1;
    if !before[line_start..].bytes().all(|byte| byte == b' ') {
        return None;
    }
    let above = before[..line_start].trim_end();
    let begin = above.rfind('\n').map_or(0, |at| at + 1);
    let line = &above[begin..];
    let line = line
        .find(" #")
        .map_or(line, |comment| &line[..comment])
        .trim_end();
    let mark = line.trim_end_matches(|c: char| c == '+' || c == '-' || c.is_ascii_digit());
    let is_head = mark.ends_with(['|', '>']) && mark[..mark.len() - 1].ends_with([' ', '\t']);
    is_head.then(|| begin + mark.len() - 1)
}

/// Whether nothing in it is written in another way between single quotes or without any.
fn is_plain_line(value: &str) -> bool {
    !value.is_empty() && !value.contains(['\n', '\''])
}

/// Lines below a head: the head may say how deep they stand and what becomes of the last line breaks.
fn literal(rest: &str, value: &str) -> Option<(Vec<(usize, usize)>, Style)> {
    let mut at = rest.find('\n')? + 1;
    let begin = at;
    let mut runs = Vec::new();
    let mut indent: Option<&str> = None;
    let mut from = 0;
    for line in value.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let raw = rest.get(at..)?.split_inclusive('\n').next()?;
        let raw_content = raw.strip_suffix('\n').unwrap_or(raw);
        let raw_content = raw_content.strip_suffix('\r').unwrap_or(raw_content);
        let before = if content.is_empty() {
            // What a blank line begins with, up to the depth of the others, is not part of it.
            if !raw_content.bytes().all(|byte| byte == b' ') {
                return None;
            }
            raw_content
        } else {
            let before = raw_content.strip_suffix(content)?;
            let is_same = indent.is_none_or(|indent| indent == before);
            if !is_same || !before.bytes().all(|byte| byte == b' ') {
                return None;
            }
            indent = Some(before);
            before
        };
        runs.push((from, at + before.len()));
        from += line.len();
        at += raw.len();
    }
    let indent = indent?.to_owned();
    Some((
        runs,
        Style::Literal {
            indent,
            lines: begin..at,
            is_ended: rest[begin..at].ends_with('\n'),
        },
    ))
}

/// What stands between `"` on one line; JSON has no other way.
fn double_quoted(rest: &str, value: &str) -> Option<(Vec<(usize, usize)>, Style)> {
    let mut runs = vec![(0, 1)];
    let mut decoded = String::with_capacity(value.len());
    let mut chars = rest.char_indices().skip(1);
    let end = loop {
        let (at, c) = chars.next()?;
        match c {
            '"' => break at + 1,
            '\n' | '\r' => return None,
            '\\' => {
                runs.push((decoded.len(), at));
                let (_, escaped) = chars.next()?;
                decoded.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '"' | '\\' | '/' => escaped,
                    'u' => {
                        let mut code = 0;
                        for _ in 0..4 {
                            code = code * 16 + chars.next()?.1.to_digit(16)?;
                        }
                        char::from_u32(code)?
                    }
                    _ => return None,
                });
                runs.push((decoded.len(), at + if escaped == 'u' { 6 } else { 2 }));
            }
            c => decoded.push(c),
        }
    };
    (decoded == value).then_some((runs, Style::Quoted(0..end)))
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    /// An object with a text that is written in a certain way.
    fn file(scalar: &str) -> String {
        format!(
            "apiVersion: fairway.dev/v1alpha1\nkind: CaddyRoute\nmetadata:\n  name: a\nspec:\n  caddyfile: {scalar}\n"
        )
    }

    /// Where the text of a file stands that follows `word` in the text of the object; `None` if that is not known.
    #[track_caller]
    fn check(scalar: &str, word: &str, expected: Option<&str>) {
        let file = file(scalar);
        let found = find(&file);
        assert_eq!(found.len(), 1, "{file}");
        let at = found[0].text.find(word).expect("the word is in the text");
        let byte = found[0].scalar.byte(at as u32);
        let shown = byte.map(|byte| {
            let rest = &file[byte as usize..];
            &rest[..rest.len().min(expected.unwrap_or_default().len())]
        });
        assert_eq!(shown, expected, "{file}");
    }

    #[test]
    fn a_place_in_the_text_is_one_in_the_file() {
        check(
            "|\n    a.test {\n    \trespnd x\n\n    }",
            "respnd",
            Some("respnd x"),
        );
        check("|\n    a.test {\n    \trespnd x\n\n    }", "}", Some("}"));
        check("|-\n      ä.test {\n      }", "{", Some("{\n"));
        check("|2\n      ä.test {\n    }", "}", Some("}\n"));
        check("|+ # why\n   a\n   b\n\n", "b", Some("b\n"));
        check("|\r\n   a\r\n   b\r\n", "b", Some("b\r"));
        check(r#""a.test {\n\trespnd \"x\"\n}""#, "respnd", Some("respnd"));
        check(r#""a.test {\n\trespnd \"x\"\n}""#, "\"x", Some(r#"\"x"#));
        check(r#""\u00e4.test {\n}""#, "}", Some("}\""));
        check("a.test", "test", Some("test"));
        check("'a.test'", "test", Some("test"));
        check(">\n   a.test\n   b.test", "b", None);
        check("\"a.test\n    b.test\"", "b", None);
        check(r#""\x41.test""#, "test", None);
        check("'it''s'", "s", None);
    }

    /// What a scalar becomes when it gets another text.
    #[track_caller]
    fn check_replaced(scalar: &str, text: &str, expected: Option<&str>) {
        let before = file(scalar);
        let found = find(&before);
        let after = match found[0].scalar.replace(text) {
            Reformatted::Bytes(range, text) => {
                let mut after = before.clone();
                after.replace_range(range, &text);
                Some(after)
            }
            Reformatted::NotHere => None,
        };
        assert_eq!(after, expected.map(file));
        if let Some(after) = after {
            assert_eq!(find(&after)[0].text.trim_end(), text.trim_end());
        }
    }

    #[test]
    fn another_text_keeps_every_byte_around_it() {
        check_replaced(
            "|\n    a\n    b # c\n",
            "x\n\n\ty\n",
            Some("|\n    x\n\n    \ty\n"),
        );
        check_replaced("|- # why\n      a", "x\n", Some("|- # why\n      x"));
        check_replaced("\"a\\nb\" # why", "x\n\ty\n", Some("\"x\\n\\ty\\n\" # why"));
        check_replaced(">\n   a\n   b", "x", None);
        check_replaced("a", "x", None);
    }
}
