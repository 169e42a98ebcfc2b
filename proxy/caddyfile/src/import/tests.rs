use std::collections::BTreeMap;

use super::*;
use crate::options::{Files, Library, Limits, Nothing, Options};
use crate::origin::Origin;
use crate::parse::parse;
use crate::parse::tests::{operator, show};
use crate::tree::File;

/// Files in memory.
struct Memory(BTreeMap<&'static str, &'static str>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = path.to_str().expect("tests use plain names");
        match self.0.get(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None if self.exists(Path::new(path)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inside = |path: &&str| {
            Some(
                Path::new(path)
                    .strip_prefix(folder)
                    .ok()?
                    .iter()
                    .next()?
                    .to_owned(),
            )
        };
        let mut names: Vec<_> = self.0.keys().filter_map(inside).collect();
        names.dedup();
        names.reverse(); // The order is not the file system's to give.
        Ok(names
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.keys().any(|known| Path::new(known).starts_with(path))
    }
}

fn files() -> Memory {
    Memory(BTreeMap::from([
        ("/etc/Caddyfile", "x"),
        ("/etc/one.conf", "respond {args[0]}\nlog"),
        ("/etc/snippets.conf", "(shared) {\nheader {args[0]} {block}\n}\n"),
        ("/etc/sites/b.conf", "b.test {\nimport ../one.conf b\n}\n"),
        ("/etc/sites/a.conf", "a.test {\nimport ../one.conf a\n}\n"),
        ("/etc/sites/.hidden.conf", "hidden.test {\n}\n"),
        ("/etc/sites/x/deep.txt", "deep.test {\n}\n"),
        ("/etc/blank.conf", " \n"),
        ("/etc/loop.conf", "import loop.conf\n"),
        ("/etc/ping.conf", "import pong.conf\n"),
        ("/etc/pong.conf", "import ping.conf\n"),
        ("/etc/open.conf", "c.test {\n"),
    ]))
}

fn in_folder(text: &str, options: &Options<'_>) -> (File, Vec<Diagnostic>) {
    let source = Source::from_file(Origin::operator("Caddyfile"), "/etc/Caddyfile", text);
    let parsed = parse(source, options);
    (parsed.file, parsed.diagnostics)
}

fn reports(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|mistake| format!("{} {}", mistake.code, mistake.one_line()))
        .collect()
}

/// Understood without a word.
#[track_caller]
fn check(text: &str, expected: &str) {
    let files = files();
    let (file, diagnostics) = in_folder(
        text,
        &Options {
            files: &files,
            ..Options::default()
        },
    );
    assert!(
        diagnostics.is_empty(),
        "{text}\n{}",
        reports(&diagnostics).join("\n")
    );
    assert_eq!(show(&file), expected, "{text}");
}

/// What is told, and what was understood nevertheless.
#[track_caller]
fn check_told(text: &str, expected: &[&str], understood: &str) {
    let files = files();
    let (file, diagnostics) = in_folder(
        text,
        &Options {
            files: &files,
            ..Options::default()
        },
    );
    assert_eq!(reports(&diagnostics), expected, "{text}");
    assert_eq!(show(&file), understood, "{text}");
}

#[test]
fn snippets_replace_their_imports() {
    check("(s) {\nx\ny\n}\na {\nimport s\nz\n}", "a { x; y; z }"); // I1
    check("(s) {\nx\n}\na {\nb {\nimport s\nc\n}\n}", "a { b { x; c } }");
    check("(s) {\nx\n}\na {\nb import s\n}", "a { b import s }");
    check("(s) {\n}\na {\nimport s\n}", "a { }");
    check("(s) {\na {\nx\n}\n}\nimport s\nb {\n}", "a { x } | b { }"); // I12
    check("(s) {\na.test, b.test\n}\nimport s\nx", "a.test b.test { x }");
    check(
        "(s) {\nx {\nimport t\n}\n}\n(t) {\ny\n}\na {\nimport s\n}",
        "a { x { y } }",
    ); // S1
    check("(s) {\nx\n}\n&(r) {\nimport s\n}", "&(r) { x }");
}

#[test]
fn arguments_are_put_in() {
    let snippet = "(s) {\nx {args[0]} \"b{args[1]}\" {args.0}\n}\n";
    let told = "import-argument-deprecated /etc/Caddyfile:2:26: placeholder `{args.0}` is an old form; \
                write `{args[0]}`";
    check_told(
        &format!("{snippet}a {{\nimport s 1 2\n}}"),
        &[told],
        "a { x 1 \"b2\" 1 }",
    ); // I5
    check(
        "(s) {\nx{args[0]} {args[0]}{args[1]} {\n}\n}\na {\nimport s 1 2\n}",
        "a { x1 12 { } }",
    );
    check("(s) {\n{args[0]} y\n}\na {\nimport s x\n}", "a { x y }");
    check(
        "(s) {\n{args[0]} t\n}\n(t) {\nx\n}\na {\nimport s import\n}",
        "a { x }",
    );
    check(
        "(s) {\nimport {args[0]}\n}\n(t) {\nx\n}\na {\nimport s t\n}",
        "a { x }",
    );
    check(
        "(s) {\nx {args[0]}\n}\na {\nimport s \"two words\" unused\n}",
        "a { x two words }",
    ); // I13
    check(
        "(s) {\nx `{args[0]}` <<E\n{args[0]}\nE\n}\na {\nimport s 1\n}",
        "a { x `1` 1 }",
    );
    check(
        "(s) {\nx {env.A} {args} \\{{args[0]}\\}\n}\na {\nimport s 1\n}",
        "a { x {env.A} {args} {1} }",
    );
    check("{$N:import} one.conf 7\n", "respond 7 { log }");
}

#[test]
fn ranges_are_several_arguments() {
    check("(s) {\nx {args[:]}\n}\na {\nimport s 1 2 3\n}", "a { x 1 2 3 }"); // I6
    check("(s) {\nx {args[1:]}\n}\na {\nimport s 1 2 3\n}", "a { x 2 3 }");
    check("(s) {\nx {args[:2]}\n}\na {\nimport s 1 2 3\n}", "a { x 1 2 }");
    check("(s) {\nx {args[1:2]} y\n}\na {\nimport s 1 2 3\n}", "a { x 2 y }");
    check("(s) {\nx {args[:]} y\n}\na {\nimport s\n}", "a { x y }");
    check(
        "(s) {\nx {args[0]}:{args[1]}\n}\na {\nimport s 1 2\n}",
        "a { x 1:2 }",
    );
}

#[test]
fn what_names_no_argument_stays_with_a_warning() {
    #[track_caller]
    fn stays(placeholder: &str, why: &str) {
        let text = format!("(s) {{\nx {placeholder}\n}}\na {{\nimport s 1\n}}");
        let shown = placeholder.trim_start_matches('y');
        let told = format!(
            "import-argument-range /etc/Caddyfile:2:3: placeholder `{shown}` {why}, and stays as it is"
        );
        check_told(&text, &[&told], &format!("a {{ x {placeholder} }}"));
    }
    stays("{args[1]}", "is out of bounds: only 1 argument is given");
    stays("{args[-1]}", "is out of bounds: only 1 argument is given");
    stays("{args[a]}", "has an index that is not a number");
    stays("{args[]}", "has no index");
    stays(
        "{args[99999999999999999999]}",
        "has an index that is not a number",
    );
    stays("y{args[:]}", "is a range, which must be a word of its own");
    let range = |placeholder: &str, why: &str, more: &str| {
        let text = format!("(s) {{\nx {placeholder}\n}}\na {{\nimport s 1\n}}");
        let files = files();
        let (file, diagnostics) = in_folder(
            &text,
            &Options {
                files: &files,
                ..Options::default()
            },
        );
        let expected = format!("placeholder `{placeholder}` {why}");
        assert!(
            diagnostics[0].message.starts_with(&expected),
            "{:?}",
            diagnostics[0].message
        );
        assert!(diagnostics[0].message.contains(more));
        assert_eq!(show(&file), format!("a {{ x {placeholder} }}"));
    };
    range("{args[0:2]}", "is out of bounds", "only 1 argument");
    range("{args[1:0]}", "is out of bounds", "");
    range("{args[-1:]}", "is out of bounds", "");
    range("{args[a:]}", "has a bound that is not a number", "");
}

#[test]
fn blocks_are_put_in() {
    check(
        "(s) {\nx {\n{block}\n}\n}\na {\nimport s {\ny\nz 1\n}\n}",
        "a { x { y; z 1 } }",
    ); // I7
    check("(s) {\n{block}\n}\na {\nimport s { y z }\n}", "a { y z }");
    check("(s) {\nx\n{block}\n}\na {\nimport s\n}", "a { x }");
    check(
        "(s) {\nx {\n{blocks.one}\n}\ny {\n{blocks.two.three}\n}\n}\na {\nimport s {\none {\np 1\nq\n}\ntwo.three r\n}\n}",
        "a { x { p 1; q }; y { r } }",
    );
    check(
        "(s) {\nx {\n{blocks.none}\n}\n}\na {\nimport s {\none\n}\n}",
        "a { x { } }",
    );
    check(
        "(s) {\nx {\n{block}\n}\n}\n(t) {\nimport s {\n{block}\n}\n}\na {\nimport t {\ny\n}\n}",
        "a { x { y } }",
    );
    // The block is its author's: arguments are not looked for in it.
    check(
        "(s) {\n{block}\n}\na {\nimport s 1 {\ny {args[0]}\n}\n}",
        "a { y {args[0]} }",
    );
    check_told(
        "(s) {\n{block}\n}\na {\nimport s {\n{\nx\n}\n}\n}", // I8
        &[
            "anonymous-block /etc/Caddyfile:6:1: anonymous blocks are not supported in the block of an import; \
           write a name before the `{`",
        ],
        "a { }",
    );
}

#[test]
fn imported_lines_stay_apart() {
    check("(s) {\nx\n}\na {\nimport s\nimport s\n}", "a { x; x }"); // I9
    check("(s) {\nx {block} y\n}\na {\nimport s {\nz\n}\n}", "a { x; z; y }");
    // Caddy takes the second block for the end of the first one's line.
    check(
        "(s) {\n{block}\n{block}\n}\na {\nimport s {\nx y\n}\n}",
        "a { x y; x y }",
    );
    // And a longer argument for one that reaches into the next line.
    check(
        "(s) {\nx {args[0]}\ny\n}\na {\nimport s \"1\n2\"\n}",
        "a { x 1\n2; y }",
    );
}

#[test]
fn arguments_are_never_structure() {
    check(
        "(s) {\nx {args[0]}\ny\n}\na {\nimport s \"{\"\n}",
        "a { x \"{\"; y }",
    );
    check(
        "(s) {\nx {\ny {args[0]}\n}\n}\na {\nimport s \"}\"\n}",
        "a { x { y \"}\" } }",
    );
}

#[test]
fn definitions_in_imports_keep_their_own_arguments() {
    check(
        "(s) {\n(t) {\nx {args[0]}\n{block}\n}\n{args[0]} {\nimport t 2 {\ny\n}\n}\n}\nimport s a",
        "a { x 2; y }",
    ); // I10
}

#[test]
fn names_must_be_defined_above() {
    check_told(
        "a {\nimport late\n}\n(late) {\n}", // S2
        &[
            "import-not-found /etc/Caddyfile:2:8: file to import not found: `late` is no file, and no snippet defined \
           above; move the snippet above its first import",
        ],
        "a { }",
    );
    check_told(
        "(common) {\n}\na {\nimport comon\n}",
        &[
            "import-not-found /etc/Caddyfile:4:8: file to import not found: `comon` is no file, and no snippet defined \
           above; did you mean `common`?",
        ],
        "a { }",
    );
    check_told(
        "a {\nimport\nimport \"\"\nb\n}",
        &[
            "missing-argument /etc/Caddyfile:2:1: `import` needs the name of a snippet or file",
            "missing-argument /etc/Caddyfile:3:8: `import` requires a non-empty name of a snippet or file",
        ],
        "a { b }",
    );
}

#[test]
fn files_replace_their_imports() {
    check("a {\nimport one.conf 1\n}", "a { respond 1; log }"); // I2
    check("a {\nimport ./sites/../one.conf 1\n}", "a { respond 1; log }");
    check("a {\nimport /etc/one.conf 1\n}", "a { respond 1; log }");
    check(
        "import snippets.conf\na {\nimport shared X {\ny\n}\n}",
        "a { header X; y }",
    ); // S2
    check(
        "import sites/*.conf\n",
        "a.test { respond a; log } | b.test { respond b; log }",
    );
}

#[test]
fn patterns_are_sorted_and_skip_hidden_files() {
    check(
        "import sites/*.conf",
        "a.test { respond a; log } | b.test { respond b; log }",
    ); // I3
    check(
        "import sites/?.conf",
        "a.test { respond a; log } | b.test { respond b; log }",
    );
    check("import sites/.h*.conf", "hidden.test { }");
    check("import */x/deep.txt", "deep.test { }");
    check_told(
        "import none/*",
        &["import-no-match /etc/Caddyfile:1:8: no files match the pattern `none/*`"], // I4
        "",
    );
    for pattern in ["*/*", "a??", "[ab].conf"] {
        let told = format!(
            "import-pattern /etc/Caddyfile:1:8: pattern `{pattern}` has more than one wildcard of a kind; \
             use at most one `*` and one `?`, and no `[…]`"
        );
        check_told(&format!("import {pattern}"), &[&told], "");
    }
}

#[test]
fn unreadable_files_are_told() {
    check_told(
        "import sites", // I4
        &["import-unreadable /etc/Caddyfile:1:8: could not import `/etc/sites`: is a directory"],
        "",
    );
    check_told(
        "import blank.conf",
        &["import-empty /etc/Caddyfile:1:8: imported file `/etc/blank.conf` is empty"],
        "",
    ); // L21
    check_told(
        "import open.conf",
        &[
            "unclosed-block /etc/open.conf:1:8: unexpected end of file: a block is not closed; \
           close it by a `}` on a line of its own",
        ],
        "c.test { }",
    );
}

#[test]
fn cycles_are_told() {
    #[track_caller]
    fn check(text: &str, message: &str) {
        let files = files();
        let (_, diagnostics) = in_folder(
            text,
            &Options {
                files: &files,
                ..Options::default()
            },
        );
        let messages: Vec<&str> = diagnostics
            .iter()
            .map(|mistake| mistake.message.as_str())
            .collect();
        assert_eq!(messages, [message], "{text}");
        assert_eq!(diagnostics[0].code, "import-cycle");
    }
    let cycle = |from: &str, to: &str| format!("a cycle of imports exists between `{from}` and `{to}`");
    check("(s) {\nimport s\n}\na {\nimport s\n}", &cycle("s", "s")); // I11
    check(
        "(s) {\nimport t\n}\n(t) {\nimport s\n}\na {\nimport s\n}",
        &cycle("t", "s"),
    );
    check(
        "(s) {\nimport {args[:]} {args[:]}\n}\na {\nimport s s\n}",
        &cycle("s", "s"),
    );
    check("import loop.conf", &cycle("/etc/loop.conf", "/etc/loop.conf"));
    check("import ping.conf", &cycle("/etc/pong.conf", "/etc/ping.conf"));
    check("import Caddyfile", &cycle("/etc/Caddyfile", "/etc/Caddyfile"));
}

#[test]
fn importing_often_is_no_cycle() {
    check(
        "(s) {\nx\n{block}\n}\na {\nimport s {\nimport s\n}\n}",
        "a { x; x }",
    );
    check(
        "(t) {\nx\n}\n(s) {\nimport t\nimport t\n}\na {\nimport s\nimport t\n}",
        "a { x; x; x }",
    );
}

#[test]
fn every_step_of_an_import_is_told() {
    let text = "(inner) {\nx {}\n}\n(outer) {\ny\nimport inner\n}\na {\nimport outer\n}\n";
    let (_, diagnostics) = in_folder(text, &Options::default());
    let expected = "\
error[empty-braces]: unexpected `{}` at the end of a line
 --> /etc/Caddyfile:2:3
  |
2 | x {}
  |   ^^
  = help: leave the empty block out, or quote the braces
  = note: in snippet `(inner)`, imported at line 6
  = note: in snippet `(outer)`, imported at line 9";
    assert_eq!(diagnostics[0].render(), expected);
}

#[test]
fn bombs_end_in_one_diagnostic() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (_, diagnostics) = in_folder(
            text,
            &Options {
                limits: Limits::object(),
                ..Options::default()
            },
        );
        let codes: Vec<&str> = diagnostics.iter().map(|mistake| mistake.code).collect();
        assert_eq!(codes, [expected]);
    }
    let doubling = |body: &dyn Fn(usize) -> String, leaf: &str, call: &str| {
        let step = |step: usize| format!("(s{step}) {{\n{}\n}}\n", body(step - 1));
        let steps = (1..18).map(step).collect::<Vec<_>>().concat();
        format!("(s0) {{\n{leaf}\n}}\n{steps}a {{\nimport s17{call}\n}}\n")
    };
    check(
        &doubling(&|to| format!("import s{to}\nimport s{to}"), "x", ""),
        "too-many-imports",
    );
    let arguments = doubling(
        &|to| format!("import s{to} {{args[0]}}{{args[0]}}"),
        "x {args[0]}",
        &format!(" {}", "y".repeat(1000)),
    );
    check(&arguments, "import-too-large");
    let ranges = doubling(
        &|to| format!("import s{to} {{args[:]}} {{args[:]}}"),
        "x {args[:]}",
        " y z",
    );
    check(&ranges, "import-too-large");
    let blocks = doubling(
        &|to| format!("import s{to} {{\n{{block}}\n{{block}}\n}}"),
        "{block}",
        " {\nx y z\n}",
    );
    check(&blocks, "import-too-large");
    let step = |step: usize| format!("(s{step}) {{\nimport s{}\n}}\n", step - 1);
    let deep = (1..100).map(step).collect::<Vec<_>>().concat();
    check(
        &format!("(s0) {{\n}}\n{deep}a {{\nimport s99\n}}\n"),
        "import-too-deep",
    );
    let wide = format!(
        "(s) {{\nx {}\n}}\na {{\nimport s {}\n}}\n",
        "{args[:]} ".repeat(900),
        "y ".repeat(900)
    );
    check(&wide, "import-too-large");
}

/// A library with one object, of another namespace.
struct Shelf(File);

impl Library for Shelf {
    fn snippet(&self, name: &str, from: &Origin) -> Option<Arc<Snippet>> {
        let own = from.namespace.as_deref() == Some("platform");
        let name = if own {
            name
        } else {
            name.strip_prefix("platform/")?
        };
        self.0
            .snippets
            .get(name)
            .filter(|snippet| own || snippet.name.text != "private")
            .cloned()
    }

    fn refusal(&self, name: &str, _from: &Origin) -> Option<String> {
        (name == "platform/private").then(|| "`platform/private` is not exported to `shop`".to_owned())
    }

    fn names(&self, _from: &Origin) -> Vec<String> {
        vec!["platform/secure".to_owned()]
    }
}

fn shelf() -> Shelf {
    let name = "CaddyRoute platform/base, spec.caddyfile";
    let text = "(private) {\nheader A {args[0]}\n}\n(secure) {\nimport private {args[0]}\nreverse_proxy {args[0]}:80 own\n{block}\n}\n";
    Shelf(
        parse(
            Source::new(Origin::tenant(name, "platform"), name, text),
            &Options::default(),
        )
        .file,
    )
}

fn shop(text: &str, library: &dyn Library) -> (File, Vec<Diagnostic>) {
    let name = "CaddyRoute shop/api, spec.caddyfile";
    let files = files();
    let options = Options {
        library,
        files: &files,
        limits: Limits::object(),
        ..Options::default()
    };
    let parsed = parse(Source::new(Origin::tenant(name, "shop"), name, text), &options);
    (parsed.file, parsed.diagnostics)
}

#[test]
fn snippets_of_other_objects_find_their_own_neighbours() {
    let text = "(private) {\nhijacked\n}\na {\nimport platform/secure api {\nlog\n}\n}";
    let (file, diagnostics) = shop(text, &shelf());
    assert!(diagnostics.is_empty(), "{:?}", reports(&diagnostics));
    assert_eq!(show(&file), "a { header A api; reverse_proxy api:80 own; log }");
}

#[test]
fn tokens_carry_the_origin_of_who_wrote_them() {
    let (file, _) = shop("a {\nimport platform/secure api {\nlog\n}\n}", &shelf());
    let block = &file.sites[0].block.segments;
    let namespace = |token: &Token| {
        token
            .origin
            .namespace
            .clone()
            .map(String::from)
            .unwrap_or_default()
    };
    assert_eq!(
        block[0].args.iter().map(namespace).collect::<Vec<_>>(),
        ["platform", "shop"]
    );
    // Glued from both: a name that the caller takes part in is the caller's.
    assert_eq!(
        block[1].args.iter().map(namespace).collect::<Vec<_>>(),
        ["shop", "platform"]
    );
    assert_eq!(namespace(&block[1].name), "platform");
    assert_eq!(namespace(&block[2].name), "shop");
    assert_eq!(block[0].args[1].span.text(), "api");
    assert_eq!(block[1].args[0].span.text(), "{args[0]}:80");
}

/// A library that hands out everything.
struct Open(File);
impl Library for Open {
    fn snippet(&self, name: &str, _from: &Origin) -> Option<Arc<Snippet>> {
        self.0.snippets.get(name).cloned()
    }
}

#[test]
fn the_lowest_tier_judges() {
    let base = parse(
        operator("(open) {\nrespond {args[0]} x{args[0]} y\n}\n"),
        &Options::default(),
    )
    .file;
    let (file, _) = shop("a {\nimport open api\n}", &Open(base));
    let segment = &file.sites[0].block.segments[0];
    let tiers: Vec<Tier> = segment.args.iter().map(|token| token.origin.tier).collect();
    assert_eq!(tiers, [Tier::Tenant, Tier::Tenant, Tier::Operator]);
    assert_eq!(
        (segment.name.origin.tier, segment.lowest_tier()),
        (Tier::Operator, Tier::Tenant)
    );
    assert_eq!(segment.lowest_origin().namespace.as_deref(), Some("shop"));

    // An operator's word in a tenant's snippet gains nothing.
    let name = "CaddyRoute shop/api, spec.caddyfile";
    let theirs = Source::new(Origin::tenant(name, "shop"), name, "(open) {\n{args[0]} x\n}\n");
    let theirs = parse(theirs, &Options::default()).file;
    let options = Options {
        library: &Open(theirs),
        ..Options::default()
    };
    let parsed = parse(operator("a {\nimport open file_server\n}"), &options);
    assert_eq!(
        parsed.file.sites[0].block.segments[0].name.origin.tier,
        Tier::Tenant
    );
}

#[test]
fn tenants_import_no_files() {
    let told = |name: &str| {
        let (_, diagnostics) = shop(&format!("a {{\nimport {name}\n}}"), &shelf());
        reports(&diagnostics).join("\n")
    };
    for name in ["/etc/one.conf", "one.conf", "./one", "sites/*", "../x/y"] {
        let expected = format!(
            "tenant-file-import shop/api:2:8: there is no snippet `{name}`, and files cannot be imported here"
        );
        assert_eq!(told(name), expected);
    }
    assert_eq!(
        told("platform/secur"),
        "unknown-snippet shop/api:2:8: there is no snippet `platform/secur`; did you mean `platform/secure`?"
    );
    assert_eq!(
        told("platform/private"),
        "snippet-refused shop/api:2:8: `platform/private` is not exported to `shop`"
    );
}

#[test]
fn tenants_lend_operators_no_file_names() {
    // An operator's snippet that imports what it is given.
    let base = parse(operator("(any) {\nimport {args[0]}\n}\n"), &Options::default()).file;
    let (_, diagnostics) = shop("a {\nimport platform/any /etc/one.conf\n}", &Shelf(base));
    let codes: Vec<&str> = diagnostics.iter().map(|mistake| mistake.code).collect();
    assert_eq!(codes, ["tenant-file-import"]);
}

#[test]
fn nothing_is_there_by_default() {
    let (_, diagnostics) = in_folder(
        "import a.conf\nimport b*",
        &Options {
            files: &Nothing,
            ..Options::default()
        },
    );
    let codes: Vec<&str> = diagnostics.iter().map(|mistake| mistake.code).collect();
    assert_eq!(codes, ["import-not-found", "import-no-match"]);
}
