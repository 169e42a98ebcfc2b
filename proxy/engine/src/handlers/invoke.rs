//! `invoke` runs a named route.
//!
//! ```caddyfile
//! invoke [<matcher>] <name>
//! ```
//!
//! If nothing in the named route answers, the next handler runs. Caddy: `http.handlers.invoke`.

use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic, Tier, suggest};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::{CompileError, Compiler};
use crate::directives::{Directive, Parse};
use crate::handlers::Flow;
use crate::table::Routes;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "invoke",
    tier: Tier::Tenant,
    parse: Parse::Handler(parse_directive),
};

/// Which route to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of a named route of the same server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

fn parse_directive(mut args: Args<'_>, scope: &mut Scope<'_>) -> Result<super::Config, Diagnostic> {
    let name = args.required("the name of a route")?;
    args.finish_line()?;
    let known = &scope.shared.named_routes;
    if !known.contains(&name.text) {
        let message = format!("there is no named route `{}`", name.text);
        return Err(Diagnostic::error("unknown-named-route", name, message)
            .label("not defined")
            .help(format!(
                "define it at the top of the file: `&({}) {{ … }}`",
                name.text
            ))
            .help_if(
                suggest(&name.text, known.iter().map(String::as_str))
                    .map(|word| format!("did you mean `{word}`?")),
            ));
    }
    scope.invoked.push(name.text.clone());
    Ok(super::Config::Invoke(Config {
        name: name.text.clone(),
    }))
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Invoke(Arc<Routes>);

impl Config {
    pub(crate) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<Invoke, CompileError> {
        compiler.named_route(&self.name).map(Invoke)
    }
}

impl Invoke {
    pub(crate) fn enter(&self) -> Flow<'_> {
        Flow::Enter(&self.0)
    }
}
