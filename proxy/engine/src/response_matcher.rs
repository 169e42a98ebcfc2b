//! Which responses something is for: a status, headers.
//!
//! ```caddyfile
//! match status <codes…>
//! match header [!]<field> [<value>]
//! match {
//!     status <codes…>
//!     header [!]<field> [<value>]
//! }
//! ```
//!
//! One of the codes must fit (`5xx` is all of them from 500 to 599), and each field must have one of its values. A value
//! may begin or end with `*`; `!` wants the field to be absent. No placeholders. Used by `header`, `encode` and the
//! response handlers of `reverse_proxy`. Caddy: `caddyhttp.ResponseMatcher`.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Token};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};

use crate::values::{canonical_header, status_code_matches};

/// Which responses are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// One of these; below 100 a whole class (5 is 500 to 599). None: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status_code: Vec<u16>,
    /// Fields, and their values, one of which must be there. No list: the field must be absent; an empty list: it must
    /// be there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<Vec<String>>>,
}

/// The kinds of conditions.
const KINDS: [&str; 2] = ["header", "status"];

/// Reads what follows the name of a matcher: its arguments, its block, or both.
pub(crate) fn parse(mut args: Args<'_>) -> Result<Config, Diagnostic> {
    let mut config = Config::default();
    if let Some(kind) = args.next_arg() {
        match kind.text.as_str() {
            "status" => config.status(args.remaining(), &args)?,
            "header" => config.header(&mut args)?,
            other => {
                let message = format!("there is no response matcher `{other}`");
                return Err(Diagnostic::error("unknown-matcher", kind, message)
                    .did_you_mean(fairway_caddyfile::suggest(other, KINDS)));
            }
        }
        args.finish()?;
    }
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "status" => config.status(words.remaining(), &words)?,
            "header" => config.header(&mut words)?,
            _ => return Err(args.unknown_subdirective(line, KINDS)),
        }
        words.finish_line()?;
    }
    Ok(config)
}

impl Config {
    fn status(&mut self, codes: &[Token], args: &Args<'_>) -> Result<(), Diagnostic> {
        if codes.is_empty() {
            return Err(args.missing("a status"));
        }
        for code in codes {
            let text = &code.text;
            let digits = text.strip_suffix("xx").filter(|class| class.len() == 1);
            let number = digits.unwrap_or(text).parse().map_err(|_| {
                let message = format!("`{text}` is no status such as `404` or `5xx`");
                Diagnostic::error("invalid-value", code, message)
            })?;
            self.status_code.push(number);
        }
        Ok(())
    }

    fn header(&mut self, args: &mut Args<'_>) -> Result<(), Diagnostic> {
        let field = args.required("a header field")?;
        match field.text.strip_prefix('!') {
            Some("") => {
                let message = "`!` needs the name of a header field behind it";
                Err(Diagnostic::error("invalid-value", field, message))
            }
            Some(absent) => {
                self.headers.insert(absent.to_owned(), None);
                args.finish()
            }
            None => {
                let value = args.required("a header field and a value")?;
                let values = self.headers.entry(canonical_header(&field.text)).or_default();
                values.get_or_insert_default().push(value.text.clone());
                Ok(())
            }
        }
    }

    /// Makes it ready to run.
    pub(crate) fn compile(&self) -> ResponseMatcher {
        let fields = self.headers.iter().map(|(name, values)| Field {
            name: name.parse().ok(),
            values: values
                .as_ref()
                .map(|values| values.iter().map(|value| Value::new(value)).collect()),
        });
        ResponseMatcher {
            status_codes: self.status_code.iter().copied().collect(),
            fields: fields.collect(),
        }
    }
}

/// The run-time form.
#[derive(Debug, Default)]
pub(crate) struct ResponseMatcher {
    status_codes: Box<[u16]>,
    fields: Box<[Field]>,
}

#[derive(Debug)]
struct Field {
    /// None: no header can have that name, so it is always absent.
    name: Option<HeaderName>,
    /// None: it must be absent.
    values: Option<Box<[Value]>>,
}

/// What a value must look like.
#[derive(Debug)]
enum Value {
    Any,
    Contains(Box<[u8]>),
    EndsWith(Box<[u8]>),
    StartsWith(Box<[u8]>),
    Is(Box<[u8]>),
}

impl ResponseMatcher {
    /// Whether a response is one of those meant.
    pub(crate) fn matches(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let status = status.as_u16();
        let meant = |code: &u16| status_code_matches(status, *code);
        (self.status_codes.is_empty() || self.status_codes.iter().any(meant))
            && self.fields.iter().all(|field| field.matches(headers))
    }
}

impl Field {
    fn matches(&self, headers: &HeaderMap) -> bool {
        let present = |name: &HeaderName| headers.contains_key(name);
        match (&self.name, &self.values) {
            (name, None) => !name.as_ref().is_some_and(present),
            (None, Some(_)) => false,
            (Some(name), Some(values)) if values.is_empty() => present(name),
            (Some(name), Some(values)) => headers
                .get_all(name)
                .iter()
                .any(|actual| values.iter().any(|value| value.fits(actual.as_bytes()))),
        }
    }
}

impl Value {
    fn new(text: &str) -> Self {
        let (front, back) = (text.strip_prefix('*'), text.strip_suffix('*'));
        match (front, back) {
            (Some(""), _) => Self::Any,
            (Some(rest), Some(_)) => Self::Contains(rest.as_bytes()[..rest.len() - 1].into()),
            (Some(rest), None) => Self::EndsWith(rest.as_bytes().into()),
            (None, Some(rest)) => Self::StartsWith(rest.as_bytes().into()),
            (None, None) => Self::Is(text.as_bytes().into()),
        }
    }

    fn fits(&self, actual: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Contains(part) => {
                part.is_empty() || actual.windows(part.len()).any(|window| window == &**part)
            }
            Self::EndsWith(part) => actual.ends_with(part),
            Self::StartsWith(part) => actual.starts_with(part),
            Self::Is(whole) => actual == &**whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::segment;

    #[track_caller]
    fn check(line: &str, expected: &serde_json::Value) {
        let found = match parse(Args::new(&segment(line))) {
            Ok(config) => json!(config),
            Err(mistake) => json!(mistake.one_line()),
        };
        assert_eq!(&found, expected, "{line}");
    }

    #[track_caller]
    fn check_match(config: &serde_json::Value, status: u16, headers: &[(&str, &str)], expected: bool) {
        let matcher = Config::deserialize(config).unwrap().compile();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            matcher.matches(status, &map),
            expected,
            "{config} {status} {headers:?}"
        );
    }

    #[test]
    fn reads_both_forms() {
        check("match", &json!({}));
        check("match status 404 5xx", &json!({"status_code": [404, 5]}));
        check(
            "match header x-a v {\nstatus 2xx\nstatus 301\nheader X-A w\nheader !X-b\n}",
            &json!({"status_code": [2, 301], "headers": {"X-A": ["v", "w"], "X-b": null}}),
        );
    }

    #[test]
    fn refuses_what_is_no_condition() {
        check("match status", &json!("Caddyfile:2:1: `match` needs a status"));
        check(
            "match status 4yy",
            &json!("Caddyfile:2:14: `4yy` is no status such as `404` or `5xx`"),
        );
        check(
            "match statuss 4",
            &json!("Caddyfile:2:7: there is no response matcher `statuss`; did you mean `status`?"),
        );
        check(
            "match header X",
            &json!("Caddyfile:2:1: `match` needs a header field and a value"),
        );
        check(
            "match header !",
            &json!("Caddyfile:2:14: `!` needs the name of a header field behind it"),
        );
        check(
            "match header !X v",
            &json!("Caddyfile:2:17: `match` takes no further argument, but `v` follows"),
        );
        check(
            "match {\nheadr X v\n}",
            &json!("Caddyfile:3:1: `match` has no subdirective `headr`; did you mean `header`?"),
        );
        check(
            "match {\nheader X v w\n}",
            &json!("Caddyfile:3:12: `header` takes no further argument, but `w` follows"),
        );
    }

    #[test]
    fn matches_codes_and_classes() {
        let config = json!({"status_code": [404, 5]});
        check_match(&config, 404, &[], true);
        check_match(&config, 405, &[], false);
        check_match(&config, 599, &[], true);
        check_match(&json!({}), 200, &[("a", "b")], true);
    }

    #[test]
    fn matches_headers() {
        for (value, expected) in [
            ("b", true),
            ("B", false),
            ("*", true),
            ("*c", false),
            ("b*", true),
            ("**", true),
        ] {
            check_match(&json!({"headers": {"a": [value]}}), 200, &[("A", "b")], expected);
        }
        check_match(&json!({"headers": {"A": ["*bc*"]}}), 200, &[("A", "abcd")], true);
        check_match(&json!({"headers": {"A": []}}), 200, &[("A", "")], true);
        check_match(&json!({"headers": {"A": []}}), 200, &[], false);
        check_match(&json!({"headers": {"A": null}}), 200, &[("A", "")], false);
        check_match(&json!({"headers": {"A": null, "a b": null}}), 200, &[], true);
        check_match(
            &json!({"headers": {"A": ["x"], "B": ["y"]}}),
            200,
            &[("A", "x")],
            false,
        );
        check_match(
            &json!({"headers": {"A": ["y"]}}),
            200,
            &[("A", "x"), ("A", "y")],
            true,
        );
    }
}
