//! Caddyfiles and the JSON they become, run through `fairway adapt`.
//!
//! A case is a file `tests/adapt/TOPIC/NAME.caddyfiletest`: a Caddyfile, a line of dashes, then the JSON, or
//! for a text that is refused the diagnostics, one line each. JSON is compared as values. Every other file
//! in the folder of a case lies beside its Caddyfile; a comment `# env NAME=value` sets a variable. With a comment
//! `# tenant` the text is that of a CaddyRoute, judged by `fairway validate`; lines and columns are those of the text.
//!
//! `UPDATE_EXPECT=1` rewrites expectations from what Fairway does; read the difference as code.
//! `FAIRWAY_RECORD=PATH` rewrites the JSON from the Caddy at that path, and holds that it refuses what we
//! refuse, unless the case says `# departs: REASON`. Arguments choose cases by a part of their name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use fairway_tests::{Missing, Outcome, Suite, report};
use serde_json::Value;

/// The line between a Caddyfile and what it becomes.
const SEPARATOR: &str = "----------";

/// What stands around the text of a tenant.
const MANIFEST: &str = "route.yaml";
const HEAD: &str = "\
apiVersion: fairway.dev/v1alpha1
kind: CaddyRoute
metadata:
  name: case
  namespace: shop
spec:
  caddyfile: |
";
const INDENT: &str = "    ";

fn main() -> ExitCode {
    let mut own = Suite::from_args("own adapt files");
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
    let mut shared = Suite::from_args("shared adapt files");
    if let Err(error) = run_shared(&mut shared, &program) {
        shared.add("the shared cases", &Outcome::Failed(error));
    }
    let (own, shared) = (own.finish(), shared.finish());
    if own == ExitCode::SUCCESS { shared } else { own }
}

/// One `.caddyfiletest`, in its two halves.
struct Case {
    path: PathBuf,
    source: String,
    /// Empty when nothing was recorded yet.
    expected: String,
}

/// What a program made of a Caddyfile.
enum Adapted {
    Json(Value),
    /// What it said on its error output.
    Refused(String),
}

impl Case {
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = text.replace("\r\n", "\n");
        let mut source = String::new();
        let mut rest = text.as_str();
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            if line.trim_end().starts_with(SEPARATOR) {
                return Ok(Self {
                    path: path.to_owned(),
                    source,
                    expected: rest.trim().to_owned(),
                });
            }
            source.push_str(line);
            source.push('\n');
        }
        Ok(Self {
            path: path.to_owned(),
            source: source + rest,
            expected: String::new(),
        })
    }

    fn write(&self, expected: &str) -> Result<(), String> {
        let text = format!("{}{SEPARATOR}\n{}\n", self.source, expected.trim_end());
        fs::write(&self.path, text).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// What follows `# MARK ` in the comments of the Caddyfile.
    fn notes<'a>(&'a self, mark: &'a str) -> impl Iterator<Item = &'a str> {
        self.source
            .lines()
            .filter_map(move |line| line.trim().strip_prefix(mark))
            .map(str::trim)
    }

    /// Whether it is the text of an object of the cluster.
    fn is_of_a_tenant(&self) -> bool {
        self.source.lines().any(|line| line == "# tenant")
    }

    /// Whether it lies in the folder of texts that are refused.
    fn is_refusal(&self) -> bool {
        self.path
            .ancestors()
            .any(|folder| folder.ends_with("tests/adapt/rejects"))
    }

    /// Runs a program over the Caddyfile, in a folder of its own with the side files beside it.
    fn adapt(&self, program: &Path) -> Result<Adapted, String> {
        let wrong = |error: std::io::Error| format!("preparing the folder: {error}");
        let folder = tempfile::tempdir().map_err(wrong)?;
        // Recorded cases name certificates one level up from the Caddyfile.
        let beside = folder.path().join("cases");
        fs::create_dir(&beside).map_err(wrong)?;
        let home = self.path.parent().unwrap_or(Path::new("."));
        copy_side_files(home, &beside).map_err(wrong)?;
        let certificate = home.join("../caddy.ca.cer");
        if certificate.is_file() {
            fs::copy(certificate, folder.path().join("caddy.ca.cer")).map_err(wrong)?;
        }
        fs::write(beside.join("Caddyfile"), &self.source).map_err(wrong)?;
        let arguments: &[&str] = if self.is_of_a_tenant() {
            let lines = self.source.lines().map(|line| format!("{INDENT}{line}\n"));
            let manifest = HEAD.to_owned() + &lines.collect::<String>();
            fs::write(beside.join(MANIFEST), manifest).map_err(wrong)?;
            &["validate", MANIFEST]
        } else {
            &["adapt", "--config", "Caddyfile", "--adapter", "caddyfile"]
        };
        let env = self.notes("# env ").filter_map(|note| note.split_once('='));
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&beside)
            .env("CADDY_TEST", "1")
            .env("HOME", folder.path())
            .envs(env)
            .output()
            .map_err(|error| format!("starting {}: {error}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("panicked at") {
            return Err(format!("it panics: {said}"));
        }
        if !output.status.success() {
            return Ok(Adapted::Refused(said));
        }
        if self.is_of_a_tenant() {
            return Err("it is valid, but a case of a tenant shows what is refused".to_owned());
        }
        let json =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("it prints no JSON: {error}"))?;
        Ok(Adapted::Json(json))
    }
}

fn copy_side_files(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            fs::create_dir_all(&target)?;
            copy_side_files(&path, &target)?;
        } else if path
            .extension()
            .is_none_or(|extension| extension != "caddyfiletest")
        {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

fn each_case(suite: &mut Suite, one: impl Fn(&Case) -> Result<(), String> + Sync) {
    let home = fairway_tests::repository().join("tests/adapt");
    let mut paths: Vec<_> = cases_below(&home)
        .into_iter()
        .map(|path| (name(&home, &path), path))
        .collect();
    paths.retain(|(name, _)| suite.wants(name));
    let outcomes = Suite::run(&paths, |(_, path)| {
        match Case::read(path).and_then(|case| one(&case)) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(error),
        }
    });
    for ((name, _), outcome) in paths.iter().zip(&outcomes) {
        suite.add(name, outcome);
    }
}

fn cases_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(cases_below(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "caddyfiletest")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name(home: &Path, path: &Path) -> String {
    path.strip_prefix(home)
        .unwrap_or(path)
        .with_extension("")
        .to_string_lossy()
        .into_owned()
}

/// Compares what Fairway says with what the case expects, diagnostics word by word.
fn check(case: &Case, program: &Path) -> Result<(), String> {
    let found = match case.adapt(program)? {
        Adapted::Json(json) => {
            let expected = serde_json::from_str::<Value>(&case.expected).ok();
            if expected.as_ref() == Some(&json) {
                return Ok(());
            }
            serde_json::to_string_pretty(&json).map_err(|error| error.to_string())?
        }
        Adapted::Refused(report) => {
            let mut lines = report::one_line_each(&report);
            if case.is_of_a_tenant() {
                lines = in_the_text(&lines);
            }
            if lines.is_empty() {
                return Err(format!("refused without a diagnostic: {report}"));
            }
            if lines == case.expected {
                return Ok(());
            }
            lines
        }
    };
    if fairway_tests::updates() {
        return case.write(&found);
    }
    Err(format!(
        "expected:\n{}\nfound:\n{found}",
        or_nothing(&case.expected)
    ))
}

/// The places in a manifest as those in the text that it holds.
fn in_the_text(lines: &str) -> String {
    let moved = lines.lines().map(|line| {
        let place = line.strip_prefix(MANIFEST).and_then(|rest| {
            let mut parts = rest.strip_prefix(':')?.splitn(3, ':');
            let (row, column, rest) = (parts.next()?, parts.next()?, parts.next()?);
            let row = row.parse::<usize>().ok()?.checked_sub(HEAD.lines().count())?;
            let column = column.parse::<usize>().ok()?.checked_sub(INDENT.len())?;
            Some(format!("Caddyfile:{row}:{column}:{rest}"))
        });
        place.unwrap_or_else(|| line.to_owned())
    });
    moved.collect::<Vec<_>>().join("\n")
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() {
        "nothing recorded yet: UPDATE_EXPECT=1"
    } else {
        text
    }
}

/// Takes the expectation from real Caddy; of refusals only that they are refused.
fn record(case: &Case, caddy: &Path) -> Result<(), String> {
    if case.is_of_a_tenant() {
        return Ok(()); // Caddy knows no tenants.
    }
    let is_refusal = case.is_refusal();
    let departs = case.notes("# departs:").next().is_some();
    match case.adapt(caddy)? {
        Adapted::Json(_) if is_refusal && departs => Ok(()),
        Adapted::Json(_) if is_refusal => Err("Caddy accepts it: say `# departs: REASON`".to_owned()),
        Adapted::Json(json) => {
            if serde_json::from_str::<Value>(&case.expected).is_ok_and(|expected| expected == json) {
                return Ok(());
            }
            case.write(&serde_json::to_string_pretty(&json).map_err(|error| error.to_string())?)
        }
        Adapted::Refused(_) if is_refusal && departs => Err("Caddy refuses it, too: no departure".to_owned()),
        Adapted::Refused(_) if is_refusal => Ok(()),
        Adapted::Refused(report) => Err(format!("Caddy refuses it: {}", report.trim())),
    }
}

/// Runs the shared cases; of refusals only that they are refused, because the words recorded are Caddy's.
fn run_shared(suite: &mut Suite, program: &Path) -> Result<(), String> {
    let Some(shared) = fairway_tests::shared() else {
        suite.absent("../shared is not here: its recorded adapt files are not run");
        return Ok(());
    };
    let home = shared.join("fixtures/caddyfile_adapt");
    let cases = cases_below(&home);
    let wrong = Suite::run(&cases, |path| {
        match Case::read(path).and_then(|case| check_recorded(&case, program)) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(error),
        }
    });
    let results: Vec<_> = cases
        .iter()
        .zip(wrong)
        .map(|(path, outcome)| match outcome {
            Outcome::Failed(error) => (name(&home, path), Some(error)),
            Outcome::Passed | Outcome::Skipped(_) => (name(&home, path), None),
        })
        .collect();
    let missing = Missing::read(&fairway_tests::repository().join("tests/adapt/missing.txt"))?;
    if fairway_tests::updates() {
        missing.rewrite(&results)?;
    }
    for (name, outcome) in missing.judge(&results) {
        suite.add(&name, &outcome);
    }
    Ok(())
}

fn check_recorded(case: &Case, program: &Path) -> Result<(), String> {
    let wants_json = case.expected.starts_with('{');
    match case.adapt(program)? {
        Adapted::Refused(_) if !wants_json => Ok(()),
        Adapted::Refused(report) => Err(report::one_line_each(&report).replace("Caddyfile:", "at ")),
        Adapted::Json(_) if !wants_json => Err("accepted, but Caddy refuses it".to_owned()),
        Adapted::Json(json) => {
            let expected: Value = serde_json::from_str(&case.expected).map_err(|error| error.to_string())?;
            if json == expected {
                Ok(())
            } else {
                Err("the JSON differs".to_owned())
            }
        }
    }
}
