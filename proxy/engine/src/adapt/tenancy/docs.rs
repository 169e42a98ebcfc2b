//! `docs/tenancy.md`, made from the list.

use std::fmt::Write as _;
use std::path::Path;

use super::list::{DIRECTIVES, FRAMING, MATCHERS, PLACEHOLDERS};
use super::{Lines, Rest, Rule, Why, Word};

const INTRODUCTION: &str = "\
# What a tenant may write

Everybody who writes a `CaddyRoute` or an annotation of an `Ingress` is a tenant of the cluster. Only the objects that an
`IngressClass` names by its parameters are the operator's, and may say everything. This page is made from the list that
Fairway judges by; what is not on it is refused too. A refusal has the code `operator-only`, and names the line, the column,
the reason and what to do instead. Nothing is ever ignored silently, and an older text never takes the place of one that is
refused.

Every word is its author's. A snippet of the operator may say what its importers may not; the arguments and the block that a
tenant gives to it are the tenant's, and so is a line into which they are put. `{$NAME}`, the `import` of files and global
options are the operator's. Upstreams of tenants are Services.
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
    table(&mut page, "Directives", DIRECTIVES);
    table(&mut page, "Matchers", MATCHERS);
    page.push_str("\nThe matcher `file` is refused as a function of an `expression` as well.\n");
    page.push_str("\n## Placeholders\n\nThe first line that fits counts. The short forms of a Caddyfile, such as `{host}`, are judged as what they stand\nfor. Other names are those of a `map`, and allowed.\n\n");
    page.push_str("| Placeholders | For tenants | Why | Instead |\n|---|---|---|---|\n");
    for known in PLACEHOLDERS {
        row(
            &mut page,
            &format!("`{{{}…}}`", known.begin),
            known.refused.as_ref(),
        );
    }
    let fields: Vec<String> = FRAMING.iter().map(|field| format!("`{field}`")).collect();
    let _ = write!(
        page,
        "\n## Headers\n\nThese cannot be set, added to, replaced or removed, by their name or with `*`: {}.\n{}. \
         `Host` of a request is changed for an upstream only.\n",
        fields.join(", "),
        sentence(super::list::FRAMING_FIELDS.reason),
    );
    let limits = [(
        "a regular expression",
        format!(
            "{} KiB, {} KiB when compiled, {} levels of groups",
            crate::go_regex::MAX_LENGTH / 1024,
            crate::go_regex::MAX_COMPILED / 1024,
            crate::go_regex::MAX_DEPTH
        ),
    )];
    page.push_str("\n## Limits\n\n| What | At most |\n|---|---|\n");
    for (what, most) in limits {
        let _ = writeln!(page, "| {what} | {most} |");
    }
    page
}

fn table(page: &mut String, title: &str, words: &[Word]) {
    let _ = write!(
        page,
        "\n## {title}\n\n| Word | For tenants | Why | Instead |\n|---|---|---|---|\n"
    );
    rows(page, "", words);
}

/// A row for each word, and for each word within what it opens.
fn rows(page: &mut String, before: &str, words: &[Word]) {
    for known in words {
        let called = format!("{before}`{}`", known.word.replace('@', "@name"));
        let (rest, lines) = match &known.rule {
            Rule::Refused(why) => {
                row(page, &called, Some(why));
                continue;
            }
            Rule::Allowed => {
                row(page, &called, None);
                continue;
            }
            Rule::Parts(rest, lines) => (rest, lines),
        };
        let within = format!("{called} › ");
        if let Rest::Choice(words) = rest {
            rows(page, &within, words);
        } else {
            parts(page, &called, rest, lines);
        }
        match lines {
            Lines::Named(lists) if !matches!(rest, Rest::Choice(choice) if !lists.is_empty() && std::ptr::eq(*choice, lists[0])) =>
            {
                lists.iter().for_each(|words| rows(page, &within, words));
            }
            Lines::Named(_) | Lines::Directives | Lines::Fields(_) | Lines::Copied | Lines::Variables => {}
        }
    }
}

fn parts(page: &mut String, called: &str, rest: &Rest, lines: &Lines) {
    let (allowed, why) = match rest {
        Rest::Only([], why) => ("without words behind it".to_owned(), Some(why)),
        Rest::Only(words, why) => (format!("with `{}` behind it", words.join("`, `")), Some(why)),
        Rest::Field(_) | Rest::CopiedFields => ("headers, but for those below".to_owned(), None),
        Rest::Variable => (
            "names other than `root` and `fs`".to_owned(),
            Some(&super::list::RESERVED_VARIABLES),
        ),
        Rest::Any | Rest::Choice(_) => match lines {
            Lines::Directives => ("yes; its directives by themselves".to_owned(), None),
            Lines::Named(_) => ("yes, with these lines:".to_owned(), None),
            Lines::Fields(_) | Lines::Copied | Lines::Variables => {
                ("headers, but for those below".to_owned(), None)
            }
        },
    };
    let (reason, instead) = why.map_or(("", ""), |why: &Why| (why.reason, why.instead));
    let _ = writeln!(page, "| {called} | {allowed} | {reason} | {instead} |");
}

fn row(page: &mut String, called: &str, refused: Option<&Why>) {
    let _ = match refused {
        Some(Why { reason, instead }) => writeln!(page, "| {called} | no | {reason} | {instead} |"),
        None => writeln!(page, "| {called} | yes | | |"),
    };
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
