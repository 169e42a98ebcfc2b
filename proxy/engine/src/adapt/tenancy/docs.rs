//! `docs/tenancy.md`, made from the list.

use std::fmt::Write as _;
use std::path::Path;

use super::list::{BUFFER, DIRECTIVES, FRAMING, MATCHERS, PLACEHOLDERS};
use super::{Lines, Rest, Rule, Why, Word, patterns, reasons};
use crate::matchers::expression;

const INTRODUCTION: &str = "\
# What a tenant may write

Everybody who writes a `CaddyRoute`, or an annotation of an `Ingress`, is a tenant of the cluster. Only the objects that an
`IngressClass` names by its parameters are the operator's, and may say everything. This page is made from the list that
Fairway judges by; what is not on it is refused too.

Nothing is ignored: what is refused is a mistake with the code `operator-only`, which names line and column, the reason, and
what to do instead. The site answers 503 until it is mended; an older text does not take its place.

Every word is its author's. A snippet of the operator may say what those who import it may not. The arguments and the block
that a tenant gives to a snippet stay the tenant's, and so does a line into which they are put. Upstreams of tenants are
Services. Global options, `{$NAME}` and the `import` of files are the operator's.
";

#[test]
fn the_page_is_what_the_list_says() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tenancy.md");
    if std::env::var("UPDATE_EXPECT").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &page).unwrap();
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        old == page,
        "docs/tenancy.md is old: run this test with UPDATE_EXPECT=1, read the diff"
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut printed = Vec::new();
    section(&mut page, "##", "Directives", &[DIRECTIVES], &mut printed);
    section(&mut page, "##", "Matchers", &[MATCHERS], &mut printed);
    page.push_str("\nIn an `expression`, `file(…)` is refused too, and so are placeholders of the operator in its strings.\n");
    page.push_str(
        "\n## Placeholders\n\nThe first line that fits counts. The short forms of a Caddyfile are judged as what they stand \
         for: `{host}` is\n`{http.request.host}`. Any other name is that of a `map`, and allowed. Braces that are no \
         placeholder are text: JSON,\n`[a-z]{2,3}`, `\\{escaped\\}`.\n\n\
         | Placeholders | For tenants | Why | Instead |\n|---|---|---|---|\n",
    );
    for known in PLACEHOLDERS {
        let _ = match &known.refused {
            Some(Why { reason, instead }) => {
                writeln!(
                    page,
                    "| `{{{}…}}` | refused | {reason} | {instead} |",
                    known.begin
                )
            }
            None => writeln!(page, "| `{{{}…}}` | allowed | | |", known.begin),
        };
    }
    page.push_str("\n## Headers and variables\n\n| What | Why refused | Instead |\n|---|---|---|\n");
    let fields = quoted(FRAMING.iter().copied());
    let forms = "set, added to, replaced or removed, by name or with `*`";
    for (what, why) in [
        (format!("{fields}: {forms}"), &reasons::FRAMING_FIELDS),
        ("`request_header Host …`".to_owned(), &reasons::HOST),
        (
            "a field whose name holds a placeholder".to_owned(),
            &reasons::FIELD_NAMES,
        ),
        (
            "`FIELD SEARCH REPLACEMENT` with a placeholder in the search".to_owned(),
            &reasons::SEARCHES,
        ),
        (
            "variables `root` and `fs`, and names with placeholders".to_owned(),
            &reasons::RESERVED_VARIABLES,
        ),
    ] {
        let _ = writeln!(page, "| {what} | {} | {} |", why.reason, why.instead);
    }
    limits(&mut page);
    page
}

fn limits(page: &mut String) {
    page.push_str("\n## Limits\n\n| What | At most |\n|---|---|\n");
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let (length, operators, depth) = expression::LIMITS;
    for (what, most) in [
        ("a regular expression", kib(crate::go_regex::MAX_LENGTH)),
        ("a regular expression when compiled", kib(patterns::MAX_COMPILED)),
        (
            "groups within groups of a regular expression",
            crate::go_regex::MAX_DEPTH.to_string(),
        ),
        (
            "regular expressions of an object",
            patterns::MAX_PATTERNS.to_string(),
        ),
        ("an `expression`", kib(length)),
        ("operators of an `expression`", operators.to_string()),
        ("brackets within brackets of an `expression`", depth.to_string()),
        ("a buffer of `reverse_proxy`", format!("{} KiB", BUFFER / 1024)),
    ] {
        let _ = writeln!(page, "| {what} | {most} |");
    }
}

/// What of some words is allowed, what is refused, and then what is allowed in part.
fn section<'l>(
    page: &mut String,
    level: &str,
    title: &str,
    lists: &[&'l [Word]],
    printed: &mut Vec<(*const Word, String)>,
) {
    let _ = write!(page, "\n{level} {title}\n");
    let new: Vec<&'l [Word]> = lists
        .iter()
        .copied()
        .filter(
            |words| match printed.iter().find(|(known, _)| *known == words.as_ptr()) {
                Some((_, place)) => {
                    let _ = write!(page, "\nAs in {place}.\n");
                    false
                }
                None => true,
            },
        )
        .collect();
    printed.extend(new.iter().map(|words| (words.as_ptr(), title.to_owned())));
    let words = || new.iter().flat_map(|words| *words);
    let called = |word: &Word| word.word.replace('@', "@name …");
    let allowed = words()
        .filter(|word| matches!(word.rule, Rule::Allowed))
        .map(called);
    let allowed: Vec<String> = allowed.collect();
    if !allowed.is_empty() {
        let _ = write!(
            page,
            "\nAllowed: {}.\n",
            quoted(allowed.iter().map(String::as_str))
        );
    }
    let mut refused: Vec<(&Why, Vec<&str>)> = Vec::new();
    for word in words() {
        if let Rule::Refused(why) = &word.rule {
            match refused.iter_mut().find(|(known, _)| known.reason == why.reason) {
                Some((_, words)) => words.push(word.word),
                None => refused.push((why, vec![word.word])),
            }
        }
    }
    if !refused.is_empty() {
        page.push_str("\n| Refused | Why | Instead |\n|---|---|---|\n");
    }
    for (why, words) in refused {
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            quoted(words.into_iter()),
            why.reason,
            why.instead
        );
    }
    let mut in_part: Vec<(&Word, &Rest, &Lines)> = words()
        .filter_map(|word| match &word.rule {
            Rule::Parts(rest, lines) => Some((word, rest, lines)),
            Rule::Refused(_) | Rule::Allowed => None,
        })
        .collect();
    if !in_part.is_empty() {
        page.push_str("\nAllowed in part:\n\n");
    }
    for (word, rest, lines) in &in_part {
        let _ = writeln!(page, "- `{}`: {}", called(word), in_words(rest, lines));
    }
    // What has lines of its own beside those of another comes behind it.
    in_part.sort_by_key(|(_, _, lines)| matches!(lines, Lines::Named([_, _, ..])));
    let below = format!("{level}#");
    let below = if below.len() > 6 { level } else { &below };
    for (word, rest, lines) in in_part {
        let within = if level == "##" {
            format!("`{}`", word.word)
        } else {
            format!("{title} › `{}`", word.word)
        };
        if let Rest::Choice(words) = rest {
            section(page, below, &within, &[words], printed);
        } else if let Lines::Named(lists) = lines
            && !lists.is_empty()
        {
            section(page, below, &within, lists, printed);
        }
    }
}

fn in_words(rest: &Rest, lines: &Lines) -> String {
    match (rest, lines) {
        (Rest::Choice(_), _) => "as its first word says, see below.".to_owned(),
        (Rest::Only([], why), _) => format!("without a word behind it ({}); lines see below.", why.reason),
        (Rest::Only(words, why), _) => {
            let words = quoted(words.iter().copied());
            format!(
                "with {words} or nothing behind it ({}); lines see below.",
                why.reason
            )
        }
        (Rest::Size(most), _) => format!("at most {} KiB.", most / 1024),
        (Rest::Variable, _) | (_, Lines::Variables) => "most names, see the variables below.".to_owned(),
        (Rest::Field(_) | Rest::CopiedFields, _) | (_, Lines::Fields(_) | Lines::Copied) => {
            "most fields, see the headers below.".to_owned()
        }
        (Rest::Any, Lines::Directives) => "each directive in it is judged by itself.".to_owned(),
        (Rest::Any, Lines::Named(_)) => "lines see below.".to_owned(),
    }
}

fn quoted<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
