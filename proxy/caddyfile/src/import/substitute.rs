//! `{args[…]}` in the tokens of an import.
//!
//! An index may stand anywhere in a token, also in a quoted one; a range must be the whole token. What does not
//! name an argument stays as it is, with a warning.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::origin::Origin;
use crate::token::{Quote, Token};

/// Warnings kept of one import.
const WARNINGS: usize = 100;

/// Characters of an index at most.
const LONGEST_INDEX: usize = 40;

/// The imports together produced more text than allowed.
pub(super) struct TooLong;

/// A token with its placeholders replaced.
pub(super) enum Substituted {
    /// It has none.
    Unchanged,
    /// This token.
    One(Token),
    /// A range: these arguments.
    Many(Vec<Token>),
}

/// Replaces the arguments that `token`, a token of an imported text, names. `bytes` is what the text may still
/// grow by.
pub(super) fn substitute(
    token: &Token,
    args: &[Token],
    bytes: &mut usize,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Substituted, TooLong> {
    if !token.text.contains('{') && !token.text.contains('}') {
        return Ok(Substituted::Unchanged);
    }
    match range(&token.text, args.len()) {
        Range::Of(start, end) => {
            let mut many = Vec::with_capacity(end - start);
            for arg in &args[start..end] {
                *bytes = bytes.checked_sub(arg.text.len()).ok_or(TooLong)?;
                many.push(whole(token, arg));
            }
            return Ok(Substituted::Many(many));
        }
        Range::Wrong(why) => {
            let message = format!("placeholder `{}` {why}, and stays as it is", token.text);
            warn(
                warnings,
                Diagnostic::warning("import-argument-range", token, message),
            );
        }
        Range::None => {}
    }
    indexes(token, args, bytes, warnings)
}

/// A token that is an argument and nothing else.
fn whole(token: &Token, arg: &Token) -> Token {
    finish(Token {
        text: arg.text.clone(),
        span: arg.span.clone(),
        origin: lower(&token.origin, &token.origin, &arg.origin),
        ..token.clone()
    })
}

/// An argument is never a brace: the structure of a snippet is the snippet's own.
fn finish(mut token: Token) -> Token {
    if token.is_open_brace() || token.is_close_brace() {
        token.quote = Quote::Double;
    }
    token
}

/// The origin of a token glued from one that says `current` and a part that says `part`: the lower tier; between
/// equals the one that is not the snippet's `own`, because what a caller names is the caller's.
fn lower(own: &Arc<Origin>, current: &Arc<Origin>, part: &Arc<Origin>) -> Arc<Origin> {
    let equal = part.tier == current.tier && **current == **own;
    if part.tier < current.tier || equal {
        Arc::clone(part)
    } else {
        Arc::clone(current)
    }
}

enum Range {
    None,
    Of(usize, usize),
    Wrong(String),
}

/// `{args[:]}`, `{args[a:]}`, `{args[:b]}`, `{args[a:b]}` as the whole text.
fn range(text: &str, count: usize) -> Range {
    let Some(inside) = text
        .strip_prefix("{args[")
        .and_then(|rest| rest.strip_suffix("]}"))
    else {
        return Range::None;
    };
    if inside.is_empty() {
        return Range::Wrong("has no index".into());
    }
    let Some((start, end)) = inside.split_once(':') else {
        return Range::None;
    };
    // Several placeholders in one token, with a `:` between them.
    if start.contains('}') || end.contains('{') {
        return Range::None;
    }
    let bound = |text: &str, open: usize| match text {
        "" => Some(Some(open)),
        text => integer(text).map(|number| usize::try_from(number).ok()),
    };
    let (Some(start), Some(end)) = (bound(start, 0), bound(end, count)) else {
        return Range::Wrong("has a bound that is not a number".into());
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= count => Range::Of(start, end),
        _ => Range::Wrong(format!("is out of bounds: {}", given(count))),
    }
}

/// A number as Go reads it.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn given(count: usize) -> String {
    match count {
        0 => "no argument is given".into(),
        1 => "only 1 argument is given".into(),
        count => format!("only {count} arguments are given"),
    }
}

/// Replaces `{args[N]}` and `{args.N}` wherever they stand. On the way, as in Caddy, `\{` and `\}` lose their
/// backslash.
fn indexes(
    token: &Token,
    args: &[Token],
    bytes: &mut usize,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Substituted, TooLong> {
    let text = token.text.as_str();
    let mut out = String::new();
    let mut copied = 0;
    let mut origin = Arc::clone(&token.origin);
    let mut closing = Closing { text, at: None };
    let mut at = 0;
    while let Some(found) = text[at..].find(['{', '}']) {
        let here = at + found;
        at = here + 1;
        if text[..here].ends_with('\\') {
            // Only a backslash that is not yet copied: `{` does not end in one.
            out.push_str(&text[copied..here - 1]);
            copied = here;
            continue;
        }
        if text.as_bytes()[here] == b'}' {
            continue;
        }
        let Some(close) = closing.from(here) else { continue };
        let key = &text[here + 1..close];
        let Some(index) = index(key, args.len(), token, warnings) else {
            continue;
        };
        let arg = &args[index];
        if here == 0 && close + 1 == text.len() {
            *bytes = bytes.checked_sub(arg.text.len()).ok_or(TooLong)?;
            return Ok(Substituted::One(whole(token, arg)));
        }
        let before = &text[copied..here];
        *bytes = bytes.checked_sub(before.len() + arg.text.len()).ok_or(TooLong)?;
        out.push_str(before);
        out.push_str(&arg.text);
        origin = lower(&token.origin, &origin, &arg.origin);
        at = close + 1;
        copied = at;
    }
    if copied == 0 && out.is_empty() {
        return Ok(Substituted::Unchanged);
    }
    out.push_str(&text[copied..]);
    Ok(Substituted::One(finish(Token {
        text: out,
        origin,
        ..token.clone()
    })))
}

/// Finds closing braces that are not escaped, going forward only.
struct Closing<'a> {
    text: &'a str,
    at: Option<usize>,
}

impl Closing<'_> {
    /// The first one at or behind `from`.
    fn from(&mut self, from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at.map_or(from, |at| at.max(from));
        while at < bytes.len() {
            // The last character of a token closes even if it is escaped.
            let escaped = at > 0 && bytes[at - 1] == b'\\' && at + 1 < bytes.len();
            if bytes[at] == b'}' && !escaped {
                break;
            }
            at += 1;
        }
        self.at = Some(at);
        (at < bytes.len()).then_some(at)
    }
}

/// The argument that the inside of a placeholder names.
fn index(key: &str, count: usize, token: &Token, warnings: &mut Vec<Diagnostic>) -> Option<usize> {
    let bracketed = key.strip_prefix("args[").and_then(|rest| rest.strip_suffix(']'));
    let number = bracketed.or_else(|| key.strip_prefix("args."))?;
    // What is this long is no number; not looking at it keeps nested braces cheap.
    if number.is_empty() || number.len() > LONGEST_INDEX {
        return None;
    }
    let mut wrong = |why: String| {
        let message = format!("placeholder `{{{key}}}` {why}, and stays as it is");
        let warning = Diagnostic::warning("import-argument-range", token, message);
        warn(warnings, warning);
        None
    };
    match integer(number).map(usize::try_from) {
        Some(Ok(index)) if index < count => {
            if bracketed.is_none() {
                let message = format!("placeholder `{{{key}}}` is an old form");
                let warning = Diagnostic::warning("import-argument-deprecated", token, message);
                warn(warnings, warning.help(format!("write `{{args[{index}]}}`")));
            }
            Some(index)
        }
        Some(_) => wrong(format!("is out of bounds: {}", given(count))),
        None if number.contains(':') => wrong("is a range, which must be a word of its own".into()),
        None => wrong("has an index that is not a number".into()),
    }
}

fn warn(warnings: &mut Vec<Diagnostic>, warning: Diagnostic) {
    if warnings.len() < WARNINGS {
        warnings.push(warning);
    }
}
