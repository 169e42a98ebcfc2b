//! `uri` changes a part of the target of the request, for all that comes after.
//!
//! ```caddyfile
//! uri [<matcher>] strip_prefix <text>
//! uri [<matcher>] strip_suffix <text>
//! uri [<matcher>] replace <find> <replace> [<limit>]
//! uri [<matcher>] path_regexp <pattern> <replace>
//! uri [<matcher>] query <operation> | { <operations…> }
//! ```
//!
//! Operations on the query: `-key` removes, `+key value` adds, `key value` sets, `old>new` renames, and
//! `key <pattern> <replace>` replaces within values, of all keys if it is `*`. They run in the order rename, set, add,
//! replace, delete, however they are written.
//!
//! ```caddyfile
//! uri strip_prefix /api
//! ```

use fairway_caddyfile::{Args, Diagnostic, Token, suggest};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, rewrite};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "uri",
    parse: Parse::Handler(parse),
};

/// What can be changed.
const KINDS: [&str; 5] = ["strip_prefix", "strip_suffix", "replace", "path_regexp", "query"];

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    let mut config = rewrite::Config::default();
    let kind = args.required("what to change, such as `strip_prefix`")?;
    match kind.text.as_str() {
        "strip_prefix" => config
            .strip_path_prefix
            .clone_from(&args.required("a prefix to strip")?.text),
        "strip_suffix" => config
            .strip_path_suffix
            .clone_from(&args.required("a suffix to strip")?.text),
        "replace" => config.uri_substring.push(substring(&mut args)?),
        "path_regexp" => config.path_regexp.push(rewrite::PathRegexp {
            find: args.required("a pattern to find")?.text.clone(),
            replace: args.required("a text to replace it with")?.text.clone(),
        }),
        "query" => {
            config.query = Some(query(&mut args)?);
            args.finish()?;
            return Ok(Config::Rewrite(Box::new(config)));
        }
        other => {
            let message = format!("`uri` cannot do `{other}`");
            return Err(args
                .error_at(kind, "invalid-value", message)
                .did_you_mean(suggest(other, KINDS)));
        }
    }
    args.finish_line()?;
    Ok(Config::Rewrite(Box::new(config)))
}

fn substring(args: &mut Args<'_>) -> Result<rewrite::Substring, Diagnostic> {
    let find = args.required("a text to find")?.text.clone();
    let replace = args.required("a text to replace it with")?.text.clone();
    let limit = match args.next_arg() {
        // An empty limit is none.
        Some(limit) if !limit.text.is_empty() => limit.text.parse().map_err(|_| {
            let message = format!("`{}` is no number of replacements", limit.text);
            args.error_at(limit, "invalid-value", message)
        })?,
        _ => 0,
    };
    Ok(rewrite::Substring { find, replace, limit })
}

fn query(args: &mut Args<'_>) -> Result<rewrite::Query, Diagnostic> {
    let mut query = rewrite::Query::default();
    let first = args.next_arg();
    if let Some(key) = first {
        operation(key, args, &mut query)?;
    }
    for line in args.block() {
        if first.is_some() {
            let message = "`uri query` takes one operation on its line or several in its block, not both";
            let mistake = args.error_at(line, "conflicting-options", message);
            return Err(mistake.context(args.name(), "an operation stands on this line"));
        }
        let mut words = Args::new(line);
        operation(&line.name, &mut words, &mut query)?;
        words.no_block()?;
    }
    Ok(query)
}

/// Reads one operation on the query; all arguments of the line belong to it.
fn operation(key: &Token, args: &mut Args<'_>, query: &mut rewrite::Query) -> Result<(), Diagnostic> {
    let text = key.text.as_str();
    if text.starts_with('-') {
        query.delete.push(text.trim_start_matches('-').to_owned());
    } else if text.starts_with('+') {
        query.add.push(rewrite::QueryPair {
            key: text.trim_start_matches('+').to_owned(),
            val: args.required("a value to add")?.text.clone(),
        });
    } else if let Some((old, new)) = text.split_once('>') {
        // What follows a second `>` is of no account, as in Caddy.
        let new = new.split('>').next().unwrap_or_default();
        query.rename.push(rewrite::QueryPair {
            key: old.to_owned(),
            val: new.to_owned(),
        });
    } else {
        let value = args.required("a value for the key")?.text.clone();
        match args.next_arg() {
            None => query.set.push(rewrite::QueryPair {
                key: text.to_owned(),
                val: value,
            }),
            Some(replace) => query.replace.push(rewrite::QueryReplacement {
                key: text.to_owned(),
                search_regexp: value,
                replace: replace.text.clone(),
                ..rewrite::QueryReplacement::default()
            }),
        }
    }
    args.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::test_util::handlers;

    #[track_caller]
    fn check(line: &str, expected: &Json) {
        let mut handler = json!({"handler": "rewrite"});
        handler
            .as_object_mut()
            .unwrap()
            .extend(expected.as_object().unwrap().clone());
        assert_eq!(handlers(line), json!([handler]), "{line}");
    }

    #[test]
    fn reads_changes_of_the_path() {
        check("uri strip_prefix /a", &json!({"strip_path_prefix": "/a"}));
        check(
            "uri /x strip_suffix .html",
            &json!({"strip_path_suffix": ".html"}),
        );
        check(
            "uri replace a b",
            &json!({"uri_substring": [{"find": "a", "replace": "b"}]}),
        );
        check(
            "uri replace a \"\" 2",
            &json!({"uri_substring": [{"find": "a", "limit": 2}]}),
        );
        check(
            "uri path_regexp /+ /",
            &json!({"path_regexp": [{"find": "/+", "replace": "/"}]}),
        );
    }

    #[test]
    fn reads_operations_on_the_query() {
        check("uri query", &json!({"query": {}}));
        check("uri query --a", &json!({"query": {"delete": ["a"]}}));
        check(
            "uri query +a b",
            &json!({"query": {"add": [{"key": "a", "val": "b"}]}}),
        );
        check(
            "uri query a>b",
            &json!({"query": {"rename": [{"key": "a", "val": "b"}]}}),
        );
        check(
            "uri query a b",
            &json!({"query": {"set": [{"key": "a", "val": "b"}]}}),
        );
        check(
            "uri query {\n-a\n* b c\nd e\n}",
            &json!({"query": {
                "delete": ["a"],
                "replace": [{"key": "*", "search_regexp": "b", "replace": "c"}],
                "set": [{"key": "d", "val": "e"}]
            }}),
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, mistake) in [
            ("uri", "2:1: `uri` needs what to change, such as `strip_prefix`"),
            (
                "uri strip_prefx /a",
                "2:5: `uri` cannot do `strip_prefx`; did you mean `strip_prefix`?",
            ),
            ("uri strip_prefix", "2:1: `uri` needs a prefix to strip"),
            (
                "uri strip_prefix /a /b",
                "2:21: `uri` takes no further argument, but `/b` follows",
            ),
            ("uri replace a", "2:1: `uri` needs a text to replace it with"),
            ("uri replace a b c", "2:17: `c` is no number of replacements"),
            ("uri path_regexp a", "2:1: `uri` needs a text to replace it with"),
            ("uri path_regexp a b {\n}", "2:21: `uri` takes no block"),
            (
                "uri query -a b",
                "2:14: `uri` takes no further argument, but `b` follows",
            ),
            ("uri query a", "2:1: `uri` needs a value for the key"),
            (
                "uri query a b c d",
                "2:17: `uri` takes no further argument, but `d` follows",
            ),
            ("uri query {\n+a\n}", "3:1: `+a` needs a value to add"),
            (
                "uri query -a {\n-b\n}",
                "3:1: `uri query` takes one operation on its line or several in its block, not both",
            ),
        ] {
            assert_eq!(handlers(line), json!(format!("Caddyfile:{mistake}")), "{line}");
        }
    }
}
