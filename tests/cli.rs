//! The command line from outside: what every entry answers to good and to bad input.

use std::fs;

use fairway_tests::run;
use tempfile::TempDir;

/// A small site, formatted as `fmt` would.
const GOOD: &str = "http://seed.test {\n\trespond \"hello\"\n}\n";

/// What stands between ```` ```caddyfile ```` and its end in a page.
fn caddyfiles(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```caddyfile\n") {
        let (text, after) = after.split_once("```").expect("the block is closed");
        found.push(text.to_owned());
        rest = after;
    }
    found
}

/// A folder with a few files to name on the command line.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("a file");
    write("Good", GOOD.as_bytes());
    write("Unformatted", b"http://seed.test {\nrespond \"hello\"\n}\n");
    write(
        "Broken",
        b"http://seed.test {\n\trespnd \"hello\"\n\tredri /a /b\n}\n",
    );
    write("Unclosed", b"http://seed.test {\n\trespond \"hello\n}\n");
    write("Binary", b"http://seed.test {\n\trespond \"\xff\xfe\"\n}\n");
    write("broken.json", b"{\"apps\": ");
    write(
        "unknown.json",
        br#"{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"teleport"}]}]}}}}}"#,
    );
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    folder
}

/// Runs a command that works, and returns what it printed.
#[track_caller]
fn check(arguments: &[&str], input: &str) -> String {
    let output = run(folder().path(), arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs a command that must fail: a status that is not zero, an error that holds all `expected`, no backtrace,
/// nothing on the output.
#[track_caller]
fn check_error(arguments: &[&str], expected: &[&str]) {
    let output = run(folder().path(), arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} works, but must not");
    assert!(
        output.status.code().is_some(),
        "{arguments:?} died of a signal: {said}"
    );
    for unwanted in ["panicked at", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!said.contains(unwanted), "{arguments:?}: {said}");
    }
    for expected in expected {
        assert!(
            said.contains(expected),
            "{arguments:?} must say `{expected}`: {said}"
        );
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
}

#[test]
fn version_is_one_line() {
    let printed = check(&["version"], "");
    assert!(printed.contains(env!("CARGO_PKG_VERSION")), "{printed}");
    assert_eq!(printed.lines().count(), 1);
}

#[test]
fn help_names_every_command() {
    let printed = check(&["help"], "");
    for command in [
        "run",
        "adapt",
        "validate",
        "fmt",
        "explain",
        "crd",
        "version",
        "completion",
    ] {
        assert!(printed.contains(command), "{command}: {printed}");
    }
}

#[test]
fn adapt_prints_json() {
    let printed = check(&["adapt", "--config", "Good", "--adapter", "caddyfile"], "");
    let json: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert!(json["apps"]["http"]["servers"].is_object(), "{printed}");
}

#[test]
fn validate_accepts_a_caddyfile() {
    check(&["validate", "--config", "Good", "--adapter", "caddyfile"], "");
}

#[test]
fn fmt_formats() {
    assert_eq!(check(&["fmt", "Good"], ""), GOOD);
    assert_eq!(check(&["fmt", "-"], GOOD), GOOD);
    let folder = folder();
    let output = run(folder.path(), &["fmt", "--overwrite", "Unformatted"], "");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("Unformatted")).expect("a file"),
        GOOD
    );
}

#[test]
fn crd_is_the_committed_copy() {
    let copy = fairway_tests::repository().join("crds/caddyroutes.yaml");
    let copy = fs::read_to_string(copy).expect("it is committed");
    assert_eq!(check(&["crd"], ""), copy);
}

#[test]
fn completion_is_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(check(&["completion", shell], "").contains("fairway"), "{shell}");
    }
}

#[test]
fn caddyfiles_in_the_docs_are_valid() {
    let root = fairway_tests::repository();
    let docs = fs::read_dir(root.join("docs"))
        .expect("there are docs")
        .filter_map(Result::ok);
    let pages = docs.map(|entry| entry.path()).chain([root.join("README.md")]);
    let mut checked = 0;
    // The page of mistakes has a test of its own.
    let pages = pages.filter(|page| !page.ends_with("diagnostics.md"));
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        for text in caddyfiles(&fs::read_to_string(&page).expect("a page")) {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("Caddyfile"), text).expect("a file");
            let output = run(
                folder.path(),
                &["validate", "--config", "Caddyfile", "--adapter", "caddyfile"],
                "",
            );
            assert!(
                output.status.success(),
                "{}: {}",
                page.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "the README shows a Caddyfile");
}

#[test]
fn what_is_wrong_on_the_command_line_is_named() {
    check_error(&["teleport"], &["teleport"]);
    check_error(&["run", "--teleport"], &["--teleport"]);
    check_error(&["version", "teleport"], &["teleport"]);
    check_error(&["crd", "teleport"], &["teleport"]);
    check_error(&["completion", "klingon"], &["klingon"]);
    check_error(&["run", "--config"], &["--config"]);
    for command in ["run", "adapt", "validate"] {
        check_error(&[command, "--config", "Good", "--adapter", "yaml"], &["yaml"]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for command in ["run", "adapt", "validate"] {
        check_error(
            &[command, "--config", "absent", "--adapter", "caddyfile"],
            &["absent"],
        );
        check_error(
            &[command, "--config", "folder", "--adapter", "caddyfile"],
            &["folder"],
        );
        check_error(
            &[command, "--config", "Binary", "--adapter", "caddyfile"],
            &["Binary"],
        );
    }
    check_error(&["fmt", "absent"], &["absent"]);
    check_error(&["fmt", "folder"], &["folder"]);
}

#[test]
fn every_mistake_of_a_caddyfile_is_shown_with_its_place() {
    for command in ["run", "adapt", "validate"] {
        let command = [command, "--config", "Broken", "--adapter", "caddyfile"];
        check_error(
            &command,
            &["Broken:2:2", "respnd", "respond", "Broken:3:2", "redri", "redir"],
        );
    }
    check_error(
        &["adapt", "--config", "Unclosed", "--adapter", "caddyfile"],
        &["Unclosed:"],
    );
}

#[test]
fn flags_of_objects_need_objects() {
    let file = ["--config", "Good", "--adapter", "caddyfile"];
    for flag in [
        ["--admin", "127.0.0.1:0"],
        ["--http-port", "0"],
        ["--grace-period", "30s"],
        ["--publish-address", "10.0.0.1"],
    ] {
        let arguments: Vec<&str> = ["run"].into_iter().chain(file).chain(flag).collect();
        check_error(&arguments, &[flag[0], "--manifests DIR"]);
    }
    check_error(&["run", "--manifests", "missing"], &["missing", "No such file"]);
    check_error(
        &["render", "--manifests", "missing"],
        &["missing", "No such file"],
    );
    check_error(&["run", "--kubeconfig", "missing"], &["--kubeconfig", "missing"]);
    for (duration, why) in [
        ("0s", "not above zero"),
        ("30", "no unit"),
        ("soon", "a duration is"),
    ] {
        let arguments = ["run", "--manifests", ".", "--grace-period", duration];
        check_error(&arguments, &["--grace-period", why]);
    }
    check_error(
        &["run", "--manifests", ".", "--kubeconfig", "x"],
        &["cannot be used with"],
    );
}

#[test]
fn a_broken_json_config_is_refused() {
    for command in ["run", "validate"] {
        check_error(&[command, "--config", "broken.json"], &["broken.json"]);
        check_error(&[command, "--config", "unknown.json"], &["teleport"]);
    }
}

/// A folder with the example's manifests, and a Caddyfile of several ways to answer.
fn shop() -> TempDir {
    let folder = folder();
    let shop = folder.path().join("shop");
    fs::create_dir(&shop).expect("a folder");
    let files = fs::read_dir(fairway_tests::repository().join("examples/shop")).expect("there is an example");
    for file in files.filter_map(Result::ok) {
        fs::copy(file.path(), shop.join(file.file_name())).expect("a file");
    }
    let ways = "http://a.test {\n\theader X-A b\n\tredir /old /new\n\thandle_errors {\n\t\trespond gone\n\t}\n\terror /gone 410\n\trespond hi 201\n}\n";
    fs::write(folder.path().join("Ways"), ways).expect("a file");
    folder
}

/// Runs `explain` with arguments, and expects what it prints.
#[track_caller]
fn check_explain(folder: &TempDir, arguments: &str, expected: &str) {
    let arguments: Vec<&str> = ["explain"].into_iter().chain(arguments.split(' ')).collect();
    let output = run(folder.path(), &arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    assert_eq!(said, "", "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{arguments:?}");
}

/// Runs `explain` for what nothing answers, and expects all of these in the one error.
#[track_caller]
fn check_unexplained(folder: &TempDir, arguments: &str, expected: &[&str]) {
    let arguments: Vec<&str> = ["explain"].into_iter().chain(arguments.split(' ')).collect();
    let output = run(folder.path(), &arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    for expected in expected {
        assert!(
            said.contains(expected),
            "{arguments:?} must say `{expected}`: {said}"
        );
    }
    assert_eq!(said.matches("Error:").count(), 1, "{arguments:?}: {said}");
}

#[test]
fn explain_names_object_and_lines() {
    let folder = shop();
    let site = "\
http://shop.localhost/api/items is answered by CaddyRoute shop/shop (shop/caddyroute.yaml:3)
  line 17:1  http://shop.localhost
  line 3:3   header                  headers of the answer: sets X-Content-Type-Options, X-Frame-Options
  line 19:3  handle_path /api/*      strips /api
  line 20:5  invoke api              runs the named route shop/api
  line 11:3  reverse_proxy api:8080  -> Service shop/api port 8080: 127.0.0.1:9102
";
    check_explain(&folder, "shop.localhost /api/items --manifests shop", site);
    check_explain(
        &folder,
        "blog.localhost /api/x --manifests shop --method POST",
        "\
POST http://blog.localhost/api/x is answered by Ingress shop/blog (shop/ingress.yaml:2)
  CaddyRoute shop/shop line 3:3  header         headers of the answer: sets X-Content-Type-Options, X-Frame-Options
  spec.rules[0].http.paths[1]    reverse_proxy  -> Service shop/api port 8080: 127.0.0.1:9102
",
    );
    fs::remove_file(folder.path().join("shop/endpoints.yaml")).expect("it is there");
    let without = "\
http://shop.localhost/ is answered by CaddyRoute shop/shop (shop/caddyroute.yaml:3)
  line 17:1  http://shop.localhost
  line 3:3   header                  headers of the answer: sets X-Content-Type-Options, X-Frame-Options
  line 22:3  handle
  line 23:5  reverse_proxy web:http  -> Service shop/web port 80: no endpoint is ready, fails with 503
  The answer is a bare 503.
";
    check_explain(&folder, "shop.localhost / --manifests shop", without);
}

#[test]
fn explain_follows_a_caddyfile() {
    let folder = shop();
    check_explain(
        &folder,
        "a.test /old --config Ways --adapter caddyfile",
        "\
http://a.test/old is answered by Ways:1:1
  line 1:1  http://a.test
  line 2:2  header X-A b     headers of the answer: sets X-A
  line 3:2  redir /old /new  answers 302, Location: /new
",
    );
    check_explain(
        &folder,
        "a.test /gone --config Ways --adapter caddyfile",
        "\
http://a.test/gone is answered by Ways:1:1
  line 1:1  http://a.test
  line 2:2  header X-A b     headers of the answer: sets X-A
  line 7:2  error /gone 410  fails on purpose, fails with 410
  line 1:1  http://a.test
  line 4:2  handle_errors
  line 5:3  respond gone     answers 410: gone
",
    );
    let json = "explain a.test / --config Ways --adapter caddyfile --format json";
    let json: Vec<&str> = json.split(' ').collect();
    let output = run(folder.path(), &json, "");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let steps = printed["steps"].as_array().expect("there are steps");
    let last = steps.last().expect("there is one");
    assert_eq!(last["place"], "line 8:2", "{printed}");
    assert_eq!(last["request"], "GET /", "{printed}");
    let end = serde_json::json!({"kind": "answered", "status": 201, "location": null, "text": "hi"});
    assert_eq!(printed["end"], end);
}

#[test]
fn explain_says_what_is_near() {
    let folder = shop();
    check_unexplained(
        &folder,
        "shop.localhos / --manifests shop",
        &["nothing answers http://shop.localhos/; did you mean shop.localhost?"],
    );
    check_unexplained(
        &folder,
        "shop.localhost / --manifests shop --https",
        &["the host is served, try --http"],
    );
    check_unexplained(
        &folder,
        "other.test / --config Ways --adapter caddyfile",
        &["the hosts are a.test"],
    );
    let change = |file: &str, from: &str, to: &str| {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).expect("it is written");
    };
    change("shop/ingress.yaml", "- path: /\n", "- path: /pages\n");
    check_unexplained(
        &folder,
        "blog.localhost /x --manifests shop",
        &["of blog.localhost, `/x` is none of the paths /api, /pages"],
    );
    change("shop/caddyroute.yaml", "handle_path", "handel_path");
    check_unexplained(
        &folder,
        "shop.localhost / --manifests shop",
        &[
            "CaddyRoute shop/shop is not served",
            "spec.caddyfile:19:3",
            "did you mean `handle_path`?",
        ],
    );
}

#[test]
fn explain_refuses_what_is_no_request() {
    check_error(&["explain"], &["HOST"]);
    check_error(&["explain", "a.test"], &["PATH"]);
    let config = ["--config", "Good", "--adapter", "caddyfile"];
    for (arguments, expected) in [
        (&["http://a.test", "/"][..], "`http://a.test` is no host"),
        (&["a.test:x", "/"], "`x` is no port"),
        (&["::1", "/"], "brackets"),
        (&["a.test", "x"], "does not begin with `/`"),
        (&["a.test", "/a b"], "is no path"),
        (&["a.test", "/", "--method", "G@T"], "`G@T` is no method"),
        (&["a.test", "/", "--header", "x"], "write `Name: value`"),
        (&["a.test", "/", "--header", "a b: c"], "is no name of a header"),
        (&["a.test", "/", "--header", "Host: b.test"], "first argument"),
        (&["a.test", "/", "--http", "--https"], "--https"),
        (&["a.test", "/", "--format", "xml"], "xml"),
        (&["a.test", "/", "--manifests", "folder"], "--manifests"),
        (&["a.test:81", "/"], "nothing is served on port 81"),
    ] {
        let arguments = [&["explain"], arguments, &config[..]].concat();
        check_error(&arguments, &[expected]);
    }
    check_error(&["explain", "a.test", "/", "--manifests", "absent"], &["absent"]);
    check_error(&["explain", "a.test", "/", "--config", "absent"], &["absent"]);
    check_error(
        &[
            "explain",
            "a.test",
            "/",
            "--config",
            "Broken",
            "--adapter",
            "caddyfile",
        ],
        &["Broken:2:2"],
    );
    check_error(
        &["explain", "a.test", "/", "--config", "unknown.json"],
        &["teleport"],
    );
}
