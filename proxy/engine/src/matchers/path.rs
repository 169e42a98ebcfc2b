//! `path` matches the request's path.
//!
//! ```caddyfile
//! path <patterns…>
//! ```
//!
//! One pattern must match. Case does not count. The request's path is decoded and cleaned first: `.` and `..` are
//! resolved, and slashes that follow each other become one, unless the pattern has `//`.
//!
//! | pattern | matches |
//! |---|---|
//! | `/foo` | exactly that; not `/foo/` |
//! | `/foo*`, `*.php`, `*foo*` | what begins, ends, or is anywhere in the path; may cross `/` |
//! | other globs: `/a/*/c`, `/v?`, `/[ab]` | the whole path; `*` and `?` do not cross `/` |
//! | with `%`: `/a%2Fb` | what is escaped in the pattern must be escaped in the request; `%*` is a `*` over escaped text |
//!
//! Patterns may hold placeholders; what they bring is not put in lower case, so capitals in it never match.
//! JSON: `http.matchers.path`, a list.

use std::borrow::Cow;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};
use crate::paths::{clean_path, glob_match};
use crate::template::{Template, Unknown};

mod escaped;

pub(crate) const MATCHER: Entry = Entry { name: "path", parse };

/// The patterns, one of which the path must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config(pub Vec<String>);

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let patterns = set.path.get_or_insert_default();
    for line in lines {
        let mut args = Args::new(line);
        let tokens = args.remaining_required("a path")?;
        patterns.0.extend(tokens.iter().map(|token| token.text.clone()));
        args.no_block()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Path(Box<[Pattern]>);

#[derive(Debug)]
enum Pattern {
    Fixed(Box<str>, Kind),
    Filled(Template),
}

/// How a pattern is compared; its text stays whole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Any,
    Exact,
    Prefix,
    Suffix,
    Within,
    Glob,
    Escaped,
}

impl Config {
    pub(crate) fn compile(&self) -> Path {
        let patterns = self.0.iter().map(|pattern| {
            let template = Template::new(&pattern.to_lowercase());
            match template.literal() {
                Some(pattern) => Pattern::Fixed(pattern.into(), Kind::of(pattern)),
                None => Pattern::Filled(template),
            }
        });
        Path(patterns.collect())
    }
}

impl Kind {
    fn of(pattern: &str) -> Self {
        let (starts, ends) = (pattern.starts_with('*'), pattern.ends_with('*'));
        match pattern.bytes().filter(|byte| *byte == b'*').count() {
            1 if pattern.len() == 1 => Self::Any,
            _ if pattern.contains('%') => Self::Escaped,
            2 if starts && ends => Self::Within,
            1 if starts => Self::Suffix,
            1 if ends => Self::Prefix,
            _ if pattern.contains(['*', '?', '[', '\\']) => Self::Glob,
            _ => Self::Exact,
        }
    }
}

impl Path {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let mut request = Request::new(exchange);
        self.0.iter().any(|pattern| match pattern {
            Pattern::Fixed(pattern, kind) => request.fits(pattern, *kind),
            Pattern::Filled(template) => {
                let pattern = template.fill(exchange, Unknown::Empty);
                request.fits(&pattern, Kind::of(&pattern))
            }
        })
    }
}

/// A request's path in its forms, each made when it is first asked for.
struct Request<'e> {
    escaped: &'e str,
    lower: Cow<'e, str>,
    /// Cleaned, with slashes joined.
    joined: Option<String>,
}

impl<'e> Request<'e> {
    fn new(exchange: &'e Exchange) -> Self {
        let target = exchange.target();
        Self {
            escaped: target.escaped_path(),
            lower: lower(target.path()),
            joined: None,
        }
    }

    fn fits(&mut self, pattern: &str, kind: Kind) -> bool {
        let join = !pattern.as_bytes().windows(2).any(|pair| pair == b"//");
        if kind == Kind::Escaped {
            let path = cleaned(self.escaped, join);
            return escaped::fits(pattern, &path.to_lowercase());
        }
        let separate;
        let path = if is_clean(&self.lower, join) {
            &*self.lower
        } else if join {
            &**self.joined.get_or_insert_with(|| clean_path(&self.lower, true))
        } else {
            separate = clean_path(&self.lower, false);
            &*separate
        };
        match kind {
            Kind::Any => true,
            Kind::Exact => path == pattern,
            Kind::Prefix => path.starts_with(&pattern[..pattern.len() - 1]),
            Kind::Suffix => path.ends_with(&pattern[1..]),
            Kind::Within => path.contains(&pattern[1..pattern.len() - 1]),
            // A wrong pattern matches nothing.
            Kind::Glob => glob_match(pattern, path).unwrap_or(false),
            Kind::Escaped => unreachable!("answered above"),
        }
    }
}

/// The form of a decoded path with which patterns are compared that have neither `%` nor `//`.
pub(crate) fn compared(path: &str) -> Cow<'_, str> {
    match lower(path) {
        Cow::Borrowed(path) => cleaned(path, true),
        Cow::Owned(path) => Cow::Owned(cleaned(&path, true).into_owned()),
    }
}

fn lower(path: &str) -> Cow<'_, str> {
    let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if path.bytes().all(is_lower) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(path.to_lowercase())
    }
}

/// The cleaned form of a path; a path that is clean already is not copied.
pub(super) fn cleaned(path: &str, join_slashes: bool) -> Cow<'_, str> {
    if is_clean(path, join_slashes) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(clean_path(path, join_slashes))
    }
}

/// Whether cleaning would surely change nothing.
fn is_clean(path: &str, join_slashes: bool) -> bool {
    let bytes = path.as_bytes();
    let mut pairs = bytes.windows(2);
    bytes.first() == Some(&b'/') && !pairs.any(|pair| pair == b"/." || join_slashes && pair == b"//")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{clean_path, is_clean};
    use crate::matchers::testing::{check, check_json, check_refused};

    #[test]
    fn lines_add_up() {
        check_json("path /A /b\npath *.php", r#"{"path": ["/A", "/b", "*.php"]}"#);
        check_refused("path", "`path` needs a path");
        check_refused("path /a {\n}", "`path` takes no block");
    }

    #[track_caller]
    fn check_path(patterns: &str, path: &str, expected: bool) {
        check(&format!("path {patterns}"), &format!("GET {path}"), expected);
    }

    #[test]
    fn exact() {
        check_path("/", "/", true);
        check_path("/foo/bar", "/", false);
        check_path("/foo/bar", "/foo/bar", true);
        check_path("/foo/bar", "/foo/bar/", false);
        check_path("/foo/bar/", "/foo/bar", false);
        check_path("/foo/bar /other", "/other", true);
        check_path("/foo", "/FOO", true);
        check_path("/FOO", "/foo", true);
        check_path("/foo", "/foo?a=b", true);
        check_path("foo", "/foo", false);
    }

    #[test]
    fn stars_at_the_ends() {
        check_path("*", "/x/y", true);
        check_path("*", "*", true);
        check_path("/foo*", "/foobar", true);
        check_path("/foo*", "/foo/bar", true);
        check_path("/foo/*", "/foo", false);
        check_path("/foo/*", "/foo/", true);
        check_path("/foo/*", "/foo/bar/baz", true);
        check_path("*.ext", "/foo/bar.ext", true);
        check_path("*.ext", "/foo/bar.ext/", false);
        check_path("*.PHP", "/index.pHp", true);
        check_path("*foo*", "/a/xfoox", true);
        check_path("*foo*", "/a", false);
        check_path("**", "/a/b", true);
    }

    #[test]
    fn globs_do_not_cross_slashes() {
        check_path("/foo/*/baz", "/foo/bar/baz", true);
        check_path("/foo/*/baz", "/foo/bar/x/baz", false);
        check_path("/foo/*/baz/bam", "/foo/bar/bam", false);
        check_path("/*/a/*", "/x/a/b/c", false);
        check_path("/*/*", "/a/b", true);
        check_path("/*/*", "/a/b/c", false);
        check_path("/v?", "/v1", true);
        check_path("/v?", "/v/", false);
        check_path("/[ab]", "/b", true);
        check_path("/[ab]", "/c", false);
        check_path("/[a", "/[a", false);
        check_path(r"/a\*b", "/a*b", true);
        check_path(r"/a\*b", "/axb", false);
    }

    #[test]
    fn path_is_cleaned() {
        check_path("/foo/bar", "/foo//bar", true);
        check_path("/foo/bar", "//foo/./x/../bar", true);
        check_path("//foo", "//foo", true);
        check_path("//foo", "/foo", false);
        check_path("/foo//*", "/foo//bar", true);
        check_path("/foo//*", "/foo/bar", false);
        check_path("/foo/*", "/foo//bar", true);
        check_path("/secret*", "/%2e%2e/secret", true);
        check_path("/foo", "/..//foo", true);
        check_path("/foo/", "/foo/bar/..", false);
        check_path("/foo/", "/foo/bar/../", true);
    }

    #[test]
    fn path_is_decoded() {
        check_path("/a/b", "/a%2Fb", true);
        check_path("/ä", "/%C3%A4", true);
        check_path("/ä", "/%C3%84", true);
        check_path(r#""/foo bar""#, "/foo%20bar", true);
        check_path("/@x", "/%40x", true);
        check_path("/foo*", "/%66oo", true);
    }

    #[test]
    fn placeholders_are_filled_and_keep_capitals() {
        let lines = "path /{http.request.uri.query.Seg}/*";
        check(lines, "GET /abc/x?seg=abc", true);
        check(lines, "GET /ABC/x?seg=abc", true);
        check(lines, "GET /abc/x?seg=ABC", false);
        check(lines, "GET /abc/x", false);
        check("path {http.request.header.P}", "GET /a/b\nP: /a*", true);
        check("path /{unknown}", "GET /", true);
    }

    proptest! {
        #[test]
        fn what_is_called_clean_is_clean(path in "[/.a%]{0,12}", join in any::<bool>()) {
            if is_clean(&path, join) {
                prop_assert_eq!(clean_path(&path, join), path);
            }
        }
    }
}
