//! Neighbouring routes for the same requests become one.

use crate::config::Route;

/// Joins neighbours that differ only in their handlers.
pub(crate) fn consolidate(routes: impl IntoIterator<Item = Route>) -> Vec<Route> {
    let mut joined: Vec<Route> = Vec::new();
    for route in routes {
        match joined.last_mut() {
            Some(last)
                if last.matches == route.matches
                    && last.terminal == route.terminal
                    && last.group == route.group =>
            {
                let count = last.handle.len();
                last.handle.extend(route.handle);
                last.joined.0.push((count, route.written));
                let further = route.joined.0.into_iter();
                let further = further.map(|(handler, written)| (count + handler, written));
                last.joined.0.extend(further);
            }
            _ => joined.push(route),
        }
    }
    // Each site keeps some of these lists, most of them of one route.
    joined.shrink_to_fit();
    joined
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source};

    /// The lines of the handlers of the only route of a site.
    #[track_caller]
    fn check(lines: &str, expected: &[&str]) {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!(":80 {{\n{lines}\n}}\n"),
        );
        let config = crate::adapt(source, &Options::default()).config;
        let server = &config.apps.http.expect("it has a site").servers["srv0"];
        let [route] = &*server.routes else {
            panic!("{lines}: {:?}", server.routes)
        };
        let written = (0..route.handle.len()).map(|handler| route.written_at(handler));
        let written: Vec<String> = written
            .map(|span| span.map_or(String::new(), |span| format!("{} {}", span.line(), span.text())))
            .collect();
        assert_eq!(written, expected, "{lines}");
    }

    #[test]
    fn every_handler_keeps_its_line() {
        check("respond hi", &["2 respond hi"]);
        check(
            "respond \"hi\" 200\nheader X y",
            &["3 header X y", "2 respond \"hi\" 200"],
        );
        check(
            "respond hi {\nclose\n}\nheader {\nA b\nC d\n>E f\n}\nvars a b",
            &["10 vars a b", "5 header", "2 respond hi"],
        );
    }
}
