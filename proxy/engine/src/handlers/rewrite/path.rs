//! Changes of the path: what is taken from its ends, and what is replaced in it.

use std::fmt::Write as _;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{LONGEST, set_target};
use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::template::{Template, Unknown};
use crate::{go_regex, paths};

/// A text to replace in path and query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Substring {
    /// What to find.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub find: String,
    /// What comes in its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replace: String,
    /// How many times at most, in the path and in the query; 0 or less: always.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: i64,
}

/// A pattern to replace in the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathRegexp {
    /// What to find.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub find: String,
    /// What comes in its place; `$1` and the like are groups.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replace: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A change of the path.
#[derive(Debug)]
pub(super) enum Change {
    Prefix(Template),
    Suffix(Template),
    Substring {
        find: Template,
        replace: Template,
        limit: usize,
        merge_slashes: bool,
    },
    Regexp {
        find: Regex,
        replace: Template,
    },
}

impl PathRegexp {
    pub(super) fn compile(&self) -> Result<Change, CompileError> {
        if self.find.is_empty() {
            return Err(CompileError::new("rewrite: path_regexp has no pattern to find"));
        }
        let find = go_regex::compile(&self.find)
            .map_err(|error| CompileError::new(format!("rewrite: path_regexp `{}`: {error}", self.find)))?;
        Ok(Change::Regexp {
            find,
            replace: Template::new(&self.replace),
        })
    }
}

impl Change {
    pub(super) fn substring(config: &Substring) -> Self {
        Self::Substring {
            find: Template::new(&config.find),
            replace: Template::new(&config.replace),
            limit: usize::try_from(config.limit)
                .ok()
                .filter(|limit| *limit > 0)
                .unwrap_or(usize::MAX),
            merge_slashes: !config.find.contains("//"),
        }
    }

    pub(super) fn apply(&self, exchange: &mut Exchange) -> Result<(), HandlerError> {
        match self {
            Self::Prefix(template) => {
                let filled = template.fill(exchange, Unknown::Empty);
                let prefix = if filled.starts_with('/') {
                    filled.into_owned()
                } else {
                    format!("/{filled}")
                };
                let merge_slashes = !prefix.contains("//");
                change_path(exchange, |path| {
                    let path = paths::clean_path(path, merge_slashes);
                    Ok(trim_prefix(&path, &prefix).to_owned())
                })
            }
            Self::Suffix(template) => {
                let suffix = template.fill(exchange, Unknown::Empty);
                let merge_slashes = !suffix.contains("//");
                let suffix = reversed(&suffix);
                change_path(exchange, |path| {
                    let path = reversed(&paths::clean_path(path, merge_slashes));
                    Ok(reversed(trim_prefix(&path, &suffix)))
                })
            }
            Self::Substring {
                find,
                replace,
                limit,
                merge_slashes,
            } => {
                let find = find.fill(exchange, Unknown::Empty).into_owned();
                let replace = replace.fill(exchange, Unknown::Empty).into_owned();
                change_path(exchange, |path| {
                    replaced(&paths::clean_path(path, *merge_slashes), &find, &replace, *limit)
                })?;
                let Some(query) = exchange.target().query().filter(|query| query.contains(&*find)) else {
                    return Ok(());
                };
                let query = replaced(query, &find, &replace, *limit)?;
                let path = exchange.target().escaped_path().to_owned();
                set_target(exchange, &path, Some(&query))
            }
            Self::Regexp { find, replace } => {
                let replace = replace.fill(exchange, Unknown::Empty).into_owned();
                change_path(exchange, |path| {
                    go_regex::replace_all(find, path, &replace, LONGEST).map_err(|_| too_long())
                })
            }
        }
    }
}

fn too_long() -> HandlerError {
    HandlerError::new(414, "the rewritten target is too long")
}

/// Changes the path as it is escaped; if that gives nothing, or nothing that can be decoded, as it is decoded.
fn change_path(
    exchange: &mut Exchange,
    change: impl Fn(&str) -> Result<String, HandlerError>,
) -> Result<(), HandlerError> {
    let target = exchange.target();
    let changed = change(target.escaped_path())?;
    let path = if changed.is_empty() || paths::path_unescape(&changed).is_err() {
        paths::escaped_path(&change(target.path())?).into_owned()
    } else if changed.bytes().all(is_valid) {
        changed
    } else {
        canonical(&changed)
    };
    if path == target.escaped_path() {
        return Ok(());
    }
    let query = target.query().map(str::to_owned);
    set_target(exchange, &path, query.as_deref())
}

/// Whether a byte may stand in an escaped path.
fn is_valid(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@[]/%".contains(&byte)
}

/// A path decoded and escaped again, as Go writes it by default. If it cannot be decoded, it is taken to be decoded.
pub(super) fn canonical(path: &str) -> String {
    if path == "*" {
        return path.to_owned();
    }
    let escaped = paths::path_unescape(path).is_ok();
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len() + 16);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        let decoded = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) if escaped => {
                at += 2;
                (high << 4 | low) as u8
            }
            _ => byte,
        };
        at += 1;
        if decoded.is_ascii_alphanumeric() || b"-._~$&+,/:;=@".contains(&decoded) {
            out.push(char::from(decoded));
        } else {
            write!(out, "%{decoded:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

/// What is left of a path without its prefix; all of it if it does not begin so.
///
/// Case does not count. An escape in the path is decoded, unless the prefix has an escape in that place too. What an
/// escape decodes to is ASCII or equal to nothing, as in Caddy.
fn trim_prefix<'p>(path: &'p str, prefix: &str) -> &'p str {
    let bytes = path.as_bytes();
    let mut at = 0;
    for wanted in prefix.bytes() {
        let Some(&byte) = bytes.get(at) else { return path };
        let mut found = byte;
        if byte == b'%' && wanted != b'%' && bytes.len() >= at + 3 {
            let digit = |index: usize| char::from(bytes[index]).to_digit(16);
            let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                return path;
            };
            found = (high << 4 | low) as u8;
            if !found.is_ascii() {
                return path;
            }
            at += 2;
        }
        if !found.eq_ignore_ascii_case(&wanted) {
            return path;
        }
        at += 1;
    }
    path.get(at..).unwrap_or(path)
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

fn replaced(text: &str, find: &str, replace: &str, limit: usize) -> Result<String, HandlerError> {
    // Filled, there may be nothing to find; Go would then replace between all letters.
    let found = if find.is_empty() {
        0
    } else {
        text.matches(find).take(limit).count()
    };
    if text.len().saturating_add(found.saturating_mul(replace.len())) > LONGEST {
        return Err(too_long());
    }
    Ok(text.replacen(find, replace, found))
}
