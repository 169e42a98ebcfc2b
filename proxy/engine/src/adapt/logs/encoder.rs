//! `format`: how an entry of a log is written.

use fairway_caddyfile::{Args, Diagnostic, Segment, Token};
use serde_json::{Value as Json, json};

use crate::adapt::settings::{Object, append, flag, invalid, named, number, one_of, put, single, text};

const FORMATS: [&str; 5] = ["append", "console", "filter", "journald", "json"];

/// Operations of one `multi_regexp`, and bytes of one of its patterns.
const MOST_OPERATIONS: usize = 50;
const LONGEST_PATTERN: usize = 1000;

/// Reads `format NAME …`, `wrap NAME …`.
pub(super) fn read(mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let name = one_of(args.required("a format")?, &FORMATS)?;
    args.finish()?;
    let mut encoder = named("format", name);
    match name {
        "console" | "json" => plain(&args, &mut encoder)?,
        "journald" => {
            for line in args.block() {
                match line.name.text.as_str() {
                    "wrap" => put(&mut encoder, "wrap", read(Args::new(line))?),
                    _ => return Err(args.unknown_subdirective(line, ["wrap"])),
                }
            }
        }
        _ => around(&args, name, &mut encoder)?,
    }
    Ok(encoder.into())
}

/// `console` and `json`.
fn plain(args: &Args<'_>, encoder: &mut Object) -> Result<(), Diagnostic> {
    const KEYS: [&str; 7] = [
        "caller_key",
        "level_key",
        "line_ending",
        "message_key",
        "name_key",
        "stacktrace_key",
        "time_key",
    ];
    const FORMATS: [&str; 4] = ["duration_format", "level_format", "time_format", "time_local"];
    for line in args.block() {
        let mut line_args = Args::new(line);
        match line.name.text.as_str() {
            "time_local" => put(encoder, "time_local", flag(&line_args)?),
            // An empty key leaves the field out, and so it is printed.
            key if KEYS.contains(&key) => {
                encoder.insert(key.to_owned(), text(&mut line_args, "a name")?.into());
            }
            key if FORMATS.contains(&key) => put(encoder, key, text(&mut line_args, "a format")?),
            _ => return Err(args.unknown_subdirective(line, KEYS.into_iter().chain(FORMATS))),
        }
    }
    Ok(())
}

/// `filter` and `append`: fields, in a block of their own or not, around another format.
fn around(args: &Args<'_>, name: &str, encoder: &mut Object) -> Result<(), Diagnostic> {
    let field = if name == "filter" {
        filter_field
    } else {
        append_field
    };
    let mut fields = Object::new();
    for line in args.block() {
        match line.name.text.as_str() {
            "wrap" => put(encoder, "wrap", read(Args::new(line))?),
            "fields" if line.args.is_empty() => {
                for line in line.lines() {
                    field(line, &mut fields)?;
                }
            }
            _ => field(line, &mut fields)?,
        }
    }
    for filter in fields.values_mut() {
        join_regexps(filter);
    }
    put(encoder, "fields", fields);
    Ok(())
}

/// `FIELD VALUE`
fn append_field(line: &Segment, fields: &mut Object) -> Result<(), Diagnostic> {
    let value = single(&mut Args::new(line), "a value")?;
    fields.insert(line.name.text.clone(), scalar(value));
    Ok(())
}

/// A number or truth value, unless it is quoted.
fn scalar(token: &Token) -> Json {
    let text = token.text.as_str();
    if token.is_quoted() {
        return text.into();
    }
    if let Ok(number) = text.strip_prefix('+').unwrap_or(text).parse::<i64>() {
        return number.into();
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(number) = number {
        // Go prints a whole number without its fraction.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value is whole and within the range"
        )]
        return if number.fract() == 0.0 && number.abs() < 1e15 {
            json!(number as i64)
        } else {
            json!(number)
        };
    }
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true.into(),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false.into(),
        _ => text.into(),
    }
}

/// `FIELD FILTER …`; only `regexp` may be given twice for a field.
fn filter_field(line: &Segment, fields: &mut Object) -> Result<(), Diagnostic> {
    const FILTERS: [&str; 9] = [
        "cookie",
        "delete",
        "hash",
        "ip_mask",
        "multi_regexp",
        "query",
        "regexp",
        "rename",
        "replace",
    ];
    let mut args = Args::new(line);
    let name = one_of(args.required("a filter")?, &FILTERS)?;
    let filter = filter(name, args)?;
    let field = line.name.text.clone();
    let Some(earlier) = fields.get_mut(&field) else {
        let filter = if name == "regexp" { json!([filter]) } else { filter };
        fields.insert(field, filter);
        return Ok(());
    };
    // The patterns of a field wait in a list until all are read.
    match (earlier, filter) {
        (Json::Array(regexps), filter) if name == "regexp" => regexps.push(filter),
        _ => {
            let message = format!("the field `{field}` already has a filter");
            return Err(Diagnostic::error("duplicate-option", line, message));
        }
    }
    Ok(())
}

/// Makes one filter of the `regexp` filters of a field.
fn join_regexps(filter: &mut Json) {
    let Json::Array(regexps) = filter else { return };
    let mut regexps = std::mem::take(regexps);
    *filter = if regexps.len() == 1 {
        regexps.remove(0)
    } else {
        for operation in regexps.iter_mut().filter_map(Json::as_object_mut) {
            operation.remove("filter");
        }
        json!({"filter": "multi_regexp", "operations": regexps})
    };
}

fn filter(name: &str, mut args: Args<'_>) -> Result<Json, Diagnostic> {
    let mut filter = named("filter", name);
    match name {
        "cookie" | "query" => {
            args.finish()?;
            // Printed even if there is none.
            filter.insert("actions".to_owned(), Json::Null);
            let key = if name == "query" { "parameter" } else { "name" };
            let actions = args.block().iter().map(|line| action(&args, line, key));
            let actions = actions.collect::<Result<Vec<Json>, _>>()?;
            put_actions(&mut filter, actions);
        }
        "ip_mask" => ip_mask(args, &mut filter)?,
        "multi_regexp" => multi_regexp(&args, &mut filter)?,
        "regexp" => {
            optional(&mut args, &mut filter, "regexp");
            optional(&mut args, &mut filter, "value");
            args.finish_line()?;
        }
        "rename" | "replace" => {
            optional(
                &mut args,
                &mut filter,
                if name == "rename" { "name" } else { "value" },
            );
            args.finish_line()?;
        }
        // `delete`, `hash`
        _ => args.finish_line()?,
    }
    Ok(filter.into())
}

fn put_actions(filter: &mut Object, actions: Vec<Json>) {
    if !actions.is_empty() {
        filter.insert("actions".to_owned(), actions.into());
    }
}

fn optional(args: &mut Args<'_>, filter: &mut Object, key: &str) {
    if let Some(token) = args.next_arg() {
        put(filter, key, token.text.as_str());
    }
}

/// `replace NAME VALUE`, `hash NAME`, `delete NAME`
fn action(around: &Args<'_>, line: &Segment, key: &str) -> Result<Json, Diagnostic> {
    let mut args = Args::new(line);
    let kind = line.name.text.as_str();
    if !["delete", "hash", "replace"].contains(&kind) {
        return Err(around.unknown_subdirective(line, ["delete", "hash", "replace"]));
    }
    let mut action = named("type", kind);
    action.insert(key.to_owned(), args.required("a name")?.text.as_str().into());
    if kind == "replace" {
        put(&mut action, "value", args.required("a value")?.text.as_str());
    }
    args.finish_line()?;
    Ok(action.into())
}

/// `ip_mask [BITS4 [BITS6]] { ipv4 BITS; ipv6 BITS }`
fn ip_mask(mut args: Args<'_>, filter: &mut Object) -> Result<(), Diagnostic> {
    for key in ["ipv4_cidr", "ipv6_cidr"] {
        if let Some(token) = args.next_arg() {
            let bits: i64 = token
                .text
                .parse()
                .map_err(|_| invalid(token, "is no number of bits"))?;
            put(filter, key, bits);
        }
    }
    args.finish()?;
    for line in args.block() {
        let key = match line.name.text.as_str() {
            "ipv4" => "ipv4_cidr",
            "ipv6" => "ipv6_cidr",
            _ => return Err(args.unknown_subdirective(line, ["ipv4", "ipv6"])),
        };
        put(filter, key, number::<i64>(&mut Args::new(line))?);
    }
    Ok(())
}

/// `multi_regexp { regexp PATTERN VALUE … }`
fn multi_regexp(args: &Args<'_>, filter: &mut Object) -> Result<(), Diagnostic> {
    args.finish()?;
    for (count, line) in args.block().iter().enumerate() {
        if line.name.text != "regexp" {
            return Err(args.unknown_subdirective(line, ["regexp"]));
        }
        let mut line_args = Args::new(line);
        let pattern = line_args.required("a pattern and a value")?;
        if pattern.text.is_empty() || pattern.text.len() > LONGEST_PATTERN {
            return Err(invalid(
                pattern,
                format!("is not between 1 and {LONGEST_PATTERN} bytes long"),
            ));
        }
        if count == MOST_OPERATIONS {
            let message = format!("there are more than {MOST_OPERATIONS} operations");
            return Err(Diagnostic::error("invalid-value", line, message));
        }
        let mut operation = Object::new();
        put(&mut operation, "regexp", pattern.text.as_str());
        put(
            &mut operation,
            "value",
            line_args.required("a value")?.text.as_str(),
        );
        line_args.finish_line()?;
        append(filter, "operations", [operation.into()]);
    }
    if args.block().is_empty() {
        return Err(args.missing("a `regexp` in its block"));
    }
    Ok(())
}
