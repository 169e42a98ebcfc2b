//! `fairway validate` and `fmt` on Kubernetes manifests, and `--format json`, from outside.

use std::fs;
use std::path::Path;

use fairway_tests::run;
use serde_json::Value;
use tempfile::TempDir;

/// Two documents with mistakes and one that is somebody else's.
const ROUTES: &str = "\
# Ä comment
apiVersion: fairway.dev/v1alpha1
kind: CaddyRoute
metadata:
  name: api
  namespace: shop
spec:
  caddyfile: |
    (common) {
        encode gzipp
    }
    http://a.test { # ä
        respond \"😀\" 200 more
        import common
    }
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: other
spec:
  caddyfile: respnd
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    fairway.dev/caddyfile: \"header X-A b\\nrespnd x\"
spec:
  rules:
  - host: b.test
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port:
              number: 80
";

/// The class of objects that name none.
const CLASS: &str = "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: fairway
  annotations:
    ingressclass.kubernetes.io/is-default-class: \"true\"
spec:
  controller: fairway.dev/ingress-controller
";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// Runs a command that fails, and tells `file:line:column code` of each line of JSON on standard error.
#[track_caller]
fn check_places(folder: &Path, arguments: &[&str], input: &str, expected: &[&str]) -> Vec<Value> {
    let output = run(folder, arguments, input);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let places = lines.iter().map(|line| {
        let (file, code) = (
            line["file"].as_str().unwrap_or("none"),
            line["code"].as_str().expect("a code"),
        );
        format!(
            "{file}:{}:{} {code}",
            line["start"]["line"], line["start"]["column"]
        )
    });
    assert_eq!(places.collect::<Vec<_>>(), expected, "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
    lines
}

/// Runs a command and returns what it printed, if it exited with that status.
#[track_caller]
fn check_output(folder: &Path, arguments: &[&str], input: &str, status: i32) -> String {
    let output = run(folder, arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

const PLACES: [&str; 3] = [
    "a.yaml:10:16 invalid-value",
    "a.yaml:13:25 unexpected-argument",
    "a.yaml:29:43 unknown-directive",
];

#[test]
fn mistakes_are_told_where_they_stand_in_the_yaml() {
    let folder = folder(&[("a.yaml", ROUTES)]);
    let lines = check_places(
        folder.path(),
        &["validate", "a.yaml", "--format", "json"],
        "",
        &PLACES,
    );
    let text = |line: &Value| {
        let byte = |side: &str| usize::try_from(line[side]["byte"].as_u64().expect("a byte")).expect("small");
        ROUTES[byte("start")..byte("end")].to_owned()
    };
    assert_eq!(
        lines.iter().map(text).collect::<Vec<_>>(),
        ["gzipp", "more", "respnd"]
    );
    assert_eq!(lines[1]["start"]["utf16"], 25, "the smiley takes two units");
    assert_eq!(lines[0]["imports"][0]["name"], "common");
    assert_eq!(lines[0]["imports"][0]["start"]["line"], 14);
    assert_eq!(lines[2]["help"], "did you mean `respond`?");
}

#[test]
fn every_way_to_name_manifests_gives_the_same() {
    let folder = folder(&[("a.yaml", ROUTES), ("sub/class.yml", CLASS)]);
    let json = ["--format", "json"];
    let with = |arguments: &[&'static str]| [arguments, &json].concat();
    check_places(
        folder.path(),
        &with(&["validate", "--config", "a.yaml"]),
        "",
        &PLACES,
    );
    let in_folder = PLACES.map(|place| format!("./{place}"));
    let in_folder: Vec<&str> = in_folder.iter().map(String::as_str).collect();
    check_places(folder.path(), &with(&["validate", "."]), "", &in_folder);
    let stdin = PLACES.map(|place| place.replace("a.yaml", "-"));
    let stdin: Vec<&str> = stdin.iter().map(String::as_str).collect();
    check_places(folder.path(), &with(&["validate", "-"]), ROUTES, &stdin);
    let render = with(&["render", "--manifests", "."]);
    let missing = "./a.yaml:24:null service-not-found";
    check_places(folder.path(), &render, "", &[&in_folder[..], &[missing]].concat());
}

#[test]
fn what_other_files_define_is_named_along() {
    let head = |name: &str, text: &str| {
        format!(
            "apiVersion: fairway.dev/v1alpha1\nkind: CaddyRoute\nmetadata:\n  name: {name}\nspec:\n  ingressClassName: mine\n  caddyfile: |\n    {text}\n"
        )
    };
    let folder = folder(&[
        (
            "user.yaml",
            &head(
                "user",
                "http://a.test {\n      import common\n      reverse_proxy api:80\n    }",
            ),
        ),
        (
            "common.yaml",
            &head("common", "(common) {\n      encode gzip\n    }"),
        ),
        ("Caddyfile", "http://a.test {\n\trespnd\n}\n"),
    ]);
    let alone = ["validate", "user.yaml", "--format", "json"];
    check_places(folder.path(), &alone, "", &["user.yaml:9:14 unknown-snippet"]);
    let both = check_output(folder.path(), &["validate", "user.yaml", "common.yaml"], "", 0);
    assert_eq!(both, "Valid configuration\n");
    let mixed = [
        "validate",
        "Caddyfile",
        "user.yaml",
        "common.yaml",
        "--format",
        "json",
    ];
    check_places(folder.path(), &mixed, "", &["Caddyfile:2:2 unknown-directive"]);
}

#[test]
fn a_text_that_is_folded_is_told_of_by_its_beginning() {
    let folded = ROUTES.replace("caddyfile: |", "caddyfile: >");
    let folder = folder(&[("a.yaml", &folded)]);
    let output = run(folder.path(), &["validate", "a.yaml", "--format", "json"], "");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let first: Value = serde_json::from_str(said.lines().next().expect("a mistake")).expect("JSON");
    assert_eq!(
        (&first["start"]["line"], &first["start"]["column"]),
        (&8.into(), &14.into()),
        "{said}"
    );
    assert!(
        first["notes"][0]
            .as_str()
            .is_some_and(|note| note.starts_with("line ")),
        "{said}"
    );
}

#[test]
fn a_document_that_cannot_be_read_leaves_its_neighbours_alone() {
    let text = format!("kind: CaddyRoute\nspec: [\n---\n{ROUTES}");
    let folder = folder(&[("a.yaml", &text)]);
    let output = run(folder.path(), &["validate", "a.yaml", "--format", "json"], "");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        said.starts_with(r#"{"severity":"error","code":"unreadable-manifest""#),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1 + PLACES.len(), "{said}");
}

#[test]
fn fmt_changes_nothing_but_the_caddyfiles() {
    let formatted = ROUTES
        .replace(" # ä", "\n    \t# ä")
        .replace("        encode", "    \tencode")
        .replace("        respond", "    \trespond")
        .replace("        import", "    \timport");
    let folder = folder(&[("a.yaml", ROUTES), ("good.yaml", &formatted)]);
    assert_eq!(check_output(folder.path(), &["fmt", "a.yaml"], "", 1), formatted);
    assert_eq!(check_output(folder.path(), &["fmt", "-"], ROUTES, 0), formatted);
    assert_eq!(
        check_output(folder.path(), &["fmt", "good.yaml"], "", 0),
        formatted
    );
    let diff = check_output(folder.path(), &["fmt", "--diff", "a.yaml"], "", 1);
    assert!(
        diff.contains("-         encode gzipp\n") && diff.contains("+     \tencode gzipp\n"),
        "{diff}"
    );
    assert!(diff.contains("  # Ä comment\n"), "{diff}");
    check_places(
        folder.path(),
        &["fmt", "a.yaml", "--format", "json"],
        "",
        &["a.yaml:10:null not-formatted"],
    );
    check_output(folder.path(), &["fmt", "--overwrite", "a.yaml"], "", 0);
    let written = fs::read_to_string(folder.path().join("a.yaml")).expect("it is there");
    assert_eq!(written, formatted);
}

#[test]
fn fmt_says_what_it_has_to_leave() {
    let folded = ROUTES.replace("caddyfile: |", "caddyfile: >");
    let folder = folder(&[("a.yaml", &folded)]);
    check_places(
        folder.path(),
        &["fmt", "--overwrite", "a.yaml", "--format", "json"],
        "",
        &["a.yaml:8:null not-formatted"],
    );
    let written = fs::read_to_string(folder.path().join("a.yaml")).expect("it is there");
    assert_eq!(written, folded);
}

#[test]
fn json_lines_leave_standard_output_to_what_was_asked_for() {
    let folder = folder(&[
        ("good", "http://a.test {\n\tskip_log /health\n}\n"),
        ("bad", "http://a.test {\n\tredri /a\n}\n"),
        (
            "regexp",
            "http://a.test {\n\t@a path_regexp (\n\trespond @a x\n}\n",
        ),
    ]);
    let output = run(
        folder.path(),
        &["adapt", "--config", "good", "--format", "json"],
        "",
    );
    assert!(output.status.success());
    let config: Value = serde_json::from_slice(&output.stdout).expect("the config");
    assert!(config["apps"].is_object());
    let warning: Value = serde_json::from_slice(&output.stderr).expect("one line");
    assert_eq!(
        (&warning["severity"], &warning["code"]),
        (&"warning".into(), &"deprecated".into())
    );
    let adapt = ["adapt", "--config", "bad", "--format", "json"];
    check_places(folder.path(), &adapt, "", &["bad:2:2 unknown-directive"]);
    let validate = [
        "validate",
        "--config",
        "regexp",
        "--adapter",
        "caddyfile",
        "--format",
        "json",
    ];
    check_places(folder.path(), &validate, "", &["regexp:3:2 not-servable"]);
    let absent = ["adapt", "--config", "absent", "--format", "json"];
    check_places(folder.path(), &absent, "", &["none:null:null failed"]);
}
