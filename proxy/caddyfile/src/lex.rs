//! From text to tokens.
//!
//! White space separates words; `#` at the start of a word begins a comment; a word may be quoted by `"…"`, by
//! backticks, or as a heredoc. A backslash joins the next line, quotes `"` inside `"…"`, and keeps `<<` from
//! being a heredoc; anywhere else it is a character like any other. The oddities of Caddy's lexer are kept,
//! because people's files rely on the result; each is named where it happens.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::environment::Expanded;
use crate::source::{Source, Span};
use crate::token::{Quote, Token};

/// How many wrongly opened heredocs are searched for their end, so that their lines are not taken for directives.
const SEARCHES: u32 = 20;

/// What the lexer made of a text.
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whether a heredoc that never ends swallowed the rest: what is missing at the end is its fault.
    pub(crate) unfinished: bool,
    /// A quote that is never closed; its word goes on to the end of the text.
    pub(crate) open_quote: Option<Span>,
    /// Whether the text holds more tokens than allowed; they end at the limit.
    pub(crate) too_many: bool,
}

/// Splits `source`, whose text is now `expanded`, into at most `most` tokens.
pub(crate) fn lex(source: &Arc<Source>, expanded: &Expanded<'_>, most: usize) -> Lexed {
    let text = expanded.text.strip_prefix('\u{feff}').unwrap_or(&expanded.text);
    let skipped = expanded.text.len() - text.len();
    let place = Place {
        source,
        expanded,
        skipped,
    };
    let mut lexer = Lexer::new(text);
    let mut lexed = Lexed {
        tokens: Vec::new(),
        diagnostics: Vec::new(),
        unfinished: false,
        open_quote: None,
        too_many: false,
    };
    while let Some(word) = lexer.next_word() {
        if lexed.tokens.len() >= most {
            lexed.too_many = true;
            break;
        }
        if let Some((start, end)) = lexer.joining_comment.take()
            && lexed
                .tokens
                .last()
                .is_some_and(|last| last.end_line() >= word.line)
        {
            let warning = "a backslash in this comment joins the next line to the words before it";
            let warning = Diagnostic::warning("comment-joins-lines", &place.span(start, end), warning)
                .help("remove the backslash, or put the comment on a line of its own");
            lexed.diagnostics.push(warning);
        }
        lexed.tokens.push(place.token(word));
    }
    lexed.unfinished = lexer.unfinished;
    lexed.open_quote = lexer.open_quote.map(|at| place.span(at, at + 1));
    lexed
        .diagnostics
        .extend(lexer.mistakes.into_iter().map(|mistake| {
            let span = place.span(mistake.start, mistake.end);
            let diagnostic = Diagnostic::error(mistake.code, &span, mistake.message).label(mistake.label);
            let diagnostic = match mistake.context {
                Some((start, end, label)) => diagnostic.context(place.span(start, end), label),
                None => diagnostic,
            };
            diagnostic.help(mistake.help)
        }));
    lexed
}

/// What turns words into tokens.
struct Place<'a> {
    source: &'a Arc<Source>,
    expanded: &'a Expanded<'a>,
    /// Bytes of a leading byte order mark.
    skipped: usize,
}

impl Place<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        let start = self.expanded.original_start(start + self.skipped);
        let end = self.expanded.original_end(end + self.skipped).max(start);
        Span {
            source: Arc::clone(self.source),
            start,
            end,
        }
    }

    fn token(&self, word: Word) -> Token {
        Token {
            text: word.text,
            quote: word.quote,
            span: self.span(word.start, word.end),
            line: word.line,
            home: Arc::clone(self.source),
            imports: None,
            origin: Arc::clone(self.source.origin()),
        }
    }
}

/// A token, with its place in the text that the lexer sees.
struct Word {
    text: String,
    quote: Quote,
    start: usize,
    end: usize,
    line: u32,
}

/// A mistake, with its place in the text that the lexer sees.
struct Mistake {
    code: &'static str,
    start: usize,
    end: usize,
    message: String,
    label: String,
    context: Option<(usize, usize, String)>,
    help: String,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The logical line.
    line: u32,
    /// Line breaks that were escaped or stand in a heredoc: they count at the next real one.
    pending_lines: u32,
    mistakes: Vec<Mistake>,
    searches: u32,
    unfinished: bool,
    open_quote: Option<usize>,
    /// The last comment that held a backslash.
    joining_comment: Option<(usize, usize)>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            pending_lines: 0,
            mistakes: Vec::new(),
            searches: 0,
            unfinished: false,
            open_quote: None,
            joining_comment: None,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// A line break: `escaped` ones do not end the logical line.
    fn line_break(&mut self, escaped: bool) {
        if escaped {
            self.pending_lines += 1;
        } else {
            self.line += 1 + self.pending_lines;
            self.pending_lines = 0;
        }
    }

    fn next_word(&mut self) -> Option<Word> {
        let escape = self.skip_blank()?;
        let start = match escape {
            Some(at) if at + 1 == self.at => at,
            _ => self.at,
        };
        let (line, escaped) = (self.line, escape.is_some());
        let (text, quote) = match self.peek()? {
            '"' => self.double_quoted(escaped)?,
            '`' => self.backtick_quoted()?,
            _ => self.plain(escaped, start),
        };
        // The blank that ended a plain word was read with it.
        let end = if quote == Quote::None {
            self.word_end(start)
        } else {
            self.at
        };
        Some(Word {
            text,
            quote,
            start,
            end,
            line,
        })
    }

    /// Where the word that was just read ends, without the blank behind it.
    fn word_end(&self, start: usize) -> usize {
        start
            + self.text[start..self.at]
                .trim_end_matches(char::is_whitespace)
                .len()
    }

    /// Goes to the start of the next word. Gives the place of a backslash that stands before it: such a backslash
    /// belongs to the word, even if blanks lie between. `None` at the end of the text, where it is lost.
    #[allow(clippy::option_option)] // No more words, or a word with or without a backslash before it.
    fn skip_blank(&mut self) -> Option<Option<usize>> {
        let mut escape = None;
        let mut comment = None;
        loop {
            match self.peek()? {
                // Also in a comment, where it then escapes the line break.
                '\\' if escape.is_none() => escape = Some(self.at),
                '\n' => {
                    if let (Some(start), true) = (comment.take(), escape.is_some()) {
                        self.joining_comment = Some((start, self.at));
                    }
                    self.line_break(escape.take().is_some());
                }
                c if c.is_whitespace() => {}
                _ if comment.is_some() => {}
                '#' => comment = Some(self.at),
                _ => return Some(escape),
            }
            self.bump();
        }
    }

    /// `"…"`: `\"` stands for `"`, any other backslash for itself.
    fn double_quoted(&mut self, mut escaped: bool) -> Option<(String, Quote)> {
        let open = self.at;
        self.bump();
        let mut text = String::new();
        while let Some(c) = self.bump() {
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped {
                if c != '"' {
                    text.push('\\');
                }
                escaped = false;
            } else if c == '"' {
                return Some((text, Quote::Double));
            }
            if c == '\n' {
                self.line_break(false);
            }
            text.push(c);
        }
        self.unclosed(text, open)
    }

    /// `` `…` ``: everything stands for itself.
    fn backtick_quoted(&mut self) -> Option<(String, Quote)> {
        let open = self.at;
        self.bump();
        let rest = &self.text[self.at..];
        let close = rest.find('`');
        let text = &rest[..close.unwrap_or(rest.len())];
        for _ in text.bytes().filter(|byte| *byte == b'\n') {
            self.line_break(false);
        }
        self.at += text.len();
        if close.is_none() {
            return self.unclosed(text.to_owned(), open);
        }
        self.bump();
        Some((text.to_owned(), Quote::Backtick))
    }

    /// A quote that is never closed is a plain word, and none at all if it is empty.
    fn unclosed(&mut self, text: String, open: usize) -> Option<(String, Quote)> {
        self.open_quote = Some(open);
        (!text.is_empty()).then_some((text, Quote::None))
    }

    fn plain(&mut self, mut escaped: bool, start: usize) -> (String, Quote) {
        let mut text = String::new();
        let mut may_be_heredoc = true;
        while let Some(c) = self.bump() {
            if may_be_heredoc && text.starts_with("<<") {
                match c {
                    ' ' => break,
                    '\r' => {}
                    '\n' => {
                        if let Some(body) = self.heredoc(&text[2..], start) {
                            return (body, Quote::Heredoc);
                        }
                        self.line_break(false);
                        break;
                    }
                    _ => text.push(c),
                }
                continue;
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if c == '\r' {
                continue;
            }
            if c.is_whitespace() {
                // A backslash before a blank is lost.
                if c == '\n' {
                    self.line_break(escaped);
                }
                break;
            }
            if escaped {
                if c == '<' {
                    may_be_heredoc = false;
                } else {
                    text.push('\\');
                }
                escaped = false;
            }
            text.push(c);
        }
        (text, Quote::None)
    }

    /// Reads a heredoc whose opening line was just read. `None` after a mistake that leaves a plain word.
    fn heredoc(&mut self, marker: &str, start: usize) -> Option<String> {
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
            self.mistakes.push(mistake);
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
            self.mistakes.push(wrong("heredoc-incomplete", message, &help));
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
                self.mistakes.push(Mistake {
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
