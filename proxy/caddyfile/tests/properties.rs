//! What holds for every text: nothing panics, places lie in the text, formatting settles and changes no word.

use std::sync::Arc;

use fairway_caddyfile::{
    Block, Diagnostic, Environment, Limits, Options, Origin, Segment, Source, Span, Token, format, parse,
    parse_lines,
};
use proptest::prelude::*;

/// Pieces that matter to the language, so that random texts get somewhere.
const PIECES: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "{",
    "}",
    " {\n",
    "\n}\n",
    "{}",
    "import s",
    "import s x {\n",
    "a",
    "b c",
    "a.test {\n",
    "(s) {\n",
    "&(r) {\n",
    "# c",
    "#",
    "\"",
    "\"q r\"",
    "\"{\"",
    "\"\"",
    "`",
    "`b {x}`",
    "\\",
    "\\<",
    "\\{",
    "\\\n",
    "<<",
    "<<E\n",
    "E",
    "E\n",
    "<<E\n  x\n  E\n",
    "<",
    "{args[0]}",
    "{args[:]}",
    "{args[9]}",
    "{args.0}",
    "{block}",
    "{blocks.a}",
    "{$X}",
    "{$SITE}",
    "{$NO:d e}",
    "{$",
    "foo {",
    ",",
    "\"a",
    "@m path /x\n",
    "\u{feff}",
    "\u{a0}",
    "é",
    "😀",
    "\u{2028}",
    "\u{1b}",
];

struct Variables;

impl Environment for Variables {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "X" => Some("é v".to_owned()),
            "SITE" => Some("a.test {\nrespond \"{$X}".to_owned()),
            _ => None,
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..40);
    prop_oneof![4 => pieces.prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

fn check_span(span: &Span) {
    let (start, end) = (span.start as usize, span.end as usize);
    let text = span.source.text();
    assert!(
        start <= end && end <= text.len(),
        "{start}..{end} of {}",
        text.len()
    );
    assert!(
        text.is_char_boundary(start) && text.is_char_boundary(end),
        "{start}..{end} of {text:?}"
    );
    assert!(span.line() >= 1 && span.line() <= span.source.line_count());
    assert!(span.column() >= 1 && span.column() <= span.utf16_column());
}

fn check_token(token: &Token) {
    check_span(&token.span);
    assert!(token.line >= 1);
    for step in token.imports.iter().flat_map(|step| step.chain()) {
        check_span(&step.span);
    }
}

fn check_lines(segments: &[Segment]) {
    for segment in segments {
        segment.tokens(&mut check_token);
        check_block(segment.block.as_ref());
    }
}

fn check_block(block: Option<&Block>) {
    if let Some(block) = block {
        block.open.iter().chain(&block.close).for_each(check_span);
        check_lines(&block.segments);
    }
}

fn check_diagnostics(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        check_span(&diagnostic.span);
        diagnostic.context.iter().for_each(|(span, _)| check_span(span));
        let report = diagnostic.render();
        assert!(
            !report.chars().any(|c| c.is_control() && c != '\n' && c != '\t'),
            "{report:?}"
        );
        assert!(!diagnostic.one_line().contains(char::is_control));
        let first = diagnostic.message.chars().next();
        assert!(first.is_some_and(|c| !c.is_uppercase()) && !diagnostic.message.ends_with('.'));
    }
}

fn check_text(source: &Arc<Source>) {
    let options = Options {
        environment: &Variables,
        limits: Limits::object(),
        ..Options::default()
    };
    let parsed = parse(Arc::clone(source), &options);
    check_diagnostics(&parsed.diagnostics);
    check_block(parsed.file.global.as_ref());
    for site in &parsed.file.sites {
        assert!(!site.keys.is_empty());
        site.keys.iter().for_each(check_token);
        check_block(Some(&site.block));
    }
    for route in &parsed.file.named_routes {
        check_token(&route.name);
        check_block(Some(&route.block));
    }
    for snippet in parsed.file.snippets.iter() {
        check_token(&snippet.name);
        snippet.body.iter().for_each(check_token);
    }
    let lines = parse_lines(Arc::clone(source), &options);
    check_diagnostics(&lines.diagnostics);
    check_block(Some(&lines.block));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn every_text_is_parsed(text in text()) {
        check_text(&Source::new(Origin::operator("Caddyfile"), "Caddyfile", text.clone()));
        let name = "CaddyRoute shop/api, spec.caddyfile";
        check_text(&Source::new(Origin::tenant(name, "shop"), name, text));
    }

    #[test]
    fn formatting_settles(text in text()) {
        let formatted = format(&text);
        prop_assert_eq!(format(&formatted), formatted);
    }

    #[test]
    fn formatting_a_good_text_changes_no_word(text in text()) {
        let words = |text: &str| {
            let parsed = parse(Source::new(Origin::operator("x"), "x", text), &Options::default());
            let mut words = Vec::new();
            let sites = parsed.file.sites.iter().map(|site| &site.block);
            for block in parsed.file.global.iter().chain(sites) {
                for segment in &block.segments {
                    segment.tokens(&mut |token| words.push(token.raw()));
                }
            }
            (parsed.diagnostics.is_empty(), words)
        };
        // A variable may bring quotes; the formatter cannot know them.
        let before = words(&text);
        if before.0 && !text.contains("{$") {
            prop_assert_eq!(words(&format(&text)), before);
        }
    }
}
