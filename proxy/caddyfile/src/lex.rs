//! From text to tokens.
//!
//! White space separates words; `#` at the start of a word begins a comment; a word may be quoted by `"…"`, by
//! backticks, or as a heredoc. A backslash joins the next line, quotes `"` inside `"…"`, and keeps `<<` from
//! being a heredoc; anywhere else it is a character like any other. The oddities of Caddy's lexer are kept,
//! because people's files rely on the result; each is named where it happens.

mod heredoc;

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::environment::Expanded;
use crate::source::{Source, Span};
use crate::token::{Quote, Token};

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

/// The words of a text as they stand, at most that many, and what is wrong with them: for tools that look at words
/// only. Nothing is substituted or imported.
pub fn tokens(source: &Arc<Source>, most: usize) -> (Vec<Token>, Vec<Diagnostic>) {
    let lexed = lex(source, &Expanded::unchanged(source.text()), most);
    (lexed.tokens, lexed.diagnostics)
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
            if lexed.diagnostics.len() < MISTAKES {
                lexed.diagnostics.push(warning);
            }
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
        let breaks = word.text.bytes().filter(|byte| *byte == b'\n').count() as u32;
        // A heredoc also has the line breaks after its opening and before its closing marker.
        let markers = if word.quote == Quote::Heredoc { 2 } else { 0 };
        Token {
            text: word.text,
            quote: word.quote,
            span: self.span(word.start, word.end),
            line: word.line,
            breaks: breaks + markers,
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

/// Mistakes kept of one text; beyond these nobody reads on.
const MISTAKES: usize = 1000;

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

    fn mistake(&mut self, mistake: Mistake) {
        if self.mistakes.len() < MISTAKES {
            self.mistakes.push(mistake);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    fn lexed(text: &str) -> Lexed {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        lex(&source, &Expanded::unchanged(text), usize::MAX)
    }

    /// Each token as its logical line and its raw text; heredocs as `<text>`.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let lexed = lexed(text);
        let show = |token: &Token| match token.quote {
            Quote::Heredoc => format!("{} <{}>", token.line, token.text),
            _ => format!("{} {}", token.line, token.raw()),
        };
        let tokens: Vec<String> = lexed.tokens.iter().map(show).collect();
        assert_eq!(tokens, expected, "{text:?}");
    }

    #[track_caller]
    fn check_mistake(text: &str, expected: &str) {
        let lexed = lexed(text);
        let reports: Vec<String> = lexed.diagnostics.iter().map(Diagnostic::one_line).collect();
        assert_eq!(reports.join("\n"), expected, "{text:?}");
    }

    /// The places of the tokens, as what stands there.
    #[track_caller]
    fn check_spans(text: &str, expected: &[&str]) {
        let lexed = lexed(text);
        let spans: Vec<&str> = lexed.tokens.iter().map(|token| token.span.text()).collect();
        assert_eq!(spans, expected, "{text:?}");
    }

    #[test]
    fn splits_at_white_space() {
        check("", &[]);
        check("  a  b\n\n c\t", &["1 a", "1 b", "3 c"]);
        check("\u{feff}a \u{feff}b", &["1 a", "1 \u{feff}b"]); // L1
        check(
            "a\u{a0}b\u{2028}c\u{85}d\u{3000}e",
            &["1 a", "1 b", "1 c", "1 d", "1 e"],
        ); // L3
        check("a\rb\r\nc", &["1 ab", "2 c"]); // L4
        check("\"a\rb\" `c\rd`", &["1 \"a\rb\"", "1 `c\rd`"]); // L5
    }

    #[test]
    fn comments_begin_words() {
        check("a#b #c d\ne", &["1 a#b", "2 e"]); // L6
        check("#a\n#b", &[]);
        check("a\"b\"# c", &["1 a\"b\"#", "1 c"]);
        check("\"a\"#b\nc", &["1 \"a\"", "2 c"]);
    }

    #[test]
    fn quotes_hold_words_together() {
        check(r#"a"b c""#, &["1 a\"b", "1 c\""]); // L7
        check(r#""a"b"#, &["1 \"a\"", "1 b"]); // L8
        check(r#""" x"#, &["1 \"\"", "1 x"]); // L9
        check(r#""\n\"\\\t""#, &[r#"1 "\n"\\\t""#]); // L10
        check(r#""a\\" b"#, &[r#"1 "a\\""#, "1 b"]); // L11
        check(r#"`a\n"b`"#, &[r#"1 `a\n"b`"#]); // L12
        check("\"a\nb\" c\nd", &["1 \"a\nb\"", "2 c", "3 d"]); // L13
        check("`a\nb` c\nd", &["1 `a\nb`", "2 c", "3 d"]);
    }

    #[test]
    fn open_quotes_end_with_the_text() {
        check("a \"b c", &["1 a", "1 b c"]); // L14
        check("a `b c", &["1 a", "1 b c"]);
        check("a \"", &["1 a"]);
        assert_eq!(lexed("a \"b c").open_quote.map(|span| span.start), Some(2));
        assert!(lexed("a \"b c\"").open_quote.is_none());
    }

    #[test]
    fn backslashes_are_mostly_themselves() {
        check(r"a\b \c d\\e", &["1 a\\b", "1 \\c", "1 d\\\\e"]); // L15
        check("a\\ b", &["1 a", "1 b"]); // L15a: lost before a blank
        check(" \\ b", &["1 \\b"]); // but kept for the word after it
        check("\\\"a\"", &["1 \"\\a\""]);
        check("\\`a`", &["1 `a`"]);
        check("\\# a\nb", &["1 b"]);
        check("a\\", &["1 a"]);
        check("\\", &[]);
    }

    #[test]
    fn backslashes_join_lines() {
        check("a \\\n b\nc", &["1 a", "1 b", "3 c"]); // L16
        check("a\\\nb\\\nc\nd", &["1 a", "1 b", "1 c", "4 d"]);
        check("a \\\r\n b\nc", &["1 a", "1 b", "3 c"]);
    }

    #[test]
    fn backslashes_in_comments_join_lines_with_a_warning() {
        check("a # c:\\b c\nd\ne", &["1 a", "1 d", "3 e"]); // L15b
        let warning = "Caddyfile:1:3: a backslash in this comment joins the next line to the words before it; \
                       remove the backslash, or put the comment on a line of its own";
        check_mistake("a # c:\\b c\nd", warning);
        check_mistake("a\n# c:\\b c\nd", "");
        check_mistake("a # c:\\b c\n\nd", "");
    }

    #[test]
    fn escaped_angles_are_no_heredoc() {
        check("\\<<EOF\nx", &["1 <<EOF", "2 x"]); // L17
        check("a\\<b <\\<c\nd", &["1 a<b", "1 <<c", "2 d"]);
    }

    #[test]
    fn only_bare_braces_are_structure() {
        let tokens = lexed("{ } \"{\" `}` a{ {b} {}").tokens;
        let opens: Vec<bool> = tokens.iter().map(Token::is_open_brace).collect();
        let closes: Vec<bool> = tokens.iter().map(Token::is_close_brace).collect();
        assert_eq!(opens, [true, false, false, false, false, false, false]); // L18, L19, L20
        assert_eq!(closes, [false, true, false, false, false, false, false]);
    }

    #[test]
    fn heredocs_hold_lines() {
        check("a <<E\nb\n c\nE d\ne", &["1 a", "1 <b\n c>", "4 d", "5 e"]); // H1, H9, H10
        check("<<E\n  b\n\n   c\n  E", &["1 <b\n\n c>"]); // H7, H8
        check("<<E\n\tb\n\tE", &["1 <b>"]);
        check("<<E\r\n  b\r\n\r\n  c\r\n  E\r\nd", &["1 <b\n\nc>", "6 d"]); // H9
        check("<<E\nE", &["1 <>"]); // H12
        check("<<E\n\nE x", &["1 <>", "3 x"]);
        check("<<a-B_9\nx\na-B_9", &["1 <x>"]); // H5
    }

    #[test]
    fn heredocs_end_at_their_marker_anywhere() {
        check("<<A\n BAR\n A", &["1 <>", "2 R", "3 A"]); // H6
        check("<<A\nx\nAB", &["1 <x>", "3 B"]);
    }

    #[test]
    fn some_angles_are_plain_words() {
        check("<< EOF\nx", &["1 <<", "1 EOF", "2 x"]); // H2
        check("<<A B\nx", &["1 <<A", "1 B", "2 x"]);
        check("<<EOF", &["1 <<EOF"]);
        check("< a<<b\nc", &["1 <", "1 a<<b", "2 c"]);
        check("\"<<E\"\nx", &["1 \"<<E\"", "2 x"]);
    }

    #[test]
    fn wrong_heredocs_are_explained() {
        check_mistake(
            "a <<\nb",
            "Caddyfile:1:3: this heredoc has no marker: `<<` ends its line; name a marker, for example `<<END`",
        ); // H3
        check_mistake(
            "a <<<E\nE",
            "Caddyfile:1:3: too many `<` for a heredoc; only use two, for example `<<END`",
        ); // H4
        check_mistake(
            "a <<E!\nE!",
            "Caddyfile:1:3: heredoc marker `E!` has characters that a marker cannot have; \
             a marker must contain only alphanumeric characters, dashes and underscores",
        ); // H5
        check_mistake(
            "a <<E\n  b\n c\n  E",
            "Caddyfile:3:1: mismatched leading whitespace in heredoc `<<E`; \
             begin the line with exactly 2 spaces, as the closing marker's line does",
        ); // H7
        check_mistake(
            "a <<E\nb",
            "Caddyfile:1:3: incomplete heredoc `<<E`: its ending marker `E` never comes; \
             end the text with `E` on a line of its own",
        ); // H11
    }

    #[test]
    fn wrong_heredocs_still_hold_their_lines() {
        check("a <<E!\nb\nE! c", &["1 a", "1 <b>", "3 c"]);
        check("a <<<E\nb\nE c", &["1 a", "1 <b>", "3 c"]);
        check("a <<\nb", &["1 a", "1 <<", "2 b"]);
        check("a <<E\nb", &["1 a", "1 <b>"]);
    }

    #[test]
    fn words_know_their_place() {
        check_spans("a \"b c\"d `e`\n", &["a", "\"b c\"", "d", "`e`"]);
        check_spans("\u{feff}ä \\ö\r\nx\\ y", &["ä", "\\ö", "x\\", "y"]);
        check_spans("<<E\nb\nE x", &["<<E\nb\nE", "x"]);
        check_spans("a \"b", &["a", "\"b"]);
        check_spans("a\\\nb", &["a\\", "b"]);
    }

    #[test]
    fn stops_at_the_limit() {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", "a b c");
        let lexed = lex(&source, &Expanded::unchanged("a b c"), 2);
        assert!(lexed.too_many && lexed.tokens.len() == 2);
    }
}
