//! Running many cases that are files, a few at a time, and telling how it went.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Otherwise, and in what.
    Failed(String),
    /// Not run, or not expected to pass yet, and why.
    Skipped(String),
}

/// A suite of cases: prints failures as they are told, counts, and becomes the exit status.
#[derive(Debug)]
pub struct Suite {
    name: &'static str,
    filters: Vec<String>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Suite {
    /// A suite whose cases are chosen by the arguments of this program; options (`--…`) are ignored.
    #[must_use]
    pub fn from_args(name: &'static str) -> Self {
        let filters = env::args()
            .skip(1)
            .filter(|argument| !argument.starts_with('-'))
            .collect();
        Self {
            name,
            filters,
            passed: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// Whether a case was asked for: any argument is a part of its name, or there are none.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Whether only some cases were asked for.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Runs `check` for each case, on as many threads as there are cores; a panic fails its own case only.
    pub fn run<T: Sync>(cases: &[T], check: impl Fn(&T) -> Outcome + Sync) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(vec![Outcome::Failed("never ran".to_owned()); cases.len()]);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| {
                    while let Some((index, case)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        cases.get(index).map(|case| (index, case))
                    } {
                        let outcome = catch_unwind(AssertUnwindSafe(|| check(case)))
                            .unwrap_or_else(|_| Outcome::Failed("the test panicked, see above".to_owned()));
                        if let Ok(mut outcomes) = outcomes.lock() {
                            outcomes[index] = outcome;
                        }
                    }
                });
            }
        });
        outcomes.into_inner().unwrap_or_default()
    }

    /// Takes in how one case ended, and prints it if it failed.
    pub fn add(&mut self, name: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Failed(wrong) => {
                self.failed += 1;
                println!("FAIL {name}");
                for line in wrong.lines() {
                    println!("     {line}");
                }
            }
        }
    }

    /// Something that is not here: a failure when everything is required, else a skip said in one line.
    pub fn absent(&mut self, what: &str) {
        if crate::requires_all() {
            self.add(
                what,
                &Outcome::Failed("missing, and FAIRWAY_REQUIRE=all".to_owned()),
            );
        } else {
            println!("SKIP {what}");
            self.skipped += 1;
        }
    }

    /// Prints the closing line; the status is a failure if anything failed.
    #[must_use]
    pub fn finish(self) -> ExitCode {
        let Self {
            name,
            passed,
            failed,
            skipped,
            ..
        } = self;
        let tail = if skipped > 0 {
            format!(", {skipped} skipped")
        } else {
            String::new()
        };
        println!("{name}: {passed} passed, {failed} failed{tail}");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_fails_its_own_case_only() {
        let outcomes = Suite::run(&[1, 2, 3], |number| {
            assert!(*number != 2, "this panic is part of the test");
            Outcome::Passed
        });
        assert_eq!((&outcomes[0], &outcomes[2]), (&Outcome::Passed, &Outcome::Passed));
        assert!(matches!(outcomes[1], Outcome::Failed(_)));
    }

    #[test]
    fn arguments_choose_by_a_part_of_the_name() {
        let suite = |filters: &[&str]| Suite {
            name: "suite",
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            passed: 0,
            failed: 0,
            skipped: 0,
        };
        assert!(suite(&[]).wants("lb/first"));
        assert!(suite(&["lb/"]).wants("lb/first"));
        assert!(!suite(&["lb/", "tls"]).wants("header/first"));
    }

    #[test]
    fn one_failure_fails_the_suite() {
        let mut suite = Suite::from_args("suite");
        suite.add("a", &Outcome::Passed);
        suite.add("b", &Outcome::Skipped("no reason".to_owned()));
        assert_eq!((suite.passed, suite.failed, suite.skipped), (1, 0, 1));
        suite.add(
            "c",
            &Outcome::Failed("this failure is part of the test".to_owned()),
        );
        assert_eq!(suite.finish(), ExitCode::FAILURE);
    }
}
