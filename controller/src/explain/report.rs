//! What is printed: the object, the lines, and how the request ends.

use std::fmt;
use std::net::SocketAddr;

use fairway_caddyfile::Span;
use fairway_engine::cluster::ServicePort;
use fairway_engine::explain::{End, Explanation, Outcome, Step, words};
use fairway_engine::handlers::Config as Handler;
use fairway_engine::handlers::reverse_proxy::DynamicUpstreams;
use fairway_engine::matchers::Set;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::verdict::{State, Verdict};

/// How many endpoints of a Service are named.
const SHOWN: usize = 8;

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    request: String,
    /// The place of the site, or what else was written for the first route.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Object<'a>>,
    steps: Vec<Line<'a>>,
    /// How it ends: its `kind`, and what belongs to it.
    end: Json,
    /// The same as a sentence, where no line says it.
    #[serde(skip)]
    closing: String,
}

/// The object that answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<'a> {
    pub verdict: &'a Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Where in the object, if that is not a Caddyfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A step as a line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// The route, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// For a line of a Caddyfile: `line 4:3`, with the name of its text if that is another than the object's.
    #[serde(skip_serializing_if = "String::is_empty")]
    place: String,
    /// As it is written, or the handler's name.
    text: String,
    /// What chose the route, at its first handler.
    #[serde(rename = "match", skip_serializing_if = "<[Set]>::is_empty")]
    matches: &'a [Set],
    handler: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    does: String,
    /// Method, path and query after it.
    request: String,
}

impl<'a> Report<'a> {
    /// Tells an explanation. `main` names the text or object that places are in unless they say another; `endpoints`
    /// gives the addresses of a Service port, if there is a cluster.
    pub(super) fn new(
        request: String,
        explanation: &Explanation<'a>,
        main: &str,
        object: Option<Object<'a>>,
        endpoints: &mut dyn FnMut(&ServicePort) -> Option<Vec<SocketAddr>>,
    ) -> Self {
        let count = explanation.steps.len();
        let steps = explanation.steps.iter().enumerate();
        let steps = steps.map(|(number, step)| {
            let is_last = number + 1 == count;
            let does = does(step, is_last, &explanation.end, endpoints);
            let handler = name(step.handler);
            Line {
                id: step.route.id.as_deref(),
                place: step.at.map_or(String::new(), |at| place(at, main)),
                text: step.at.map_or(handler.clone(), |at| written(at).to_owned()),
                matches: if step.is_chosen { &step.route.matches } else { &[] },
                handler,
                does,
                request: step.request.clone(),
            }
        });
        let first = explanation.steps.first().and_then(|step| step.at);
        Self {
            request,
            place: first
                .filter(|_| object.is_none())
                .map(|at| format!("{}:{}:{}", at.source.name(), at.line(), at.column())),
            object,
            steps: steps.collect(),
            end: end(&explanation.end),
            closing: closing(&explanation.end),
        }
    }

    /// The lines to show: a step without a place of its own is told with the one that it belongs to.
    fn lines(&self) -> Vec<(&str, &str, String)> {
        let field = self.object.as_ref().and_then(|object| object.field.as_deref());
        let mut lines: Vec<(&str, &str, String)> = Vec::new();
        let mut was_holder = false;
        for step in &self.steps {
            let is_holder = step.does.is_empty();
            let last = lines.last_mut();
            match last {
                _ if step.place.is_empty() && is_holder => {}
                Some((_, _, does)) if step.place.is_empty() && was_holder => join(does, &step.does),
                Some((place, text, does))
                    if !place.is_empty() && *place == step.place && *text == step.text =>
                {
                    join(does, &step.does);
                }
                _ => {
                    let place = if step.place.is_empty() {
                        field.unwrap_or("-")
                    } else {
                        &step.place
                    };
                    lines.push((place, &step.text, step.does.clone()));
                }
            }
            was_holder = is_holder && !step.place.is_empty();
        }
        lines
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is answered", self.request)?;
        match (&self.object, &self.place) {
            (Some(object), _) => object.fmt(f)?,
            (None, Some(place)) => writeln!(f, " by {place}")?,
            (None, None) => writeln!(f, " so:")?,
        }
        let lines = self.lines();
        let width = |column: fn(&(&str, &str, String)) -> usize| lines.iter().map(column).max().unwrap_or(0);
        let place_width = width(|(place, _, _)| place.chars().count());
        let text_width = width(|(_, text, _)| text.chars().count());
        for (place, text, does) in &lines {
            let line = format!("  {place:place_width$}  {text:text_width$}  {does}");
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.closing.is_empty() {
            writeln!(f, "  {}", self.closing)?;
        }
        if let Some(object) = self
            .object
            .as_ref()
            .filter(|object| !object.verdict.findings.is_empty())
        {
            writeln!(f, "\n{}", object.verdict.lines().join("\n"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verdict,
            place,
            field: _,
        } = self;
        let key = verdict.key();
        write!(f, " by {} {key}", verdict.kind)?;
        if let Some(place) = place {
            write!(f, " ({place})")?;
        }
        match verdict.state {
            State::LastGood => writeln!(f, ", from its last good text: the text that it has now is broken"),
            State::Unavailable => writeln!(f, ", which answers 503 until what is told below is put right"),
            State::Accepted | State::PartiallyAccepted | State::Refused => writeln!(f),
        }
    }
}

fn join(does: &mut String, more: &str) {
    if !does.is_empty() && !more.is_empty() {
        does.push_str(", ");
    }
    does.push_str(more);
}

/// The name of a handler in Caddy's JSON.
fn name(handler: &Handler) -> String {
    let json = serde_json::to_value(handler).unwrap_or_default();
    json["handler"].as_str().unwrap_or_default().to_owned()
}

/// A place as one reads it, with the name of the text unless it is the main one.
fn place(at: &Span, main: &str) -> String {
    let name = at.source.name();
    let place = format!("line {}:{}", at.line(), at.column());
    let is_main = name
        .strip_prefix(main)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(", "));
    if is_main {
        place
    } else {
        format!(
            "{} {place}",
            name.strip_suffix(", spec.caddyfile").unwrap_or(name)
        )
    }
}

/// The text of a place, or its first line.
fn written(at: &Span) -> &str {
    at.text().lines().next().unwrap_or_default()
}

fn does(
    step: &Step<'_>,
    is_last: bool,
    end: &End,
    endpoints: &mut dyn FnMut(&ServicePort) -> Option<Vec<SocketAddr>>,
) -> String {
    let mut does = match step.handler {
        Handler::StaticResponse(_) if is_last && matches!(end, End::Answered(_)) => String::new(),
        Handler::ReverseProxy(config) => match &config.dynamic_upstreams {
            Some(DynamicUpstreams::Kubernetes(source)) => {
                let services = source.services.iter();
                let services: Vec<String> = services
                    .map(|service| of_service(service, endpoints(service)))
                    .collect();
                format!("-> {}", services.join(", "))
            }
            _ => words(step.handler),
        },
        _ => words(step.handler),
    };
    let more = match (step.outcome, end) {
        (Some(Outcome::Fails(status)), _) => format!("fails with {status}"),
        (Some(Outcome::Answers(_)), End::Answered(answer)) if is_last => {
            let location = answer.location.as_ref();
            let location = location.map(|location| format!(", Location: {location}"));
            let text = answer.text.as_ref().filter(|text| !text.is_empty());
            let text = text.map(|text| format!(": {}", text.escape_debug()));
            let parts = [location, text].into_iter().flatten();
            let said: String = parts.collect();
            format!("answers {}{said}", answer.status.as_u16())
        }
        (Some(Outcome::Enters), _) if !step.sent.is_empty() => "supposing that it answers 200".into(),
        _ => String::new(),
    };
    join(&mut does, &more);
    does
}

fn of_service(service: &ServicePort, endpoints: Option<Vec<SocketAddr>>) -> String {
    let ServicePort {
        namespace,
        name,
        port,
    } = service;
    let named = format!("Service {namespace}/{name} port {port}");
    let Some(endpoints) = endpoints else { return named };
    if endpoints.is_empty() {
        return format!("{named}: no endpoint is ready");
    }
    let shown = endpoints.iter().take(SHOWN);
    let shown: Vec<String> = shown.map(ToString::to_string).collect();
    let more = match endpoints.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{named}: {}{more}", shown.join(" "))
}

/// How it ends, for programs.
fn end(end: &End) -> Json {
    match end {
        End::Answered(answer) => {
            let status = answer.status.as_u16();
            json!({"kind": "answered", "status": status, "location": answer.location, "text": answer.text})
        }
        End::Upstream => json!({"kind": "upstream"}),
        End::Failed(status) => json!({"kind": "failed", "status": status.as_u16()}),
        End::Aborted => json!({"kind": "aborted"}),
        End::Unanswered => json!({"kind": "unanswered", "status": 200}),
        End::Waits => json!({"kind": "waits"}),
    }
}

/// How it ends, where the last line does not say it.
fn closing(end: &End) -> String {
    match end {
        End::Answered(_) | End::Upstream => String::new(),
        End::Failed(status) => format!("The answer is a bare {}.", status.as_u16()),
        End::Aborted => "The connection is closed without an answer.".into(),
        End::Unanswered => "No line answers: an empty 200.".into(),
        End::Waits => "It waits for an upstream that can be asked.".into(),
    }
}
