//! `abort` closes the connection without an answer.
//!
//! ```caddyfile
//! abort [<matcher>]
//! ```
//!
//! Over HTTP/2 only the stream is reset.
//!
//! ```caddyfile
//! abort /wp-login.php
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, respond};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "abort",
    parse: Parse::Handler(parse),
};

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    args.finish_line()?;
    Ok(Config::StaticResponse(respond::Config {
        abort: true,
        ..respond::Config::default()
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::handlers;

    #[test]
    fn reads_only_a_matcher() {
        let abort = json!([{"handler": "static_response", "abort": true}]);
        assert_eq!(handlers("abort"), abort);
        assert_eq!(handlers("abort /a"), abort);
        let extra = "Caddyfile:2:7: `abort` takes no further argument, but `now` follows";
        assert_eq!(handlers("abort now"), json!(extra));
        assert_eq!(
            handlers("abort {\n}"),
            json!("Caddyfile:2:7: `abort` takes no block")
        );
    }
}
