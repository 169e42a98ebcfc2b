//! Recorded conversations with real Caddy, played against the program.
//!
//! `cargo test --workspace --test serve -- named/` plays some of our own (`tests/serve/cases`). Without
//! arguments the shared ones (`../shared/fixtures/behaviour`) follow, except those in `serve/missing.txt`.
//! `FAIRWAY_RECORD=PATH` writes our records anew from the Caddy at that path.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use fairway_tests::conversation::{self, case::Case};
use fairway_tests::{Missing, Outcome, Suite};
use serde_json::Value;

/// Lines of difference shown for each case.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    let mut own = Suite::from_args("own conversations");
    if let Some(caddy) = fairway_tests::records_from() {
        each_case(&mut own, |case| record(case, &caddy));
        return own.finish();
    }
    let program = match fairway_tests::fairway() {
        Ok(program) => program,
        Err(error) => {
            own.add("the program", &Outcome::Failed(error));
            return own.finish();
        }
    };
    each_case(&mut own, |case| check(case, &program));
    if own.is_filtered() {
        return own.finish();
    }
    let listed = match check_departures() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(error),
    };
    own.add("docs/compatibility.md", &listed);
    let mut shared = Suite::from_args("shared conversations");
    if let Err(error) = play_shared(&mut shared, &program) {
        shared.add("behave.py", &Outcome::Failed(error));
    }
    let (own, shared) = (own.finish(), shared.finish());
    if own == ExitCode::SUCCESS { shared } else { own }
}

fn each_case(suite: &mut Suite, one: impl Fn(&Path) -> Result<(), String> + Sync) {
    let home = fairway_tests::repository().join("tests/serve/cases");
    let mut paths: Vec<_> = files_below(&home, "case")
        .into_iter()
        .map(|path| (name(&home, &path), path))
        .collect();
    paths.retain(|(name, _)| suite.wants(name));
    let outcomes = Suite::run(&paths, |(_, path)| match one(path) {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(error),
    });
    for ((name, _), outcome) in paths.iter().zip(&outcomes) {
        suite.add(name, outcome);
    }
}

/// The case's name: its path without the ending.
fn name(home: &Path, path: &Path) -> String {
    path.strip_prefix(home)
        .unwrap_or(path)
        .with_extension("")
        .to_string_lossy()
        .into_owned()
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn record(path: &Path, caddy: &Path) -> Result<(), String> {
    let case = Case::read(path)?;
    let record = conversation::play(&case, caddy)?;
    let expected = if case.start_fails { "exits non-zero" } else { "ok" };
    if record["start"] != expected {
        return Err(format!("Caddy: {record}"));
    }
    let mut text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
    text.push('\n');
    fs::write(path.with_extension("golden.json"), text).map_err(|error| error.to_string())
}

fn check(path: &Path, program: &Path) -> Result<(), String> {
    let case = Case::read(path)?;
    let caddy = read_json(&path.with_extension("golden.json"))?;
    let departure = path.with_extension("fairway.json");
    let expected = if departure.exists() {
        read_json(&departure)?
    } else {
        caddy.clone()
    };
    if departure.exists() && expected == caddy {
        return Err("the departure no longer differs from Caddy: remove it".to_owned());
    }
    let record = conversation::play(&case, program)?;
    if record == expected {
        return Ok(());
    }
    if departure.exists() && fairway_tests::updates() {
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        return fs::write(&departure, text + "\n").map_err(|error| error.to_string());
    }
    let mut lines = Vec::new();
    differences("", &expected, &record, &mut lines);
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    Err(lines.join("\n"))
}

/// Holds docs/compatibility.md to the departures there are: the last column of its table names their cases.
fn check_departures() -> Result<(), String> {
    let root = fairway_tests::repository();
    let home = root.join("tests/serve/cases");
    let path = root.join("docs/compatibility.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let in_docs: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once('`'))
        .map(|(_, case)| case.to_owned())
        .collect();
    let in_cases: BTreeSet<_> = files_below(&home, "json")
        .iter()
        .map(|path| name(&home, path))
        .filter_map(|name| Some(name.strip_suffix(".fairway")?.to_owned()))
        .collect();
    let differing: Vec<_> = in_docs.symmetric_difference(&in_cases).cloned().collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "named only there, or departing only in tests/serve/cases: {}",
        differing.join(", ")
    ))
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The places where two records differ.
fn differences(at: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let added = found.keys().filter(|key| !expected.contains_key(*key));
            for key in expected.keys().chain(added) {
                let side = |of: &serde_json::Map<String, Value>| of.get(key).cloned().unwrap_or(Value::Null);
                differences(&format!("{at}.{key}"), &side(expected), &side(found), lines);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                differences(&format!("{at}[{}]", index + 1), expected, found, lines);
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!(
            "{}: expected {expected}, found {found}",
            at.trim_start_matches('.')
        )),
    }
}

/// Plays the shared cases with their own player and judges the results by our list.
fn play_shared(suite: &mut Suite, program: &Path) -> Result<(), String> {
    let Some(shared) = fairway_tests::shared() else {
        suite.absent("../shared is not here: its recorded conversations are not played");
        return Ok(());
    };
    let mut python = Command::new("python3");
    python
        .arg(shared.join("fixtures/behaviour/behave.py"))
        .args(["check", "--server"])
        .arg(program);
    if let Ok(base) = std::env::var("FAIRWAY_PORT_BASE") {
        python.args(["--port-base", &base]);
    }
    let output = match python.output() {
        Ok(output) => output,
        Err(error) => {
            suite.absent(&format!(
                "python3 is needed for the shared conversations: {error}"
            ));
            return Ok(());
        }
    };
    let results = read_results(&String::from_utf8_lossy(&output.stdout));
    if results.is_empty() {
        return Err(format!(
            "behave.py said: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let missing = Missing::read(&fairway_tests::repository().join("tests/serve/missing.txt"))?;
    if fairway_tests::updates() {
        missing.rewrite(&results)?;
    }
    for (name, outcome) in missing.judge(&results) {
        suite.add(&name, &outcome);
    }
    Ok(())
}

/// What `behave.py check` prints: `PASS NAME`, or `FAIL NAME` with lines that are indented below.
fn read_results(text: &str) -> Vec<(String, Option<String>)> {
    let mut results: Vec<(String, Option<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("PASS ") {
            results.push((name.to_owned(), None));
        } else if let Some(name) = line.strip_prefix("FAIL ") {
            results.push((name.to_owned(), Some(String::new())));
        } else if let Some((_, Some(wrong))) = results.last_mut()
            && let Some(detail) = line.strip_prefix("     ")
        {
            if !wrong.is_empty() {
                wrong.push('\n');
            }
            wrong.push_str(detail);
        }
    }
    results
}
