//! `path_regexp` matches the request's path by a regular expression.
//!
//! ```caddyfile
//! path_regexp [<name>] <regexp>
//! ```
//!
//! The path is decoded and cleaned first; case counts, and the expression may match anywhere in it. What it captures
//! is `{re.NAME.1}` or `{re.NAME.GROUP}`; the name is that of the matcher, unless one is given. Once in a matcher.
//! JSON: `http.matchers.path_regexp`, `{"name", "pattern"}`.

use fairway_caddyfile::{Args, Diagnostic, Segment};

use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::path::cleaned;
use crate::matchers::regexp::{self, Regexp, named};
use crate::matchers::{Entry, Set};

pub use crate::matchers::regexp::Config;

pub(crate) const MATCHER: Entry = Entry {
    name: "path_regexp",
    parse,
};

fn parse(lines: &[&Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut args = Args::new(line);
        let (name, [pattern]) = named(&mut args, name, "a regular expression")?;
        if set.path_regexp.is_some() {
            let message = "`path_regexp` stands once in a matcher";
            return Err(args
                .error("duplicate-option", message)
                .help("join the expressions: `(?:a)|(?:b)`"));
        }
        set.path_regexp = Some(Box::new(Config {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        }));
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct PathRegexp(Regexp);

impl PathRegexp {
    pub(crate) fn compile(config: &regexp::Config) -> Result<Self, CompileError> {
        config
            .compile()
            .map(Self)
            .map_err(|error| error.within("path_regexp"))
    }

    pub(crate) fn matches(&self, exchange: &mut Exchange) -> bool {
        let mut values = std::mem::take(&mut exchange.values);
        let found = self.0.find(&cleaned(exchange.target().path(), true), &mut values);
        exchange.values = values;
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{ask, check, check_json, check_not_compiled, check_refused, exchange};

    #[test]
    fn name_is_that_of_the_matcher() {
        check_json(
            "path_regexp ^/a",
            r#"{"path_regexp": {"name": "m", "pattern": "^/a"}}"#,
        );
        check_json(
            "path_regexp n ^/a",
            r#"{"path_regexp": {"name": "n", "pattern": "^/a"}}"#,
        );
        check_json(
            r#"path_regexp "" ^/a"#,
            r#"{"path_regexp": {"name": "m", "pattern": "^/a"}}"#,
        );
        check_json(
            "not path_regexp ^/a",
            r#"{"not": [{"path_regexp": {"pattern": "^/a"}}]}"#,
        );
    }

    #[test]
    fn refuses() {
        check_refused("path_regexp", "`path_regexp` needs a regular expression");
        check_refused(
            "path_regexp a b c",
            "`path_regexp` takes no further argument, but `c` follows",
        );
        check_refused("path_regexp a {\n}", "`path_regexp` takes no block");
        check_refused(
            "path_regexp a\npath_regexp b",
            "`path_regexp` stands once in a matcher",
        );
        check_not_compiled("path_regexp a-b ^/", "the name `a-b` takes letters");
        check_not_compiled("path_regexp (", "this group is not closed");
    }

    #[test]
    fn sees_the_decoded_and_cleaned_path() {
        check("path_regexp ^/foo/bar$", "GET /foo//bar", true);
        check("path_regexp ^/foo/bar$", "GET /x/../foo/./bar", true);
        check("path_regexp ^/foo/bar$", "GET /foo%2Fbar", true);
        check("path_regexp o+/", "GET /foo/", true);
        check("path_regexp ^/foo", "GET /FOO", false);
        check("path_regexp (?i)^/foo", "GET /FOO", true);
        check("path_regexp ^/foo$", "GET /foo/", false);
    }

    #[test]
    fn captures_by_number_and_name() {
        let mut exchange = exchange("GET /a/b");
        assert_eq!(ask(r"path_regexp ^/(?P<first>\w)/(x)?", &mut exchange), Ok(true));
        let value = |name: &str| exchange.values.get(name).map(|value| value.text().into_owned());
        for (name, expected) in [
            ("http.regexp.m.0", Some("/a/")),
            ("http.regexp.m.1", Some("a")),
            ("http.regexp.m.first", Some("a")),
            ("http.regexp.m.2", Some("")),
            ("http.regexp.m.3", None),
            ("http.regexp.0", Some("/a/")),
            ("http.regexp.first", Some("a")),
        ] {
            assert_eq!(value(name).as_deref(), expected, "{name}");
        }
    }
}
