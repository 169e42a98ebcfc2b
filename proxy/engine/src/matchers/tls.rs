//! `tls` matches requests that came over TLS.
//!
//! ```caddyfile
//! tls [early_data]
//! ```
//!
//! With `early_data` only those that came before the handshake was complete, of which Fairway accepts none. JSON:
//! `http.matchers.tls`, `{"handshake_complete"}`.

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::adapt::settings::one_of;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry { name: "tls", parse };

/// TLS, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the handshake must be complete, or must not be; of no account if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_complete: Option<bool>,
}

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut args = Args::new(line);
        let config = set.tls.get_or_insert_default();
        if let Some(option) = args.next_arg() {
            one_of(option, &["early_data"])?;
            config.handshake_complete = Some(false);
        }
        args.finish_line()?;
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Tls {
    /// Only data that came before the end of the handshake.
    early: bool,
}

impl Config {
    pub(crate) fn compile(&self) -> Tls {
        Tls {
            early: self.handshake_complete == Some(false),
        }
    }
}

impl Tls {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        !self.early && exchange.connection.tls.is_some()
    }
}

#[cfg(test)]
mod tests {
    use crate::matchers::testing::{check, check_json, check_refused};

    #[test]
    fn reads_its_only_option() {
        check_json("tls", r#"{"tls": {}}"#);
        check_json("tls early_data", r#"{"tls": {"handshake_complete": false}}"#);
        check_json("not tls", r#"{"not": [{"tls": {}}]}"#);
    }

    #[test]
    fn refuses() {
        check_refused("tls early", "`early` is not known here");
        check_refused(
            "tls early_data x",
            "`tls` takes no further argument, but `x` follows",
        );
    }

    #[test]
    fn plain_requests_do_not_match() {
        check("tls", "GET /", false);
        check("not tls", "GET /", true);
    }
}
