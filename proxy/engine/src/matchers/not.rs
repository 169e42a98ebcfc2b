//! `not` matches what its matchers do not.
//!
//! ```caddyfile
//! not <matcher> <args…>
//! not {
//!     <matcher> <args…>
//! }
//! ```
//!
//! The matchers of one block must all match for it to refuse; of several `not`s in a matcher none may match. Captures
//! of regular expressions in it get no name by themselves. JSON: `http.matchers.not`, a list of matcher sets.

use fairway_caddyfile::{Args, Diagnostic, Quote, Segment, Token};
use serde::{Deserialize, Serialize};

use crate::adapt::matcher::read_lines;
use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Matcher, Set, Unanswered, match_all};

pub(crate) const MATCHER: Entry = Entry { name: "not", parse };

/// The sets, none of which may match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<Set>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut inner = Set::default();
        if let [name, args @ ..] = &*line.args {
            let segment = Segment {
                name: name.clone(),
                args: args.to_vec(),
                block: line.block.clone(),
            };
            read_lines(&spelled_out(&segment), "", &mut inner)?;
        } else if line.block.is_some() {
            let lines: Vec<Segment> = line.lines().iter().flat_map(spelled_out).collect();
            read_lines(&lines, "", &mut inner)?;
        } else {
            return Err(Args::new(line).missing("a matcher"));
        }
        set.not.get_or_insert_default().0.push(inner);
    }
    Ok(())
}

/// The matchers of a line. A quoted word in the place of a name is an expression, and what follows it on the line is
/// another matcher.
pub(crate) fn spelled_out(line: &Segment) -> Vec<Segment> {
    let mut lines = Vec::new();
    let mut words = std::iter::once(&line.name).chain(&line.args).cloned().peekable();
    while let Some(word) = words.next_if(Token::is_quoted) {
        let mut name = word.clone();
        name.text = "expression".into();
        name.quote = Quote::None;
        lines.push(Segment {
            name,
            args: vec![word],
            block: None,
        });
    }
    if let Some(name) = words.next() {
        lines.push(Segment {
            name,
            args: words.collect(),
            block: line.block.clone(),
        });
    } else if let Some(last) = lines.last_mut() {
        last.block.clone_from(&line.block);
    }
    lines
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Not(Box<[Box<[Matcher]>]>);

impl Config {
    pub(crate) fn compile(&self) -> Result<Not, CompileError> {
        let sets = self.0.iter().map(Set::compile).collect::<Result<_, _>>();
        sets.map(Not).map_err(|error| error.within("not"))
    }
}

impl Not {
    pub(crate) fn asks_disk(&self) -> bool {
        self.0.iter().flatten().any(Matcher::asks_disk)
    }

    pub(crate) fn matches(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        for set in &self.0 {
            if match_all(set, exchange)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_not_compiled, check_refused};

    #[test]
    fn reads_one_line_and_blocks() {
        check_json("not path /a /b", r#"{"not": [{"path": ["/a", "/b"]}]}"#);
        check_json(
            "not {\npath /a\nmethod GET\npath /b\n}\nnot host a",
            r#"{"not": [{"path": ["/a", "/b"], "method": ["GET"]}, {"host": ["a"]}]}"#,
        );
        check_json("not not path /a", r#"{"not": [{"not": [{"path": ["/a"]}]}]}"#);
        check_json("not `true`", r#"{"not": [{"expression": "true"}]}"#);
        check_json(
            "not `true` path /a",
            r#"{"not": [{"expression": "true", "path": ["/a"]}]}"#,
        );
        check_refused("not \"path\" /a", "there is no kind of matcher `/a`");
        check_refused("not `true` {\npath /a\n}", "`expression` takes no block");
        check_refused("not", "`not` needs a matcher");
        check_refused("not path", "`path` needs a path");
        check_refused("not path /a {\n}", "`path` takes no block");
        check_refused("not nothing", "there is no kind of matcher `nothing`");
        check_not_compiled("not host a a", "not: host: `a` stands twice");
    }

    #[test]
    fn block_refuses_only_all_of_it() {
        let block = "not {\npath /a\nmethod GET\n}";
        check(block, "GET /a", false);
        check(block, "POST /a", true);
        check(block, "GET /b", true);
    }

    #[test]
    fn repeated_means_none_of_them() {
        let repeated = "not path /a\nnot method GET";
        check(repeated, "GET /a", false);
        check(repeated, "POST /a", false);
        check(repeated, "GET /b", false);
        check(repeated, "POST /b", true);
        check("not not path /a", "GET /a", true);
    }
}
