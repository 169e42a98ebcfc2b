//! `docs/diagnostics.md` against the program: every example gives what the page says, and every code is there.
//!
//! A section of the page is a code, what it means, an example and what is told about it. A block `caddyfile` or `yaml`
//! is the example, with a name behind it a file beside it; the block `text` is what is told. `UPDATE_EXPECT=1` rewrites
//! the latter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PAGE: &str = "docs/diagnostics.md";

/// A code of the page, and its example.
struct Section {
    code: String,
    /// The example itself has no name.
    files: Vec<(Option<String>, String)>,
    is_yaml: bool,
    told: String,
}

#[test]
fn every_example_gives_what_the_page_says() {
    let path = fairway_tests::repository().join(PAGE);
    let mut page = fs::read_to_string(&path).expect("the page is there");
    let mut wrong = String::new();
    for mut section in sections(&page) {
        if let Some(text) = generated(&section.code) {
            section.is_yaml = true;
            section.files.push((None, object(&text)));
        }
        if section.files.is_empty() {
            continue;
        }
        let told = run(&section);
        if !told.contains(&format!("[{}]", section.code)) {
            let _ = writeln!(wrong, "{}: the example does not show it:\n{told}", section.code);
        } else if told != section.told {
            if fairway_tests::updates() {
                let before = format!("```text\n{}```", section.told);
                let at = page
                    .find(&format!("### `{}`", section.code))
                    .expect("its section");
                let at = at + page[at..].find(&before).expect("its block");
                page.replace_range(at..at + before.len(), &format!("```text\n{told}```"));
            } else {
                let _ = writeln!(wrong, "{}: it says\n{}but is\n{told}", section.code, section.told);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    if fairway_tests::updates() {
        fs::write(path, page).expect("the page is written");
    }
}

#[test]
fn every_code_is_on_the_page_and_none_besides() {
    let page = fs::read_to_string(fairway_tests::repository().join(PAGE)).expect("the page is there");
    let list =
        fs::read_to_string(fairway_tests::repository().join("proxy/caddyfile/src/diagnostic/codes.rs"));
    let list = list.expect("the list is there");
    let listed: BTreeMap<&str, &str> = list.lines().filter_map(row_of_the_list).collect();
    assert!(listed.len() > 50, "the list is not read as it is written");
    let sections: Vec<String> = sections(&page).into_iter().map(|section| section.code).collect();
    let on_page: BTreeSet<&str> = sections.iter().map(String::as_str).collect();
    assert_eq!(on_page.len(), sections.len(), "a code has two sections");
    assert_eq!(on_page, listed.keys().copied().collect());
    let rows: BTreeMap<&str, &str> = page.lines().filter_map(row_of_the_page).collect();
    assert_eq!(rows, listed, "the table at the top says what the list says");
}

#[test]
fn every_code_in_use_is_listed_and_every_listed_one_is_used() {
    let page = fs::read_to_string(fairway_tests::repository().join(PAGE)).expect("the page is there");
    let listed: BTreeSet<String> = sections(&page).into_iter().map(|section| section.code).collect();
    let mut mentioned = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for folder in ["proxy/caddyfile/src", "proxy/engine/src", "controller/src"] {
        for file in sources(&fairway_tests::repository().join(folder)) {
            let text = fs::read_to_string(&file).expect("a source");
            let text = text
                .split("\n#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for code in codes_in(text) {
                if !listed.contains(code) {
                    unknown.insert(format!("{code} in {}", file.display()));
                }
            }
            mentioned.extend(
                listed
                    .iter()
                    .filter(|code| text.contains(&format!("\"{code}\"")))
                    .cloned(),
            );
        }
    }
    assert_eq!(unknown, BTreeSet::new(), "codes that are not listed");
    assert_eq!(
        listed.difference(&mentioned).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

/// `("code", "meaning"),`
fn row_of_the_list(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim().strip_prefix("(\"")?.strip_suffix("\"),")?;
    inner.split_once("\", \"")
}

/// ``| [`code`](#code) | meaning |``
fn row_of_the_page(line: &str) -> Option<(&str, &str)> {
    let (code, rest) = line.strip_prefix("| [`")?.split_once("`](#")?;
    let (_, meaning) = rest.split_once(") | ")?;
    Some((code, meaning.strip_suffix(" |")?))
}

/// The sources of a folder and those below, but not those of tests and not the list itself.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !["tests.rs", "codes.rs"].contains(&&*name)
        {
            found.push(path);
        }
    }
    found
}

/// The words that stand where a code belongs.
fn codes_in(text: &str) -> Vec<&str> {
    let makers = [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        "Finding::error(",
        "Finding::warning(",
        ".error(",
        " code: ",
    ];
    let places = makers
        .iter()
        .flat_map(|maker| text.match_indices(maker).map(|(at, _)| at + maker.len()));
    let literals = places.filter_map(|at| {
        let (word, _) = text[at..].trim_start().strip_prefix('"')?.split_once('"')?;
        let is_code = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_code.then_some(word)
    });
    literals.collect()
}

fn sections(page: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(code) = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) {
            found.push(Section {
                code: code.to_owned(),
                files: Vec::new(),
                is_yaml: false,
                told: String::new(),
            });
        }
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            continue;
        };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .fold(String::new(), |text, line| text + line + "\n");
        let Some(section) = found.last_mut() else {
            continue;
        };
        match info.split_once(' ').unwrap_or((info, "")) {
            ("text", _) => section.told = block,
            ("caddyfile" | "yaml", "") => {
                section.is_yaml = info == "yaml";
                section.files.push((None, block));
            }
            ("caddyfile" | "yaml", name) => section.files.push((Some(name.to_owned()), block)),
            _ => {}
        }
    }
    found
}

/// The examples that are too long to be printed; the page describes them.
fn generated(code: &str) -> Option<String> {
    let site = |lines: &str| format!("http://shop.test {{\n{lines}\n}}\n");
    let chain = |count: usize, imports: usize, last: &str| {
        let links = (1..=count).map(|link| {
            let next = format!("import s{}\n", link + 1);
            format!("(s{link}) {{\n{}}}\n", next.repeat(imports))
        });
        let links: String = links.collect();
        format!("(s{}) {{\n{last}\n}}\n{links}{}", count + 1, site("import s1"))
    };
    Some(match code {
        "import-too-deep" => chain(21, 1, ""),
        "import-too-large" => chain(5, 2, &format!("respond {}", "x".repeat(1 << 20))),
        "nested-too-deep" => site(&("handle {\n".repeat(51) + &"}\n".repeat(51))),
        "source-too-long" => format!("# {}\n", "x".repeat(2 << 20)),
        "too-many-imports" => chain(13, 2, ""),
        "too-many-mistakes" => site(&"handle {}\n".repeat(60)),
        "too-many-patterns" => {
            let matchers = (0..=200).map(|number| format!("@m{number} path_regexp x\n"));
            site(&matchers.collect::<String>())
        }
        "too-many-tokens" => site(&format!("@a path{}", " /x".repeat(200_000))),
        _ => return None,
    })
}

/// A text in an object.
fn object(text: &str) -> String {
    let head = "apiVersion: fairway.dev/v1alpha1\nkind: CaddyRoute\nmetadata:\n  name: web\n  namespace: shop\nspec:\n";
    let lines = text
        .lines()
        .fold(String::new(), |lines, line| lines + "    " + line + "\n");
    format!("{head}  caddyfile: |\n{lines}")
}

/// What the program tells about an example.
fn run(section: &Section) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let name = if section.is_yaml {
        "objects.yaml"
    } else {
        "Caddyfile"
    };
    for (file, text) in &section.files {
        let path = folder.path().join(file.as_deref().unwrap_or(name));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let arguments: &[&str] = match (&*section.code, section.is_yaml) {
        ("not-formatted", _) => &["fmt", name, "--format", "json"],
        ("not-servable", false) => &["validate", "--config", name, "--format", "json"],
        (_, true) => &["validate", name, "--format", "json"],
        (_, false) => &["adapt", "--config", name, "--format", "json"],
    };
    let program = fairway_tests::fairway().expect("`make test` builds it");
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let mut told: Vec<String> = said.lines().map(in_words).collect();
    if generated(&section.code).is_some() {
        // Such a text may have many other mistakes, and is not shown.
        told.retain(|told| told.contains(&format!("[{}]", section.code)));
    }
    told.concat()
}

/// One line of JSON as the page shows it.
fn in_words(line: &str) -> String {
    let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let word = |name: &str| told[name].as_str().unwrap_or_default();
    let mut text = format!("{}[{}]", word("severity"), word("code"));
    if let Some(line) = told["start"]["line"].as_u64() {
        let _ = write!(text, " {}:{line}", word("file"));
    }
    if let Some(column) = told["start"]["column"].as_u64() {
        let _ = write!(text, ":{column}");
    }
    let _ = writeln!(text, "\n{}", word("message"));
    if !word("help").is_empty() {
        let _ = writeln!(text, "help: {}", word("help"));
    }
    text
}
