//! `caddy fmt`: the same layout as Caddy's, character for character.
//!
//! Braces and white space are set anew: tabs, one per level; one space between words; at most one blank line in a
//! row; a blank line between blocks at the top. Everything else (words, comments, quotes, heredocs, escapes) is
//! written as it stands. The rules look at characters, not at tokens, and some are odd; they are Caddy's, and so a
//! file formatted by either program is left alone by the other.

mod formatter;

use crate::environment::Expanded;
use crate::lex::lex;
use crate::origin::Origin;
use crate::source::Source;
use crate::token::{Mark, Quote};

/// Some texts, most of them broken, need several passes of Caddy's until nothing changes. A few never settle.
const PASSES: usize = 8;

/// Formats a Caddyfile. What it returns, it returns unchanged.
///
/// A text to which Caddy's rules would do harm is left as it is: one that they would never finish with, or whose
/// words they would change, as they do to an opening brace at the very end.
pub fn format(text: &str) -> String {
    let mut formatted = formatter::once(text);
    for _ in 0..PASSES {
        let next = formatter::once(&formatted);
        if next == formatted {
            if same_words(text, &formatted) {
                return formatted;
            }
            break;
        }
        formatted = next;
    }
    text.to_owned()
}

/// Whether two texts hold the same words on the same lines, up to what a formatter is for: a brace and what follows
/// one may come to stand on a line of their own, and an opening brace at the end of the line before. In a text whose
/// braces do not match, any brace may come off the word that it is glued to: probably that is why.
fn same_words(before: &str, after: &str) -> bool {
    let (words, words_after) = (Words::new(before), Words::new(after));
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    words.may_become(&words_after) || !words.is_balanced() && letters(before) == letters(after)
}

/// What a text says, as far as it can be seen without parsing it.
struct Words {
    words: Vec<Word>,
    /// How much is wrong with its heredocs.
    mistakes: usize,
}

struct Word {
    text: String,
    quote: Quote,
    starts_line: bool,
}

impl Word {
    fn is_brace(&self) -> bool {
        self.quote == Quote::None && (self.text == "{" || self.text == "}")
    }
}

impl Words {
    fn new(text: &str) -> Self {
        let source = Source::new(Origin::operator(""), "", text);
        let lexed = lex(&source, &Expanded::unchanged(text), usize::MAX);
        let mut words: Vec<Word> = Vec::with_capacity(lexed.tokens.len());
        let mut before: Option<Mark> = None;
        for token in lexed.tokens {
            let starts_line = before.is_none_or(|before| before.is_before_line_of(&token));
            before = Some(token.mark());
            words.push(Word {
                text: token.text,
                quote: token.quote,
                starts_line,
            });
        }
        Self {
            words,
            mistakes: lexed
                .diagnostics
                .iter()
                .filter(|mistake| mistake.is_error())
                .count(),
        }
    }

    fn may_become(&self, after: &Self) -> bool {
        let mut behind_brace = false;
        let same = |(a, b): (&Word, &Word)| {
            let brace = a.is_brace();
            let may_move = (brace || behind_brace) && b.starts_line || brace && a.text == "{";
            behind_brace = brace;
            a.text == b.text && a.quote == b.quote && (a.starts_line == b.starts_line || may_move)
        };
        self.mistakes == after.mistakes
            && self.words.len() == after.words.len()
            && self.words.iter().zip(&after.words).all(same)
    }

    fn is_balanced(&self) -> bool {
        let braces = self.words.iter().filter(|word| word.is_brace());
        braces
            .map(|brace| if brace.text == "{" { 1 } else { -1 })
            .sum::<i64>()
            == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(format(text), expected, "{text:?}");
        assert_eq!(format(expected), expected, "a second time");
    }

    /// Recorded from `caddy fmt` 2.11.4.
    const RECORDED: &[(&str, &str)] = &[
        // Empty text.
        ("", "\n"),
        // Only blanks.
        (" \n\t\n", "\n"),
        // One word.
        ("a", "a\n"),
        // Indents by tabs.
        ("a.test {\nrespond hi\n}", "a.test {\n\trespond hi\n}\n"),
        // Spaces become tabs.
        (
            "a.test {\n    handle /x {\n        respond   hi    200\n    }\n}\n",
            "a.test {\n\thandle /x {\n\t\trespond hi 200\n\t}\n}\n",
        ),
        // One blank line at most.
        (
            "a.test {\n\n\n\trespond hi\n\n\n\n\tlog\n\n}\n\n\n\nb.test {\n}\n",
            "a.test {\n\trespond hi\n\n\tlog\n}\n\nb.test {\n}\n",
        ),
        // Blank line between blocks.
        ("a.test {\n}\nb.test {\n}\n", "a.test {\n}\nb.test {\n}\n"),
        // Brace gets a space.
        ("a{\n\tb\n}\n\nc{ d\n}", "a {\n\tb\n}\n\nc {\n\td\n}\n"),
        ("a {\n\tb\n}c{\n\td e\nf}", "a {\n\tb\n}\n\nc {\n\td e\n\tf\n}\n"),
        ("a\n{\n\t{\n}}}", "a {\n\t{\n\t}\n}\n}\n"),
        ("a.test{\nrespond hi\n}\n", "a.test {\n\trespond hi\n}\n"),
        // Brace is pulled up.
        ("a.test\n{\nrespond hi\n}\n", "a.test {\n\trespond hi\n}\n"),
        // Text after a brace moves down.
        ("a.test { respond hi\n}\n", "a.test {\n\trespond hi\n}\n"),
        // Closing brace moves down.
        ("a.test {\nrespond hi }\n", "a.test {\n\trespond hi\n}\n"),
        // Global options.
        (
            "{\ndebug\nadmin off\n}\na.test {\n}\n",
            "{\n\tdebug\n\tadmin off\n}\na.test {\n}\n",
        ),
        // Comments stay.
        (
            "# top\na.test { # behind a brace\n  # inside\nrespond hi # behind\n}\n# end",
            "# top\na.test {\n\t# behind a brace\n\t# inside\n\trespond hi # behind\n}\n# end\n",
        ),
        // Comment between blocks.
        (
            "a.test {\n}\n# about b\nb.test {\n}\n",
            "a.test {\n}\n# about b\nb.test {\n}\n",
        ),
        // Comment is no structure.
        (
            "a.test {\n# { } \" `\nrespond hi\n}\n",
            "a.test {\n\t# { } \" `\n\trespond hi\n}\n",
        ),
        // Placeholders stay.
        (
            "a.test {\nheader X {http.request.uri}-{args[0]} {$HOME:x}\n}\n",
            "a.test {\n\theader X {http.request.uri}-{args[0]} {$HOME:x}\n}\n",
        ),
        // Placeholder begins a line.
        (
            "a.test {\n{args[0]} hi\n{block}\n}\n",
            "a.test {\n\t{args[0]} hi\n\t{block}\n}\n",
        ),
        // Quotes stay.
        (
            "a.test {\nrespond \"two   words\\\"\n  {  }\" 200\n}\n",
            "a.test {\n\trespond \"two   words\\\"\n  {  }\" 200\n}\n",
        ),
        // Quotes within a word are none.
        (
            "a.test {\nrespond a\"b   c\"d\n}\n",
            "a.test {\n\trespond a\"b c\"d\n}\n",
        ),
        // Backticks stay.
        (
            "a.test {\nrespond   `{\n  \"x\":   1\n}`   200\n}\n",
            "a.test {\n\trespond `{\n  \"x\":   1\n}` 200\n}\n",
        ),
        // Braces in backticks.
        (
            "a.test {\n@m expression   `path('/x') && {y} == \"z\"`\n}\n",
            "a.test {\n\t@m expression `path('/x') && {y} == \"z\"`\n}\n",
        ),
        // Heredocs stay.
        (
            "a.test {\nrespond   <<END\n  one\n     {two\n  END   200\nlog\n}\n",
            "a.test {\n\trespond <<END\n  one\n     {two\n  END 200\n\tlog\n}\n",
        ),
        // Escaped heredoc.
        (
            "a.test {\nrespond \\<<END   x\n}\n",
            "a.test {\n\trespond \\<<END x\n}\n",
        ),
        // Joined lines.
        (
            "a.test {\nreverse_proxy   a:80 \\\n      b:80\n}\n",
            "a.test {\n\treverse_proxy a:80 \\\n b:80\n}\n",
        ),
        // Escaped brace.
        (
            "a.test {\nrewrite \\{x\\}   y\n}\n",
            "a.test {\n\trewrite \\{x\\} y\n}\n",
        ),
        // Snippet.
        (
            "(s) {\nheader   X   {args[0]}\n}\na.test {\nimport   s   y\n}\n",
            "(s) {\n\theader X {args[0]}\n}\na.test {\n\timport s y\n}\n",
        ),
        // Named route.
        ("&(r)   {\nrespond hi\n}\n", "&(r) {\n\trespond hi\n}\n"),
        // Imports at the top.
        ("import a.conf\n{\ndebug\n}\n", "import a.conf\n{\n\tdebug\n}\n"),
        // Import with a block.
        ("import s {\nrespond hi\n}\n", "import s {\n\trespond hi\n}\n"),
        // Sites over lines.
        (
            "a.test,\nb.test {\nrespond hi\n}\n",
            "a.test,\nb.test {\n\trespond hi\n}\n",
        ),
        // One site without braces.
        ("a.test\nrespond   hi\n\n\nlog\n", "a.test\nrespond hi\n\nlog\n"),
        // Deep levels.
        (
            "a {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\na {\nx\n}\n}\n}\n}\n}\n}\n}\n}\n}\n}\n}\n}\n",
            "a {\n\ta {\n\t\ta {\n\t\t\ta {\n\t\t\t\ta {\n\t\t\t\t\ta {\n\t\t\t\t\t\ta {\n\t\t\t\t\t\t\ta {\n\t\t\t\t\t\t\t\ta {\n\t\t\t\t\t\t\t\t\ta {\n\t\t\t\t\t\t\t\t\t\ta {\n\t\t\t\t\t\t\t\t\t\ta {\n\t\t\t\t\t\t\t\t\t\tx\n\t\t\t\t\t\t\t\t\t}\n\t\t\t\t\t\t\t\t}\n\t\t\t\t\t\t\t}\n\t\t\t\t\t\t}\n\t\t\t\t\t}\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n}\n}\n",
        ),
        // Windows line ends.
        ("a.test {\r\nrespond hi\r\n}\r\n", "a.test {\n\trespond hi\n}\n"),
        // Empty block.
        ("a.test {\nhandle {\n}\n}\n", "a.test {\n\thandle {\n\t}\n}\n"),
        // Empty block on one line.
        ("a.test {\nhandle { }\n}\n", "a.test {\n\thandle {\n\t}\n}\n"),
        // Letters of the world.
        (
            "ä.test {\nrespond   „grüß dich“\n}\n",
            "ä.test {\n\trespond „grüß dich“\n}\n",
        ),
        // Too many closing braces.
        ("a.test {\n}\n}\n", "a.test {\n}\n}\n"),
        // Matcher and block.
        (
            "a.test {\n@m {\npath /a   /b\nheader X   y\n}\nrespond   @m hi\n}\n",
            "a.test {\n\t@m {\n\t\tpath /a /b\n\t\theader X y\n\t}\n\trespond @m hi\n}\n",
        ),
        // A backtick behind a closing brace.
        ("}`b`", "}`b`\n"),
        // A backslash at the end.
        ("a\n\t\\", "a \\\n"),
    ];

    #[test]
    fn formats_as_caddy_does() {
        for (text, expected) in RECORDED {
            check(text, expected);
        }
    }

    #[test]
    fn never_joins_lines_or_words_as_caddy_does() {
        // Caddy takes a word that begins with a backtick or backslash into the line before.
        check("a {\nb\n`c`\n}\n", "a {\n\tb\n\t`c`\n}\n");
        check("a {\nb\n\\<<c\n}\n", "a {\n\tb\n\t\\<<c\n}\n");
        check("a {\n`b`\n}\n", "a {\n\t`b`\n}\n");
        // And parts one that stands directly behind a brace.
        check("a {\nb {\n}`c`\n}", "a {\n\tb {\n\t}`c`\n}\n");
        // Caddy joins a lone `<` to the next word, and so makes `<<END` of two words.
        check("a < b\n", "a < b\n");
        check("a <<  END\n", "a << END\n");
    }

    #[test]
    fn leaves_alone_what_the_rules_would_harm() {
        for text in ["a {", "a {\n b\n", "import {\n", "a  x} b\n", "a\\  b\n"] {
            let formatted = format(text);
            assert!(same_words(text, &formatted), "{text:?} became {formatted:?}");
        }
        check("a {", "a {");
    }
}
