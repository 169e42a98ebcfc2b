//! A text with its name and origin, and places in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::origin::Origin;

/// One text: a file, or the field of an object. Shared by every token that was read from it.
pub struct Source {
    origin: Arc<Origin>,
    name: Box<str>,
    path: Option<PathBuf>,
    text: Box<str>,
    /// Byte offsets at which lines begin; the first is 0.
    lines: Vec<u32>,
}

impl Source {
    /// A text without a place in the file system; its imports of files are relative to the working directory.
    /// `name` is what messages print before line and column.
    pub fn new(origin: Arc<Origin>, name: &str, text: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(Self::build(origin, name, None, text.into()))
    }

    /// A text read from `path`; files that it imports are looked up beside it.
    pub fn from_file(origin: Arc<Origin>, path: impl Into<PathBuf>, text: impl Into<Box<str>>) -> Arc<Self> {
        let path = path.into();
        let name = path.to_string_lossy().into_owned();
        Arc::new(Self::build(origin, &name, Some(path), text.into()))
    }

    fn build(origin: Arc<Origin>, name: &str, path: Option<PathBuf>, text: Box<str>) -> Self {
        // Offsets beyond `u32` are never handed out: the parser refuses such a text before it reads it.
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = breaks.filter_map(|(at, _)| u32::try_from(at + 1).ok());
        let lines = std::iter::once(0).chain(starts).collect();
        Self {
            origin,
            name: name.into(),
            path,
            text,
            lines,
        }
    }

    /// Who wrote it.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Its name in messages: a path, or the object and its field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name where space is short, as in the condition of an object: `shop/api` for
    /// `CaddyRoute shop/api, spec.caddyfile`, and the whole name of a file.
    pub fn short_name(&self) -> &str {
        let Some(namespace) = &self.origin.namespace else {
            return &self.name;
        };
        let word = self.name.split([' ', ',']).find(|word| {
            word.strip_prefix(&**namespace)
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
        });
        word.unwrap_or(&self.name)
    }

    /// Where it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The text as its author wrote it, before anything was substituted.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of lines; a text that ends in a newline has an empty last one.
    pub fn line_count(&self) -> u32 {
        self.lines.len() as u32
    }

    /// The text of a line, counted from 1, without its line break. Empty beyond the end.
    pub fn line_text(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let Some(&start) = self.lines.get(index) else {
            return "";
        };
        let end = self
            .lines
            .get(index + 1)
            .map_or(self.text.len(), |next| *next as usize - 1);
        let text = self.text.get(start as usize..end).unwrap_or("");
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// The line, counted from 1, that holds the byte at `offset`.
    pub(crate) fn line_at(&self, offset: u32) -> u32 {
        self.lines.partition_point(|start| *start <= offset) as u32
    }

    /// The byte offset at which a line begins.
    pub(crate) fn line_start(&self, line: u32) -> u32 {
        self.lines
            .get((line as usize).saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len() as u32)
    }
}

/// The text is left out: it may be long, and it may be secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A place in a source: byte offsets in the text as its author wrote it.
#[derive(Clone)]
pub struct Span {
    /// The text that it lies in.
    pub source: Arc<Source>,
    /// Where it begins.
    pub start: u32,
    /// Where it ends; that byte is no longer part of it.
    pub end: u32,
}

impl Span {
    /// The line of its first character, counted from 1.
    pub fn line(&self) -> u32 {
        self.source.line_at(self.start)
    }

    /// The line of its last character, counted from 1.
    pub fn end_line(&self) -> u32 {
        self.source.line_at(self.end.saturating_sub(1).max(self.start))
    }

    /// The column of its first character, counted in characters from 1.
    pub fn column(&self) -> u32 {
        self.before().chars().count() as u32 + 1
    }

    /// The column as editors count: in UTF-16 units, from 1.
    pub fn utf16_column(&self) -> u32 {
        self.before().chars().map(char::len_utf16).sum::<usize>() as u32 + 1
    }

    /// The text that it covers.
    pub fn text(&self) -> &str {
        self.source
            .text
            .get(self.start as usize..self.end as usize)
            .unwrap_or("")
    }

    /// What stands before it on its line.
    fn before(&self) -> &str {
        let start = self.source.line_start(self.line());
        self.source
            .text
            .get(start as usize..self.start as usize)
            .unwrap_or("")
    }

    /// The same place, one character wide at its end: where something is missing.
    #[must_use]
    pub fn end_point(&self) -> Self {
        Self {
            start: self.end,
            ..self.clone()
        }
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.start == other.start && self.end == other.end
    }
}

impl Eq for Span {}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line(), self.column())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, start: u32, expected: (u32, u32, u32)) {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let span = Span {
            source,
            start,
            end: start,
        };
        assert_eq!(
            (span.line(), span.column(), span.utf16_column()),
            expected,
            "{text:?} at {start}"
        );
    }

    #[test]
    fn columns_count_characters() {
        check("abc", 2, (1, 3, 3));
        check("a\nbc", 3, (2, 2, 2));
        check("ä€😀x", 9, (1, 4, 5));
        check("", 0, (1, 1, 1));
        check("a\n", 2, (2, 1, 1));
    }

    #[test]
    fn short_name_is_that_of_the_object() {
        let name = "CaddyRoute shop/api, spec.caddyfile";
        assert_eq!(
            Source::new(Origin::tenant(name, "shop"), name, "").short_name(),
            "shop/api"
        );
        assert_eq!(
            Source::new(Origin::operator("Caddyfile"), "a/b, c", "").short_name(),
            "a/b, c"
        );
    }

    #[test]
    fn lines_come_without_their_breaks() {
        let source = Source::new(Origin::operator("x"), "x", "one\r\ntwo\nthree");
        assert_eq!(
            [1, 2, 3, 4].map(|line| source.line_text(line)),
            ["one", "two", "three", ""]
        );
    }
}
