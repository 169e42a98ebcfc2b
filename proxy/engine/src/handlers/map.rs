//! `map` gives placeholders values by the value of another text.
//!
//! ```caddyfile
//! map [<matcher>] <source> <destinations…> {
//!     [~]<input> <outputs…>
//!     default    <defaults…>
//! }
//! ```
//!
//! The destinations, placeholders in braces, get the outputs of the first line whose input is the source. An input
//! behind `~` is a regular expression, found anywhere in the source, whose groups the outputs may name: `${1}`. An output
//! `-`, or one that is left out, goes on to the next line, and at last to the default. Other outputs may hold
//! placeholders. Nothing is looked up before a destination is used, and then the source is what it is at that time.
//! Caddy: `http.handlers.map`.
//!
//! ```caddyfile
//! map {host} {backend} {
//!     shop.example.com   "shop"
//!     ~^(\w+)\.test$     "test-${1}"
//!     default            "web"
//! }
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fairway_caddyfile::{Args, Diagnostic, Segment};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use smallvec::SmallVec;

use super::vars::scalar;
use crate::adapt::{Scope, short_name};
use crate::compile::CompileError;
use crate::directives::{Directive, Parse};
use crate::exchange::Exchange;
use crate::go_regex;
use crate::template::{Placeholder, Template, Unknown, Value};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "map",
    parse: Parse::Handler(parse),
};

/// The most bytes that an output of a regular expression may have; a longer one is nothing.
const LONGEST: usize = 64 * 1024;

/// How deep destinations may be used in the sources and outputs of maps; deeper ones are nothing.
const DEPTH: u32 = 16;

/// How many destinations one text may use in this way; further ones are nothing.
const STEPS: u32 = 1000;

/// Which placeholders get which values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is looked up; may hold placeholders.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The placeholders that get a value, in braces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// The first that fits and has an output counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<Mapping>,
    /// A value for each destination if no mapping has one; may hold placeholders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<String>,
}

/// The values for one input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// What the source must be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// A regular expression that must be found in the source instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input_regexp: String,
    /// A value for each destination: text, a number or a truth. Null: this mapping has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Json>,
}

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let mut config = Config {
        source: args.required("a source and destinations")?.text.clone(),
        ..Config::default()
    };
    for token in args.remaining_required("a destination")? {
        if let Some(short) = short_name(&token.text) {
            let message =
                format!("the destination `{{{short}}}` is a placeholder that has a meaning already");
            return Err(args
                .error_at(token, "invalid-value", message)
                .help("choose another name"));
        }
        config.destinations.push(token.text.clone());
    }
    for line in args.block() {
        if line.name.text == "default" {
            config.parse_defaults(line, &args)?;
        } else {
            let mapping = config.parse_mapping(line)?;
            config.mappings.push(mapping);
        }
    }
    Ok(super::Config::Map(Box::new(config)))
}

impl Config {
    fn parse_defaults(&mut self, line: &Segment, args: &Args<'_>) -> Result<(), Diagnostic> {
        if !self.defaults.is_empty() {
            return Err(args.error_at(line, "duplicate-option", "`default` is there twice"));
        }
        let mut words = Args::new(line);
        for _ in &self.destinations {
            let value = words.next_arg().map(|token| token.text.clone());
            self.defaults.push(value.unwrap_or_default());
        }
        words.finish_line()
    }

    fn parse_mapping(&self, line: &Segment) -> Result<Mapping, Diagnostic> {
        let mut words = Args::new(line);
        let mut mapping = Mapping::default();
        for _ in &self.destinations {
            let output = match words.next_arg() {
                Some(token) if token.text != "-" => scalar(token)?,
                _ => Json::Null,
            };
            mapping.outputs.push(output);
        }
        words.finish_line()?;
        match line.name.text.strip_prefix('~') {
            Some(pattern) => pattern.clone_into(&mut mapping.input_regexp),
            None => mapping.input.clone_from(&line.name.text),
        }
        Ok(mapping)
    }
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Map(Arc<Table>);

/// What a request keeps of a map, to look up in it later.
#[derive(Debug)]
struct Table {
    source: Template,
    /// Names without braces.
    destinations: Box<[Box<str>]>,
    mappings: Box<[Compiled]>,
    defaults: Box<[Template]>,
}

/// A mapping ready to be asked. An output for each destination.
#[derive(Debug)]
enum Compiled {
    Input(Box<str>, Box<[Option<Template>]>),
    Regex(Regex, Box<[Option<Box<str>>]>),
}

impl Config {
    pub(crate) fn compile(&self) -> Result<Map, CompileError> {
        self.compile_parts().map_err(|error| error.within("map"))
    }

    fn compile_parts(&self) -> Result<Map, CompileError> {
        let destinations = self.destinations.iter().map(|text| destination(text));
        if !self.defaults.is_empty() && self.defaults.len() != self.destinations.len() {
            return Err(counts("`defaults`", self.defaults.len(), self.destinations.len()));
        }
        let mut seen = HashMap::new();
        let mut mappings = Vec::with_capacity(self.mappings.len());
        for (index, mapping) in self.mappings.iter().enumerate() {
            let input = if mapping.input_regexp.is_empty() {
                &mapping.input
            } else {
                &mapping.input_regexp
            };
            if let Some(earlier) = seen.insert(input, index) {
                let message = format!("mapping {index} has the input `{input}` of mapping {earlier}");
                return Err(CompileError::new(message));
            }
            let compiled = mapping.compile(self.destinations.len());
            mappings.push(compiled.map_err(|error| error.within(format_args!("mapping {index}")))?);
        }
        Ok(Map(Arc::new(Table {
            source: Template::new(&self.source),
            destinations: destinations.collect::<Result<_, _>>()?,
            mappings: mappings.into(),
            defaults: self.defaults.iter().map(|text| Template::new(text)).collect(),
        })))
    }
}

impl Mapping {
    fn compile(&self, destinations: usize) -> Result<Compiled, CompileError> {
        if self.outputs.len() != destinations {
            return Err(counts("`outputs`", self.outputs.len(), destinations));
        }
        let outputs: Vec<_> = self.outputs.iter().map(text).collect::<Result<_, _>>()?;
        if self.input_regexp.is_empty() {
            let template = |text: &String| Template::new(text);
            let outputs = outputs.iter().map(|output| output.as_ref().map(template));
            return Ok(Compiled::Input(self.input.as_str().into(), outputs.collect()));
        }
        if !self.input.is_empty() {
            return Err(CompileError::new(
                "`input` and `input_regexp` cannot be used together",
            ));
        }
        let regex = go_regex::compile(&self.input_regexp).map_err(|error| {
            CompileError::new(format!("the regular expression `{}`: {error}", self.input_regexp))
        })?;
        let outputs = outputs.into_iter().map(|output| output.map(Into::into));
        Ok(Compiled::Regex(regex, outputs.collect()))
    }
}

impl Map {
    /// Makes the destinations known to whatever comes after it.
    pub(crate) fn handle(&self, exchange: &mut Exchange) {
        exchange.maps.tables.push(Arc::clone(&self.0));
    }
}

/// The maps that a request came through.
#[derive(Debug, Default)]
pub struct Maps {
    /// Oldest first; as in Caddy, the oldest one with a destination counts.
    tables: SmallVec<[Arc<Table>; 1]>,
    /// How many destinations are being looked up for each other now.
    depth: AtomicU32,
    /// How many have been looked up since the outermost of them.
    steps: AtomicU32,
}

impl Maps {
    /// The value of a placeholder, if it is the destination of a map. Null: no mapping has one, nor is there a default.
    pub(crate) fn value(&self, name: &str, exchange: &Exchange) -> Option<Value> {
        let (table, at) = self.tables.iter().find_map(|table| {
            let at = table.destinations.iter().position(|known| **known == *name)?;
            Some((table, at))
        })?;
        // One request is one thread's: the atomics only make the exchange shareable.
        let depth = self.depth.load(Ordering::Relaxed);
        let steps = if depth == 0 {
            0
        } else {
            self.steps.load(Ordering::Relaxed)
        };
        if depth >= DEPTH || steps >= STEPS {
            return Some(Value::Null);
        }
        self.steps.store(steps + 1, Ordering::Relaxed);
        self.depth.store(depth + 1, Ordering::Relaxed);
        let value = table.value(at, exchange);
        self.depth.store(depth, Ordering::Relaxed);
        Some(value.map_or(Value::Null, |text| Value::Text(text.into())))
    }
}

impl Table {
    fn value(&self, at: usize, exchange: &Exchange) -> Option<String> {
        let source = self.source.fill(exchange, Unknown::Empty);
        let filled = |template: &Template| template.fill(exchange, Unknown::Empty).into_owned();
        let found = self.mappings.iter().find_map(|mapping| match mapping {
            Compiled::Input(input, outputs) => {
                let output = outputs[at].as_ref()?;
                (**input == *source).then(|| filled(output))
            }
            Compiled::Regex(regex, outputs) => {
                let output = outputs[at].as_deref()?;
                let captures = regex.captures(&source)?;
                let mut text = String::new();
                let expanded = go_regex::expand(output, &captures, &mut text, LONGEST);
                Some(expanded.map_or(String::new(), |()| text))
            }
        });
        found.or_else(|| self.defaults.get(at).map(filled))
    }
}

/// The name of a destination, which must be a placeholder and nothing else.
fn destination(text: &str) -> Result<Box<str>, CompileError> {
    if !text.starts_with('{') || text.matches('{').count() != 1 {
        let message = format!("the destination `{text}` is no placeholder such as `{{name}}`");
        return Err(CompileError::new(message));
    }
    let name = text.trim_matches(['{', '}']);
    if Placeholder::new(name).is_never_known() {
        let message = format!("the destination `{text}` needs a name without spaces and quotes");
        return Err(CompileError::new(message));
    }
    Ok(name.into())
}

fn counts(what: &str, found: usize, destinations: usize) -> CompileError {
    CompileError::new(format!(
        "{what} has {found} values for {destinations} destinations"
    ))
}

/// An output as text.
fn text(output: &Json) -> Result<Option<String>, CompileError> {
    Ok(Some(match output {
        Json::Null => return Ok(None),
        Json::String(text) => text.clone(),
        Json::Bool(truth) => truth.to_string(),
        // All numbers of JSON are the same to Caddy.
        Json::Number(number) => number.as_f64().unwrap_or_default().to_string(),
        Json::Array(_) | Json::Object(_) => {
            let message = format!("the output `{output}` is neither text nor a number nor a truth");
            return Err(CompileError::new(message));
        }
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_util::{answer, check_handlers as check, exchange, handlers};

    #[track_caller]
    fn check_refused(line: &str, expected: &str) {
        check(line, &json!(format!("Caddyfile:{expected}")));
    }

    #[track_caller]
    fn check_not_compiled(config: Json, expected: &str) {
        let error = Config::deserialize(config).unwrap().compile().map(drop);
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    /// The map of a line.
    #[track_caller]
    fn compiled(line: &str) -> Map {
        let mut json = handlers(line)[0].take();
        let name = json.as_object_mut().and_then(|map| map.remove("handler"));
        assert_eq!(name, Some("map".into()), "{line}");
        Config::deserialize(json).unwrap().compile().unwrap()
    }

    /// What a template is behind a map.
    #[track_caller]
    fn check_value(map: &str, request: &str, template: &str, expected: &str) {
        let mut exchange = exchange(request);
        compiled(map).handle(&mut exchange);
        let template = Template::new(template);
        assert_eq!(
            template.fill(&exchange, Unknown::Keep),
            expected,
            "{map}: {request}"
        );
    }

    #[test]
    fn outputs_have_types() {
        check(
            "map {http.request.host} {a} {b} {\nx 5 true\n~^y \"5\" -\nz\ndefault d\n}",
            &json!([{
                "handler": "map",
                "source": "{http.request.host}",
                "destinations": ["{a}", "{b}"],
                "mappings": [
                    {"input": "x", "outputs": [5, true]},
                    {"input_regexp": "^y", "outputs": ["5", null]},
                    {"input": "z", "outputs": [null, null]},
                ],
                "defaults": ["d", ""],
            }]),
        );
        check(
            "map a {b}",
            &json!([{"handler": "map", "source": "a", "destinations": ["{b}"]}]),
        );
    }

    #[test]
    fn mistakes_are_told() {
        check_refused("map", "2:1: `map` needs a source and destinations");
        check_refused("map a", "2:1: `map` needs a destination");
        check_refused(
            "map a {http.request.host}",
            "2:7: the destination `{host}` is a placeholder that has a meaning already; choose another name",
        );
        check_refused(
            "map a {b} {\nx 1 2\n}",
            "3:5: `x` takes no further argument, but `2` follows",
        );
        check_refused(
            "map a {b} {\ndefault 1 2\n}",
            "3:11: `default` takes no further argument, but `2` follows",
        );
        check_refused(
            "map a {b} {\ndefault 1\ndefault 2\n}",
            "4:1: `default` is there twice",
        );
        check_refused("map a {b} {\nx 1 {\n}\n}", "3:5: `x` takes no block");
    }

    #[test]
    fn refuses_what_cannot_be_served() {
        let with = |mappings: Json| json!({"destinations": ["{a}"], "mappings": mappings});
        check_not_compiled(
            json!({"destinations": ["a"]}),
            "map: the destination `a` is no placeholder such as `{name}`",
        );
        check_not_compiled(
            json!({"destinations": ["{a}{b}"]}),
            "map: the destination `{a}{b}` is no placeholder such as `{name}`",
        );
        check_not_compiled(
            json!({"destinations": ["{a b}"]}),
            "map: the destination `{a b}` needs a name without spaces and quotes",
        );
        check_not_compiled(
            json!({"destinations": ["{a}"], "defaults": ["1", "2"]}),
            "map: `defaults` has 2 values for 1 destinations",
        );
        check_not_compiled(
            with(json!([{"input": "x", "outputs": []}])),
            "map: mapping 0: `outputs` has 0 values for 1 destinations",
        );
        check_not_compiled(
            with(json!([{"input": "x", "outputs": [1]}, {"input_regexp": "x", "outputs": [2]}])),
            "map: mapping 1 has the input `x` of mapping 0",
        );
        check_not_compiled(
            with(json!([{"input": "x", "input_regexp": "y", "outputs": [1]}])),
            "map: mapping 0: `input` and `input_regexp` cannot be used together",
        );
        check_not_compiled(
            with(json!([{"input": "x", "outputs": [{}]}])),
            "map: mapping 0: the output `{}` is neither text nor a number nor a truth",
        );
        let error = Config::deserialize(with(json!([{"input_regexp": "(", "outputs": [1]}])));
        error.unwrap().compile().unwrap_err();
    }

    #[test]
    fn first_mapping_with_an_output_counts() {
        let map = "map {http.request.uri.path} {a} {b} {\n/x 1.50 -\n~^/(x.*)$ $1-${1} \"{http.request.method}\"\n\
                   default \"{http.request.method}\"\n}";
        check_value(map, "GET /x", "{a} {b}", "1.5 {http.request.method}");
        check_value(map, "GET /xy", "{a}", "xy-xy");
        check_value(map, "GET /y", "[{a}] [{b}] {c}", "[GET] [] {c}");
        check_value("map x {a} {\ny 1\n}", "GET /", "[{a}]", "[]");
        check_value(
            "map x {http.request.local.port} {\nx 1\n}",
            "GET /",
            "{http.request.local.port}",
            "80",
        );
        check_value(
            "map x {http.request.cookie.c} {\nx 1\n}",
            "GET /",
            "{http.request.cookie.c}",
            "1",
        );
    }

    #[test]
    fn circles_come_to_an_end() {
        check_value("map {a} {a} {\nx 1\ndefault d\n}", "GET /", "{a}", "d");
        let circle = "map x {a} {b} {\nx \"1{b}{b}{b}\" \"2{a}{a}{a}\"\n}";
        let mut exchange = exchange("GET /");
        compiled(circle).handle(&mut exchange);
        let template = Template::new("{a}");
        let found = template.fill(&exchange, Unknown::Keep);
        assert_eq!(found.len(), 1000);
    }

    #[test]
    fn source_is_read_when_it_is_used() {
        let text =
            "route {\nmap {path} {a} {\n/x before\n/y after\n}\nrewrite /y\nheader A {a}\nrespond 204\n}";
        assert_eq!(answer(text, "GET /x"), (204, "a: after".to_owned()));
    }
}
