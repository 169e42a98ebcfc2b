//! `root` says in which folder the files of a site lie.
//!
//! ```caddyfile
//! root [<matcher>] <path>
//! ```
//!
//! A single argument is always the path, never a matcher. It becomes the variable `root`, which `file_server` reads.
//!
//! ```caddyfile
//! root /srv/www
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::config::Route;
use crate::handlers::{Config, rewrite, vars};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "root",
    parse: Parse::OwnMatcher(parse),
};

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let (set, path) = rewrite::one_argument(&mut args, scope, "a path")?;
    let config = vars::Config::text("root", &path.text);
    Ok(vec![Route::new(set, Config::Vars(config))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::routes;

    #[track_caller]
    fn check(line: &str, expected: &serde_json::Value) {
        assert_eq!(&routes(line), expected, "{line}");
    }

    #[test]
    fn becomes_a_variable() {
        let root = json!([{"handler": "vars", "root": "/srv"}]);
        check("root /srv", &json!([{"handle": root}]));
        check("root * /srv", &json!([{"handle": root}]));
        check(
            "root /a /srv",
            &json!([{"match": [{"path": ["/a"]}], "handle": root}]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("root", "2:1: `root` needs a path"),
            (
                "root * /srv x",
                "2:13: `root` takes no further argument, but `x` follows",
            ),
            ("root @a /srv", "2:6: there is no matcher `@a` here"),
            ("root /srv {\n}", "2:11: `root` takes no block"),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }
}
