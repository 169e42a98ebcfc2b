//! Diagnostics as text.
//!
//! Text of an author ends up on terminals and in the status of objects, so control characters are replaced and
//! long lines are cut around the place in question.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Source, Span};
use crate::token::{ImportKind, ImportStep};

/// Characters of a message shown at most; only the name of something huge can be longer.
const LONGEST: usize = 1000;

/// Characters of a line shown at most, and those kept before the place in question.
const WIDTH: usize = 140;
const BEFORE: usize = 60;

pub(super) fn one_line(diagnostic: &Diagnostic) -> String {
    let span = &diagnostic.span;
    let mut out = format!("{}:{}:{}: ", span.source.short_name(), span.line(), span.column());
    out += &clean(&diagnostic.message);
    if let Some(help) = &diagnostic.help {
        out += "; ";
        out += &clean(help);
    }
    out
}

pub(super) fn report(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!("{severity}[{}]: {}", diagnostic.code, clean(&diagnostic.message));

    let home = &diagnostic.span.source;
    let mut excerpts = vec![Excerpt::new(home)];
    excerpts[0]
        .labels
        .push(Label::new(&diagnostic.span, '^', &diagnostic.label));
    for (span, text) in &diagnostic.context {
        let known = excerpts
            .iter()
            .position(|excerpt| Arc::ptr_eq(excerpt.source, &span.source));
        let index = known.unwrap_or_else(|| {
            excerpts.push(Excerpt::new(&span.source));
            excerpts.len() - 1
        });
        excerpts[index].labels.push(Label::new(span, '-', text));
    }
    let last = excerpts
        .iter()
        .flat_map(|excerpt| &excerpt.labels)
        .map(|label| label.line)
        .max();
    let gutter = last.unwrap_or(1).to_string().len();
    for (index, excerpt) in excerpts.iter_mut().enumerate() {
        let arrow = if index == 0 { "-->" } else { ":::" };
        // The first label is the place itself; sorting comes later.
        let (line, column) = (excerpt.labels[0].line, excerpt.labels[0].column);
        let name = clean(excerpt.source.name());
        let _ = write!(out, "\n{:gutter$}{arrow} {name}:{line}:{column}", "");
        excerpt.write(&mut out, gutter);
    }

    let mut fact = |kind: &str, text: &str| {
        let _ = write!(out, "\n{:gutter$} = {kind}: {}", "", clean(text));
    };
    if let Some(help) = &diagnostic.help {
        fact("help", help);
    }
    for note in &diagnostic.notes {
        fact("note", note);
    }
    for step in diagnostic.imports.iter().flat_map(|step| step.chain()) {
        if let Some(note) = import_note(step, home) {
            fact("note", &note);
        }
    }
    out
}

/// ``in snippet `(x)`, imported at line 3``
fn import_note(step: &ImportStep, home: &Arc<Source>) -> Option<String> {
    let what = match step.kind {
        ImportKind::Snippet => format!("in snippet `({})`", step.name),
        ImportKind::File => format!("in file `{}`", step.name),
        ImportKind::Block => return None, // The block stands where the excerpt shows it.
    };
    let line = step.span.line();
    Some(if Arc::ptr_eq(&step.span.source, home) {
        format!("{what}, imported at line {line}")
    } else {
        format!("{what}, imported at {}:{line}", step.span.source.name())
    })
}

/// The lines of one text that a diagnostic speaks of.
struct Excerpt<'a> {
    source: &'a Arc<Source>,
    labels: Vec<Label<'a>>,
}

/// A mark below a line.
struct Label<'a> {
    line: u32,
    column: u32,
    width: usize,
    mark: char,
    text: &'a str,
}

impl<'a> Label<'a> {
    fn new(span: &Span, mark: char, text: &'a str) -> Self {
        // Of a place that spans lines, the first line is marked.
        let first = span.text().lines().next().unwrap_or("");
        let width = first.chars().count().max(1);
        Self {
            line: span.line(),
            column: span.column(),
            width,
            mark,
            text,
        }
    }
}

impl<'a> Excerpt<'a> {
    fn new(source: &'a Arc<Source>) -> Self {
        Self {
            source,
            labels: Vec::new(),
        }
    }

    fn write(&mut self, out: &mut String, gutter: usize) {
        self.labels.sort_by_key(|label| (label.line, label.column));
        let _ = write!(out, "\n{:gutter$} |", "");
        let mut last = None;
        for label in &self.labels {
            let text: Vec<char> = self.source.line_text(label.line).chars().collect();
            let start = (label.column as usize - 1).min(text.len());
            let from = if text.len() > WIDTH {
                start.saturating_sub(BEFORE)
            } else {
                0
            };
            if last != Some(label.line) || from > 0 {
                if last.is_some_and(|last| label.line > last + 1) {
                    out.push_str("\n...");
                }
                let _ = write!(out, "\n{:<gutter$} | ", label.line);
                write_line(out, &text, from);
                last = Some(label.line);
            }
            let _ = write!(out, "\n{:gutter$} | ", "");
            if from > 0 {
                out.push(' '); // Below the ellipsis.
            }
            // Tabs stay tabs, so that the mark stands below its place at any tab width.
            out.extend(
                text[from..start]
                    .iter()
                    .map(|c| if *c == '\t' { '\t' } else { ' ' }),
            );
            let width = label.width.min(text.len().saturating_sub(start)).clamp(1, WIDTH);
            out.extend(std::iter::repeat_n(label.mark, width));
            if !label.text.is_empty() {
                out.push(' ');
                out.push_str(&clean(label.text));
            }
        }
    }
}

/// A line, or what of it is worth showing.
fn write_line(out: &mut String, text: &[char], from: usize) {
    if from > 0 {
        out.push('…');
    }
    let to = text.len().min(from + WIDTH);
    out.extend(
        text[from..to]
            .iter()
            .map(|c| if *c == '\t' { '\t' } else { visible(*c) }),
    );
    if to < text.len() {
        out.push('…');
    }
}

/// Text of an author inside a message.
fn clean(text: &str) -> String {
    let mut out: String = text.chars().take(LONGEST).map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

fn visible(c: char) -> char {
    // The second kind turns the direction of writing around, and so can make a text look like another.
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c == '\n' {
        '⏎'
    } else if c.is_control() || turns {
        '\u{fffd}'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    fn span(source: &Arc<Source>, word: &str) -> Span {
        let start = source.text().find(word).expect("the word is there") as u32;
        Span {
            source: Arc::clone(source),
            start,
            end: start + word.len() as u32,
        }
    }

    #[test]
    fn looks_as_the_style_guide_says() {
        let name = "CaddyRoute shop/api, spec.caddyfile";
        let text =
            "\n\n    import upstreams\n\n\n    reverse_proxy api:8080 {\n        lb_polcy round_robin\n";
        let source = Source::new(Origin::tenant(name, "shop"), name, text);
        let step = ImportStep {
            span: span(&source, "import"),
            name: "upstreams".into(),
            kind: ImportKind::Snippet,
            parent: None,
            target: Arc::clone(&source),
            depth: 1,
        };
        let message = "`reverse_proxy` has no subdirective `lb_polcy`";
        let diagnostic = Diagnostic::error("unknown-subdirective", &span(&source, "lb_polcy"), message)
            .label("not known here")
            .context(span(&source, "reverse_proxy"), "inside this directive")
            .did_you_mean(Some("lb_policy"))
            .imported(Some(Arc::new(step)));
        let expected = "\
error[unknown-subdirective]: `reverse_proxy` has no subdirective `lb_polcy`
 --> CaddyRoute shop/api, spec.caddyfile:7:9
  |
6 |     reverse_proxy api:8080 {
  |     ------------- inside this directive
7 |         lb_polcy round_robin
  |         ^^^^^^^^ not known here
  = help: did you mean `lb_policy`?
  = note: in snippet `(upstreams)`, imported at line 3";
        assert_eq!(diagnostic.render(), expected);
        let expected =
            "shop/api:7:9: `reverse_proxy` has no subdirective `lb_polcy`; did you mean `lb_policy`?";
        assert_eq!(diagnostic.one_line(), expected);
    }

    #[test]
    fn a_conflict_shows_both_places() {
        let here = Source::new(Origin::operator("here"), "here", "a.com {\n}\n".repeat(6));
        let there = Source::new(Origin::operator("there"), "there", "a.com {\n}\n");
        let late = Span {
            start: 50,
            end: 55,
            source: Arc::clone(&here),
        };
        let diagnostic = Diagnostic::error("twice", &late, "`a.com` is served twice")
            .context(span(&here, "a.com"), "first here")
            .context(span(&there, "a.com"), "and here");
        let expected = "\
error[twice]: `a.com` is served twice
  --> here:11:1
   |
1  | a.com {
   | ----- first here
...
11 | a.com {
   | ^^^^^
  ::: there:1:1
   |
1  | a.com {
   | ----- and here";
        assert_eq!(diagnostic.render(), expected);
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_replaced() {
        let text = format!("{}\u{1b}[31mhere{}", "x".repeat(500), "y".repeat(100_000));
        let source = Source::new(Origin::operator("x"), "x", text);
        let report = Diagnostic::error("long", &span(&source, "here"), "a\u{1b}\nb").render();
        assert!(report.len() < 600, "{}", report.len());
        assert!(
            !report.contains('\u{1b}') && report.starts_with("error[long]: a\u{fffd}⏎b\n"),
            "{report}"
        );
        let lines: Vec<_> = report.lines().collect();
        let mark = lines[4].chars().position(|c| c == '^').expect("marked");
        assert_eq!(lines[3].chars().skip(mark).take(4).collect::<String>(), "here");
    }
}
