//! Heredocs: `<<MARKER`, lines, `MARKER`.
//!
//! The text ends at the first occurrence of the marker, wherever it stands. What stands before it on its line is
//! taken off every line.

use crate::lex::{Lexer, Mistake};

/// How many wrongly opened heredocs are searched for their end, so that their lines are not taken for directives.
const SEARCHES: u32 = 20;

impl Lexer<'_> {
    /// Reads a heredoc whose opening line was just read. `None` after a mistake that leaves a plain word.
    pub(super) fn heredoc(&mut self, marker: &str, start: usize) -> Option<String> {
        let opening = self.word_end(start);
        let wrong = |code, message: String, help: &str| Mistake {
            code,
            start,
            end: opening,
            message,
            label: String::new(),
            context: None,
            help: help.to_owned(),
        };
        let mistake = if marker.is_empty() {
            let message = "this heredoc has no marker: `<<` ends its line";
            Some(wrong(
                "heredoc-marker-missing",
                message.into(),
                "name a marker, for example `<<END`",
            ))
        } else if marker.starts_with('<') {
            let message = "too many `<` for a heredoc";
            Some(wrong(
                "heredoc-too-many-angles",
                message.into(),
                "only use two, for example `<<END`",
            ))
        } else if !marker
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            let message = format!("heredoc marker `{marker}` has characters that a marker cannot have");
            let help = "a marker must contain only alphanumeric characters, dashes and underscores";
            Some(wrong("heredoc-marker-invalid", message, help))
        } else {
            None
        };
        if let Some(mistake) = mistake {
            self.mistake(mistake);
            let marker = marker.trim_start_matches('<');
            self.searches += 1;
            if marker.is_empty() || self.searches > SEARCHES || !self.text[self.at..].contains(marker) {
                return None;
            }
            return self.heredoc_body(marker);
        }
        let body = self.heredoc_body(marker);
        if body.is_none() {
            let message =
                format!("incomplete heredoc `<<{marker}`: its ending marker `{marker}` never comes");
            let help = format!("end the text with `{marker}` on a line of its own");
            self.mistake(wrong("heredoc-incomplete", message, &help));
            self.unfinished = true;
            let rest = self.text[self.at..].to_owned();
            self.at = self.text.len();
            return Some(rest);
        }
        body
    }

    /// Reads up to the first occurrence of the marker, wherever it stands.
    fn heredoc_body(&mut self, marker: &str) -> Option<String> {
        let from = self.at;
        let length = self.text[from..].find(marker)?;
        let body = &self.text[from..from + length];
        self.at = from + length + marker.len();
        let breaks = body.bytes().filter(|byte| *byte == b'\n').count() as u32;
        self.line += self.pending_lines + 1 + breaks;
        self.pending_lines = 0;

        // What stands before the marker on its line is taken off every line. On the first line it is lost.
        let Some(last) = body.rfind('\n') else {
            return Some(String::new());
        };
        let (lines, padding) = (&body[..last], &body[last + 1..]);
        let mut text = String::with_capacity(lines.len());
        let mut at = from;
        let mut wrong = false;
        for (index, line) in lines.split('\n').enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let bare = line.strip_prefix(padding);
            if bare.is_none() && !line.is_empty() && line != "\r" && !wrong {
                wrong = true; // The first is enough: the others mostly follow from it.
                self.mistake(Mistake {
                    code: "heredoc-indentation",
                    start: at,
                    end: at + line.trim_end_matches('\r').len(),
                    message: format!("mismatched leading whitespace in heredoc `<<{marker}`"),
                    label: "does not begin like the line of the closing marker".into(),
                    context: Some((self.at - marker.len(), self.at, "the closing marker".into())),
                    help: format!(
                        "begin the line with exactly {}, as the closing marker's line does",
                        describe(padding)
                    ),
                });
            }
            text.extend(bare.unwrap_or(line).chars().filter(|c| *c != '\r'));
            at += line.len() + 1;
        }
        Some(text)
    }
}

/// White space in words.
fn describe(padding: &str) -> String {
    let count = padding.chars().count();
    let plural = if count == 1 { "" } else { "s" };
    if padding.bytes().all(|byte| byte == b'\t') {
        format!("{count} tab{plural}")
    } else if padding.bytes().all(|byte| byte == b' ') {
        format!("{count} space{plural}")
    } else {
        format!("`{}`", padding.escape_debug())
    }
}
