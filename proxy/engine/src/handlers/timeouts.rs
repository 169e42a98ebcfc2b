//! `timeouts` limits how long a request or a response may stand still.
//!
//! ```caddyfile
//! timeouts [<matcher>] {
//!     read_timeout <duration> [<bytes_per_second>]
//!     write_timeout <duration> [<bytes_per_second>]
//!     max_write_chunk <size>
//! }
//! ```
//!
//! A directive of the Caddy after 2.11.4. It adapts; Fairway does not serve it yet, and says so when the config is
//! compiled. Caddy: `http.handlers.timeouts`.
//!
//! ```caddyfile
//! timeouts /upload {
//!     read_timeout 30s 1024
//! }
//! ```

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::adapt::settings::{invalid, size};
use crate::directives::{Directive, Parse};
use crate::values::Duration;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "timeouts",
    parse: Parse::Handler(parse),
};

/// How long a request may stand still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For how long nothing of the request's body may arrive; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub read_timeout: Duration,
    /// How many bytes a second must arrive on average; no limit at 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub read_min_rate: i64,
    /// For how long nothing of the response may be taken; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub write_timeout: Duration,
    /// How many bytes a second must be taken on average; no limit at 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub write_min_rate: i64,
    /// How many bytes are written at once at most; a default at 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_write_chunk: i64,
}

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.finish()?;
    let mut config = Config::default();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "read_timeout" => timeout(words, &mut config.read_timeout, &mut config.read_min_rate)?,
            "write_timeout" => timeout(words, &mut config.write_timeout, &mut config.write_min_rate)?,
            "max_write_chunk" => {
                let size = size(&mut words)?;
                config.max_write_chunk =
                    i64::try_from(size).map_err(|_| invalid(&line.args[0], "is too large"))?;
            }
            _ => {
                let known = ["max_write_chunk", "read_timeout", "write_timeout"];
                return Err(args.unknown_subdirective(line, known));
            }
        }
    }
    Ok(super::Config::Timeouts(config))
}

/// A duration and, perhaps, a rate. Unlike elsewhere, there is no unit for days.
fn timeout(mut args: Args<'_>, timeout: &mut Duration, rate: &mut i64) -> Result<(), Diagnostic> {
    let token = args.required("a duration")?;
    let read =
        Duration::parse(&token.text).map_err(|cause| invalid(token, format!("is no duration: {cause}")))?;
    if token.text.contains('d') {
        return Err(invalid(token, "is no duration: days are not known here").help("write hours: `24h`"));
    }
    *timeout = read;
    if let Some(token) = args.next_arg() {
        let number = token.text.strip_prefix('+').unwrap_or(&token.text);
        *rate = number
            .parse()
            .map_err(|_| invalid(token, "is no number of bytes a second"))?;
    }
    args.finish_line()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
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
    fn reads_times_rates_and_a_size() {
        check("timeouts", &json!([{"handler": "timeouts"}]));
        check(
            "timeouts /a {\nread_timeout 1s\nwrite_timeout 2m 100\nmax_write_chunk 4KiB\n}",
            &json!([{
                "handler": "timeouts", "read_timeout": 1_000_000_000, "write_timeout": 120_000_000_000_i64,
                "write_min_rate": 100, "max_write_chunk": 4096
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "timeouts 1s",
                "2:10: `timeouts` takes no further argument, but `1s` follows",
            ),
            (
                "timeouts {\nread_timeout\n}",
                "3:1: `read_timeout` needs a duration",
            ),
            (
                "timeouts {\nread_timeout 1d\n}",
                "3:14: `1d` is no duration: days are not known here; write hours: `24h`",
            ),
            (
                "timeouts {\nread_timeout 1s fast\n}",
                "3:17: `fast` is no number of bytes a second",
            ),
            (
                "timeouts {\nread_timeout 1s 1 2\n}",
                "3:19: `read_timeout` takes no further argument, but `2` follows",
            ),
            (
                "timeouts {\nread_timout 1s\n}",
                "3:1: `timeouts` has no subdirective `read_timout`; did you mean `read_timeout`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("timeouts", "timeouts");
    }
}
