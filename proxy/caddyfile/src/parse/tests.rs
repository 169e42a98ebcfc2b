use std::sync::Arc;

use super::*;
use crate::options::Limits;
use crate::origin::Origin;
use crate::tree::Segment;

/// A tree in one line: `keys { name arg { … }; name arg }`.
pub(crate) fn show(file: &File) -> String {
    let mut parts = Vec::new();
    if let Some(global) = &file.global {
        parts.push(format!("{{ {} }}", show_lines(&global.segments)));
    }
    for route in &file.named_routes {
        parts.push(format!(
            "&({}) {{ {} }}",
            route.name.text,
            show_lines(&route.block.segments)
        ));
    }
    for site in &file.sites {
        let keys: Vec<&str> = site.keys.iter().map(|key| key.text.as_str()).collect();
        parts.push(format!(
            "{} {{ {} }}",
            keys.join(" "),
            show_lines(&site.block.segments)
        ));
    }
    parts.join(" | ").replace("{  }", "{ }")
}

pub(crate) fn show_lines(segments: &[Segment]) -> String {
    let show = |segment: &Segment| {
        let mut words = vec![segment.name.raw()];
        words.extend(segment.args.iter().map(Token::raw));
        if let Some(block) = &segment.block {
            words.push(format!("{{ {} }}", show_lines(&block.segments)));
        }
        words.join(" ").replace("{  }", "{ }")
    };
    segments.iter().map(show).collect::<Vec<_>>().join("; ")
}

pub(crate) fn operator(text: &str) -> Arc<Source> {
    Source::new(Origin::operator("Caddyfile"), "Caddyfile", text)
}

/// Understood without a word.
#[track_caller]
fn check(text: &str, expected: &str) {
    let parsed = parse(operator(text), &Options::default());
    let reports: Vec<String> = parsed.diagnostics.iter().map(Diagnostic::render).collect();
    assert!(reports.is_empty(), "{text}\n{}", reports.join("\n"));
    assert_eq!(show(&parsed.file), expected, "{text}");
}

/// The mistakes, one per line, and what was understood nevertheless.
#[track_caller]
fn check_mistakes(text: &str, mistakes: &[&str], understood: &str) {
    let parsed = parse(operator(text), &Options::default());
    let reports: Vec<String> = parsed
        .diagnostics
        .iter()
        .map(|mistake| format!("{} {}", mistake.code, mistake.one_line()))
        .collect();
    assert_eq!(reports, mistakes, "{text}");
    assert_eq!(show(&parsed.file), understood, "{text}");
}

#[test]
fn empty_texts_are_empty_files() {
    check("", "");
    check("\n# nothing\n\n", "");
}

#[test]
fn keys_are_all_words_before_the_body() {
    check("a.test {\n}", "a.test { }"); // P12
    check("a.test b.test {\n}", "a.test b.test { }");
    check("a.test, b.test {\n}", "a.test b.test { }"); // P2
    check("a.test,\nb.test,\n\nc.test {\n}", "a.test b.test c.test { }");
    check("a.test , b.test {\n}", "a.test b.test { }");
    check("\"\" \"a.test\" {\n}", "a.test { }");
    check("a.test respond hi", "a.test respond hi { }"); // P1
    check("a.test\n{\nrespond\n}", "a.test { respond }"); // V9
    check("{$NOT_SET} a.test {\n}", "a.test { }");
}

#[test]
fn a_single_site_needs_no_braces() {
    check(
        "a.test\nrespond hi\nlog {\noutput stdout\n}",
        "a.test { respond hi; log { output stdout } }",
    ); // P6
    check("a.test", "a.test { }");
    let parsed = parse(operator("a.test\nrespond\n"), &Options::default());
    assert!(!parsed.file.sites[0].has_braces);
    let parsed = parse(operator("a.test\n{\nrespond\n}\n"), &Options::default());
    assert!(parsed.file.sites[0].has_braces);
}

#[test]
fn lines_are_segments() {
    check("a {\nb c d\ne\n}", "a { b c d; e }"); // P13
    check("a {\nb {\nc {\nd e\n}\nf\n}\ng\n}", "a { b { c { d e }; f }; g }");
    check("a {\nb \"{\" `}` {}q {x}\n}", "a { b \"{\" `}` {}q {x} }");
    check("a {\nb \"c\nd\" e\nf\n}", "a { b \"c\nd\" e; f }");
    check("a {\nb <<E\nc\nd\nE e\nf\n}", "a { b c\nd e; f }");
    check("a {\nb \\\nc \\\nd\ne\n}", "a { b c d; e }");
    check("a {\nb {\n}\nc\n}", "a { b { }; c }");
    check("a { b c\n}", "a { b c }"); // P7
    check("a { }", "a { }");
    check("a {\nb # c {\nd\n}", "a { b; d }");
    check("a {\n} b {\n}", "a { } | b { }");
}

#[test]
fn the_first_block_without_keys_is_global() {
    check("{\ndebug\n}\na {\n}", "{ debug } | a { }"); // P10
    check("(s) {\n}\n{\ndebug\n}\na {\n}", "{ debug } | a { }");
    check("{ debug\n}", "{ debug }");
    check("a {\n}\n{\n}", "a { }");
    check_mistakes(
        "a {\n}\n{\ndebug\n}",
        &[
            "global-options-not-first Caddyfile:3:1: a server block without any key is global configuration, and \
           must be first; move the global options to the top of the Caddyfile, or give the site its address",
        ],
        "a { }",
    );
    check_mistakes(
        "{\na\n}\n{\nb\n}",
        &[
            "global-options-not-first Caddyfile:4:1: a server block without any key is global configuration, and \
           must be first; move the global options to the top of the Caddyfile, or give the site its address",
        ],
        "{ a }",
    );
}

#[test]
fn snippets_and_named_routes_are_definitions() {
    check(
        "(s) {\nx {\ny\n}\n}\n&(r) {\nrespond hi\n}",
        "&(r) { respond hi }",
    ); // S1, S3
    let parsed = parse(operator("(s) {\nx {\ny\n}\n}\n(t) {\n}"), &Options::default());
    let names: Vec<&str> = parsed
        .file
        .snippets
        .iter()
        .map(|snippet| snippet.name.text.as_str())
        .collect();
    assert_eq!(names, ["s", "t"]);
    let body = &parsed.file.snippets.get("s").expect("defined").body;
    assert_eq!(
        body.iter().map(|token| token.text.as_str()).collect::<String>(),
        "x{y}"
    );
    check("(a) (b) {\n}", "(a) (b) { }");
    check_mistakes(
        "(s) {\n}\n(s) {\nx\n}",
        &["duplicate-snippet Caddyfile:3:1: redeclaration of previously declared snippet `s`"],
        "",
    );
    check_mistakes(
        "&(r) {\na\n}\n&(r) {\nb\n}",
        &["duplicate-named-route Caddyfile:4:1: cannot have duplicate named routes: `r`"],
        "&(r) { a }",
    );
    check_mistakes(
        "(s)\nx\n",
        &["definition-without-block Caddyfile:1:1: snippet `s` needs a block: expecting `{`, but found `x`"],
        "x { }",
    );
    check_mistakes(
        "&(r)",
        &[
            "definition-without-block Caddyfile:1:1: named route `r` needs a block: expecting `{`, but the file ends",
        ],
        "",
    );
}

#[test]
fn wrong_keys_are_told() {
    check_mistakes(
        "a,b {\n}", // P3
        &[
            "address-comma Caddyfile:1:1: site address `a,b` contains a comma; \
           put a space after the comma to separate site addresses",
        ],
        "a,b { }",
    );
    check_mistakes(
        "a, {\n}",
        &[
            "address-missing Caddyfile:1:1: another address is expected after the comma, but `{` follows; \
           remove the comma, or write the address",
        ],
        "a { }",
    );
    check_mistakes(
        "a,",
        &[
            "address-missing Caddyfile:1:1: unexpected end of file: another address is expected after the comma",
        ],
        "a { }",
    );
    check_mistakes(
        "a{\nrespond\n}", // P4
        &[
            "address-brace Caddyfile:1:1: site address `a{` ends with a curly brace; \
           put a space between the address and the brace",
        ],
        "a { respond }",
    );
    check_mistakes(
        "\"{\" {\n}",
        &[
            "address-brace Caddyfile:1:1: site address `{` ends with a curly brace; \
           put a space between the address and the brace",
        ],
        "{ { }",
    );
    check_mistakes(
        "@m path /\na {\n}", // P5
        &[
            "matcher-outside-site Caddyfile:1:1: request matcher `@m` outside of a site; \
           request matchers may not be defined globally, they must be in a site block",
        ],
        "a { }",
    );
    check_mistakes(
        "@m {\npath /\n}\na {\n}",
        &[
            "matcher-outside-site Caddyfile:1:1: request matcher `@m` outside of a site; \
           request matchers may not be defined globally, they must be in a site block",
        ],
        "a { }",
    );
    check_mistakes(
        "a {\n}\n}\nb {\n}",
        &["unexpected-close-brace Caddyfile:3:1: `}` closes no block; \
           remove it, or add the `{` that it should close"],
        "a { } | b { }",
    );
}

#[test]
fn braces_must_end_their_lines() {
    check_mistakes(
        "a {\nb\n{\nc\n}\nd\n}", // P8
        &["brace-on-new-line Caddyfile:3:1: unexpected `{` on a new line; \
           place the `{` at the end of the previous line"],
        "a { b { c }; d }",
    );
    check_mistakes(
        "a {\nb { c\n}\nd\n}", // P7
        &[
            "text-after-open-brace Caddyfile:2:5: unexpected `c` after `{` on the same line; \
           begin a new line after `{`",
        ],
        "a { b { c }; d }",
    );
    check_mistakes(
        "a {\nb {}\nc\n}", // P8
        &[
            "empty-braces Caddyfile:2:3: unexpected `{}` at the end of a line; \
           leave the empty block out, or quote the braces",
        ],
        "a { b { }; c }",
    );
    check_mistakes(
        "a {\nb {\nc }\nd\n}",
        &[
            "close-brace-on-line Caddyfile:3:3: unexpected `}` at the end of a line, because no matching opening \
           brace is on it; put the `}` that closes a block on a line of its own, or quote it",
        ],
        "a { b { c }; d }",
    );
    check_mistakes(
        "a {\nb {\nc\n} d e\nf\n}",
        &[
            "text-after-close-brace Caddyfile:4:3: unexpected `d` after `}` on the same line; \
           begin a new line after `}`",
        ],
        "a { b { c }; f }",
    );
    check_mistakes(
        "a {\nb {\nc\n} }\nd {\n}",
        &[
            "text-after-close-brace Caddyfile:4:3: unexpected `}` after `}` on the same line; \
           begin a new line after `}`",
        ],
        "a { b { c } } | d { }",
    );
}

#[test]
fn a_missing_end_is_told_once() {
    let told = "unclosed-block Caddyfile:1:3: unexpected end of file: a block is not closed; \
                close it by a `}` on a line of its own";
    check_mistakes(
        "a {\nb {\nc\n",
        &[
            "unclosed-block Caddyfile:2:3: unexpected end of file: a block is not closed; \
                close it by a `}` on a line of its own",
        ],
        "a { b { c } }",
    ); // P9
    check_mistakes("a {\nb\n", &[told], "a { b }");
    check_mistakes(
        "s {\nb \"c\n}\n",
        &["unclosed-quote Caddyfile:2:3: a quote is never closed; close the quote"],
        "s { b c\n}\n }",
    );
    check_mistakes(
        "a {\nb <<E\nc\n}\n",
        &[
            "heredoc-incomplete Caddyfile:2:3: incomplete heredoc `<<E`: its ending marker `E` never comes; \
           end the text with `E` on a line of its own",
        ],
        "a { b c\n}\n }",
    );
}

#[test]
fn what_caddy_lets_pass_is_warned_of() {
    check_mistakes(
        "a {\nb {\nc\n}\n",
        &[
            "unclosed-block Caddyfile:1:3: unexpected end of file: the site is not closed, only the last block in it; \
           close it by a `}` on a line of its own",
        ],
        "a { b { c } }",
    );
    check_mistakes(
        "a\nb\n}\n",
        &[
            "stray-close-brace Caddyfile:3:1: `}` closes no block; it ends the site, which has no `{`; \
           write `{` behind the address of the site, or remove the `}`",
        ],
        "a { b }",
    );
    check_mistakes(
        "a\nb \"c",
        &["unclosed-quote Caddyfile:2:3: a quote is never closed; close the quote"],
        "a { b c }",
    );
    let parsed = parse(operator("a\nb \"c"), &Options::default());
    assert!(!parsed.has_errors());
}

#[test]
fn all_mistakes_are_told_in_one_run() {
    check_mistakes(
        "a,b {\nc {}\n}\n@m\nd {\n<<<E\nx\nE\n}\n",
        &[
            "heredoc-too-many-angles Caddyfile:6:1: too many `<` for a heredoc; only use two, for example `<<END`",
            "address-comma Caddyfile:1:1: site address `a,b` contains a comma; \
             put a space after the comma to separate site addresses",
            "empty-braces Caddyfile:2:3: unexpected `{}` at the end of a line; \
             leave the empty block out, or quote the braces",
            "matcher-outside-site Caddyfile:4:1: request matcher `@m` outside of a site; \
             request matchers may not be defined globally, they must be in a site block",
        ],
        "a,b { c { } } | d { x }",
    );
}

#[test]
fn tenants_read_no_environment() {
    let origin = Origin::tenant("CaddyRoute shop/api, spec.caddyfile", "shop");
    let text = "a {\n# {$IN_A_COMMENT}\nrespond x{$ONE:d}{$TWO}{$} {$THREE:a b}\n}";
    let source = Source::new(origin, "CaddyRoute shop/api, spec.caddyfile", text);
    let parsed = parse(source, &Options::default());
    let reports: Vec<String> = parsed.diagnostics.iter().map(Diagnostic::one_line).collect();
    let expected = [
        "shop/api:3:10: environment variable `ONE` cannot be read here; write the value itself",
        "shop/api:3:18: environment variable `TWO` cannot be read here; write the value itself",
        "shop/api:3:28: environment variable `THREE` cannot be read here; write the value itself",
    ];
    assert_eq!(reports, expected);
    assert!(
        parsed
            .diagnostics
            .iter()
            .all(|mistake| mistake.code == "tenant-environment")
    );
}

#[test]
fn variables_may_be_structure() {
    struct Variables;
    impl crate::Environment for Variables {
        fn var(&self, name: &str) -> Option<String> {
            (name == "SITE").then(|| "a.test b.test {\nrespond \"x".to_owned())
        }
    }
    let options = Options {
        environment: &Variables,
        ..Options::default()
    };
    let parsed = parse(operator("{$SITE} y\" {$NO:200}\nlog\n}"), &options);
    assert_eq!(show(&parsed.file), "a.test b.test { respond \"x y\" 200; log }"); // E7
    let segment = &parsed.file.sites[0].block.segments[0];
    assert_eq!(segment.name.span.text(), "{$SITE}");
    assert_eq!(segment.args[1].span.text(), "{$NO:200}");
}

#[test]
fn limits_end_the_parse_with_one_diagnostic() {
    #[track_caller]
    fn check(text: &str, limits: Limits, expected: &str) {
        let parsed = parse(
            operator(text),
            &Options {
                limits,
                ..Options::default()
            },
        );
        let codes: Vec<&str> = parsed.diagnostics.iter().map(|mistake| mistake.code).collect();
        assert_eq!(codes, [expected]);
    }
    let limits = Limits::default();
    check(
        "a {\nb\n}",
        Limits {
            source_bytes: 5,
            ..limits
        },
        "source-too-long",
    );
    check(
        "a {\nb c d e f\n}",
        Limits { tokens: 5, ..limits },
        "too-many-tokens",
    );
    let deep = format!("a {{\n{}{}}}", "b {\n".repeat(50_000), "}\n".repeat(50_000));
    check(&deep, limits, "nested-too-deep");
    let snippet = format!(
        "(s) {{\n{}{}}}\na {{\nimport s\n}}",
        "b {\n".repeat(500),
        "}\n".repeat(500)
    );
    check(&snippet, limits, "nested-too-deep");
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let limits = Limits {
        diagnostics: 10,
        ..Limits::default()
    };
    let parsed = parse(
        operator(&"}\n".repeat(10_000)),
        &Options {
            limits,
            ..Options::default()
        },
    );
    assert_eq!(parsed.diagnostics.len(), 11);
    assert_eq!(
        parsed.diagnostics[10].one_line(),
        "Caddyfile:10:1: 9990 more mistakes"
    );
}

#[test]
fn lines_can_stand_alone() {
    let parsed = parse_lines(
        operator("header X y\nhandle /x {\nrespond hi\n}\n"),
        &Options::default(),
    );
    assert!(parsed.diagnostics.is_empty());
    assert_eq!(
        show_lines(&parsed.block.segments),
        "header X y; handle /x { respond hi }"
    );
    let parsed = parse_lines(operator("a\n}\nb"), &Options::default());
    assert_eq!(parsed.diagnostics[0].code, "unexpected-close-brace");
    assert_eq!(show_lines(&parsed.block.segments), "a; b");
}

#[test]
fn blocks_know_their_braces() {
    let parsed = parse(operator("a {\nb {\nc\n}\n}"), &Options::default());
    let block = &parsed.file.sites[0].block;
    let inner = block.segments[0].block.as_ref().expect("has a block");
    let offsets = |block: &Block| {
        (
            block.open.as_ref().map(|s| s.start),
            block.close.as_ref().map(|s| s.start),
        )
    };
    assert_eq!(offsets(block), (Some(2), Some(12)));
    assert_eq!(offsets(inner), (Some(6), Some(10)));
}
