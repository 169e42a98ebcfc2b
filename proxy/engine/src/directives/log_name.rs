//! `log_name` says by which loggers a request is logged, in place of those of its site.
//!
//! ```caddyfile
//! log_name [<matcher>] <names…>
//! ```
//!
//! It sets the variable `access_logger_names`, which is looked at when the response is out. Only for the operator: the
//! loggers of others are not a tenant's.
//!
//! ```caddyfile
//! log_name /admin/* admin
//! ```

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic};
use serde_json::Value;

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, vars};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "log_name",
    parse: Parse::Handler(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    let names = args.remaining_required("the name of a logger")?;
    args.no_block()?;
    let names: Vec<Value> = names.iter().map(|name| name.text.as_str().into()).collect();
    let variables = BTreeMap::from([("access_logger_names".to_owned(), names.into())]);
    Ok(Config::Vars(vars::Config(variables)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::handlers;

    #[test]
    fn sets_a_variable() {
        assert_eq!(
            handlers("log_name a b"),
            json!([{"handler": "vars", "access_logger_names": ["a", "b"]}])
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("log_name", "2:1: `log_name` needs the name of a logger"),
            ("log_name /x", "2:1: `log_name` needs the name of a logger"),
            ("log_name a {\n}", "2:12: `log_name` takes no block"),
        ] {
            assert_eq!(handlers(line), json!(format!("Caddyfile:{mistake}")), "{line}");
        }
    }
}
