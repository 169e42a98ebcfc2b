//! Our adapter and formatter beside Caddy's, over Caddyfiles made by chance.
//!
//! Each text must become the same JSON, or be refused by both, save for the departures of `docs/compatibility.md`; and
//! both formatters must leave the same. One text of each kind of difference is made small and shown.
//!
//! `FAIRWAY_TEXTS=N` makes N texts, `FAIRWAY_SEED=N` others; `FAIRWAY_NUMBER=N` makes that text alone and shows it.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

use fairway_caddyfile::{Diagnostic, Environment, Files, Options, Origin, Source};
use fairway_tests::differential::departures::{self, Layout};
use fairway_tests::differential::real::{Answer, Real};
use fairway_tests::differential::{self, Departures, Made, files};
use fairway_tests::{Outcome, Suite};
use serde_json::Value;

/// How many kinds of difference are shown at most.
const SHOWN: usize = 40;

/// How often Caddy is asked again where its own order may vary.
const ASKED_AGAIN: usize = 100;

fn main() -> ExitCode {
    let mut suite = Suite::from_args("differential");
    match run(&mut suite) {
        Ok(()) => {}
        Err(error) => suite.add("the comparison", &Outcome::Failed(error)),
    }
    suite.finish()
}

fn run(suite: &mut Suite) -> Result<(), String> {
    let Some(program) = fairway_tests::differential::real::build()? else {
        suite.absent("Go is not here: the adapter is not held against Caddy's");
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    files::write(folder.path()).map_err(|error| error.to_string())?;
    let seed = number("FAIRWAY_SEED")?.unwrap_or(1);
    let only = number("FAIRWAY_NUMBER")?;
    let numbers = match only {
        Some(only) => only..only + 1,
        None => 0..number("FAIRWAY_TEXTS")?.unwrap_or(1000),
    };
    println!("differential: seed {seed}, {} texts", numbers.end - numbers.start);
    let mut work = Work::new(program, folder.path().to_owned(), seed, numbers.clone());
    if only.is_some() {
        println!("{}", differential::text(seed, numbers.start).text);
    }
    let kinds = work.all()?;
    work.tell(suite, &kinds)
}

fn number(variable: &str) -> Result<Option<u64>, String> {
    let Ok(value) = env::var(variable) else {
        return Ok(None);
    };
    value
        .parse()
        .map(Some)
        .map_err(|_| format!("{variable}={value} is no number"))
}

/// How a text fared.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Equal,
    BothRefuse,
    Departs,
    LayoutDeparts,
    /// In what, roughly: differences of one kind are told once.
    Differs(String),
}

/// The texts to compare, and what for it takes.
struct Work {
    program: PathBuf,
    folder: PathBuf,
    seed: u64,
    numbers: std::ops::Range<u64>,
    departures: Mutex<Departures>,
    equal: usize,
    both_refuse: usize,
    depart: usize,
    layouts_depart: usize,
}

impl Work {
    fn new(program: PathBuf, folder: PathBuf, seed: u64, numbers: std::ops::Range<u64>) -> Self {
        Self {
            program,
            folder,
            seed,
            numbers,
            departures: Mutex::default(),
            equal: 0,
            both_refuse: 0,
            depart: 0,
            layouts_depart: 0,
        }
    }

    /// Compares all texts; the numbers of those that differ, by kind.
    fn all(&mut self) -> Result<BTreeMap<String, Vec<u64>>, String> {
        let page = fairway_tests::repository().join("docs/compatibility.md");
        let page =
            std::fs::read_to_string(page).map_err(|error| format!("docs/compatibility.md: {error}"))?;
        self.departures = Mutex::new(Departures::read(&page)?);
        let next = AtomicU64::new(self.numbers.start);
        let verdicts = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(2, usize::from);
        let this = &*self;
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| -> io::Result<()> {
                        let mut real = Real::start(&this.program, &this.folder)?;
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= this.numbers.end {
                                return Ok(());
                            }
                            let made = differential::text(this.seed, number);
                            let found = this.compare(&mut real, &made)?;
                            verdicts.lock().expect("no worker panics").push((number, found));
                        }
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().expect("no worker panics"))
        })
        .map_err(|error| format!("asking Caddy: {error}"))?;
        let mut kinds = BTreeMap::<String, Vec<u64>>::new();
        for (number, found) in verdicts.into_inner().expect("no worker panics") {
            for verdict in found {
                match verdict {
                    Verdict::Equal => self.equal += 1,
                    Verdict::BothRefuse => self.both_refuse += 1,
                    Verdict::Departs => self.depart += 1,
                    Verdict::LayoutDeparts => self.layouts_depart += 1,
                    Verdict::Differs(kind) => kinds.entry(kind).or_default().push(number),
                }
            }
        }
        Ok(kinds)
    }

    /// What adapting gives, and, if it differs, what formatting gives.
    fn compare(&self, real: &mut Real, made: &Made) -> io::Result<Vec<Verdict>> {
        let answer = real.ask(&made.text)?;
        let ours = adapt(&made.text);
        let mut adapted = self.judge(&made.text, &ours, &answer.adapted);
        // Caddy walks over maps of subjects, so that it does not always say the same.
        for _ in 0..ASKED_AGAIN {
            if !matches!(&adapted, Verdict::Differs(kind) if kind.ends_with("/subjects")) {
                break;
            }
            adapted = self.judge(&made.text, &ours, &real.ask(&made.text)?.adapted);
        }
        let mut verdicts = vec![adapted];
        let formatted = catch_unwind(AssertUnwindSafe(|| fairway_caddyfile::format(&made.text)));
        match formatted {
            Err(_) => verdicts.push(Verdict::Differs("fmt panics".to_owned())),
            Ok(formatted) if formatted != answer.formatted => {
                verdicts.push(self.judge_layout(&answer));
            }
            Ok(formatted) if !made.is_broken && fairway_caddyfile::format(&formatted) != formatted => {
                verdicts.push(Verdict::Differs("fmt twice is not fmt once".to_owned()));
            }
            Ok(_) => {}
        }
        Ok(verdicts)
    }

    fn judge_layout(&self, answer: &Answer) -> Verdict {
        let departures = self.departures.lock().expect("no worker panics");
        let wrong = [
            (answer.is_harmful, Layout::Harmful, "harmful"),
            (answer.is_unsettled, Layout::Unsettled, "unsettled"),
        ];
        let found = wrong.iter().find(|(is_so, ..)| *is_so);
        match found {
            Some((_, layout, _)) if departures.explain_layout(*layout) => Verdict::LayoutDeparts,
            Some((.., name)) => Verdict::Differs(format!("fmt gives another text; Caddy's is {name}")),
            None => Verdict::Differs("fmt gives another text".to_owned()),
        }
    }

    fn judge(&self, text: &str, ours: &Ours, theirs: &Result<Value, String>) -> Verdict {
        let departures = self.departures.lock().expect("no worker panics");
        match (ours, theirs) {
            (Ours::Panicked, _) => Verdict::Differs("we panic".to_owned()),
            (Ours::Refused(_), Err(_)) => Verdict::BothRefuse,
            (Ours::Json(ours), Ok(theirs)) if ours == theirs => Verdict::Equal,
            (Ours::Refused(errors), Ok(_)) => {
                let errors: Vec<_> = errors
                    .iter()
                    .map(|error| (error.code, error.message.as_str()))
                    .collect();
                if departures.explain_refusal(text, &errors) {
                    return Verdict::Departs;
                }
                let unexplained = errors
                    .iter()
                    .find(|error| !departures.explain_refusal(text, &[**error]));
                let (code, message) = unexplained.unwrap_or(&errors[0]);
                Verdict::Differs(format!("we alone refuse: {code}: {}", without_names(message)))
            }
            (Ours::Json(_), Err(error)) if departures.explain_acceptance(text, error) => Verdict::Departs,
            (Ours::Json(_), Err(error)) => {
                Verdict::Differs(format!("Caddy alone refuses: {}", without_names(error)))
            }
            (Ours::Json(ours), Ok(theirs)) => {
                let places = departures::places(ours, theirs);
                if departures.explain_difference(text, &places) {
                    return Verdict::Departs;
                }
                let kind: Vec<_> = places[0]
                    .split('/')
                    .filter(|step| step.parse::<u32>().is_err())
                    .collect();
                Verdict::Differs(format!("the JSON differs: {}", kind.join("/")))
            }
        }
    }
}

impl Work {
    /// Tells how it went: each kind of difference is a failure with one text made small, all other texts passed.
    fn tell(&self, suite: &mut Suite, kinds: &BTreeMap<String, Vec<u64>>) -> Result<(), String> {
        let mut real = Real::start(&self.program, &self.folder).map_err(|error| error.to_string())?;
        let mut by_count: Vec<_> = kinds.iter().collect();
        by_count.sort_by_key(|(_, numbers)| std::cmp::Reverse(numbers.len()));
        for (kind, numbers) in by_count.iter().take(SHOWN) {
            let shown = self
                .show(&mut real, kind, numbers[0])
                .map_err(|error| error.to_string())?;
            let name = format!(
                "{} texts, such as seed {} number {}",
                numbers.len(),
                self.seed,
                numbers[0]
            );
            suite.add(&name, &Outcome::Failed(shown));
        }
        for (kind, numbers) in by_count.iter().skip(SHOWN) {
            suite.add(
                &format!("{} texts, such as {}", numbers.len(), numbers[0]),
                &Outcome::Failed((*kind).clone()),
            );
        }
        let different: std::collections::BTreeSet<_> = kinds.values().flatten().collect();
        let total = usize::try_from(self.numbers.end - self.numbers.start).unwrap_or(usize::MAX);
        for _ in 0..total.saturating_sub(different.len()) {
            suite.add("a text", &Outcome::Passed);
        }
        println!(
            "differential: {} equal, {} refused by both, {} departures, {} different; {} layouts depart",
            self.equal,
            self.both_refuse,
            self.depart,
            different.len(),
            self.layouts_depart
        );
        for (rule, used) in self.departures.lock().expect("no worker panics").used() {
            println!("  {used:6} {rule}");
        }
        Ok(())
    }

    /// The smallest text found that differs in the same way, and what both make of it.
    fn show(&self, real: &mut Real, kind: &str, number: u64) -> io::Result<String> {
        let made = differential::text(self.seed, number);
        let mut failure = None;
        let small = differential::shrink(&made.text, |text| {
            let candidate = Made {
                text: text.to_owned(),
                is_broken: made.is_broken,
            };
            let found = self.compare(real, &candidate).unwrap_or_else(|error| {
                failure = Some(error);
                Vec::new()
            });
            found.contains(&Verdict::Differs(kind.to_owned()))
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let answer = real.ask(&small)?;
        if kind.starts_with("fmt") {
            let ours = catch_unwind(|| fairway_caddyfile::format(&small)).unwrap_or_default();
            return Ok(format!(
                "{kind}\n{small:?}\nours:\n{ours:?}\nCaddy's:\n{:?}",
                answer.formatted
            ));
        }
        let theirs = answer.adapted.map_or_else(|error| error, |json| json.to_string());
        Ok(format!(
            "{kind}\n{}\nours:\n{}\nCaddy's:\n{theirs}",
            small.trim_end(),
            adapt(&small)
        ))
    }
}

/// What we make of a text.
enum Ours {
    Json(Value),
    Refused(Vec<Diagnostic>),
    Panicked,
}

impl std::fmt::Display for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ours::Json(json) => json.fmt(f),
            Ours::Refused(errors) => {
                let lines: Vec<_> = errors
                    .iter()
                    .map(|error| format!("{} [{}]", error.message, error.code))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
            Ours::Panicked => f.write_str("a panic, see above"),
        }
    }
}

/// Adapts as the program does, with the files beside the text and the variables that Caddy gets.
fn adapt(text: &str) -> Ours {
    let options = Options {
        environment: &World,
        files: &World,
        ..Options::default()
    };
    let adapted = catch_unwind(AssertUnwindSafe(|| {
        let source = Source::from_file(Origin::operator("Caddyfile"), "Caddyfile", text);
        let adapted = fairway_engine::adapt(source, &options);
        if adapted.has_errors() {
            let errors = adapted.diagnostics.into_iter().filter(Diagnostic::is_error);
            return Ours::Refused(errors.collect());
        }
        Ours::Json(serde_json::to_value(&adapted.config).expect("a config has names for keys"))
    }));
    adapted.unwrap_or(Ours::Panicked)
}

/// The files and variables of the comparison, and no others.
struct World;

impl Environment for World {
    fn var(&self, name: &str) -> Option<String> {
        let found = files::VARIABLES.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

impl Files for World {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = files::FILES.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = files::FILES
            .iter()
            .filter_map(|(name, _)| Path::new(name).strip_prefix(folder).ok());
        let mut names: Vec<_> = names
            .filter_map(|rest| rest.components().next())
            .map(|first| first.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.dedup();
        if names.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(names)
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.read(path).is_ok() || self.list(path).is_ok()
    }
}

/// A message without what stands in quotes and without numbers, so that it names a kind.
fn without_names(message: &str) -> String {
    let mut kept = String::new();
    let mut quote = None;
    for each in message.chars().take(160) {
        match quote {
            Some(open) if open == each => quote = None,
            Some(_) => continue,
            None if matches!(each, '`' | '"' | '\'') => quote = Some(each),
            None => {}
        }
        if !each.is_ascii_digit() {
            kept.push(each);
        }
    }
    kept
}
