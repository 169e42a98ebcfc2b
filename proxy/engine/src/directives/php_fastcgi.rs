//! `php_fastcgi` has PHP answer for scripts, and for whatever is no file.
//!
//! ```caddyfile
//! php_fastcgi [<matcher>] <upstreams…> {
//!     root      <path>
//!     split     <delimiters…>
//!     index     <file>|off
//!     try_files <files…>
//!     env       <name> <value>
//!     resolve_root_symlink
//!     capture_stderr
//!     dial_timeout|read_timeout|write_timeout <duration>
//!     <options of reverse_proxy…>
//! }
//! ```
//!
//! It is a short form of three routes: a folder with an index gets a slash at its end; the request is rewritten to the
//! first of the files that is there, by default its path, the index of this folder, or that of the root; and what ends in
//! `.php` goes to the upstreams by `transport fastcgi`, which adapts and is not served yet. Only for the operator: a tenant
//! has no files here.
//!
//! ```caddyfile
//! php_fastcgi php:9000 {
//!     env APP_ENV production
//! }
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic};

use crate::adapt::Scope;
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::handlers::reverse_proxy::transport::{self, FastcgiTransport};
use crate::handlers::{Config, respond, reverse_proxy, rewrite, subroute};
use crate::matchers::{Set, file, not, path};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "php_fastcgi",
    parse: Parse::Routes(parse),
};

/// What it reads itself, beside the options of the transport.
const OWN: [&str; 2] = ["index", "try_files"];

fn parse(args: Args<'_>, set: Option<Set>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let mut transport = FastcgiTransport {
        split_path: vec![".php".to_owned()],
        ..FastcgiTransport::default()
    };
    let mut index = "index.php".to_owned();
    let mut files = Vec::new();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "index" => {
                index.clone_from(&words.required("a file, or `off`")?.text);
                words.finish_line()?;
            }
            "try_files" => {
                let tokens = words.remaining_required("a file")?;
                words.no_block()?;
                files = tokens.iter().map(|token| token.text.clone()).collect();
            }
            _ => {
                transport.option(line)?;
            }
        }
    }
    let mut routes = if index == "off" {
        Vec::new()
    } else {
        to_files(&index, files, &transport.split_path)
    };
    let scripts = transport.split_path.iter().map(|end| format!("*{end}"));
    let scripts = Set {
        path: Some(path::Config(scripts.collect())),
        ..Set::default()
    };
    let base = reverse_proxy::Config {
        transport: Some(transport::Config::Fastcgi(Box::new(transport))),
        ..reverse_proxy::Config::default()
    };
    let own: Vec<&str> = OWN.into_iter().chain(FastcgiTransport::OPTIONS).collect();
    let proxy = reverse_proxy::read(args, scope, base, &own)?;
    routes.push(Route::new(Some(scripts), Config::ReverseProxy(Box::new(proxy))));
    if set.is_none() {
        return Ok(routes);
    }
    let inner = subroute::Config {
        routes,
        ..subroute::Config::default()
    };
    Ok(vec![Route::new(set, Config::Subroute(inner))])
}

/// The routes that come before the script: to the folder's own path, and to the file that is there.
fn to_files(index: &str, mut files: Vec<String>, split: &[String]) -> Vec<Route> {
    let of_folder = format!("{{http.request.uri.path}}/{index}");
    let mut policy = "first_exist_fallback";
    if files.is_empty() {
        files = vec![
            "{http.request.uri.path}".to_owned(),
            of_folder.clone(),
            index.to_owned(),
        ];
    } else if files
        .last()
        .and_then(|last| last.rsplit_once('.'))
        .is_none_or(|(_, end)| end != "php")
    {
        policy = "";
    }
    let mut routes = Vec::new();
    if files.contains(&of_folder) {
        routes.push(to_folder(of_folder));
    }
    let is_there = Set {
        file: Some(Box::new(file::Config {
            try_files: files,
            try_policy: policy.to_owned(),
            split_path: split.to_owned(),
            ..file::Config::default()
        })),
        ..Set::default()
    };
    let rewrite = rewrite::Config {
        uri: "{http.matchers.file.relative}".to_owned(),
        ..rewrite::Config::default()
    };
    routes.push(Route::new(Some(is_there), Config::Rewrite(Box::new(rewrite))));
    routes
}

/// Adds a slash to the path of a folder that has this index.
fn to_folder(index: String) -> Route {
    let with_slash = Set {
        path: Some(path::Config(vec!["*/".to_owned()])),
        ..Set::default()
    };
    let is_folder = Set {
        file: Some(Box::new(file::Config {
            try_files: vec![index],
            ..file::Config::default()
        })),
        not: Some(not::Config(vec![with_slash])),
        ..Set::default()
    };
    let target = "{http.request.orig_uri.path}/{http.request.orig_uri.prefixed_query}";
    let redirect = respond::Config {
        status_code: "308".into(),
        headers: BTreeMap::from([("Location".to_owned(), vec![target.to_owned()])]),
        ..respond::Config::default()
    };
    Route::new(Some(is_folder), Config::StaticResponse(redirect))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::test_util::routes;

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        assert_eq!(routes(line), json!(format!("Caddyfile:{expected}")), "{line}");
    }

    /// How many routes there are, the files that are tried, and by which policy.
    #[track_caller]
    fn check(options: &str, count: usize, files: &Value, policy: &Value) {
        let line = format!("php_fastcgi a:9 {{\n{options}\n}}");
        let found = routes(&line);
        let list = found.as_array().unwrap_or_else(|| panic!("{line}: {found}"));
        let tried = list.iter().rev().find_map(|route| route["match"][0].get("file"));
        let tried = tried.cloned().unwrap_or_default();
        let found = (list.len(), &tried["try_files"], &tried["try_policy"]);
        assert_eq!(found, (count, files, policy), "{line}");
    }

    #[test]
    fn files_may_be_others() {
        let fallback = json!("first_exist_fallback");
        let path = "{http.request.uri.path}";
        let index = |name: &str| format!("{path}/{name}");
        check("", 3, &json!([path, index("index.php"), "index.php"]), &fallback);
        check(
            "index a.php",
            3,
            &json!([path, index("a.php"), "a.php"]),
            &fallback,
        );
        check("index off", 1, &Value::Null, &Value::Null);
        check("try_files x y.php", 2, &json!(["x", "y.php"]), &fallback);
        check("try_files y.php x", 2, &json!(["y.php", "x"]), &Value::Null);
        let with_index = format!("try_files {} =404", index("index.php"));
        check(&with_index, 3, &json!([index("index.php"), "=404"]), &Value::Null);
    }

    #[test]
    fn with_a_matcher_all_is_within_one_route() {
        let found = routes("php_fastcgi /a/* a:9 {\nindex off\n}");
        assert_eq!(
            found,
            json!([{
                "match": [{"path": ["/a/*"]}],
                "handle": [{"handler": "subroute", "routes": [{
                    "match": [{"path": ["*.php"]}],
                    "handle": [{
                        "handler": "reverse_proxy",
                        "transport": {"protocol": "fastcgi", "split_path": [".php"]},
                        "upstreams": [{"dial": "a:9"}],
                    }],
                }]}],
            }])
        );
    }

    #[test]
    fn mistakes_are_told() {
        check_refused(
            "php_fastcgi a:9 {\nindex\n}",
            "3:1: `index` needs a file, or `off`",
        );
        check_refused("php_fastcgi a:9 {\ntry_files\n}", "3:1: `try_files` needs a file");
        check_refused(
            "php_fastcgi a:9 {\nenv A\n}",
            "3:1: `env` needs a name and a value",
        );
        check_refused(
            "php_fastcgi a:9 {\nsplit\n}",
            "3:1: `split` needs a delimiter such as `.php`",
        );
        check_refused(
            "php_fastcgi a:9 {\ncapture_stderr on\n}",
            "3:16: `capture_stderr` takes no further argument, but `on` follows",
        );
        check_refused(
            "php_fastcgi a:9 {\nspilt .php\n}",
            "3:1: `php_fastcgi` has no subdirective `spilt`; did you mean `split`?",
        );
        check_refused(
            "php_fastcgi a:9 {\ntransport http\n}",
            "3:1: there is a `transport` already",
        );
        check_refused(
            "php_fastcgi https://a:9",
            "2:13: FastCGI is spoken without TLS and HTTP/2, but the upstreams are `https://`",
        );
    }
}
