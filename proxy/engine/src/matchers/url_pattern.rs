//! `url_pattern` matches the request's URL by a pattern of the URL Pattern standard.
//!
//! ```caddyfile
//! url_pattern <pattern> {
//!     base_url <url>
//!     ignore_case
//! }
//! ```
//!
//! A matcher of the Caddy after 2.11.4. It adapts; Fairway does not serve it yet, and says so when the config is
//! compiled. JSON: `http.matchers.url_pattern`, `{"pattern", "base_url", "ignore_case"}`.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::adapt::settings::{flag, text};
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "url_pattern",
    parse,
};

/// A pattern of URLs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The pattern; one without a scheme is for the path and what follows it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pattern: String,
    /// What a pattern without a scheme is relative to; any host if absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base_url: String,
    /// Whether upper and lower case are the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
}

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut args = Args::new(line);
        let config = set.url_pattern.get_or_insert_default();
        config.pattern.clone_from(&args.required("a pattern")?.text);
        args.finish()?;
        for line in args.block() {
            let mut words = Args::new(line);
            match line.name.text.as_str() {
                "base_url" => config.base_url = text(&mut words, "a URL")?,
                "ignore_case" => config.ignore_case = flag(&words)?,
                _ => return Err(args.unknown_subdirective(line, ["base_url", "ignore_case"])),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check_json, check_not_compiled, check_refused};

    #[test]
    fn reads_pattern_and_options() {
        check_json("url_pattern /a/:id", r#"{"url_pattern": {"pattern": "/a/:id"}}"#);
        check_json(
            "url_pattern /a {\nbase_url https://a.test\nignore_case\n}",
            r#"{"url_pattern": {"pattern": "/a", "base_url": "https://a.test", "ignore_case": true}}"#,
        );
    }

    #[test]
    fn refuses() {
        check_refused("url_pattern", "`url_pattern` needs a pattern");
        check_refused(
            "url_pattern /a /b",
            "`url_pattern` takes no further argument, but `/b` follows",
        );
        check_refused(
            "url_pattern /a {\nignore\n}",
            "`url_pattern` has no subdirective `ignore`",
        );
        check_not_compiled("url_pattern /a", "`url_pattern` is not served by Fairway yet");
    }
}
