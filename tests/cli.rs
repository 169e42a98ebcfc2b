//! The command line from outside: what every entry answers to good and to bad input.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// What does not end after this time hangs.
const PATIENCE: Duration = Duration::from_secs(20);

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

fn fairway(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let program = fairway_tests::fairway().expect("`make test` builds it");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A program that does not read its input closes it; that is its right.
    let _ = child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input.as_bytes());
    let id = child.id().to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
        panic!("{arguments:?} did not end within {PATIENCE:?}");
    });
    output.expect("it can be waited for")
}

/// Runs a command that works, and returns what it printed.
#[track_caller]
fn check(arguments: &[&str], input: &str) -> String {
    let output = fairway(folder().path(), arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs a command that must fail: a status that is not zero, an error that holds all `expected`, no backtrace,
/// nothing on the output.
#[track_caller]
fn check_error(arguments: &[&str], expected: &[&str]) {
    let output = fairway(folder().path(), arguments, "");
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
    for command in ["run", "adapt", "validate", "fmt", "crd", "version", "completion"] {
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
    let output = fairway(folder.path(), &["fmt", "--overwrite", "Unformatted"], "");
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
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        for text in caddyfiles(&fs::read_to_string(&page).expect("a page")) {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("Caddyfile"), text).expect("a file");
            let output = fairway(
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
fn a_broken_json_config_is_refused() {
    for command in ["run", "validate"] {
        check_error(&[command, "--config", "broken.json"], &["broken.json"]);
        check_error(&[command, "--config", "unknown.json"], &["teleport"]);
    }
}
