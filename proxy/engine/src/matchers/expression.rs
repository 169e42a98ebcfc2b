//! `expression` matches by an expression in CEL, the Common Expression Language.
//!
//! ```caddyfile
//! expression <cel…>
//! ```
//!
//! Placeholders stand in it as they are, `{path}.startsWith("/a")`; their values have types, and those that are not
//! known are null. Within a string they stay text, which the matchers below fill as they do elsewhere. Matchers are
//! functions: `host`, `path`, `path_regexp`, `method`, `query`, `header`, `header_regexp`, `protocol`, `remote_ip`,
//! `client_ip`, `vars`; `query`, `header` and `vars` take a map, `query({"a": ["1", "2"]})`. The result must be true or
//! false. Besides CEL's own functions there are those of its extensions for strings and mathematics.
//!
//! Tenants write expressions, so they have limits: see the constants of [`scan`], no macro that loops (`all`, `exists`,
//! `map` …) within or after another, no function that multiplies text (`replace`, `join`, `format`), and `matches` takes
//! its regular expression, in Go's syntax, as a literal. An expression that fails ends the request with status 500.
//!
//! One quoted argument is the expression; several are joined with spaces, quotes included. Once in a matcher. JSON:
//! `http.matchers.expression`, a string, or `{"expr", "name"}` with a name for regular expressions that have none.

use fairway_caddyfile::{Args, Diagnostic, Segment, Tier, Token};
use serde::{Deserialize, Serialize};

use crate::adapt::tenancy;
use crate::compile::CompileError;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set, Unanswered, file};

mod functions;
mod program;
mod scan;

pub(crate) const MATCHER: Entry = Entry {
    name: "expression",
    parse,
};

/// The stack on which expressions are compiled. Within the limits of [`scan`], it is more than the parser needs.
const STACK: usize = 64 * 1024 * 1024;

/// The longest expression in bytes, the most operators, the deepest brackets; for the documentation.
#[cfg(test)]
pub(crate) const LIMITS: (usize, usize, usize) = (scan::MAX_LENGTH, scan::MAX_OPERATORS, scan::MAX_DEPTH);

/// The expression: a string, or an object if it has a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Config {
    /// In CEL; placeholders stand in it as they are.
    pub expr: String,
    /// The name of regular expressions in it that have none.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(String),
    Named {
        expr: String,
        #[serde(default)]
        name: String,
    },
}

impl From<Form> for Config {
    fn from(form: Form) -> Self {
        match form {
            Form::Plain(expr) => Self {
                expr,
                name: String::new(),
            },
            Form::Named { expr, name } => Self { expr, name },
        }
    }
}

impl From<Config> for Form {
    fn from(Config { expr, name }: Config) -> Self {
        if name.is_empty() {
            Self::Plain(expr)
        } else {
            Self::Named { expr, name }
        }
    }
}

fn parse(lines: &[&Segment], name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    for line in lines {
        let mut args = Args::new(line);
        if set.expression.is_some() {
            let message = "`expression` stands once in a matcher";
            return Err(args
                .error("duplicate-option", message)
                .help("join the expressions: `(…) && (…)`"));
        }
        let tokens = args.remaining_required("an expression")?;
        args.no_block()?;
        let config = if let [token] = tokens {
            Config {
                expr: token.text.clone(),
                name: name.to_owned(),
            }
        } else {
            // Quotes belong to the expression, and there is no name then, as in Caddy.
            let raw: Vec<String> = tokens.iter().map(Token::raw).collect();
            Config {
                expr: raw.join(" "),
                name: String::new(),
            }
        };
        if line.lowest_tier() == Tier::Tenant {
            judge(&config, &args)?;
        }
        set.expression = Some(Box::new(config));
    }
    Ok(())
}

/// Refuses what a tenant may not write, and what only the compiled form of the words shows. An expression that does not
/// compile is refused later, whoever wrote it.
fn judge(config: &Config, args: &Args<'_>) -> Result<(), Diagnostic> {
    if config.expr.contains(file::MATCHER.name)
        && config.compile().is_ok_and(|expression| expression.asks_disk())
    {
        return Err(tenancy::refused_file(args.segment()));
    }
    // A string can hold a brace that does not show in the text: `"\x7b"`, `"{" + "env"`.
    if !config.expr.contains(['"', '\'']) {
        return Ok(());
    }
    let texts = config
        .texts()
        .map_err(|message| args.error("invalid-value", format!("the expression: {message}")))?;
    let refused = texts
        .iter()
        .find_map(|text| tenancy::refused_in_text(text, args.segment()));
    if texts.iter().any(|text| tenancy::is_too_large(text)) {
        let message = "a regular expression in it is too large";
        return Err(args.error("pattern-too-large", message));
    }
    refused.map_or(Ok(()), Err)
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Expression(program::Node);

impl Config {
    pub(crate) fn compile(&self) -> Result<Expression, CompileError> {
        let Self { expr, name } = self.clone();
        on_large_stack(move || program::compile(&expr, &name))
            .and_then(|compiled| compiled)
            .map(Expression)
            .map_err(|message| CompileError::new(in_words(message)).within("expression"))
    }

    /// Its strings; see [`program::texts`].
    fn texts(&self) -> Result<Vec<String>, String> {
        let expr = self.expr.clone();
        on_large_stack(move || program::texts(&expr))
    }
}

/// What the parser says about a text that is no expression; the rest is plain already.
fn in_words(message: String) -> String {
    let Some(what) = message.strip_prefix("Syntax error: ") else {
        return message;
    };
    // A list of all that could stand there helps nobody.
    let what = what.split(" expecting ").next().unwrap_or(what);
    if what.contains("'<EOF>'") {
        "the expression ends where something must follow".into()
    } else {
        format!("the expression cannot be read: {what}")
    }
}

/// Works on a thread of its own: the parser's recursion needs more stack than threads commonly have, and a panic in it
/// is one more reason to refuse the text.
fn on_large_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let thread = std::thread::Builder::new()
        .name("expression".into())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| format!("there is no thread to compile it: {error}"))?;
    thread.join().map_err(|_| "the parser fails on it".to_owned())
}

impl Expression {
    pub(crate) fn asks_disk(&self) -> bool {
        self.0.asks_disk()
    }

    pub(crate) fn matches(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        self.0.evaluate(exchange)
    }
}

#[cfg(test)]
mod tests;
