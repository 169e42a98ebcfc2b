//! `ingress_path` matches the request's path as the Ingress API says. It has no syntax in a Caddyfile: an Ingress's
//! rules become it.
//!
//! Paths are compared byte by byte, and case counts; `*` is nothing special. `{"exact": "/foo"}` is the whole path,
//! with a slash at its end or without as it is written. `{"prefix": "/foo/bar"}` goes element by element: a slash at the
//! end counts on neither side, `/` matches all, and `/aaa` does not match `/aaab`.
//!
//! Rule and request are compared in one [form](canonical): escapes are decoded, but an escaped slash stays inside its
//! element; slashes that follow each other are one, and `.` and `..` are resolved. So no spelling of `/admin` gets past
//! a rule for `/admin`. A path with dots that some upstream would resolve in another way (`/a/..%2Fb`, `/a/..;/b`,
//! `/a//../b`) is answered 400: whichever rule it went to, an upstream could take it for another's.
//! JSON: `http.matchers.ingress_path`, of Fairway's own.

use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;

mod canonical;

pub(crate) use canonical::{Ambiguous, Canonical, canonical};

/// The path of a rule, which begins with `/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// The whole path.
    Exact(String),
    /// The first elements of the path.
    Prefix(String),
}

/// The run-time form. Both hold canonical paths; that of a prefix has no slash at its end, so `/` is empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IngressPath {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<IngressPath, CompileError> {
        let (Self::Exact(path) | Self::Prefix(path)) = self;
        let error = |message: &str| CompileError::new(format!("`{path}` {message}")).within("ingress_path");
        if !path.starts_with('/') {
            return Err(error("does not begin with `/`"));
        }
        let form = canonical(path).map_err(|Ambiguous| error("does not mean one path only"))?;
        Ok(match self {
            Self::Exact(_) => IngressPath::Exact((*form).into()),
            Self::Prefix(_) => IngressPath::Prefix(form.strip_suffix(b"/").unwrap_or(&form).into()),
        })
    }
}

impl IngressPath {
    pub(crate) fn matches(&self, exchange: &Exchange) -> Result<bool, HandlerError> {
        match canonical(exchange.target().escaped_path()) {
            Ok(path) => Ok(self.fits(&path)),
            Err(Ambiguous) => Err(HandlerError::new(400, "the path can be read in several ways")),
        }
    }

    /// Whether a canonical path is one of those meant.
    pub(crate) fn fits(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => {
                let rest = path.strip_prefix(&**prefix);
                path.first() == Some(&b'/') && rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matchers::Set;
    use crate::matchers::testing::exchange;
    use crate::paths::clean_path;

    fn compiled(kind: &str, path: &str) -> Result<IngressPath, CompileError> {
        let json = format!(r#"{{"ingress_path":{}}}"#, serde_json::json!({ kind: path }));
        let set: Set = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), json);
        set.ingress_path.unwrap().compile()
    }

    /// A rule, a request's path as the client sent it, and whether it matches; `None` if it is refused.
    #[track_caller]
    fn check(kind: &str, rule: &str, path: &str, expected: impl Into<Option<bool>>) {
        let matcher = compiled(kind, rule).unwrap();
        let found = matcher.matches(&exchange(&format!("GET {path}")));
        let expected = expected.into().ok_or(400);
        assert_eq!(
            found.map_err(|error| error.status),
            expected,
            "{kind} {rule}: {path}"
        );
    }

    #[track_caller]
    fn check_not_compiled(rule: &str, expected: &str) {
        for kind in ["exact", "prefix"] {
            let error = compiled(kind, rule).unwrap_err();
            assert_eq!(error.to_string(), format!("ingress_path: `{rule}` {expected}"));
        }
    }

    #[test]
    fn the_examples_of_the_ingress_api() {
        check("prefix", "/", "/", true);
        check("prefix", "/", "/any/path", true);
        check("exact", "/foo", "/foo", true);
        check("exact", "/foo", "/bar", false);
        check("exact", "/foo", "/foo/", false);
        check("exact", "/foo/", "/foo", false);
        check("prefix", "/foo", "/foo", true);
        check("prefix", "/foo", "/foo/", true);
        check("prefix", "/foo/", "/foo", true);
        check("prefix", "/foo/", "/foo/", true);
        check("prefix", "/aaa/bb", "/aaa/bbb", false);
        check("prefix", "/aaa/bbb", "/aaa/bbb", true);
        check("prefix", "/aaa/bbb/", "/aaa/bbb", true);
        check("prefix", "/aaa/bbb", "/aaa/bbb/", true);
        check("prefix", "/aaa/bbb", "/aaa/bbb/ccc", true);
        check("prefix", "/aaa/bbb", "/aaa/bbbxyz", false);
        check("prefix", "/aaa", "/aaa/ccc", true);
        check("prefix", "/aaa", "/aaab", false);
        check("prefix", "/aaa", "/ccc", false);
    }

    #[test]
    fn case_and_special_characters_are_as_written() {
        check("exact", "/foo", "/FOO", false);
        check("prefix", "/foo", "/Foo/bar", false);
        check("exact", "/a*", "/ab", false);
        check("exact", "/a*", "/a*", true);
        check("prefix", "/{id}", "/{id}/x", true);
        check("prefix", "/a", "/a;v=1", false);
        check("exact", "/a", "/a?b=/c", true);
        check("prefix", "/", "*", false);
    }

    #[test]
    fn escapes_are_another_spelling() {
        check("exact", "/foo", "/%66oo", true);
        check("exact", "/a b", "/a%20b", true);
        check("exact", "/a%20b", "/a%20b", true);
        check("exact", "/é", "/%c3%A9", true);
        check("exact", "/%ff", "/%FF", true);
        check("prefix", "/é", "/%C3/x", false);
        check("exact", "/100%", "/100%25", true);
        check("exact", "/%66oo", "/%2566oo", false);
    }

    #[test]
    fn an_escaped_slash_is_no_boundary() {
        check("prefix", "/foo", "/foo%2Fbar", false);
        check("prefix", "/foo/bar", "/foo%2fbar", false);
        check("prefix", "/foo", "/foo/a%2Fb", true);
        check("exact", "/foo/bar", "/foo%2Fbar", false);
        check("exact", "/a%2fb", "/a%2Fb", true);
        check("exact", "/a%2Fb", "/a%252Fb", false);
    }

    #[test]
    fn slashes_and_dots_do_not_get_past_a_rule() {
        check("exact", "/admin", "//admin", true);
        check("prefix", "/admin", "///admin//x", true);
        check("exact", "/admin/", "/admin//", true);
        check("exact", "/admin", "/./admin", true);
        check("exact", "/admin/", "/admin/.", true);
        check("prefix", "/admin", "/public/../admin", true);
        check("prefix", "/public", "/public/../admin", false);
        check("prefix", "/public", "/public/%2e%2E/admin", false);
        check("prefix", "/admin", "/../%61dmin", true);
        check("exact", "/", "/a/..", true);
        check("prefix", "/foo", "/foo/...", true);
        check("prefix", "/foo", "/foo/.well-known/..x", true);
    }

    #[test]
    fn what_upstreams_read_in_several_ways_is_refused() {
        for rule in ["/", "/public", "/admin"] {
            check("prefix", rule, "/public/..%2Fadmin", None);
            check("prefix", rule, "/public/%2E%2e%2fadmin", None);
            check("prefix", rule, "/public%2f..%2Fadmin", None);
            check("prefix", rule, "/public/..\\admin", None);
            check("prefix", rule, "/public/..%5Cadmin", None);
            check("prefix", rule, "/public/..;/admin", None);
            check("prefix", rule, "/public/..%3bx=1/admin", None);
            check("prefix", rule, "/.;/admin", None);
            check("prefix", rule, "/admin//../public", None);
            check("prefix", rule, "/admin/;v=1/../public", None);
            check("prefix", rule, "/public/a%2Fb/../..", None);
        }
    }

    #[test]
    fn rules_are_absolute_and_clear() {
        check_not_compiled("", "does not begin with `/`");
        check_not_compiled("foo", "does not begin with `/`");
        check_not_compiled("/a/..;/b", "does not mean one path only");
    }

    /// Whether a path lies below a rule, element by element.
    fn lies_below(path: &str, rule: &str) -> bool {
        let (mut path, mut rule) = (elements(path), elements(rule));
        rule.all(|element| path.next() == Some(element))
    }

    fn elements(path: &str) -> impl Iterator<Item = &str> {
        path.split('/').filter(|element| !element.is_empty())
    }

    proptest! {
        /// Upstreams may decode before they split or after, join slashes or not, take `\` for `/`, or drop parameters.
        #[test]
        fn whoever_reads_a_path_sees_it_below_its_rule(
            rule in "(/[ab]{1,2}){1,2}/?",
            path in "(/|/|/|a|b|\\.\\.|\\.|%2e|%2F|%5c|\\\\|;|%61){1,12}",
        ) {
            let path = format!("{rule}{path}");
            let matcher = compiled("prefix", &rule).unwrap();
            let Ok(form) = canonical(&path) else { return Ok(()) };
            if !matcher.fits(&form) {
                return Ok(());
            }
            let decoded = path.replace("%2e", ".").replace("%61", "a");
            let whole = decoded.replace("%2F", "/").replace("%5c", "\\");
            let windows = whole.replace('\\', "/");
            for read in [decoded, whole, windows] {
                let bare: Vec<&str> = read.split('/').map(|element| element.split(';').next().unwrap()).collect();
                for join in [true, false] {
                    prop_assert!(lies_below(&clean_path(&bare.join("/"), join), &rule), "{bare:?}");
                    prop_assert!(lies_below(&clean_path(&read, join), &rule), "{read}");
                }
            }
        }
    }
}
