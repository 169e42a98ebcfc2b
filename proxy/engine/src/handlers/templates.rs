//! `templates` runs responses through Go's template language.
//!
//! ```caddyfile
//! templates [<matcher>] {
//!     mime <types…>
//!     between <open> <close>
//!     root <folder>
//! }
//! ```
//!
//! It adapts; Fairway does not serve it, since the language is Go's, and says so when the config is compiled. Caddy:
//! `http.handlers.templates`.
//!
//! ```caddyfile
//! templates /*.html
//! ```

use fairway_caddyfile::{Args, Diagnostic};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::adapt::modules;
use crate::adapt::settings::{text, texts};
use crate::directives::{Directive, Parse};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "templates",
    parse: Parse::Handler(parse),
};

/// Templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where files are that templates read; the site's `root` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file_root: String,
    /// Which responses are templates, by their `Content-Type`; `text/html`, `text/plain` and `text/markdown` by
    /// default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mime_types: Vec<String>,
    /// What stands around an action; `{{` and `}}` by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delimiters: Vec<String>,
}

fn parse(args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    args.finish()?;
    let mut config = Config::default();
    for line in args.block() {
        let mut words = Args::new(line);
        match line.name.text.as_str() {
            "mime" => config.mime_types = texts(&mut words, "types")?,
            "between" => {
                let open = words.required("what stands before and behind an action")?;
                let close = words.required("what stands behind an action")?;
                words.finish_line()?;
                config.delimiters = vec![open.text.clone(), close.text.clone()];
            }
            "root" => config.file_root = text(&mut words, "a folder")?,
            "extensions" => {
                words.finish()?;
                for line in words.block() {
                    modules::read_line(&modules::TEMPLATE_FUNCTIONS, line)?;
                }
            }
            _ => return Err(args.unknown_subdirective(line, ["between", "extensions", "mime", "root"])),
        }
    }
    Ok(super::Config::Templates(config))
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
    fn reads_every_line() {
        check("templates", &json!([{"handler": "templates"}]));
        check(
            "templates {\nmime a/b c/d\nmime e/f\nbetween [[ ]]\nroot /srv\nextensions {\n}\n}",
            &json!([{
                "handler": "templates", "mime_types": ["e/f"], "delimiters": ["[[", "]]"], "file_root": "/srv"
            }]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            (
                "templates a",
                "2:11: `templates` takes no further argument, but `a` follows",
            ),
            ("templates {\nmime\n}", "3:1: `mime` needs types"),
            (
                "templates {\nbetween a\n}",
                "3:1: `between` needs what stands behind an action",
            ),
            (
                "templates {\nbetween a b c\n}",
                "3:13: `between` takes no further argument, but `c` follows",
            ),
            ("templates {\nroot\n}", "3:1: `root` needs a folder"),
            (
                "templates {\nextensions {\nsprig\n}\n}",
                "4:1: `sprig` is no extension of templates that Fairway knows",
            ),
            (
                "templates {\nmim a\n}",
                "3:1: `templates` has no subdirective `mim`; did you mean `mime`?",
            ),
        ] {
            check(line, &json!(format!("Caddyfile:{mistake}")));
        }
    }

    #[test]
    fn is_refused_by_name() {
        check_not_served("templates", "templates");
    }
}
