//! `redir` sends the client elsewhere.
//!
//! ```caddyfile
//! redir [<matcher>] <to> [permanent | temporary | html | <status>]
//! ```
//!
//! The default is `temporary`, 302; `permanent` is 301; `html` is a page that goes there, for browsers only. A status is
//! one from 300 to 399, or 401, or a placeholder.
//!
//! ```caddyfile
//! redir https://example.com{uri} permanent
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, respond};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "redir",
    parse: Parse::Handler(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    let to = args
        .required("a target")
        .map_err(|missing| match args.segment().args.as_slice() {
            [path] if path.text.starts_with('/') => missing.help(format!(
                "a path alone is a matcher; write `redir * {}`",
                path.text
            )),
            _ => missing,
        })?;
    let code = args.next_arg();
    args.finish_line()?;
    let status = match code.map_or("", |code| &code.text) {
        "permanent" => "301",
        "temporary" | "" => "302",
        "html" => return Ok(page(&to.text)),
        text if text.starts_with('{') => text,
        text if text
            .parse()
            .is_ok_and(|code: u16| (300..400).contains(&code) || code == 401) =>
        {
            text
        }
        text => {
            let message = format!("`{text}` is no status of a redirection");
            return Err(args
                .error_at(code.unwrap_or(to), "invalid-value", message)
                .help("use `permanent`, `temporary`, `html`, 401, or a status from 300 to 399"));
        }
    };
    Ok(Config::StaticResponse(respond::Config {
        status_code: status.into(),
        headers: BTreeMap::from([("Location".to_owned(), vec![to.text.clone()])]),
        ..respond::Config::default()
    }))
}

/// A page that sends browsers on; other clients see a plain 200.
fn page(to: &str) -> Config {
    let to = escape_html(to);
    let body = format!(
        "<!DOCTYPE html>\n<html>\n\t<head>\n\t\t<title>Redirecting...</title>\n\
         \t\t<script>window.location.replace(\"{to}\");</script>\n\
         \t\t<meta http-equiv=\"refresh\" content=\"0; URL='{to}'\">\n\t</head>\n\
         \t<body>Redirecting to <a href=\"{to}\">{to}</a>...</body>\n</html>\n"
    );
    let content_type = vec!["text/html; charset=utf-8".to_owned()];
    Config::StaticResponse(respond::Config {
        status_code: "200".into(),
        headers: BTreeMap::from([("Content-Type".to_owned(), content_type)]),
        body,
        ..respond::Config::default()
    })
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '\'' => escaped.push_str("&#39;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::test_util::handlers;

    #[track_caller]
    fn check(line: &str, status: &Json) {
        let expected = json!([{
            "handler": "static_response", "status_code": status, "headers": {"Location": ["/to"]}
        }]);
        assert_eq!(handlers(line), expected, "{line}");
    }

    #[test]
    fn statuses_have_names() {
        check("redir * /to", &json!(302));
        check("redir /from /to temporary", &json!(302));
        check("redir * /to permanent", &json!(301));
        check("redir * /to 308", &json!(308));
        check("redir * /to 401", &json!(401));
        check(
            "redir * /to {http.error.status_code}",
            &json!("{http.error.status_code}"),
        );
    }

    #[test]
    fn html_is_a_page() {
        let found = handlers("redir https://a.test/?a=1&b='x' html");
        assert_eq!(found[0]["status_code"], json!(200));
        assert_eq!(
            found[0]["headers"],
            json!({"Content-Type": ["text/html; charset=utf-8"]})
        );
        let to = "https://a.test/?a=1&amp;b=&#39;x&#39;";
        let body = found[0]["body"].as_str().unwrap();
        assert_eq!(body.matches(to).count(), 4, "{body}");
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("redir", "2:1: `redir` needs a target"),
            (
                "redir /to",
                "2:1: `redir` needs a target; a path alone is a matcher; write `redir * /to`",
            ),
            (
                "redir * /to 301 x",
                "2:17: `redir` takes no further argument, but `x` follows",
            ),
            ("redir * /to {\n}", "2:13: `redir` takes no block"),
        ] {
            assert_eq!(handlers(line), json!(format!("Caddyfile:{mistake}")), "{line}");
        }
        for status in ["200", "404", "premanent", "-301"] {
            let mistake = format!(
                "Caddyfile:2:13: `{status}` is no status of a redirection; \
                 use `permanent`, `temporary`, `html`, 401, or a status from 300 to 399"
            );
            assert_eq!(handlers(&format!("redir * /to {status}")), json!(mistake));
        }
    }
}
