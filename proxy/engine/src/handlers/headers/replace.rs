//! Changes within the values of headers.

use std::borrow::Cow;
use std::str;

use http::header::Entry;
use http::{HeaderName, HeaderValue};
use regex::Regex;

use super::field::{Name, header_value};
use super::ops::{Place, Replacement};
use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::go_regex;
use crate::template::{Template, Unknown};

/// How long a value may become; a replacement that would pass it is not made.
const LONGEST: usize = 64 * 1024;

/// The changes of one field, or of all.
#[derive(Debug)]
pub(super) struct Replacements {
    /// None: all fields.
    name: Option<Name>,
    list: Box<[Compiled]>,
}

#[derive(Debug)]
struct Compiled {
    search: Search,
    replace: Template,
}

#[derive(Debug)]
enum Search {
    Text(Template),
    Pattern(Regex),
    /// A pattern that is known only with its placeholders filled.
    Filled(Template),
}

/// A search for one request.
enum Ready<'a> {
    Text(Cow<'a, str>),
    Pattern(Cow<'a, Regex>),
    /// Filled, the pattern is none: nothing is found.
    Nothing,
}

impl Replacements {
    pub(super) fn compile(name: &str, list: &[Replacement]) -> Result<Self, CompileError> {
        let list = list.iter().map(|replacement| {
            Compiled::new(replacement)
                .map_err(|message| CompileError::new(format!("replacement in header `{name}`: {message}")))
        });
        Ok(Self {
            name: (name != "*").then(|| Name::new(name)),
            list: list.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it changes, or may change, this field.
    pub(super) fn may_touch(&self, name: &HeaderName) -> bool {
        self.name.as_ref().is_none_or(|touched| touched.may_be(name))
    }

    pub(super) fn apply(&self, place: &mut impl Place) {
        let name = match &self.name {
            None => None,
            Some(name) => match name.get(place.exchange(), Unknown::Keep) {
                // Nothing can have that name.
                None => return,
                Some(name) if !place.headers().contains_key(&name) => return,
                name => name,
            },
        };
        for replacement in &self.list {
            let search = replacement.search.ready(place.exchange());
            let replace = owned_unless_literal(&replacement.replace, place.exchange());
            let change = |value: &mut HeaderValue| {
                if let Some(changed) = search.replaced(value, &replace) {
                    *value = changed;
                }
            };
            match &name {
                None => place.headers().values_mut().for_each(change),
                Some(name) => {
                    if let Entry::Occupied(mut entry) = place.headers().entry(name.clone()) {
                        entry.iter_mut().for_each(change);
                    }
                }
            }
        }
    }
}

impl Compiled {
    fn new(config: &Replacement) -> Result<Self, String> {
        let search = match (config.search.as_str(), config.search_regexp.as_str()) {
            (text, "") => Search::Text(Template::new(text)),
            ("", pattern) => {
                let template = Template::new(pattern);
                // `a{2}` looks like a placeholder; the names of those that are have dots.
                if template
                    .placeholders()
                    .any(|placeholder| placeholder.name().contains('.'))
                {
                    Search::Filled(template)
                } else {
                    Search::Pattern(go_regex::compile(pattern).map_err(|error| error.to_string())?)
                }
            }
            _ => return Err("it has both a text and a pattern to search for".to_owned()),
        };
        Ok(Self {
            search,
            replace: Template::new(&config.replace),
        })
    }
}

impl Search {
    fn ready(&self, exchange: &Exchange) -> Ready<'_> {
        match self {
            Self::Text(template) => Ready::Text(owned_unless_literal(template, exchange)),
            Self::Pattern(regex) => Ready::Pattern(Cow::Borrowed(regex)),
            Self::Filled(template) => match go_regex::compile(&template.fill(exchange, Unknown::Keep)) {
                Ok(regex) => Ready::Pattern(Cow::Owned(regex)),
                Err(_) => Ready::Nothing,
            },
        }
    }
}

impl Ready<'_> {
    /// The changed value; none if nothing changes, or if the value is not UTF-8.
    fn replaced(&self, value: &HeaderValue, replace: &str) -> Option<HeaderValue> {
        let text = str::from_utf8(value.as_bytes()).ok()?;
        let changed = match self {
            Self::Text(search) => {
                let found = text.matches(&**search).count();
                let longest = text.len().saturating_add(found.saturating_mul(replace.len()));
                (found > 0 && longest <= LONGEST).then(|| text.replace(&**search, replace))?
            }
            Self::Pattern(regex) if regex.is_match(text) => {
                go_regex::replace_all(regex, text, replace, LONGEST).ok()?
            }
            Self::Pattern(_) | Self::Nothing => return None,
        };
        Some(header_value(&changed))
    }
}

/// A filled template that does not hold on to the request.
fn owned_unless_literal<'t>(template: &'t Template, exchange: &Exchange) -> Cow<'t, str> {
    match template.literal() {
        Some(literal) => Cow::Borrowed(literal),
        None => Cow::Owned(template.fill(exchange, Unknown::Keep).into_owned()),
    }
}
