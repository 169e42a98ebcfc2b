//! `method` matches the request's method.
//!
//! ```caddyfile
//! method <verbs…>
//! ```
//!
//! The verbs are compared as written: `get` is not `GET`. JSON: `http.matchers.method`, a list.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "method",
    parse,
};

/// The methods, one of which the request must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<String>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let methods = set.method.get_or_insert_default();
    for line in lines {
        let mut args = Args::new(line);
        let tokens = args.remaining_required("a method")?;
        methods.0.extend(tokens.iter().map(|token| token.text.clone()));
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Method(Box<[Box<str>]>);

impl Config {
    pub(crate) fn compile(&self) -> Method {
        Method(self.0.iter().map(|method| method.as_str().into()).collect())
    }
}

impl Method {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        self.0.iter().any(|method| **method == *exchange.method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_refused};

    #[test]
    fn lines_add_up() {
        check_json(
            "method GET PUT\nmethod FOO",
            r#"{"method": ["GET", "PUT", "FOO"]}"#,
        );
        check_refused("method", "`method` needs a method");
        check_refused("method GET {\n}", "`method` takes no block");
    }

    #[test]
    fn compares_as_written() {
        check("method GET PUT", "PUT /", true);
        check("method FOO", "FOO /", true);
        check("method GET PUT", "POST /", false);
        check("method get", "GET /", false);
        check("method G*", "GET /", false);
    }
}
