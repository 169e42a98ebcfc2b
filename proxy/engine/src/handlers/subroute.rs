//! `subroute` is a list of routes within a route. The directives `handle`, `handle_path`, `route` and
//! `handle_errors` become one; Caddy: `http.handlers.subroute`.

use serde::{Deserialize, Serialize};

use crate::compile::{CompileError, Compiler};
use crate::config::{Errors, Route};
use crate::handlers::Flow;
use crate::table::Routes;

/// Routes within a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Where errors of these routes go. No Caddyfile makes this, and it is not served yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct Subroute(Routes);

impl Config {
    pub(crate) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<Subroute, CompileError> {
        if self.errors.is_some() {
            return Err(CompileError::new("a subroute cannot have `errors` yet").within("subroute"));
        }
        compiler.routes(&self.routes).map(Subroute)
    }
}

impl Subroute {
    pub(crate) fn routes(&self) -> &Routes {
        &self.0
    }

    pub(crate) fn enter(&self) -> Flow<'_> {
        Flow::Enter(self.routes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(config: Value, expected: Result<(), &str>) {
        let config: Config = serde_json::from_value(config).unwrap();
        let compiled = config.compile(&mut Compiler::default());
        let outcome = compiled.map(drop).map_err(|error| error.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned));
    }

    #[test]
    fn compiles_its_routes() {
        check(json!({}), Ok(()));
        check(json!({"routes": [{"handle": [{"handler": "subroute"}]}]}), Ok(()));
    }

    #[test]
    fn refuses_what_it_would_not_do() {
        let message = "subroute: a subroute cannot have `errors` yet";
        check(json!({"errors": {"routes": []}}), Err(message));
        let nested = json!({"routes": [{}, {"handle": [{"handler": "invoke", "name": "x"}]}]});
        check(nested, Err("route 1: there is no named route `x`"));
    }

    #[test]
    fn depth_has_a_limit() {
        let mut deep = Config::default();
        for _ in 0..200 {
            let route = Route::new(None, crate::handlers::Config::Subroute(deep));
            deep = Config {
                routes: vec![route],
                errors: None,
            };
        }
        let error = deep.compile(&mut Compiler::default()).map(drop).unwrap_err();
        assert_eq!(error.message, "routes lie more than 100 deep in routes");
    }
}
