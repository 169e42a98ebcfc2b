//! One pass over the characters of a text.
//!
//! The rules are those of Caddy's formatter. They differ only where Caddy's would change what the text says: a word
//! that begins with a backtick or backslash keeps its line, and a lone `<` stays apart from the next word.

/// Deeper levels are not indented further.
const DEEPEST: usize = 10;

/// One pass of Caddy's.
pub(super) fn once(text: &str) -> String {
    let text = text.trim();
    let mut formatter = Formatter::new(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        formatter.character(c, characters.peek().is_none_or(|next| *next == '\n'));
    }
    let mut out = formatter.out.trim().to_owned();
    out.push('\n');
    out
}

/// What of a heredoc is being read.
#[derive(PartialEq, Eq)]
enum Heredoc {
    None,
    /// The marker behind `<<`, so far.
    Marker(String),
    /// The text: the marker, and what stands on the line so far.
    Text(String, String),
}

/// Which quotes are open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Double,
    Backtick,
    /// A backtick inside of `"…"`.
    BacktickInDouble,
}

/// An opening brace that was read.
#[derive(Clone, Copy)]
struct Brace {
    /// Whether the current word is one, or begins with one.
    open: bool,
    written: bool,
    /// Whether a space stood before it on its line.
    spaced: bool,
    /// Whether it began a line.
    own_line: bool,
}

struct Formatter {
    out: String,
    /// The last character written.
    last: char,
    /// Whether the last character read was white space.
    space: bool,
    /// Whether the last character read was a `<` that began a word: another one opens a heredoc.
    angle: bool,
    /// Whether nothing is written yet on the current line.
    line_start: bool,
    brace: Brace,
    /// Line breaks read and not yet written.
    breaks: usize,
    comment: bool,
    quotes: Quotes,
    escaped: bool,
    heredoc: Heredoc,
    /// Whether `\<` keeps this word from being a heredoc.
    heredoc_escaped: bool,
    nesting: usize,
    word: String,
    /// The first word of the line.
    first_word: String,
    /// Whether the line before is an `import` at the top, which a brace on a line of its own does not belong to.
    after_import: bool,
}

impl Formatter {
    fn new(length: usize) -> Self {
        Self {
            out: String::with_capacity(length + length / 8 + 1),
            last: '\0',
            space: true,
            angle: false,
            line_start: true,
            brace: Brace {
                open: false,
                written: false,
                spaced: false,
                own_line: false,
            },
            breaks: 0,
            comment: false,
            quotes: Quotes::None,
            escaped: false,
            heredoc: Heredoc::None,
            heredoc_escaped: false,
            nesting: 0,
            word: String::new(),
            first_word: String::new(),
            after_import: false,
        }
    }

    fn character(&mut self, c: char, ends_line: bool) {
        if self.in_heredoc(c) || self.in_comment(c) || self.in_escape(c, ends_line) || self.in_quotes(c) {
            return;
        }
        if c.is_whitespace() {
            self.blank(c);
        } else {
            self.regular(c);
        }
    }

    fn in_heredoc(&mut self, c: char) -> bool {
        let angle = std::mem::take(&mut self.angle);
        match &mut self.heredoc {
            Heredoc::None => {
                if angle && c == '<' {
                    self.heredoc = Heredoc::Marker(String::new());
                    self.write(c);
                    return true;
                }
            }
            Heredoc::Marker(marker) if c == '\n' => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if !marker.is_empty() && marker.chars().all(word) {
                    self.heredoc = Heredoc::Text(std::mem::take(marker), String::new());
                    self.write(c);
                } else {
                    self.heredoc = Heredoc::None;
                    self.next_line();
                }
                return true;
            }
            // A space means that it is a plain word.
            Heredoc::Marker(_) if c.is_whitespace() => self.heredoc = Heredoc::None,
            Heredoc::Marker(marker) => {
                marker.push(c);
                self.write(c);
                return true;
            }
            Heredoc::Text(marker, line) => {
                if !(c.is_whitespace() && line.ends_with(&**marker)) {
                    if c == '\n' {
                        line.clear();
                    } else {
                        line.push(c);
                    }
                    self.write(c);
                    return true;
                }
                self.heredoc = Heredoc::None;
            }
        }
        false
    }

    fn in_comment(&mut self, c: char) -> bool {
        if self.comment {
            if c == '\n' {
                self.comment = false;
                self.space = true;
                self.next_line();
            } else {
                self.write(c);
            }
            return true;
        }
        false
    }

    fn in_escape(&mut self, c: char, ends_line: bool) -> bool {
        if self.escaped {
            self.heredoc_escaped |= c == '<';
            self.escaped = false;
            self.write(c);
            return true;
        }
        if c == '\\' {
            // A joined line may stay behind the line before; a word may not.
            if self.brace.open && !self.brace.written || self.breaks > 0 && !ends_line {
                self.start_word();
            } else if std::mem::take(&mut self.space) {
                self.write(' ');
            }
            self.write(c);
            self.escaped = true;
            return true;
        }
        false
    }

    fn in_quotes(&mut self, c: char) -> bool {
        if c == '`' {
            self.quotes = match self.quotes {
                Quotes::None => Quotes::Backtick,
                Quotes::Backtick => Quotes::None,
                Quotes::Double => Quotes::BacktickInDouble,
                Quotes::BacktickInDouble => Quotes::Double,
            };
        }
        if self.quotes == Quotes::Double {
            if c == '"' {
                self.quotes = Quotes::None;
            }
            self.write(c);
            return true;
        }
        if c == '"' {
            self.quotes = match self.quotes {
                Quotes::None if self.space => Quotes::Double,
                Quotes::BacktickInDouble => Quotes::None,
                quotes => quotes,
            };
        }
        if matches!(self.quotes, Quotes::Backtick | Quotes::BacktickInDouble) {
            let begins = self.space || self.brace.open && !self.brace.written;
            if c == '`' && self.quotes == Quotes::Backtick {
                if begins {
                    self.start_word();
                }
                self.line_start = false;
            }
            self.write(c);
            return true;
        }
        false
    }

    fn blank(&mut self, c: char) {
        self.end_word();
        self.space = true;
        self.heredoc_escaped = false;
        if c == '\n' {
            self.end_line();
            self.breaks += 1;
        }
    }

    fn end_word(&mut self) {
        if self.first_word.is_empty() {
            std::mem::swap(&mut self.first_word, &mut self.word);
        }
        self.word.clear();
    }

    fn end_line(&mut self) {
        if !self.first_word.is_empty() {
            self.after_import = self.nesting == 0 && self.first_word == "import";
        } else if !(self.brace.open && self.brace.own_line && !self.brace.written) {
            self.after_import = false;
        }
        self.first_word.clear();
    }

    /// A character of a word or comment, or a brace.
    fn regular(&mut self, c: char) {
        let spaced = std::mem::replace(&mut self.space, false);
        self.comment = c == '#';
        self.open_block_before(spaced);
        match c {
            '{' => {
                self.end_word();
                let spaced = spaced && !self.line_start;
                self.brace = Brace {
                    open: true,
                    written: false,
                    spaced,
                    own_line: self.breaks > 0,
                };
                if spaced && self.breaks == 0 {
                    self.write(' ');
                }
            }
            '}' if spaced || !self.brace.open => self.close_block(),
            c => self.word_character(c, spaced),
        }
    }

    /// Writes a brace that opens a block, if one was read and the word ends here.
    fn open_block_before(&mut self, spaced: bool) {
        if !(self.brace.open && spaced && !self.brace.written) {
            return;
        }
        if self.nesting == 0 && self.last == '}' {
            self.next_line();
            self.next_line();
        }
        if self.brace.own_line && self.after_import {
            if self.last != '\n' {
                self.next_line();
            }
            self.indent();
        } else if self.line_start {
            self.indent();
        } else if !self.brace.spaced || !self.last.is_whitespace() {
            self.write(' ');
        }
        self.write('{');
        self.brace = Brace {
            open: false,
            written: true,
            own_line: false,
            ..self.brace
        };
        self.next_line();
        self.breaks = 0;
        self.nesting = (self.nesting + 1).min(DEEPEST);
    }

    fn close_block(&mut self) {
        self.end_word();
        if self.last != '\n' {
            self.next_line();
        }
        self.nesting = self.nesting.saturating_sub(1);
        self.indent();
        self.write('}');
        self.breaks = 0;
    }

    fn word_character(&mut self, c: char, spaced: bool) {
        self.lead_in(spaced);
        self.angle = spaced && c == '<' && !self.heredoc_escaped;
        self.word.push(c);
        self.write(c);
    }

    /// Begins a word with a character that is written elsewhere: a backslash or a backtick.
    fn start_word(&mut self) {
        let spaced = std::mem::replace(&mut self.space, false);
        self.open_block_before(spaced);
        self.lead_in(spaced);
    }

    /// Writes what belongs before a character of a word: line breaks, indentation, a space, a brace that the word
    /// begins with.
    fn lead_in(&mut self, spaced: bool) {
        for _ in 0..self.breaks.min(2) {
            self.next_line();
        }
        self.breaks = 0;
        if self.line_start {
            self.indent();
        }
        if self.nesting == 0 && self.last == '}' && self.line_start {
            self.next_line();
            self.next_line();
        }
        if !self.line_start && spaced {
            self.write(' ');
        }
        if self.brace.open && !self.brace.written {
            self.write('{');
            self.brace.written = true;
        }
        self.line_start = false;
    }

    fn write(&mut self, c: char) {
        self.out.push(c);
        self.last = c;
    }

    fn indent(&mut self) {
        for _ in 0..self.nesting {
            self.write('\t');
        }
    }

    fn next_line(&mut self) {
        self.write('\n');
        self.line_start = true;
    }
}
