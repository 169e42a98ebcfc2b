//! `try_files` rewrites the request to the first file that is there.
//!
//! ```caddyfile
//! try_files <files…> {
//!     policy first_exist|first_exist_fallback|smallest_size|largest_size|most_recently_modified
//! }
//! ```
//!
//! Files are as in the matcher `file`. A file with a query, `/index.php?{query}`, is tried by itself, and the request gets
//! that query. Takes no matcher. Only for the operator: a tenant has no files here.
//!
//! ```caddyfile
//! try_files {path} {path}.html /index.html
//! ```

use fairway_caddyfile::{Args, Diagnostic, suggest};

use crate::adapt::Scope;
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::handlers::{self, rewrite};
use crate::matchers::{Set, file};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "try_files",
    parse: Parse::OwnMatcher(parse),
};

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let files = args.remaining_required("a file")?;
    let mut policy = String::new();
    for line in args.block() {
        let mut words = Args::new(line);
        if line.name.text != "policy" {
            return Err(args.unknown_subdirective(line, ["policy"]));
        }
        let name = words.required("a policy")?;
        words.finish_line()?;
        if !policy.is_empty() {
            return Err(words.error("duplicate-option", "`policy` is there twice"));
        }
        if !file::POLICIES.contains(&name.text.as_str()) {
            let message = format!("there is no policy `{}`", name.text);
            return Err(Diagnostic::error("invalid-value", name, message)
                .did_you_mean(suggest(&name.text, file::POLICIES)));
        }
        policy.clone_from(&name.text);
    }
    // Those without a query are tried together, the others each with a rewrite of its own.
    let mut groups: Vec<(Vec<String>, &str)> = Vec::new();
    for token in files {
        let (path, query) = token
            .text
            .split_at(token.text.find('?').unwrap_or(token.text.len()));
        match groups.last_mut() {
            Some((files, "")) if query.is_empty() => files.push(path.to_owned()),
            _ => groups.push((vec![path.to_owned()], query)),
        }
    }
    let mut routes: Vec<Route> = groups
        .into_iter()
        .map(|(files, query)| route(files, &policy, query))
        .collect();
    if routes.len() > 1 {
        let group = scope.next_group();
        for route in &mut routes {
            route.group = Some(group.clone());
        }
    }
    Ok(routes)
}

/// Rewrites to one of the files if it is there.
fn route(files: Vec<String>, policy: &str, query: &str) -> Route {
    let set = Set {
        file: Some(Box::new(file::Config {
            try_files: files,
            try_policy: policy.to_owned(),
            ..file::Config::default()
        })),
        ..Set::default()
    };
    let rewrite = rewrite::Config {
        uri: format!("{{http.matchers.file.relative}}{query}"),
        ..rewrite::Config::default()
    };
    Route::new(Some(set), handlers::Config::Rewrite(Box::new(rewrite)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::test_util::routes;

    #[track_caller]
    fn check(line: &str, expected: &Value) {
        assert_eq!(&routes(line), expected, "{line}");
    }

    fn route(files: &[&str], query: &str) -> Value {
        json!({
            "match": [{"file": {"try_files": files}}],
            "handle": [{"handler": "rewrite", "uri": format!("{{http.matchers.file.relative}}{query}")}],
        })
    }

    fn grouped(mut route: Value) -> Value {
        route["group"] = json!("group0");
        route
    }

    #[test]
    fn a_query_has_a_route_of_its_own() {
        check("try_files /a /b", &json!([route(&["/a", "/b"], "")]));
        check("try_files /a?b=c", &json!([route(&["/a"], "?b=c")]));
        check(
            "try_files /a /b /c?d /e? /f",
            &json!([
                grouped(route(&["/a", "/b"], "")),
                grouped(route(&["/c"], "?d")),
                grouped(route(&["/e"], "?")),
                grouped(route(&["/f"], "")),
            ]),
        );
        let mut with_policy = route(&["/a"], "");
        with_policy["match"][0]["file"]["try_policy"] = json!("largest_size");
        check("try_files /a {\npolicy largest_size\n}", &json!([with_policy]));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("try_files", "2:1: `try_files` needs a file"),
            ("try_files {\n}", "2:1: `try_files` needs a file"),
            (
                "try_files /a {\npolicy first\n}",
                "3:8: there is no policy `first`",
            ),
            (
                "try_files /a {\npolicy largest_sise\n}",
                "3:8: there is no policy `largest_sise`; did you mean `largest_size`?",
            ),
            ("try_files /a {\npolicy\n}", "3:1: `policy` needs a policy"),
            (
                "try_files /a {\npolicy largest_size\npolicy first_exist\n}",
                "4:1: `policy` is there twice",
            ),
            (
                "try_files /a {\nroot /\n}",
                "3:1: `try_files` has no subdirective `root`",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }
}
