//! Regular expressions in matchers, and what they capture.

use fairway_caddyfile::{Args, Diagnostic};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::exchange::Names;
use crate::go_regex;
use crate::template::Value;

/// A regular expression, with a name for its captures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Captures are placeholders: `{http.regexp.NAME.1}`. Letters, digits and `_`. Without it: `{http.regexp.1}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The expression, as Go has it.
    pub pattern: String,
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Regexp, CompileError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !self.name.bytes().all(word) {
            let message = format!("the name `{}` takes letters, digits and `_` only", self.name);
            return Err(CompileError::new(message));
        }
        let regex = go_regex::compile(&self.pattern).map_err(|error| {
            CompileError::new(format!("the regular expression `{}`: {error}", self.pattern))
        })?;
        let group = |(index, name): (usize, Option<&str>)| Group::new(&self.name, index, name);
        let groups = regex.capture_names().enumerate().map(group).collect();
        Ok(Regexp { regex, groups })
    }
}

/// The arguments `[<name>] <parts…>`, with as many parts as there are variables for them.
pub(super) fn named<'a, const N: usize>(
    args: &mut Args<'a>,
    default: &'a str,
    what: &str,
) -> Result<(&'a str, [&'a str; N]), Diagnostic> {
    let name = if args.count() > N { args.next_arg() } else { None };
    let name = name
        .map(|token| token.text.as_str())
        .filter(|name| !name.is_empty());
    let mut parts = [""; N];
    for part in &mut parts {
        *part = &args.required(what)?.text;
    }
    args.finish_line()?;
    Ok((name.unwrap_or(default), parts))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Regexp {
    regex: Regex,
    groups: Box<[Group]>,
}

/// The placeholders that one group fills.
#[derive(Debug)]
struct Group(Box<[Box<str>]>);

impl Group {
    fn new(name: &str, index: usize, group: Option<&str>) -> Self {
        let keys = [Some(index.to_string()), group.map(str::to_owned)];
        let keys = keys.into_iter().flatten().flat_map(|key| {
            let with_name = (!name.is_empty()).then(|| format!("http.regexp.{name}.{key}").into());
            [with_name, Some(format!("http.regexp.{key}").into())]
        });
        Self(keys.flatten().collect())
    }
}

impl Regexp {
    /// Whether it is found in a text; keeps what it captured. A group that took no part captured nothing.
    pub(crate) fn find(&self, text: &str, values: &mut Names) -> bool {
        let Some(captures) = self.regex.captures(text) else {
            return false;
        };
        for (group, capture) in self.groups.iter().zip(captures.iter()) {
            let text = capture.map_or("", |capture| capture.as_str());
            for key in &group.0 {
                values.set(key.to_string(), Value::Text(text.into()));
            }
        }
        true
    }
}
