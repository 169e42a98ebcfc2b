//! The parser of Go's grammar, which writes its translation as it reads.
//!
//! Flags are resolved here rather than passed on, since Go lets a repetition reach over a flag group (`a(?i)*`
//! repeats `a`) and treats `(?)` as nothing at all.

use std::collections::HashSet;

use super::class::{self, Class};
use super::{MAX_DEPTH, RegexError};

mod repeat;

/// How many characters the classes of a pattern may hold that ignore case. The `regex` crate looks at each, so that
/// a pattern of full-width classes would keep it busy for seconds.
const MAX_FOLDED_WIDTH: u32 = 1 << 23;

/// Reads one pattern; see [`Translator::run`].
pub(super) struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    flags: Flags,
    groups: Vec<Group>,
    names: HashSet<&'p str>,
    /// How many characters the classes hold that ignore case.
    folded_width: u32,
    /// How many capturing groups began so far.
    captures: usize,
    /// What a repetition that comes next would repeat.
    atom: Option<Atom>,
    /// The previous item was a repetition, which Go does not let be repeated again.
    after_repeat: bool,
    /// The largest product of counts inside the group being read, without the last item's.
    product: u32,
    /// The deepest nesting inside the group being read.
    height: usize,
}

/// The flags in force: `i`, `s`, `m`, `U`.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    dot_newline: bool,
    multi_line: bool,
    swap_greed: bool,
}

/// An open group, and what to return to when it closes.
struct Group {
    offset: usize,
    out_start: usize,
    captures: usize,
    flags: Flags,
    product: u32,
    height: usize,
}

/// The item before the reading position.
#[derive(Clone, Copy)]
struct Atom {
    /// Where its translation begins.
    out_start: usize,
    /// The largest product of counts in it.
    product: u32,
    /// How deep it nests.
    height: usize,
    /// It holds a capturing group.
    captures: bool,
    /// It ends in a repetition, so that another one needs a group around it.
    repeated: bool,
}

impl<'p> Translator<'p> {
    pub(super) fn new(pattern: &'p str) -> Self {
        Translator {
            pattern,
            at: 0,
            out: String::with_capacity(pattern.len() * 2),
            flags: Flags::default(),
            groups: Vec::new(),
            names: HashSet::new(),
            folded_width: 0,
            captures: 0,
            atom: None,
            after_repeat: false,
            product: 1,
            height: 0,
        }
    }

    /// Translates the whole pattern.
    pub(super) fn run(mut self) -> Result<String, RegexError> {
        while let Some(next) = self.rest().chars().next() {
            let was_repeat = std::mem::take(&mut self.after_repeat);
            match next {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.settle();
                    self.out.push('|');
                    self.at += 1;
                }
                '^' | '$' => {
                    let text = match (next, self.flags.multi_line) {
                        ('^', false) => "^",
                        ('^', true) => "(?m:^)",
                        (_, false) => "$",
                        (_, true) => "(?m:$)",
                    };
                    self.push(text);
                    self.at += 1;
                }
                '.' => {
                    self.push(if self.flags.dot_newline { "(?s:.)" } else { "." });
                    self.at += 1;
                }
                '[' => {
                    let start = self.at;
                    let class = class::bracketed(self.pattern, &mut self.at)?;
                    self.push_class(start, &class)?;
                }
                '*' | '+' | '?' => {
                    self.repeat(was_repeat, 1, &next.to_string(), Some(1))?;
                }
                '{' => self.counted(was_repeat)?,
                '\\' => self.escape()?,
                literal => {
                    self.push_literal(literal);
                    self.at += literal.len_utf8();
                }
            }
        }
        match self.groups.last() {
            Some(group) => Err(RegexError::new(group.offset, "this group is not closed")),
            None => Ok(self.out),
        }
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    /// Takes note of the last item, which can no longer be repeated.
    fn settle(&mut self) {
        if let Some(atom) = self.atom.take() {
            self.product = self.product.max(atom.product);
        }
    }

    /// Writes an item that needs no flags.
    fn push(&mut self, text: &str) {
        self.settle();
        let out_start = self.out.len();
        self.out.push_str(text);
        self.atom = Some(Atom {
            out_start,
            product: 1,
            height: 0,
            captures: false,
            repeated: false,
        });
    }

    fn push_literal(&mut self, literal: char) {
        self.settle();
        let out_start = self.out.len();
        let folded = self.flags.fold && (literal.is_ascii_alphabetic() || !literal.is_ascii());
        self.out.push_str(if folded { "(?i:" } else { "" });
        class::write_char(&mut self.out, literal);
        self.out.push_str(if folded { ")" } else { "" });
        self.atom = Some(Atom {
            out_start,
            product: 1,
            height: 0,
            captures: false,
            repeated: false,
        });
    }

    /// Writes a class that was read from `start` on.
    fn push_class(&mut self, start: usize, class: &Class) -> Result<(), RegexError> {
        let text = class.to_string();
        if !self.flags.fold {
            self.push(&text);
            return Ok(());
        }
        self.folded_width = self.folded_width.saturating_add(class.width);
        if self.folded_width > MAX_FOLDED_WIDTH {
            return Err(RegexError::new(
                start,
                "the classes are too wide, taken together, to ignore case",
            ));
        }
        self.push(&format!("(?i:{text})"));
        Ok(())
    }

    /// Reads what begins with `(`: a group, a named group, or flags.
    fn open(&mut self) -> Result<(), RegexError> {
        let start = self.at;
        let rest = self.rest();
        if !rest.starts_with("(?") {
            self.at += 1;
            return self.begin_group(start, "(", self.flags);
        }
        let named = ["(?P<", "(?<"]
            .into_iter()
            .find(|prefix| rest.starts_with(prefix));
        let Some(prefix) = named.filter(|prefix| rest.len() > prefix.len()) else {
            return self.open_flags(start);
        };
        let name_start = start + prefix.len();
        let Some(length) = self.pattern[name_start..].find('>') else {
            return Err(RegexError::new(start, "this group name is not closed by `>`"));
        };
        let name = &self.pattern[name_start..name_start + length];
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        {
            return Err(RegexError::new(
                name_start,
                "a group name takes letters, digits and `_` only",
            ));
        }
        if name.as_bytes()[0].is_ascii_digit() {
            return Err(RegexError::new(
                name_start,
                "a group name may not begin with a digit here",
            ));
        }
        if !self.names.insert(name) {
            return Err(RegexError::new(
                name_start,
                format!("the group name `{name}` is used twice"),
            ));
        }
        self.at = name_start + length + 1;
        self.begin_group(start, &format!("(?P<{name}>"), self.flags)
    }

    /// Reads `(?flags)` or `(?flags:`.
    fn open_flags(&mut self, start: usize) -> Result<(), RegexError> {
        let mut flags = self.flags;
        let mut on = true;
        let mut seen = false;
        for (index, letter) in self.pattern[start + 2..].char_indices() {
            let at = start + 2 + index;
            match letter {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.swap_greed = on,
                '-' if on => {
                    on = false;
                    seen = false;
                    continue;
                }
                ':' | ')' if on || seen => {
                    self.at = at + 1;
                    if letter == ')' {
                        self.flags = flags;
                        return Ok(());
                    }
                    return self.begin_group(start, "(?:", flags);
                }
                _ => {
                    let read = &self.pattern[start..at + letter.len_utf8()];
                    return Err(RegexError::new(start, format!("`{read}` is not supported")));
                }
            }
            seen = true;
        }
        Err(RegexError::new(start, "this group is not closed"))
    }

    fn begin_group(&mut self, offset: usize, opening: &str, inner: Flags) -> Result<(), RegexError> {
        if self.groups.len() >= MAX_DEPTH {
            return Err(RegexError::new(offset, "groups nest too deeply"));
        }
        self.settle();
        self.groups.push(Group {
            offset,
            out_start: self.out.len(),
            captures: self.captures,
            flags: self.flags,
            product: std::mem::replace(&mut self.product, 1),
            height: std::mem::take(&mut self.height),
        });
        self.captures += usize::from(opening != "(?:");
        self.out.push_str(opening);
        self.flags = inner;
        Ok(())
    }

    fn close(&mut self) -> Result<(), RegexError> {
        let Some(group) = self.groups.pop() else {
            return Err(RegexError::new(self.at, "`)` closes no group"));
        };
        self.settle();
        self.out.push(')');
        let height = self.height + 1;
        self.atom = Some(Atom {
            out_start: group.out_start,
            product: self.product,
            height,
            captures: self.captures > group.captures,
            repeated: false,
        });
        self.flags = group.flags;
        self.product = group.product;
        self.height = group.height.max(height);
        self.at += 1;
        Ok(())
    }

    /// Reads what begins with `\`, outside of a class.
    fn escape(&mut self) -> Result<(), RegexError> {
        let assertion = match self.rest().as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'Q') => {
                let quoted = &self.rest()[2..];
                let (literals, len) = match quoted.split_once(r"\E") {
                    Some((literals, _)) => (literals, literals.len() + 4),
                    None => (quoted, quoted.len() + 2),
                };
                literals.chars().for_each(|literal| self.push_literal(literal));
                self.at += len;
                return Ok(());
            }
            _ => {
                let start = self.at;
                if let Some(class) = class::escaped(self.pattern, &mut self.at)? {
                    return self.push_class(start, &class);
                }
                match class::escaped_char(self.pattern, &mut self.at)? {
                    Some(literal) => self.push_literal(literal),
                    None => self.push(class::NOTHING),
                }
                return Ok(());
            }
        };
        self.push(assertion);
        self.at += 2;
        Ok(())
    }
}
