//! `expression` matches by a CEL expression.

use fairway_caddyfile::{Args, Diagnostic, Segment, Tier};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set};

pub(crate) const MATCHER: Entry = Entry {
    name: "expression",
    tier: Tier::Tenant,
    parse,
};

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
#[serde(untagged, deny_unknown_fields)]
enum Form {
    Plain(String),
    Named {
        #[serde(default)]
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
        set.expression = Some(match tokens {
            [token] => Config {
                expr: token.text.clone(),
                name: name.to_owned(),
            },
            // Quotes belong to the expression, and there is no name then, as in Caddy.
            tokens => Config {
                expr: tokens
                    .iter()
                    .map(fairway_caddyfile::Token::raw)
                    .collect::<Vec<_>>()
                    .join(" "),
                name: String::new(),
            },
        });
    }
    Ok(())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Expression;

impl Config {
    pub(crate) fn compile(&self) -> Result<Expression, CompileError> {
        Err(CompileError::new("expressions cannot be evaluated yet"))
    }
}

impl Expression {
    pub(crate) fn matches(&self, _exchange: &mut Exchange) -> Result<bool, HandlerError> {
        Ok(false)
    }
}
