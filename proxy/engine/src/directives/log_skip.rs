//! `log_skip` keeps requests out of the access log. `skip_log` is its old name.
//!
//! ```caddyfile
//! log_skip [<matcher>]
//! ```
//!
//! It sets the variable `log_skip`, which is looked at when the response is out.
//!
//! ```caddyfile
//! log_skip /health
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, vars};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "log_skip",
    parse: Parse::Handler(parse),
};

pub(crate) const DIRECTIVE_OLD_NAME: Directive = Directive {
    name: "skip_log",
    parse: Parse::Handler(parse),
};

fn parse(args: Args<'_>, scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    if args.name().text == DIRECTIVE_OLD_NAME.name {
        let message = "`skip_log` is the old name of `log_skip`";
        scope.report(Diagnostic::warning("deprecated", args.name(), message).help("write `log_skip`"));
    }
    args.finish_line()?;
    let variables = BTreeMap::from([("log_skip".to_owned(), true.into())]);
    Ok(Config::Vars(vars::Config(variables)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::handlers;

    #[test]
    fn sets_a_variable() {
        let expected = json!([{"handler": "vars", "log_skip": true}]);
        assert_eq!(handlers("log_skip"), expected);
        assert_eq!(handlers("log_skip /health"), expected);
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "log_skip /a b",
                "2:13: `log_skip` takes no further argument, but `b` follows",
            ),
            ("log_skip {\n}", "2:10: `log_skip` takes no block"),
            (
                "skip_log /a",
                "2:1: `skip_log` is the old name of `log_skip`; write `log_skip`",
            ),
        ] {
            assert_eq!(handlers(line), json!(format!("Caddyfile:{mistake}")), "{line}");
        }
    }
}
