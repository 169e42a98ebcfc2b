//! The list of shared cases that are not expected to pass yet.
//!
//! A line is `NAME REASON`; lines that begin with `#` and empty lines are comments. The list stays true by
//! itself: a suite fails when an unlisted case fails and when a listed one passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Names of cases with the reason why each does not pass yet.
#[derive(Debug)]
pub struct Missing {
    path: PathBuf,
    heading: String,
    reasons: BTreeMap<String, String>,
}

impl Missing {
    /// Reads a list; a line without a reason is an error.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut reasons = BTreeMap::new();
        let mut heading = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if line.starts_with('#') {
                let _ = writeln!(heading, "{line}");
                continue;
            }
            let Some((name, reason)) = line.split_once(char::is_whitespace) else {
                return Err(format!("{}: `{line}` is listed without a reason", path.display()));
            };
            if reasons
                .insert(name.to_owned(), reason.trim().to_owned())
                .is_some()
            {
                return Err(format!("{}: `{name}` is listed twice", path.display()));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            heading,
            reasons,
        })
    }

    /// How many cases are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reasons.len()
    }

    /// Whether every case is expected to pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// What the list makes of the raw results of all shared cases: name, and what went wrong if anything did.
    #[must_use]
    pub fn judge(&self, results: &[(String, Option<String>)]) -> Vec<(String, Outcome)> {
        let mut judged: Vec<_> = results
            .iter()
            .map(|(name, wrong)| {
                let outcome = match (wrong, self.reasons.get(name)) {
                    (None, None) => Outcome::Passed,
                    (Some(wrong), None) => Outcome::Failed(wrong.clone()),
                    (Some(_), Some(reason)) => Outcome::Skipped(reason.clone()),
                    (None, Some(_)) => {
                        Outcome::Failed(format!("passes now: take it off {}", self.path.display()))
                    }
                };
                (name.clone(), outcome)
            })
            .collect();
        for name in self.reasons.keys() {
            if !results.iter().any(|(known, _)| known == name) {
                judged.push((
                    name.clone(),
                    Outcome::Failed("is listed, but there is no such case".to_owned()),
                ));
            }
        }
        judged
    }

    /// Writes the list anew from raw results. Reasons given by hand stay; a new entry says what went wrong.
    pub fn rewrite(&self, results: &[(String, Option<String>)]) -> Result<(), String> {
        fs::write(&self.path, self.render(results))
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn render(&self, results: &[(String, Option<String>)]) -> String {
        let mut text = self.heading.clone();
        let sorted: BTreeMap<_, _> = results
            .iter()
            .filter_map(|(name, wrong)| Some((name, wrong.as_ref()?)))
            .collect();
        for (name, wrong) in sorted {
            // Without paths, which are of this machine.
            let first = wrong
                .lines()
                .next()
                .unwrap_or_default()
                .split(' ')
                .filter(|word| !word.contains('/'));
            let first = first.collect::<Vec<_>>().join(" ");
            let reason = self.reasons.get(name).unwrap_or(&first);
            let _ = writeln!(
                text,
                "{name} {}",
                if reason.is_empty() { "fails" } else { reason }
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Missing, String> {
        Missing::parse(Path::new("missing.txt"), text)
    }

    fn results(of: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        of.iter()
            .map(|(name, wrong)| ((*name).to_owned(), wrong.map(str::to_owned)))
            .collect()
    }

    #[track_caller]
    fn check(text: &str, of: &[(&str, Option<&str>)], failed: &[&str]) {
        let judged = list(text).unwrap().judge(&results(of));
        let names: Vec<_> = judged
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, failed);
    }

    #[test]
    fn the_list_stays_true() {
        check("", &[("a", None)], &[]);
        check("a needs `map`", &[("a", Some("differs"))], &[]);
        check("", &[("a", Some("differs"))], &["a"]);
        check("a needs `map`", &[("a", None)], &["a"]);
        check("# heading\n\nb needs `map`", &[("a", None)], &["b"]);
    }

    #[test]
    fn an_entry_needs_a_reason_and_stands_once() {
        assert!(list("a").is_err());
        assert!(list("a one\na two").is_err());
    }

    #[test]
    fn rewriting_keeps_reasons_given_by_hand() {
        let missing = list("# heading\na by hand\ngone long ago").unwrap();
        let text = missing.render(&results(&[
            ("b", Some("new\nmore")),
            ("a", Some("differs")),
            ("gone", None),
        ]));
        assert_eq!(text, "# heading\na by hand\nb new\n");
    }
}
