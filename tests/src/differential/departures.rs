//! The differences that are meant: the table "Departures of the adapter" in `docs/compatibility.md`.
//!
//! The first column of each row is a rule in double backticks:
//!
//! | rule | what it allows |
//! |---|---|
//! | `refused CODE: WORDS` | we refuse with that code and those words in the message, Caddy does not |
//! | `accepted: WORDS` | Caddy refuses with those words, we do not; `^WORDS` are the error whole |
//! | `fmt: harmful`, `fmt: unsettled` | the layout differs where Caddy's changes words, or changes again when done again |
//! | `differs PLACE: WORDS` | the JSON differs, below that place alone (`*` is any step, `**` any number of them), in a text with those words |
//!
//! `refused CODE with PART: WORDS` and `accepted with PART: WORDS` hold only for a text in which that part stands.
//!
//! A text falls under departures only if rules explain all that differs.

use std::cell::Cell;

use serde_json::Value;

/// The rules, and how often each explained a text.
#[derive(Debug, Default)]
pub struct Departures {
    rules: Vec<(Rule, Cell<usize>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Refused {
        code: String,
        part: String,
        words: String,
    },
    Accepted {
        part: String,
        words: String,
    },
    Layout(Layout),
    Differs {
        place: Vec<String>,
        words: Vec<String>,
    },
}

/// What may be wrong with how Caddy lays out a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Words are others, or on other lines.
    Harmful,
    /// Doing it again changes more.
    Unsettled,
}

impl Departures {
    /// Reads the table from the text of the page. An error names a row that is no rule.
    pub fn read(page: &str) -> Result<Self, String> {
        let section = page
            .split("\n## ")
            .find(|section| section.starts_with("Departures of the adapter"))
            .ok_or("there is no section `Departures of the adapter`")?;
        let rows = section.lines().filter(|line| line.starts_with("| ``"));
        let rules = rows
            .map(|row| {
                let rule = row
                    .trim_start_matches("| ``")
                    .split("`` |")
                    .next()
                    .unwrap_or_default();
                parse(rule).ok_or(format!("no rule of departure: {rule}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            rules: rules.into_iter().map(|rule| (rule, Cell::new(0))).collect(),
        })
    }

    /// Whether all errors of ours about a text, as code and message, are departures.
    #[must_use]
    pub fn explain_refusal(&self, text: &str, errors: &[(&str, &str)]) -> bool {
        errors.iter().all(|(found, message)| {
            self.first(|rule| {
                matches!(rule, Rule::Refused { code, part, words }
                    if code == found && message.contains(words.as_str()) && text.contains(part.as_str()))
            })
        })
    }

    /// Whether Caddy's refusal of a text is one that we do not share.
    #[must_use]
    pub fn explain_acceptance(&self, text: &str, error: &str) -> bool {
        self.first(|rule| {
            matches!(rule, Rule::Accepted { part, words }
                if is_said(words, error) && text.contains(part.as_str()))
        })
    }

    /// Whether a layout like this need not be ours.
    #[must_use]
    pub fn explain_layout(&self, wrong: Layout) -> bool {
        self.first(|rule| *rule == Rule::Layout(wrong))
    }

    /// Whether all places where the JSON differs are departures.
    #[must_use]
    pub fn explain_difference(&self, text: &str, places: &[String]) -> bool {
        places.iter().all(|found| {
            self.first(|rule| {
                let Rule::Differs { place, words } = rule else {
                    return false;
                };
                is_below(found, place) && words.iter().all(|word| text.contains(word.as_str()))
            })
        })
    }

    /// The rules in the order of the page, and how often each explained something.
    pub fn used(&self) -> impl Iterator<Item = (String, usize)> {
        self.rules
            .iter()
            .map(|(rule, used)| (rule.to_string(), used.get()))
    }

    fn first(&self, allows: impl Fn(&Rule) -> bool) -> bool {
        let found = self.rules.iter().find(|(rule, _)| allows(rule));
        if let Some((_, used)) = found {
            used.set(used.get() + 1);
        }
        found.is_some()
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rule::Refused { code, part, words } => write!(f, "refused {code}{}: {words}", with(part)),
            Rule::Accepted { part, words } => write!(f, "accepted{}: {words}", with(part)),
            Rule::Layout(Layout::Harmful) => f.write_str("fmt: harmful"),
            Rule::Layout(Layout::Unsettled) => f.write_str("fmt: unsettled"),
            Rule::Differs { place, words } => write!(f, "differs {}: {}", place.join("/"), words.join(" ")),
        }
    }
}

/// Whether an error has the words of a rule; behind `^` stands the error whole.
fn is_said(words: &str, error: &str) -> bool {
    words
        .strip_prefix('^')
        .map_or_else(|| error.contains(words), |whole| error == whole)
}

/// How a rule says in what texts it holds.
fn with(part: &str) -> String {
    if part.is_empty() {
        String::new()
    } else {
        format!(" with {part}")
    }
}

/// The places where two values differ, as paths; where one has no more to compare, the place itself.
#[must_use]
pub fn places(ours: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(ours, theirs, String::new(), &mut found);
    found
}

fn compare(ours: &Value, theirs: &Value, at: String, found: &mut Vec<String>) {
    match (ours, theirs) {
        _ if ours == theirs => {}
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                compare(
                    value,
                    right.get(key).unwrap_or(&Value::Null),
                    format!("{at}/{key}"),
                    found,
                );
            }
            for key in right.keys().filter(|key| !left.contains_key(*key)) {
                found.push(format!("{at}/{key}"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(left, right, format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at),
    }
}

fn is_below(place: &str, pattern: &[String]) -> bool {
    let steps: Vec<&str> = place.split('/').skip(1).collect();
    let fits = |steps: &[&str], pattern: &[String]| {
        steps.len() >= pattern.len()
            && steps
                .iter()
                .zip(pattern)
                .all(|(step, pattern)| pattern == "*" || pattern == step)
    };
    match pattern.split_first() {
        Some((first, rest)) if first == "**" => (0..steps.len()).any(|skipped| fits(&steps[skipped..], rest)),
        _ => fits(&steps, pattern),
    }
}

fn parse(rule: &str) -> Option<Rule> {
    let (head, words) = rule.split_once(':')?;
    let words = words.trim().to_owned();
    let (head, part) = head.split_once(" with ").unwrap_or((head, ""));
    let part = part.to_owned();
    let mut head = head.split(' ');
    let rule = match (head.next()?, head.next()) {
        ("refused", Some(code)) => Rule::Refused {
            code: code.to_owned(),
            part,
            words,
        },
        ("accepted", None) if !words.is_empty() => Rule::Accepted { part, words },
        ("fmt", None) if words == "harmful" => Rule::Layout(Layout::Harmful),
        ("fmt", None) if words == "unsettled" => Rule::Layout(Layout::Unsettled),
        ("differs", Some(place)) => Rule::Differs {
            place: place.trim_matches('/').split('/').map(str::to_owned).collect(),
            words: words.split(' ').map(str::to_owned).collect(),
        },
        _ => return None,
    };
    Some(rule)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAGE: &str = "# x\n\n## Departures of the adapter\n\n| Rule | Why |\n|---|---|\n| ``refused a-code: too many`` | x |\n\
                        | ``accepted: panic`` | x |\n\
                        | ``accepted with <<: line`` | x |\n| ``refused b-code with import: end`` | x |\n| ``differs /a/*/c: bind tls`` | x |\n\n## Next\n\n| ``no rule`` | x |\n";

    #[test]
    fn a_refusal_is_explained_if_all_its_errors_are() {
        let departures = Departures::read(PAGE).unwrap();
        assert!(departures.explain_refusal("x", &[("a-code", "far too many")]));
        assert!(!departures.explain_refusal("x", &[("a-code", "far too many"), ("b-code", "too many")]));
        assert!(!departures.explain_refusal("x", &[("a-code", "few")]));
        assert_eq!(
            departures.used().next(),
            Some(("refused a-code: too many".to_owned(), 2))
        );
        assert!(departures.explain_acceptance("x", "panic: x"));
        assert!(!departures.explain_acceptance("x", "x"));
        assert!(departures.explain_acceptance("a <<b", "line ends"));
        assert!(!departures.explain_acceptance("a <b", "line ends"));
        assert!(departures.explain_refusal("import x", &[("b-code", "the end")]));
        assert!(!departures.explain_refusal("x", &[("b-code", "the end")]));
    }

    #[test]
    fn a_difference_is_explained_below_its_place_and_with_its_words() {
        let departures = Departures::read(PAGE).unwrap();
        let found = places(&json!({"a": [{"c": {"d": 1}}]}), &json!({"a": [{"c": {"d": 2}}]}));
        assert_eq!(found, ["/a/0/c/d"]);
        assert!(departures.explain_difference("bind x\ntls", &found));
        assert!(!departures.explain_difference("bind x", &found));
        assert!(!departures.explain_difference("bind tls", &["/a/0/d".to_owned()]));
        let anywhere = ["**".to_owned(), "c".to_owned()];
        assert!(is_below("/a/0/c/d", &anywhere) && !is_below("/a/0/d", &anywhere));
    }

    #[test]
    fn a_row_that_is_no_rule_is_told() {
        assert!(Departures::read("x").is_err());
        assert!(Departures::read("\n## Departures of the adapter\n| ``what`` | x |\n").is_err());
    }
}
