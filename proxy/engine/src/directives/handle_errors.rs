//! `handle_errors` runs its directives for requests that ended in an error: all, or those with some statuses.
//!
//! ```caddyfile
//! handle_errors [<statuses…>] {
//!     <directives…>
//! }
//! ```
//!
//! A status is written `404`, or `4xx` for all from 400 to 499.

use fairway_caddyfile::{Args, Diagnostic, Quote, Segment, Token};

use super::{Directive, Parse};
use crate::adapt::{Scope, SiteValue, matcher};
use crate::config::{Errors, Route, Written};
use crate::handlers::Config;
use crate::matchers::Set;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "handle_errors",
    parse: Parse::Site(parse),
};

fn parse(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<Vec<SiteValue>, Diagnostic> {
    let statuses = args.remaining();
    let set = match statuses.first() {
        Some(first) => Some(matching(&expression(statuses)?, first)?),
        None => None,
    };
    let route = Route {
        written: Written::line(args.segment()),
        ..Route::new(set, Config::Subroute(scope.subroute(&args)))
    };
    Ok(vec![SiteValue::Errors(Errors { routes: vec![route] })])
}

/// The statuses as an expression: first the ranges, then a list.
fn expression(statuses: &[Token]) -> Result<String, Diagnostic> {
    let placeholder = "{http.error.status_code}";
    let (mut parts, mut codes) = (Vec::new(), Vec::new());
    for token in statuses {
        let text = token.text.as_str();
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match text.strip_suffix("xx").unwrap_or(text) {
            class if class.len() == 1 && text.len() == 3 && digits(class) => {
                parts.push(format!(
                    "{placeholder} >= {class}00 && {placeholder} <= {class}99"
                ));
            }
            code if code.len() == 3 && digits(code) => codes.push(code),
            _ => {
                let message = format!("`{text}` is not a status");
                return Err(Diagnostic::error("invalid-value", token, message)
                    .help("write three digits, as in `404`, or `4xx` for all of a kind"));
            }
        }
    }
    if !codes.is_empty() {
        parts.push(format!("{placeholder} in [{}]", codes.join(", ")));
    }
    Ok(parts.join(" || "))
}

/// An expression as a matcher, read as if it stood where the statuses begin.
fn matching(expression: &str, at: &Token) -> Result<Set, Diagnostic> {
    let word = |text: &str| Token {
        text: text.into(),
        quote: Quote::None,
        ..at.clone()
    };
    let line = Segment {
        name: word("expression"),
        args: vec![word(expression)],
        block: None,
    };
    let mut set = Set::default();
    matcher::read_lines(&[line], "", &mut set)?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};

    use super::*;

    #[track_caller]
    fn check(statuses: &str, expected: &str) {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!(":80\nhandle_errors {statuses}\n"),
        );
        let parsed = parse(source, &Options::default());
        let result = expression(&parsed.file.sites[0].block.segments[0].args);
        let text = result.unwrap_or_else(|mistake| mistake.message);
        assert_eq!(text, expected, "{statuses}");
    }

    #[test]
    fn statuses_become_an_expression() {
        check("404", "{http.error.status_code} in [404]");
        check("404 410", "{http.error.status_code} in [404, 410]");
        let class = "{http.error.status_code} >= 500 && {http.error.status_code} <= 599";
        check("5xx", class);
        check(
            "404 5xx",
            &format!("{class} || {{http.error.status_code}} in [404]"),
        );
    }

    #[test]
    fn refuses_what_is_no_status() {
        check("40", "`40` is not a status");
        check("4040", "`4040` is not a status");
        check("xxx", "`xxx` is not a status");
        check("4x4", "`4x4` is not a status");
        check("44xx", "`44xx` is not a status");
        check("404 all", "`all` is not a status");
    }
}
