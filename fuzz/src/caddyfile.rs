//! The language: lexer, parser, imports, formatter.

use fairway_caddyfile::{
    Block, Diagnostic, Limits, Options, Parsed, Segment, Source, Span, Tier, Token, format, parse,
    parse_lines, tokens,
};

use crate::world::{World, origin};

/// Every token and every mistake lies in the text, and tokens follow each other.
pub(crate) fn lexer(text: &str) {
    let source = Source::new(origin(Tier::Operator), "Caddyfile", text);
    let (tokens, diagnostics) = tokens(&source, text.len() + 1);
    let mut end = 0;
    for token in &tokens {
        check_token(token);
        assert!(token.span.start >= end, "tokens overlap");
        end = token.span.end;
    }
    check_diagnostics(&diagnostics);
}

/// Whatever the parser returns lies in the text, and is no larger than the limits allow.
pub(crate) fn parser(text: &str) {
    for tier in [Tier::Operator, Tier::Tenant] {
        let source = Source::new(origin(tier), "Caddyfile", text);
        let options = Options {
            limits: Limits::object(),
            ..Options::default()
        };
        check_parsed(&parse(source.clone(), &options), &options.limits);
        let lines = parse_lines(source, &options);
        check_diagnostics(&lines.diagnostics);
        check_block(Some(&lines.block), &mut 0);
    }
}

/// The same with files, snippets of others, and variables.
pub(crate) fn imports(input: &str) {
    let world = World::new(input);
    let limits = Limits {
        tokens: 20_000,
        imported_bytes: 1 << 20,
        imports: 1000,
        ..Limits::object()
    };
    for tier in [Tier::Operator, Tier::Tenant] {
        let options = Options {
            environment: &world,
            files: &world,
            library: &world,
            limits,
        };
        let source = Source::from_file(origin(tier), "/etc/caddy/Caddyfile", world.text);
        check_parsed(&parse(source, &options), &limits);
    }
}

/// Formatting settles after one pass, and the text keeps its words.
pub(crate) fn formatter(text: &str) {
    let formatted = format(text);
    assert_eq!(format(&formatted), formatted, "a second pass changes the text");
    let letters = |text: &str| -> Vec<char> {
        let mut letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        // A byte order mark goes; braces may change their places.
        letters.retain(|c| !matches!(c, '{' | '}' | '\u{feff}'));
        letters
    };
    assert_eq!(letters(text), letters(&formatted), "formatting changes words");
}

fn check_parsed(parsed: &Parsed, limits: &Limits) {
    check_diagnostics(&parsed.diagnostics);
    assert!(
        parsed.diagnostics.len() <= limits.diagnostics + 3,
        "diagnostics are bounded"
    );
    let mut count = 0;
    check_block(parsed.file.global.as_ref(), &mut count);
    for site in &parsed.file.sites {
        site.keys.iter().for_each(check_token);
        count += site.keys.len();
        check_block(Some(&site.block), &mut count);
    }
    for route in &parsed.file.named_routes {
        check_token(&route.name);
        check_block(Some(&route.block), &mut count);
    }
    for snippet in parsed.file.snippets.iter() {
        check_token(&snippet.name);
        snippet.body.iter().for_each(check_token);
    }
    assert!(count <= limits.tokens + 1, "{count} tokens pass the limit");
}

fn check_lines(segments: &[Segment], count: &mut usize) {
    for segment in segments {
        *count += 1 + segment.args.len();
        check_token(&segment.name);
        segment.args.iter().for_each(check_token);
        check_block(segment.block.as_ref(), count);
    }
}

fn check_block(block: Option<&Block>, count: &mut usize) {
    if let Some(block) = block {
        block.open.iter().chain(&block.close).for_each(check_span);
        check_lines(&block.segments, count);
    }
}

fn check_token(token: &Token) {
    check_span(&token.span);
    for step in token.imports.iter().flat_map(|step| step.chain()) {
        check_span(&step.span);
    }
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
        "{start}..{end}"
    );
}

/// Diagnostics lie in their texts, and can be printed.
pub(crate) fn check_diagnostics(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        check_span(&diagnostic.span);
        let printed = diagnostic.render() + &diagnostic.one_line();
        let is_clean = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        assert!(printed.chars().all(is_clean), "{printed:?}");
    }
}
