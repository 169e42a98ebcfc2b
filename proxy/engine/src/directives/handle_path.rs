//! `handle_path` is a `handle` for one path that strips what the path begins with.
//!
//! ```caddyfile
//! handle_path <path> {
//!     <directives…>
//! }
//! ```
//!
//! `/api/*` strips `/api`; it does not match `/api` itself.

use fairway_caddyfile::{Args, Diagnostic};
use serde_json::json;

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::config::Route;
use crate::handlers::{self, Config};
use crate::matchers::{Set, path};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "handle_path",
    parse: Parse::OwnMatcher(parse),
};

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let token = args.required("a path")?;
    if !token.text.starts_with('/') {
        let message = format!(
            "`handle_path` needs a path that begins with `/`, not `{}`",
            token.text
        );
        return Err(Diagnostic::error("invalid-value", token, message)
            .label("not a path")
            .help("for other matchers, use `handle`, and `uri strip_prefix` in it"));
    }
    args.finish()?;
    let pattern = token.text.as_str();
    let prefix = pattern
        .strip_suffix("/*")
        .or_else(|| pattern.strip_suffix('*'))
        .unwrap_or(pattern);
    let mut subroute = scope.subroute(&args);
    subroute.routes.insert(0, Route::new(None, strip(prefix)));
    let set = Set {
        path: Some(path::Config(vec![token.text.clone()])),
        ..Set::default()
    };
    Ok(vec![Route::new(Some(set), Config::Subroute(subroute))])
}

fn strip(prefix: &str) -> handlers::Config {
    let json = json!({"handler": "rewrite", "strip_path_prefix": prefix});
    serde_json::from_value(json).expect("a rewrite may strip a prefix")
}

#[cfg(test)]
mod tests {
    use crate::test_util::answer;

    /// The target that is left within.
    #[track_caller]
    fn check(pattern: &str, target: &str, expected: &str) {
        let text = format!("handle_path {pattern} {{\nheader X {{uri}}\nrespond 200\n}}\nrespond 404");
        let (status, headers) = answer(&text, &format!("GET {target}"));
        let line = headers.lines().find_map(|line| line.strip_prefix("x: "));
        let left = if status == 200 { line.unwrap_or("") } else { "-" };
        assert_eq!(left, expected, "{pattern} {target}");
    }

    #[test]
    fn strips_what_the_path_begins_with() {
        check("/api/*", "/api/users?x=1", "/users?x=1");
        check("/api/*", "/api/", "/");
        check("/api*", "/api/users", "/users");
        check("/api", "/api", "/");
        check("/*", "/users", "/users");
    }

    #[test]
    fn may_leave_an_empty_path() {
        let text = "handle_path /api* {\nheader X \"[{path}] {uri}\"\nrespond 200\n}";
        for (target, expected) in [
            ("/api", "x: [] /"),
            ("/api?a=b", "x: [] /?a=b"),
            ("/api/", "x: [/] /"),
            ("/apix", "x: [x] x"),
        ] {
            let (_, headers) = answer(text, &format!("GET {target}"));
            assert_eq!(headers, expected, "{target}");
        }
    }

    #[test]
    fn leaves_other_paths_alone() {
        check("/api/*", "/api", "-");
        check("/api", "/api/users", "-");
        check("/api/*", "/apis/x", "-");
    }
}
