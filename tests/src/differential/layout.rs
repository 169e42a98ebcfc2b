//! From pieces to text: tidy as the formatter wants it, or as somebody in a hurry writes.

use super::grammar::Piece;
use super::random::Random;

/// How a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A tab for each level, one space between words.
    Tidy,
    /// Odd spaces, comments, quotes, empty and continued lines.
    Loose,
}

/// Writes pieces as text.
pub(super) fn write(pieces: &[Piece], layout: Layout, random: &mut Random) -> String {
    let mut writer = Writer {
        loose: layout == Layout::Loose,
        random,
        text: String::new(),
        depth: 0,
        begun: false,
    };
    for piece in pieces {
        match piece {
            Piece::Word(word) => writer.word(word),
            Piece::Break => writer.end_line(),
            Piece::Open => {
                writer.gap();
                writer.text.push('{');
                writer.begun = true;
                writer.end_line();
                writer.depth += 1;
            }
            Piece::Close => {
                writer.depth = writer.depth.saturating_sub(1);
                writer.gap();
                writer.text.push('}');
                writer.begun = true;
                writer.end_line();
            }
        }
    }
    if writer.begun {
        writer.end_line();
    }
    writer.text
}

struct Writer<'r> {
    loose: bool,
    random: &'r mut Random,
    text: String,
    depth: usize,
    /// Whether the line has a word already.
    begun: bool,
}

impl Writer<'_> {
    /// In a hundred loose texts, as often as this.
    fn oddly(&mut self, percent: usize) -> bool {
        self.loose && self.random.chance(percent)
    }

    /// What stands before a word: an indentation, or a space.
    fn gap(&mut self) {
        if self.begun {
            let gap = if self.oddly(8) {
                self.random.pick(&["  ", "\t", " \\\n\t\t", "   ", " \\\n"])
            } else {
                " "
            };
            self.text.push_str(gap);
            return;
        }
        let mut depth = self.depth;
        if self.oddly(15) {
            depth = self.random.below(4);
        }
        if self.oddly(4) {
            let comment =
                self.random
                    .pick(&["# why\n", "#\n", "# a { b\n", "# }\n", "\n", "\n\n\n", " \t\n"]);
            self.text.push_str(comment);
        }
        let indent = if self.oddly(15) { "  " } else { "\t" };
        self.text.push_str(&indent.repeat(depth));
    }

    fn word(&mut self, word: &str) {
        self.gap();
        self.begun = true;
        if word.starts_with("<<") && word.contains('\n') {
            // The lines of a heredoc begin as its last one does.
            let indent = "\t".repeat(self.depth);
            self.text.push_str(&word.replace('\n', &format!("\n{indent}")));
        } else if self.oddly(5)
            && !word.starts_with(['"', '`', '@'])
            && !word.contains(['"', '`', '\n', '\\'])
        {
            let quote = self.random.pick(&['"', '`']);
            self.text.push(quote);
            self.text.push_str(word);
            self.text.push(quote);
        } else {
            self.text.push_str(word);
        }
    }

    fn end_line(&mut self) {
        if self.oddly(3) {
            self.text.push_str(
                self.random
                    .pick(&[" ", " # why", "  #", "\t", " # { not a block"]),
            );
        }
        if self.oddly(1) {
            self.text.push('\r');
        }
        self.text.push('\n');
        if self.oddly(4) {
            self.text.push_str(self.random.pick(&["\n", "\n\n", "\t\n"]));
        }
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::Grammar;
    use super::*;

    #[test]
    fn a_tidy_text_has_a_tab_for_each_level() {
        let grammar = Grammar::new(&["a:\n  x { y { z 1 } ; \\<<E\\nw\\nE }\n"]);
        let mut random = Random::new(1, 1);
        let pieces = grammar.make("a", &mut random);
        let text = write(&pieces, Layout::Tidy, &mut random);
        assert_eq!(text, "x {\n\ty {\n\t\tz 1\n\t}\n\t<<E\n\tw\n\tE\n}\n");
    }
}
