//! `forward_auth` asks another server whether a request may go on.
//!
//! ```caddyfile
//! forward_auth [<matcher>] [<upstreams…>] {
//!     uri          <to>
//!     copy_headers <field>[><new name>]… {
//!         <field>[><new name>]
//!     }
//!     <options of reverse_proxy…>
//! }
//! ```
//!
//! The server is asked with GET and the target of `uri`, without the request's body; `X-Forwarded-Method` and
//! `X-Forwarded-Uri` tell what the client wants. If it answers with a 2xx, the request goes on, with the fields that are
//! named of its response; the client's own ones of these names are always removed. Any other answer goes to the client,
//! and so does a failure: without an answer nothing goes on. It is a short form of `reverse_proxy`.
//!
//! ```caddyfile
//! forward_auth auth:9091 {
//!     uri /verify
//!     copy_headers X-User X-Groups>X-Roles
//! }
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Token};

use crate::adapt::Scope;
use crate::config::Route;
use crate::directives::{Directive, Parse};
use crate::handlers::headers::{self, Ops};
use crate::handlers::reverse_proxy::{self, ResponseHandler};
use crate::handlers::{Config, rewrite, vars as vars_handler};
use crate::matchers::{Set, not, vars};
use crate::response_matcher;
use crate::values::canonical_header;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "forward_auth",
    parse: Parse::Routes(parse),
};

/// Its own options; all others are those of `reverse_proxy`.
const OWN: &[&str] = &["uri", "copy_headers"];

fn parse(args: Args<'_>, set: Option<Set>, scope: &mut Scope<'_>) -> Result<Vec<Route>, Diagnostic> {
    let mut uri = None;
    let mut fields = BTreeMap::new();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "uri" => {
                if uri.is_some() {
                    return Err(words.error("duplicate-option", "`uri` is there twice"));
                }
                uri = Some(words.required("a target")?.text.clone());
                words.finish_line()?;
            }
            "copy_headers" => {
                let tokens = words.remaining().iter();
                let lines = words.block().iter();
                let tokens =
                    tokens.chain(lines.flat_map(|line| std::iter::once(&line.name).chain(&line.args)));
                for token in tokens {
                    let (from, to) = field(token)?;
                    fields.insert(from.to_owned(), canonical_header(to));
                }
                if fields.is_empty() {
                    return Err(words.missing("a header field"));
                }
                if let Some(block) = line.block.as_ref().filter(|block| block.segments.is_empty()) {
                    let open = block.open.as_ref().unwrap_or(&line.name.span);
                    let message = "the block of `copy_headers` is empty";
                    let help = "write header fields into it, one a line, or leave it out";
                    return Err(Diagnostic::error("missing-argument", open, message).help(help));
                }
            }
            _ => {}
        }
    }
    let uri = uri.filter(|uri| !uri.is_empty());
    let uri = uri.ok_or_else(|| args.missing("the option `uri`, which says what to ask for"))?;
    let config = reverse_proxy::read(args, scope, base(uri, &fields), OWN)?;
    Ok(vec![Route::new(set, Config::ReverseProxy(Box::new(config)))])
}

/// A field of the answer, and its name in the request.
fn field(token: &Token) -> Result<(&str, &str), Diagnostic> {
    let (from, to) = token.text.split_once('>').unwrap_or((&token.text, &token.text));
    if from.is_empty() || to.is_empty() || to.contains('>') && from != to {
        let message = format!(
            "`{}` is no header field such as `A`, or `A>B` to give it another name",
            token.text
        );
        return Err(Diagnostic::error("invalid-value", token, message));
    }
    Ok((from, to))
}

/// A `reverse_proxy` that asks, before it has upstreams and further options.
fn base(uri: String, fields: &BTreeMap<String, String>) -> reverse_proxy::Config {
    let told = [
        ("X-Forwarded-Method", "{http.request.method}"),
        ("X-Forwarded-Uri", "{http.request.uri}"),
    ];
    // A list without any route would be passed over.
    let nothing = Route::new(None, Config::Vars(vars_handler::Config::default()));
    let copies = fields.iter().flat_map(|(from, to)| {
        let placeholder = format!("{{http.reverse_proxy.header.{}}}", canonical_header(from));
        let remove = on_request(Ops {
            delete: vec![to.clone()],
            ..Ops::default()
        });
        let copy = on_request(Ops {
            set: BTreeMap::from([(to.clone(), vec![placeholder.clone()])]),
            ..Ops::default()
        });
        let is_empty = Set {
            vars: Some(Box::new(vars::Config(BTreeMap::from([(
                placeholder,
                vec![String::new()],
            )])))),
            ..Set::default()
        };
        let is_there = Set {
            not: Some(not::Config(vec![is_empty])),
            ..Set::default()
        };
        [Route::new(None, remove), Route::new(Some(is_there), copy)]
    });
    let allowed = ResponseHandler {
        matches: Some(response_matcher::Config {
            status_code: vec![2],
            ..response_matcher::Config::default()
        }),
        routes: std::iter::once(nothing).chain(copies).collect(),
        ..ResponseHandler::default()
    };
    reverse_proxy::Config {
        rewrite: Some(rewrite::Config {
            method: "GET".to_owned(),
            uri,
            ..rewrite::Config::default()
        }),
        headers: Some(headers::Config {
            request: Some(Ops {
                set: told
                    .map(|(field, value)| (field.to_owned(), vec![value.to_owned()]))
                    .into(),
                ..Ops::default()
            }),
            response: None,
        }),
        handle_response: vec![allowed],
        ..reverse_proxy::Config::default()
    }
}

fn on_request(ops: Ops) -> Config {
    Config::Headers(Box::new(headers::Config {
        request: Some(ops),
        response: None,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::check_handlers as check;

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        check(line, &json!(format!("Caddyfile:{expected}")));
    }

    #[test]
    fn is_a_reverse_proxy() {
        let copy = |from: &str, to: &str| {
            let placeholder = format!("{{http.reverse_proxy.header.{from}}}");
            let remove = json!({"handle": [{"handler": "headers", "request": {"delete": [to]}}]});
            let set = json!({
                "match": [{"not": [{"vars": {&placeholder: [""]}}]}],
                "handle": [{"handler": "headers", "request": {"set": {to: [&placeholder]}}}],
            });
            [remove, set]
        };
        let [mut routes, more] = [copy("B", "X-C"), copy("X-A", "X-A")].map(Vec::from);
        routes.insert(0, json!({"handle": [{"handler": "vars"}]}));
        routes.extend(more);
        check(
            "forward_auth a:1 {\nuri /v\ncopy_headers x-a {\nb>x-c\n}\nto a:2\nheader_up X-Up 1\nmethod POST\n}",
            &json!([{
                "handler": "reverse_proxy",
                "rewrite": {"method": "POST", "uri": "/v"},
                "headers": {"request": {"set": {
                    "X-Forwarded-Method": ["{http.request.method}"],
                    "X-Forwarded-Uri": ["{http.request.uri}"],
                    "X-Up": ["1"],
                }}},
                "handle_response": [{"match": {"status_code": [2]}, "routes": routes}],
                "upstreams": [{"dial": "a:1"}, {"dial": "a:2"}],
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        let needs_uri = "2:1: `forward_auth` needs the option `uri`, which says what to ask for";
        check_refused("forward_auth a:1", needs_uri);
        check_refused("forward_auth a:1 {\nuri \"\"\n}", needs_uri);
        check_refused("forward_auth a:1 {\nuri\n}", "3:1: `uri` needs a target");
        check_refused(
            "forward_auth a:1 {\nuri /a\nuri /b\n}",
            "4:1: `uri` is there twice",
        );
        check_refused(
            "forward_auth a:1 {\nuri /a /b\n}",
            "3:8: `uri` takes no further argument, but `/b` follows",
        );
        check_refused(
            "forward_auth a:1 {\ncopy_headers\n}",
            "3:1: `copy_headers` needs a header field",
        );
        check_refused(
            "forward_auth a:1 {\nuri /\ncopy_headers a>b {\n}\n}",
            "4:18: the block of `copy_headers` is empty; write header fields into it, one a line, or leave it out",
        );
        for field in ["A>", ">A", "A>B>C"] {
            check_refused(
                &format!("forward_auth a:1 {{\ncopy_headers {field}\n}}"),
                &format!("3:14: `{field}` is no header field such as `A`, or `A>B` to give it another name"),
            );
        }
        check_refused(
            "forward_auth a:1 {\nuri /a\ncopy_header A\n}",
            "4:1: `forward_auth` has no subdirective `copy_header`; did you mean `copy_headers`?",
        );
    }
}
