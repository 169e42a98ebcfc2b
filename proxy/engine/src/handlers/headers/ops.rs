//! Operations on headers: those of `header`, `request_header`, and of `reverse_proxy`'s `header_up` and `header_down`.

use std::collections::BTreeMap;

use fairway_caddyfile::{Args, Diagnostic, Segment, Token};
use http::header::HOST;
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::field::{Name, Value, header_value};
use super::replace::Replacements;
use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::template::{Template, Unknown};
use crate::values::canonical_header;

/// Operations, which run in the order of these fields; but deleting all headers comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    /// Further values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, Vec<String>>,
    /// The only values; several are joined with commas.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Vec<String>>,
    /// Fields to remove. A `*` at the front, the end or both stands for anything; `*` alone is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delete: Vec<String>,
    /// Changes within the values of a field, or of all (`*`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replace: BTreeMap<String, Vec<Replacement>>,
}

/// A change within a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replacement {
    /// The text to replace, or
    #[serde(skip_serializing_if = "String::is_empty")]
    pub search: String,
    /// the pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub search_regexp: String,
    /// What comes in its place; `$1` and the like are groups of the pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replace: String,
}

/// An operation as it is written: `[+|-|?|>]<field> [<value> | <find> <replace>]`.
pub(super) struct Written<'a> {
    pub field: &'a str,
    pub value: &'a str,
    pub replacement: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// Reads value and replacement of a field.
    pub(super) fn new(field: &'a str, args: &mut Args<'a>) -> Self {
        Self {
            field,
            value: args.next_arg().map_or("", |token| &token.text),
            replacement: args.next_arg().map(|token| token.text.as_str()),
        }
    }
}

/// Reads one operation on a request's headers, or an upstream response's (`header_up`, `header_down`), into `ops`; all
/// arguments of the line belong to it.
pub(crate) fn parse_op(args: &mut Args<'_>, ops: &mut Ops) -> Result<(), Diagnostic> {
    let field = args.required("a header field")?;
    parse_op_on(field, &field.text, args, ops)
}

/// The same for a line whose name is the field.
pub(crate) fn parse_named_op(line: &Segment, ops: &mut Ops) -> Result<(), Diagnostic> {
    let mut args = Args::new(line);
    args.no_block()?;
    parse_op_on(&line.name, &line.name.text, &mut args, ops)
}

/// The same for a field whose name was read already.
pub(super) fn parse_op_on<'a>(
    token: &Token,
    field: &'a str,
    args: &mut Args<'a>,
    ops: &mut Ops,
) -> Result<(), Diagnostic> {
    if field.starts_with('?') {
        let message = "`?` sets a default for a response, and belongs into `header`";
        return Err(Diagnostic::error("invalid-value", token, message));
    }
    let written = Written::new(field, args);
    args.finish()?;
    ops.add_written(&written);
    Ok(())
}

impl Ops {
    /// Adds an operation other than `?`.
    pub(super) fn add_written(&mut self, written: &Written<'_>) {
        let &Written {
            field,
            value,
            replacement,
        } = written;
        if let Some(name) = field.strip_prefix('+') {
            self.add
                .entry(canonical_header(name))
                .or_default()
                .push(value.to_owned());
        } else if let Some(name) = field.strip_prefix('-') {
            self.delete.push(name.to_owned());
        } else if let Some(replacement) = replacement {
            let name = field.trim_start_matches(['+', '-', '?', '>']).to_owned();
            self.replace.entry(name).or_default().push(Replacement {
                search_regexp: value.to_owned(),
                replace: replacement.to_owned(),
                ..Replacement::default()
            });
        } else {
            let name = canonical_header(field.strip_prefix('>').unwrap_or(field));
            self.set.insert(name, vec![value.to_owned()]);
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes them ready to run.
    pub(crate) fn compile(&self) -> Result<CompiledOps, CompileError> {
        let add = self.add.iter().map(|(name, values)| {
            (
                Name::new(name),
                values.iter().map(|value| Value::new(value)).collect(),
            )
        });
        let set = self
            .set
            .iter()
            .map(|(name, values)| (Name::new(name), Value::new(&values.join(","))));
        let replace = self
            .replace
            .iter()
            .map(|(name, all)| Replacements::compile(name, all));
        Ok(CompiledOps {
            add: add.collect(),
            set: set.collect(),
            delete: self.delete.iter().map(|name| Delete::new(name)).collect(),
            replace: replace.collect::<Result<_, _>>()?,
        })
    }
}

/// The run-time form.
#[derive(Debug, Default)]
pub(crate) struct CompiledOps {
    add: Box<[(Name, Box<[Value]>)]>,
    set: Box<[(Name, Value)]>,
    delete: Box<[Delete]>,
    replace: Box<[Replacements]>,
}

/// The headers that operations change, and the request that fills their placeholders.
pub(crate) trait Place {
    /// The headers.
    fn headers(&mut self) -> &mut HeaderMap;
    /// The request.
    fn exchange(&self) -> &Exchange;
}

/// The headers of the request itself.
pub(crate) struct OfRequest<'a>(pub &'a mut Exchange);

impl Place for OfRequest<'_> {
    fn headers(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }
    fn exchange(&self) -> &Exchange {
        self.0
    }
}

/// The headers of the response so far.
pub(crate) struct OfResponse<'a>(pub &'a mut Exchange);

impl Place for OfResponse<'_> {
    fn headers(&mut self) -> &mut HeaderMap {
        &mut self.0.response_headers
    }
    fn exchange(&self) -> &Exchange {
        self.0
    }
}

/// Headers that lie elsewhere: those of a request to an upstream, or of its response.
pub(crate) struct Apart<'a> {
    pub headers: &'a mut HeaderMap,
    pub exchange: &'a Exchange,
}

impl Place for Apart<'_> {
    fn headers(&mut self) -> &mut HeaderMap {
        self.headers
    }
    fn exchange(&self) -> &Exchange {
        self.exchange
    }
}

impl CompiledOps {
    /// Runs them on headers without a host: those of a response.
    pub(crate) fn apply(&self, place: &mut impl Place) {
        if self.delete.iter().any(|delete| delete.is_all(place.exchange())) {
            place.headers().clear();
        }
        for (name, values) in &self.add {
            if let Some(name) = name.get(place.exchange(), Unknown::Keep) {
                for value in values {
                    let value = value.get(place.exchange(), Unknown::Keep);
                    // Full only past 2^15 fields, which no message has; then the value is left out.
                    let _ = place.headers().try_append(name.clone(), value);
                }
            }
        }
        for (name, value) in &self.set {
            if let Some(name) = name.get(place.exchange(), Unknown::Keep) {
                let value = value.get(place.exchange(), Unknown::Keep);
                let _ = place.headers().try_insert(name, value);
            }
        }
        for delete in &self.delete {
            delete.apply(place);
        }
        for replacements in &self.replace {
            replacements.apply(place);
        }
    }

    /// Runs them on a request's headers. The host (that of the exchange, if it is not given) counts as one of them, and
    /// is given back if it may have changed; a `Host` field that the headers have besides stays as it is.
    pub(crate) fn apply_to_request(&self, place: &mut impl Place, host: Option<&str>) -> Option<Box<str>> {
        if !self.may_touch(&HOST) {
            self.apply(place);
            return None;
        }
        let besides = place.headers().remove(HOST);
        let host = header_value(host.unwrap_or(&place.exchange().host));
        place.headers().insert(HOST, host);
        self.apply(place);
        let headers = place.headers();
        let last = headers.get_all(HOST).iter().next_back();
        let changed = last.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        });
        headers.remove(HOST);
        if let Some(besides) = besides {
            headers.insert(HOST, besides);
        }
        Some(changed.into())
    }

    fn may_touch(&self, name: &HeaderName) -> bool {
        self.add.iter().any(|(touched, _)| touched.may_be(name))
            || self.set.iter().any(|(touched, _)| touched.may_be(name))
            || self.delete.iter().any(|delete| delete.may_touch(name))
            || self
                .replace
                .iter()
                .any(|replacements| replacements.may_touch(name))
    }
}

/// Fields to remove.
#[derive(Debug)]
enum Delete {
    Fixed(Pattern),
    /// With placeholders.
    Filled(Template),
}

/// Which fields; lower case.
#[derive(Debug)]
enum Pattern {
    All,
    Contains(Box<str>),
    EndsWith(Box<str>),
    StartsWith(Box<str>),
    Is(Box<str>),
}

impl Delete {
    fn new(text: &str) -> Self {
        let template = Template::new(text);
        match template.literal() {
            Some(literal) => Self::Fixed(Pattern::new(literal)),
            None => Self::Filled(template),
        }
    }

    fn is_all(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Fixed(pattern) => matches!(pattern, Pattern::All),
            Self::Filled(template) => template.fill(exchange, Unknown::Keep) == "*",
        }
    }

    fn may_touch(&self, name: &HeaderName) -> bool {
        match self {
            Self::Fixed(pattern) => pattern.fits(name.as_str()),
            Self::Filled(_) => true,
        }
    }

    fn apply(&self, place: &mut impl Place) {
        match self {
            Self::Fixed(pattern) => pattern.remove_from(place.headers()),
            Self::Filled(template) => {
                let pattern = Pattern::new(&template.fill(place.exchange(), Unknown::Keep));
                pattern.remove_from(place.headers());
            }
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::All,
            (Some(rest), Some(_)) => Self::Contains(rest[..rest.len() - 1].into()),
            (Some(rest), None) => Self::EndsWith(rest.into()),
            (None, Some(rest)) => Self::StartsWith(rest.into()),
            (None, None) => Self::Is(text.into()),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Contains(part) => name.contains(&**part),
            Self::EndsWith(part) => name.ends_with(&**part),
            Self::StartsWith(part) => name.starts_with(&**part),
            Self::Is(whole) => name == &**whole,
        }
    }

    fn remove_from(&self, headers: &mut HeaderMap) {
        match self {
            // Done before everything else.
            Self::All => {}
            Self::Is(name) => drop(headers.remove(&**name)),
            Self::Contains(_) | Self::EndsWith(_) | Self::StartsWith(_) => {
                let gone: Vec<HeaderName> = headers
                    .keys()
                    .filter(|name| self.fits(name.as_str()))
                    .cloned()
                    .collect();
                for name in gone {
                    headers.remove(name);
                }
            }
        }
    }
}
