//! `handle_response` and `replace_status`, with the response matchers above them: lines of `reverse_proxy` and of
//! `intercept`.

use std::collections::HashMap;

use fairway_caddyfile::{Args, Diagnostic, Segment, Token, suggest};
use http::{HeaderMap, StatusCode};

use super::config::ResponseHandler;
use crate::adapt::Scope;
use crate::compile::{CompileError, Compiler};
use crate::response_matcher::{self, ResponseMatcher};
use crate::table::Routes;
use crate::template::Template;
use crate::values;

/// Reads the lines. A matcher may be defined below a `handle_response` that names it.
#[derive(Default)]
pub(crate) struct Reader<'s> {
    matchers: HashMap<&'s str, response_matcher::Config>,
    handlers: Vec<ResponseHandler>,
    /// The lines that begin with `handle_response`.
    waiting: Vec<Args<'s>>,
}

impl<'s> Reader<'s> {
    /// The names of the lines, beside those of matchers.
    pub(crate) const NAMES: [&'static str; 2] = ["handle_response", "replace_status"];

    /// Reads a line if it is one of these; says whether it is.
    pub(crate) fn line(&mut self, line: &'s Segment) -> Result<bool, Diagnostic> {
        match line.name.text.as_str() {
            "handle_response" => self.waiting.push(Args::new(line)),
            "replace_status" => self.replace_status(Args::new(line))?,
            name if name.starts_with('@') => self.matcher(line)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The handlers, whatever the order in which they are written: those that only change the status come first, and
    /// those for all responses last.
    pub(crate) fn finish(mut self, scope: &mut Scope<'_>) -> Result<Vec<ResponseHandler>, Diagnostic> {
        for args in std::mem::take(&mut self.waiting) {
            self.handle_response(args, scope)?;
        }
        let mut handlers = self.handlers;
        handlers.sort_by_key(|handler| handler.matches.is_none());
        Ok(handlers)
    }

    fn matcher(&mut self, line: &'s Segment) -> Result<(), Diagnostic> {
        let name = line.name.text.as_str();
        if self.matchers.contains_key(name) {
            let message = format!("the response matcher `{name}` is there already");
            return Err(Diagnostic::error("duplicate-matcher", line, message));
        }
        let matcher = response_matcher::parse(Args::new(line))?;
        self.matchers.insert(name, matcher);
        Ok(())
    }

    fn replace_status(&mut self, mut args: Args<'_>) -> Result<(), Diagnostic> {
        let first = args.required("a status")?;
        let (matches, status) = match args.next_arg() {
            Some(status) => (Some(self.named(first)?), status),
            None => (None, first),
        };
        self.handlers.push(ResponseHandler {
            matches,
            status_code: values::StatusCode::from(status.text.as_str()),
            ..ResponseHandler::default()
        });
        args.finish_line()
    }

    fn handle_response(&mut self, mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<(), Diagnostic> {
        let matches = args.next_arg().map(|name| self.named(name)).transpose()?;
        if let Some(extra) = args.peek() {
            return Err(args
                .unexpected(extra)
                .help("`replace_status` changes the status of a response"));
        }
        let routes = scope.subroute(&args).routes;
        self.handlers.push(ResponseHandler {
            matches,
            routes,
            ..ResponseHandler::default()
        });
        Ok(())
    }

    /// The response matcher of a name.
    fn named(&self, name: &Token) -> Result<response_matcher::Config, Diagnostic> {
        if !name.text.starts_with('@') {
            let message = format!(
                "`{}` is not the name of a response matcher, which begins with `@`",
                name.text
            );
            return Err(Diagnostic::error("invalid-value", name, message));
        }
        self.matchers.get(name.text.as_str()).cloned().ok_or_else(|| {
            let message = format!("there is no response matcher `{}`", name.text);
            Diagnostic::error("unknown-matcher", name, message)
                .did_you_mean(suggest(&name.text, self.matchers.keys().copied()))
        })
    }
}

/// What is done with certain responses.
#[derive(Debug)]
pub(crate) struct Responder {
    matcher: Option<ResponseMatcher>,
    pub action: Action,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum Action {
    ReplaceStatus(Template),
    Routes(Routes),
}

impl Responder {
    /// The routes for its responses, if it has some.
    pub(super) fn routes(&self) -> Option<&Routes> {
        match &self.action {
            Action::ReplaceStatus(_) => None,
            Action::Routes(routes) => Some(routes),
        }
    }

    pub(crate) fn compile(
        config: &ResponseHandler,
        compiler: &mut Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let action = match config.status_code.as_str() {
            "" => Action::Routes(
                compiler
                    .routes(&config.routes)
                    .map_err(|error| error.within("handle_response"))?,
            ),
            status => Action::ReplaceStatus(Template::new(status)),
        };
        Ok(Self {
            matcher: config.matches.as_ref().map(response_matcher::Config::compile),
            action,
        })
    }

    /// Whether a response is one of these.
    pub(crate) fn matches(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let matcher = self.matcher.as_ref();
        matcher.is_none_or(|matcher| matcher.matches(status, headers))
    }
}
