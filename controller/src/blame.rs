//! Which lines of a Caddyfile make that a config cannot be served.
//!
//! A config is compiled as a whole, and the first failure ends it. To tell of every mistake where it stands, the routes of
//! one that failed are compiled one by one, and of these the handlers.

use fairway_caddyfile::{Diagnostic, Span};
use fairway_engine::config::{Config, Route};
use fairway_engine::handlers::Config as Handler;

use crate::render::check;

/// The code of what reads well and cannot be served.
pub(crate) const NOT_SERVABLE: &str = "not-servable";
/// Blocks within blocks that are looked into. Each level compiles what is in it once more.
const DEPTH: usize = 8;

/// The mistakes of a config that came from a Caddyfile. None if they are in no line of a site.
pub(crate) fn config(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for server in config.apps.http.iter().flat_map(|http| http.servers.values()) {
        let named = server.named_routes.iter().flatten();
        let names: Vec<String> = named.clone().map(|(name, _)| name.clone()).collect();
        let own = server.routes.iter().chain(named.map(|(_, route)| route));
        let mut all: Vec<Route> = own.map(|route| (**route).clone()).collect();
        all.extend(server.errors.iter().flat_map(|errors| errors.routes.clone()));
        found.extend(routes(&all, &names, None));
    }
    in_order(found)
}

/// The mistakes in routes that invoke some named routes; those that have no line of their own are at `place`.
pub(crate) fn routes(routes: &[Route], invoked: &[String], place: Option<&Span>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let search = Search { invoked };
    search.routes(routes, place, DEPTH, &mut found);
    in_order(found)
}

struct Search<'s> {
    invoked: &'s [String],
}

impl Search<'_> {
    fn why(&self, route: Route) -> Option<String> {
        check(vec![route], self.invoked).err()
    }

    fn routes(&self, routes: &[Route], place: Option<&Span>, depth: usize, found: &mut Vec<Diagnostic>) {
        for route in routes {
            if let Some(error) = self.why(route.clone()) {
                self.route(route, error, place, depth, found);
            }
        }
    }

    /// Looks into a route that cannot be served.
    fn route(
        &self,
        route: &Route,
        error: String,
        place: Option<&Span>,
        depth: usize,
        found: &mut Vec<Diagnostic>,
    ) {
        let known = found.len();
        let place = route.written.0.as_ref().or(place);
        let without_handlers = Route {
            handle: Vec::new(),
            ..route.clone()
        };
        if let Some(error) = self.why(without_handlers) {
            report(place, error, found);
        }
        for (index, handler) in route.handle.iter().enumerate() {
            let alone = Route::new(None, handler.clone());
            let Some(error) = self.why(alone) else {
                continue;
            };
            let before = found.len();
            let place = route.written_at(index).or(place);
            if let (Handler::Subroute(block), Some(depth)) = (handler, depth.checked_sub(1)) {
                self.routes(&block.routes, place, depth, found);
            }
            if found.len() == before {
                report(place, error, found);
            }
        }
        if found.len() == known {
            report(place, error, found);
        }
    }
}

/// As they follow each other in the text.
fn in_order(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(|found| (found.span.source.name().to_owned(), found.span.start));
    found
}

fn report(place: Option<&Span>, error: String, found: &mut Vec<Diagnostic>) {
    found.extend(place.map(|place| Diagnostic::error(NOT_SERVABLE, place, error)));
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source};

    use super::*;

    /// The places of the mistakes of a Caddyfile that can be read, and how the message begins.
    #[track_caller]
    fn check_told(text: &str, expected: &[&str]) {
        let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", text);
        let adapted = fairway_engine::adapt(source, &Options::default());
        assert!(!adapted.has_errors(), "{:?}", adapted.diagnostics);
        let told: Vec<String> = config(&adapted.config).iter().map(Diagnostic::one_line).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told} is not {expected}…");
        }
    }

    #[test]
    fn every_line_that_cannot_be_served_is_told() {
        check_told(
            "http://a.test {\n\t@a path_regexp (\n\trespond @a x\n\thandle /b {\n\t\t@c path_regexp [\n\t\trewrite @c /d\n\t\trespond b\n\t}\n}\n",
            &[
                "Caddyfile:3:2: the regular expression `(`",
                "Caddyfile:6:3: the regular expression `[`",
            ],
        );
        check_told(
            "&(n) {\n\trequest_header A \"(\" x\n}\nhttp://a.test {\n\tinvoke n\n\theader B \"(\" x\n\thandle_errors {\n\t\theader C \"(\" x\n\t}\n}\n",
            &["Caddyfile:2:2: ", "Caddyfile:6:2: ", "Caddyfile:8:3: "],
        );
    }

    #[test]
    fn a_good_config_has_no_mistakes() {
        check_told("http://a.test {\n\t@a path_regexp a\n\trespond @a x\n}\n", &[]);
    }
}
