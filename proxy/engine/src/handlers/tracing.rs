//! `tracing` makes a span of each request, for OpenTelemetry.
//!
//! ```caddyfile
//! tracing [<matcher>] {
//!     span <name>
//!     span_attributes {
//!         <key> <value>
//!     }
//! }
//! ```
//!
//! It adapts; Fairway does not serve it yet, and says so when the config is compiled. Caddy: `http.handlers.tracing`.
//!
//! ```caddyfile
//! tracing {
//!     span shop
//! }
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::adapt::settings::text;
use crate::directives::{Directive, Parse};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "tracing",
    parse: Parse::Handler(parse),
};

/// Spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the span; printed even if it is empty.
    pub span: String,
    /// What each span says beyond the request; values may hold placeholders.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub span_attributes: BTreeMap<String, String>,
}

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.finish()?;
    let mut config = Config::default();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "span" => config.span = text(&mut words, "a name")?,
            "span_attributes" => {
                words.finish()?;
                for attribute in words.block() {
                    let value = text(&mut Args::new(attribute), "a value")?;
                    config.span_attributes.insert(attribute.name.text.clone(), value);
                }
            }
            _ => return Err(args.unknown_subdirective(line, ["span", "span_attributes"])),
        }
    }
    Ok(super::Config::Tracing(config))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::{check_not_served, handlers};

    #[track_caller]
    fn check(line: &str, expected: &serde_json::Value) {
        assert_eq!(&handlers(line), expected, "{line}");
    }

    #[test]
    fn reads_name_and_attributes() {
        check("tracing", &json!([{"handler": "tracing", "span": ""}]));
        check(
            "tracing {\nspan a\nspan b\nspan_attributes {\nx {host}\ny 1\n}\n}",
            &json!([{
                "handler": "tracing", "span": "b", "span_attributes": {"x": "{host}", "y": "1"}
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "tracing a",
                "2:9: `tracing` takes no further argument, but `a` follows",
            ),
            ("tracing {\nspan\n}", "3:1: `span` needs a name"),
            (
                "tracing {\nspan a b\n}",
                "3:8: `span` takes no further argument, but `b` follows",
            ),
            ("tracing {\nspan_attributes {\na\n}\n}", "4:1: `a` needs a value"),
            (
                "tracing {\nspans a\n}",
                "3:1: `tracing` has no subdirective `spans`; did you mean `span`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("tracing", "tracing");
    }
}
