//! `fs` says in which file system the files of a site lie.
//!
//! ```caddyfile
//! fs [<matcher>] <name>
//! ```
//!
//! It becomes the variable `fs`. Fairway has only the file system of the machine, `default`, and says so when the
//! config is compiled.
//!
//! ```caddyfile
//! fs default
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::adapt::settings::text;
use crate::handlers::{Config, vars};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "fs",
    parse: Parse::Handler(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    let name = text(&mut args, "the name of a file system")?;
    Ok(Config::Vars(vars::Config::text("fs", &name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::{check_not_served, handlers};

    #[test]
    fn becomes_a_variable() {
        for (line, expected) in [
            ("fs x", json!([{"handler": "vars", "fs": "x"}])),
            ("fs /a x", json!([{"handler": "vars", "fs": "x"}])),
            ("fs", json!("Caddyfile:2:1: `fs` needs the name of a file system")),
            (
                "fs a b",
                json!("Caddyfile:2:6: `fs` takes no further argument, but `b` follows"),
            ),
        ] {
            assert_eq!(handlers(line), expected, "{line}");
        }
    }

    #[test]
    fn another_file_system_is_refused_by_name() {
        check_not_served("fs x", "fs");
    }
}
