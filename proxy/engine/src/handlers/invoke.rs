//! `invoke` runs a named route.
//!
//! ```caddyfile
//! invoke [<matcher>] <name>
//! ```
//!
//! If nothing in the named route answers, the next handler runs. Caddy: `http.handlers.invoke`.

use std::sync::Arc;

use fairway_caddyfile::{Args, Diagnostic, Token, suggest};
use serde::{Deserialize, Serialize};

use crate::adapt::Scope;
use crate::compile::{CompileError, Compiler};
use crate::directives::{Directive, Parse};
use crate::handlers::Flow;
use crate::table::Routes;

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "invoke",
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
    let name_in_config = resolve(name, scope)?;
    scope.invoked.push(name_in_config.clone());
    Ok(super::Config::Invoke(Config { name: name_in_config }))
}

/// The name under which the config has the route: in a cluster with its namespace, `shop/api`. The name is first one
/// of the same text, then one of the other objects that its author may use.
fn resolve(name: &Token, scope: &Scope<'_>) -> Result<String, Diagnostic> {
    let known = &scope.shared.named_routes;
    if let Some(cluster) = &scope.shared.cluster {
        return match cluster.named_route(&name.text, &name.origin) {
            Ok(full) => Ok(full),
            Err(notice) => Err(notice
                .error(name)
                .did_you_mean(suggest(&name.text, known.iter().map(String::as_str)))),
        };
    }
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
    Ok(name.text.clone())
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
    pub(crate) fn routes(&self) -> &Routes {
        &self.0
    }

    pub(crate) fn enter(&self) -> Flow<'_> {
        Flow::Enter(self.routes())
    }
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source};

    use crate::Registry;

    /// The routes of the first server, as JSON, and whether they compile.
    #[track_caller]
    fn check(text: &str, named: &str, compiles: bool) {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let config = crate::adapt(source, &Options::default()).config;
        let json = serde_json::to_value(&config).unwrap();
        let found = &json["apps"]["http"]["servers"]["srv0"]["named_routes"];
        assert_eq!(found.to_string(), named, "{text}");
        assert_eq!(
            crate::compile(&config, &Registry::default()).is_ok(),
            compiles,
            "{text}"
        );
    }

    #[test]
    fn a_named_route_keeps_all_its_handlers() {
        check(
            "&(a) {\nheader X y\nrespond hi\n}\n:80 {\ninvoke a\n}",
            r#"{"a":{"handle":[{"handler":"headers","response":{"set":{"X":["y"]}}},{"handler":"static_response","body":"hi"}]}}"#,
            true,
        );
    }

    #[test]
    fn a_route_that_has_no_end_does_not_compile() {
        let json = r#"{"a":{"handle":[{"handler":"invoke","name":"a"}]}}"#;
        check("&(a) {\ninvoke a\n}\n:80 {\ninvoke a\n}", json, false);
        check("&(a) {\ninvoke a\n}\n:80 {\n}", "null", true);
    }
}
