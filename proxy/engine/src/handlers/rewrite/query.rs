//! Changes of the query, parameter by parameter.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{LONGEST, set_target};
use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::template::{Template, Unknown};
use crate::{go_regex, paths};

/// Changes of a query, in the order of these fields. Afterwards it is sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Keys to rename.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<QueryPair>,
    /// Keys to give this value alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<QueryPair>,
    /// Keys to give one more value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<QueryPair>,
    /// Changes within values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<QueryReplacement>,
    /// Keys to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delete: Vec<String>,
}

/// A key and its value, or its new name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryPair {
    /// The key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The value or the new name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub val: String,
}

/// A change within the values of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryReplacement {
    /// The key; `*` is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The text to find, or
    #[serde(skip_serializing_if = "String::is_empty")]
    pub search: String,
    /// the pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub search_regexp: String,
    /// What comes in its place; `$1` and the like are groups of the pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replace: String,
}

/// The run-time form.
#[derive(Debug)]
pub(super) struct Changes {
    rename: Box<[(Template, Template)]>,
    set: Box<[(Template, Template)]>,
    add: Box<[(Template, Template)]>,
    replace: Box<[Replacement]>,
    delete: Box<[Template]>,
}

#[derive(Debug)]
struct Replacement {
    key: Template,
    search: Search,
    replace: Template,
}

#[derive(Debug)]
enum Search {
    Text(Template),
    Pattern(Regex),
}

impl Query {
    pub(super) fn compile(&self) -> Result<Changes, CompileError> {
        let pairs = |list: &[QueryPair]| {
            let pair = |pair: &QueryPair| (Template::new(&pair.key), Template::new(&pair.val));
            list.iter().map(pair).collect()
        };
        let replace = self.replace.iter().map(QueryReplacement::compile);
        Ok(Changes {
            rename: pairs(&self.rename),
            set: pairs(&self.set),
            add: pairs(&self.add),
            replace: replace.collect::<Result<_, _>>()?,
            delete: self.delete.iter().map(|key| Template::new(key)).collect(),
        })
    }
}

impl QueryReplacement {
    fn compile(&self) -> Result<Replacement, CompileError> {
        let search = match self.search_regexp.as_str() {
            "" => Search::Text(Template::new(&self.search)),
            pattern => Search::Pattern(go_regex::compile(pattern).map_err(|error| {
                CompileError::new(format!("rewrite: query replacement `{pattern}`: {error}"))
            })?),
        };
        Ok(Replacement {
            key: Template::new(&self.key),
            search,
            replace: Template::new(&self.replace),
        })
    }
}

impl Changes {
    pub(super) fn apply(&self, exchange: &mut Exchange) -> Result<(), HandlerError> {
        let fill = |template: &Template| template.fill(exchange, Unknown::Empty).into_owned();
        let (mut pairs, _) = paths::parse_query(exchange.target().query().unwrap_or_default());
        for (key, name) in &self.rename {
            let (key, name) = (fill(key), fill(name));
            let known = pairs.iter().any(|(known, _)| *known == key);
            if known && !key.is_empty() && !name.is_empty() && key != name {
                pairs.retain(|(known, _)| *known != name);
                let renamed = pairs.iter_mut().filter(|(known, _)| *known == key);
                renamed.for_each(|(known, _)| known.clone_from(&name));
            }
        }
        for (key, value) in &self.set {
            let key = fill(key);
            if !key.is_empty() {
                pairs.retain(|(known, _)| *known != key);
                pairs.push((key, fill(value)));
            }
        }
        for (key, value) in &self.add {
            let key = fill(key);
            if !key.is_empty() {
                pairs.push((key, fill(value)));
            }
        }
        for replacement in &self.replace {
            replacement.apply(exchange, &mut pairs)?;
        }
        for key in &self.delete {
            let key = fill(key);
            pairs.retain(|(known, _)| key.is_empty() || *known != key);
        }
        let query = paths::encode_query(pairs.iter().map(|(key, value)| (&**key, &**value)));
        let path = exchange.target().escaped_path().to_owned();
        set_target(exchange, &path, Some(&query))
    }
}

impl Replacement {
    fn apply(&self, exchange: &Exchange, pairs: &mut [(String, String)]) -> Result<(), HandlerError> {
        let too_long = || HandlerError::new(414, "the rewritten target is too long");
        let key = self.key.fill(exchange, Unknown::Empty);
        let replace = self.replace.fill(exchange, Unknown::Keep);
        let meant = pairs.iter_mut().filter(|(known, _)| key == "*" || *known == key);
        for (_, value) in meant {
            *value = match &self.search {
                Search::Text(search) => {
                    let search = search.fill(exchange, Unknown::Keep);
                    let found = if search.is_empty() {
                        0
                    } else {
                        value.matches(&*search).count()
                    };
                    if value.len().saturating_add(found.saturating_mul(replace.len())) > LONGEST {
                        return Err(too_long());
                    }
                    value.replacen(&*search, &replace, found)
                }
                Search::Pattern(regex) => {
                    go_regex::replace_all(regex, value, &replace, LONGEST).map_err(|_| too_long())?
                }
            };
        }
        Ok(())
    }
}
