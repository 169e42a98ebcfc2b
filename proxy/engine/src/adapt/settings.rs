//! Lines that set one value, and the JSON objects that they fill.
//!
//! Options, issuers, writers and encoders are objects with a name and settings. An empty setting is left out of the
//! JSON, as Caddy leaves it out.

use std::str::FromStr;

use fairway_caddyfile::{Args, Diagnostic, Segment, Token, suggest};
use serde_json::{Map, Value as Json};

use crate::values::{Duration, Size};

/// A JSON object.
pub(crate) type Object = Map<String, Json>;

/// An object with its name under `key`: `{"provider": "file"}`.
pub(crate) fn named(key: &str, name: &str) -> Object {
    let mut object = Object::new();
    object.insert(key.to_owned(), name.into());
    object
}

/// Sets a value, unless it is empty: null, false, zero, or without anything in it.
pub(crate) fn put(object: &mut Object, key: &str, value: impl Into<Json>) {
    let value = value.into();
    let empty = match &value {
        Json::Null => true,
        Json::Bool(yes) => !yes,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(items) => items.is_empty(),
    };
    if empty {
        object.remove(key);
    } else {
        object.insert(key.to_owned(), value);
    }
}

/// Adds to a list.
pub(crate) fn append(object: &mut Object, key: &str, values: impl IntoIterator<Item = Json>) {
    let list = object.entry(key).or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(items) = list {
        items.extend(values);
    }
}

/// The object under `key`, made if it is not there.
pub(crate) fn inner<'o>(object: &'o mut Object, key: &str) -> &'o mut Object {
    let value = object.entry(key).or_insert(Json::Null);
    if !value.is_object() {
        *value = Json::Object(Object::new());
    }
    value.as_object_mut().expect("it was just made an object")
}

/// The only argument of a line without a block; `what` says what it is: "a name".
pub(crate) fn single<'a>(args: &mut Args<'a>, what: &str) -> Result<&'a Token, Diagnostic> {
    let token = args.required(what)?;
    args.finish_line()?;
    Ok(token)
}

/// The only argument, as text.
pub(crate) fn text(args: &mut Args<'_>, what: &str) -> Result<String, Diagnostic> {
    single(args, what).map(|token| token.text.clone())
}

/// All arguments of a line without a block, at least one.
pub(crate) fn texts(args: &mut Args<'_>, what: &str) -> Result<Vec<String>, Diagnostic> {
    let tokens = args.remaining_required(what)?;
    args.no_block()?;
    Ok(tokens.iter().map(|token| token.text.clone()).collect())
}

/// A line without arguments, which says yes.
pub(crate) fn flag(args: &Args<'_>) -> Result<bool, Diagnostic> {
    args.finish_line().map(|()| true)
}

/// The only argument, a span of time.
pub(crate) fn duration(args: &mut Args<'_>) -> Result<Duration, Diagnostic> {
    let token = single(args, "a duration")?;
    Duration::parse(&token.text).map_err(|mistake| invalid(token, format!("is no duration: {mistake}")))
}

/// The only argument, in nanoseconds.
pub(crate) fn nanoseconds(args: &mut Args<'_>) -> Result<i64, Diagnostic> {
    duration(args).map(|duration| duration.0)
}

/// The only argument, in nanoseconds, where Caddy knows no days.
pub(crate) fn nanoseconds_without_days(args: &mut Args<'_>) -> Result<i64, Diagnostic> {
    let token = single(args, "a duration")?;
    Duration::parse_without_days(&token.text)
        .map(|duration| duration.0)
        .map_err(|mistake| invalid(token, format!("is no duration: {mistake}")))
}

/// The only argument, a number of bytes.
pub(crate) fn size(args: &mut Args<'_>) -> Result<u64, Diagnostic> {
    let token = single(args, "a size")?;
    Size::parse(&token.text)
        .map(|size| size.0)
        .map_err(|mistake| invalid(token, format!("is no size: {mistake}")))
}

/// The only argument, a whole number.
pub(crate) fn number<N: FromStr>(args: &mut Args<'_>) -> Result<N, Diagnostic> {
    let token = single(args, "a number")?;
    let digits = token.text.strip_prefix('+').unwrap_or(&token.text);
    digits.parse().map_err(|_| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        invalid(
            token,
            if is_number {
                "is too large"
            } else {
                "is no whole number"
            },
        )
    })
}

/// The only argument, a ratio between 0 and 1 and neither of them.
pub(crate) fn ratio(args: &mut Args<'_>) -> Result<f64, Diagnostic> {
    let token = single(args, "a ratio")?;
    let ratio: Option<f64> = token.text.parse().ok();
    ratio
        .filter(|ratio| *ratio > 0.0 && *ratio < 1.0)
        .ok_or_else(|| invalid(token, "is not between 0 and 1"))
}

/// The only argument, which must be `word`.
pub(crate) fn only(args: &mut Args<'_>, word: &str) -> Result<(), Diagnostic> {
    let token = single(args, &format!("`{word}`"))?;
    if token.text == word {
        return Ok(());
    }
    let name = &args.name().text;
    let message = format!("`{name}` takes only `{word}`, not `{}`", token.text);
    Err(Diagnostic::error("invalid-value", token, message))
}

/// The place of a token among the words that may stand there.
pub(crate) fn one_of<'k>(token: &Token, known: &[&'k str]) -> Result<&'k str, Diagnostic> {
    let found = known.iter().find(|word| **word == token.text);
    found.copied().ok_or_else(|| {
        let suggestion = suggest(&token.text, known.iter().copied());
        let diagnostic = invalid(token, "is not known here").did_you_mean(suggestion);
        diagnostic.note(format!("known here: {}", known.join(", ")))
    })
}

/// A value of the wrong form.
pub(crate) fn invalid(token: &Token, why: impl AsRef<str>) -> Diagnostic {
    let message = format!("`{}` {}", token.text, why.as_ref());
    Diagnostic::error("invalid-value", token, message)
}

/// A part of Caddy that is not there.
pub(crate) fn not_yet(line: &Segment) -> Diagnostic {
    let message = format!(
        "`{}` is a part of Caddy that Fairway does not have yet",
        line.name.text
    );
    Diagnostic::error("not-yet", line, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_values_are_left_out() {
        let mut object = named("module", "acme");
        for empty in [
            json!(null),
            json!(false),
            json!(0),
            json!(""),
            json!([]),
            json!({}),
        ] {
            put(&mut object, "key", empty);
        }
        put(&mut object, "email", "a@b.c");
        append(&mut object, "roots", [json!("a")]);
        append(&mut object, "roots", [json!("b")]);
        inner(inner(&mut object, "challenges"), "http").insert("disabled".into(), true.into());
        let expected = json!({
            "module": "acme", "email": "a@b.c", "roots": ["a", "b"], "challenges": {"http": {"disabled": true}}
        });
        assert_eq!(Json::Object(object), expected);
    }
}
