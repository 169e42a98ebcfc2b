//! `metrics` answers with the counters of the process, in the form of Prometheus.
//!
//! ```caddyfile
//! metrics [<matcher>] {
//!     disable_openmetrics
//! }
//! ```
//!
//! It adapts; Fairway does not serve it yet, and says so when the config is compiled. Caddy: `http.handlers.metrics`.
//!
//! ```caddyfile
//! metrics /metrics
//! ```

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::adapt::settings::flag;
use crate::directives::{Directive, Parse};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "metrics",
    parse: Parse::Handler(parse),
};

/// Metrics over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the newer format is not offered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_openmetrics: bool,
}

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.finish()?;
    let mut config = Config::default();
    for line in args.block() {
        match line.name.text.as_str() {
            "disable_openmetrics" => config.disable_openmetrics = flag(&Args::new(line))?,
            _ => return Err(args.unknown_subdirective(line, ["disable_openmetrics"])),
        }
    }
    Ok(super::Config::Metrics(config))
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
    fn reads_its_only_line() {
        check("metrics", &json!([{"handler": "metrics"}]));
        check(
            "metrics /m {\ndisable_openmetrics\n}",
            &json!([{"handler": "metrics", "disable_openmetrics": true}]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "metrics a",
                "2:9: `metrics` takes no further argument, but `a` follows",
            ),
            (
                "metrics {\ndisable\n}",
                "3:1: `metrics` has no subdirective `disable`",
            ),
            (
                "metrics {\ndisable_openmetrics yes\n}",
                "3:21: `disable_openmetrics` takes no further argument, but `yes` follows",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("metrics", "metrics");
    }
}
