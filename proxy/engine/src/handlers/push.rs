//! `push` sends resources to HTTP/2 clients before they ask.
//!
//! ```caddyfile
//! push [<matcher>] [<resource>] {
//!     [GET|HEAD] <resource>
//!     headers {
//!         [+|-]<field> [<value> | <find> <replace>]
//!     }
//! }
//! ```
//!
//! Clients say that they take nothing they did not ask for, and all of today's do. So Fairway reads it, and pushes
//! nothing; Caddy does the same with those clients. Caddy: `http.handlers.push`.
//!
//! ```caddyfile
//! push / /style.css
//! ```

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::directives::{Directive, Parse};
use crate::handlers::headers::{Ops, parse_named_op};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "push",
    parse: Parse::Handler(parse),
};

/// What is pushed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// Changes to the headers of the requests that the client did not send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Ops>,
}

/// A resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resource {
    /// `GET` or `HEAD`; the former by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Its path or URL; may be a placeholder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config::default();
    if let Some(target) = args.next_arg() {
        config.resources.push(Resource {
            method: String::new(),
            target: target.text.clone(),
        });
    }
    args.finish()?;
    for line in args.block() {
        if line.name.text == "headers" {
            headers(line, &mut config)?;
        } else {
            resources(line, &mut config)?;
        }
    }
    Ok(super::Config::Push(Box::new(config)))
}

/// A line of resources, each behind its method if it has one.
fn resources(line: &Segment, config: &mut Config) -> Result<(), Diagnostic> {
    Args::new(line).no_block()?;
    let mut words = std::iter::once(&line.name).chain(&line.args);
    while let Some(word) = words.next() {
        let method = matches!(word.text.as_str(), "GET" | "HEAD");
        let target = if method {
            let missing = || {
                let message = format!("`{}` needs a resource", word.text);
                Diagnostic::error("missing-argument", word, message)
            };
            words.next().ok_or_else(missing)?
        } else {
            word
        };
        config.resources.push(Resource {
            method: if method { word.text.clone() } else { String::new() },
            target: target.text.clone(),
        });
    }
    Ok(())
}

fn headers(line: &Segment, config: &mut Config) -> Result<(), Diagnostic> {
    let args = Args::new(line);
    args.finish()?;
    for line in args.block() {
        parse_named_op(line, config.headers.get_or_insert_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::{answer, handlers};

    #[track_caller]
    fn check(line: &str, expected: &serde_json::Value) {
        assert_eq!(&handlers(line), expected, "{line}");
    }

    #[test]
    fn reads_resources_and_headers() {
        check("push", &json!([{"handler": "push"}]));
        check(
            "push * /a",
            &json!([{"handler": "push", "resources": [{"target": "/a"}]}]),
        );
        check(
            "push {\n/a\nHEAD /b\nGET /c /d\nheaders {\nX-A b\n+x-b c\n-X-C\nX-D a b\n}\nheaders {\n}\n}",
            &json!([{
                "handler": "push",
                "resources": [
                    {"target": "/a"}, {"method": "HEAD", "target": "/b"}, {"method": "GET", "target": "/c"},
                    {"target": "/d"}
                ],
                "headers": {
                    "set": {"X-A": ["b"]}, "add": {"X-B": ["c"]}, "delete": ["X-C"],
                    "replace": {"X-D": [{"search_regexp": "a", "replace": "b"}]}
                }
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "push /m /a /b",
                "2:12: `push` takes no further argument, but `/b` follows",
            ),
            ("push {\nHEAD\n}", "3:1: `HEAD` needs a resource"),
            ("push {\n/a {\nx\n}\n}", "3:4: `/a` takes no block"),
            (
                "push {\nheaders a\n}",
                "3:9: `headers` takes no further argument, but `a` follows",
            ),
            (
                "push {\nheaders {\n?a b\n}\n}",
                "4:1: `?` sets a default for a response, and belongs into `header`",
            ),
            (
                "push {\nheaders {\na b c d\n}\n}",
                "4:7: `a` takes no further argument, but `d` follows",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn pushes_nothing_and_goes_on() {
        let (status, _) = answer("push * /a\nrespond 204", "GET /");
        assert_eq!(status, 204);
    }
}
