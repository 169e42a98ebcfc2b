//! `query` matches parameters of the query.
//!
//! ```caddyfile
//! query <key>=<value>…
//! query ""
//! ```
//!
//! Of several values for a key one must match, of several keys each; the value `*` stands for any. Keys and values may
//! hold placeholders. `query ""` matches requests without parameters. A malformed query never matches, save
//! for what is well-formed in it, which `query ""` looks at. JSON: `http.matchers.query`, keys with lists of values.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::paths::parse_query;
use crate::template::{Template, Unknown};

pub(crate) const MATCHER: Entry = Entry { name: "query", parse };

/// The values, one of which each key must have. Without keys: there must be no parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub BTreeMap<String, Vec<String>>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let keys = &mut set.query.get_or_insert_default().0;
    for line in lines {
        let mut args = Args::new(line);
        for token in args.remaining_required("a parameter, `key=value`")? {
            if token.text.is_empty() {
                continue;
            }
            let Some((key, value)) = token.text.split_once('=') else {
                let message = format!("`{}` is no parameter of the form `key=value`", token.text);
                return Err(args
                    .error_at(token, "invalid-value", message)
                    .help(format!("for any value write `{}=*`", token.text)));
            };
            keys.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Query(Box<[(Template, Box<[Template]>)]>);

impl Config {
    pub(crate) fn compile(&self) -> Query {
        let keys = self.0.iter().map(|(key, values)| {
            let values = values.iter().map(|value| Template::new(value)).collect();
            (Template::new(key), values)
        });
        Query(keys.collect())
    }
}

impl Query {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let query = exchange.target().query().unwrap_or_default();
        if query.is_empty() {
            return self.0.is_empty();
        }
        let (pairs, malformed) = parse_query(query);
        if self.0.is_empty() {
            return pairs.is_empty();
        }
        !malformed
            && self.0.iter().all(|(key, allowed)| {
                let key = key.fill(exchange, Unknown::Empty);
                if !pairs.iter().any(|(name, _)| *name == key) {
                    return false;
                }
                allowed.iter().any(|allowed| {
                    let allowed = allowed.fill(exchange, Unknown::Empty);
                    let mut pairs = pairs.iter();
                    allowed == "*" || pairs.any(|(name, value)| *name == key && *value == allowed)
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_refused};

    #[test]
    fn reads_keys_and_values() {
        check_json(
            "query a=1 b=2\nquery a=3 c= d=e=f",
            r#"{"query": {"a": ["1", "3"], "b": ["2"], "c": [""], "d": ["e=f"]}}"#,
        );
        check_json(r#"query """#, r#"{"query": {}}"#);
        check_refused("query", "`query` needs a parameter, `key=value`");
        check_refused("query a", "`a` is no parameter of the form `key=value`");
        check_refused("query a=b {\n}", "`query` takes no block");
    }

    #[test]
    fn keys_and_values() {
        check("query debug=1", "GET /?debug=1", true);
        check("query debug=1", "GET /?debug=2", false);
        check("query debug=1", "GET /", false);
        check("query debug=1", "GET /?debug=2&debug=1", true);
        check("query debug=*", "GET /?debug=x", true);
        check("query debug=*", "GET /?other=x", false);
        check("query debug=", "GET /?debug", true);
        check("query debug=", "GET /?debug=x", false);
        check("query a=1 a=2", "GET /?a=2", true);
        check("query a=1 b=2", "GET /?a=1", false);
        check("query a=1 b=2", "GET /?b=2&a=1", true);
        check("query a=b%20c", "GET /?a=b%20c", false);
        check(r#"query "a=b c""#, "GET /?a=b%20c", true);
        check(r#"query "a=b c""#, "GET /?a=b+c", true);
    }

    #[test]
    fn empty_matcher_wants_no_parameters() {
        check(r#"query """#, "GET /", true);
        check(r#"query """#, "GET /?", true);
        check(r#"query """#, "GET /?a", false);
    }

    #[test]
    fn malformed_query_never_matches() {
        check("query a=1", "GET /?a=1&b=%zz", false);
        check("query a=1", "GET /?a=1;b=2", false);
        check("query a=*", "GET /?a=1&;", false);
    }

    #[test]
    fn placeholders_are_filled() {
        check("query {http.request.header.K}=1", "GET /?a=1\nK: a", true);
        check("query a={http.request.header.V}", "GET /?a=1\nV: 1", true);
        check("query a={http.request.header.V}", "GET /?a=1\nV: 2", false);
    }
}
