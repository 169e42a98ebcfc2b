//! The order of directives within a block.
//!
//! First by the table of directives; then those for one path before those for shorter ones, and those for some
//! requests before those for all. `vars` runs the other way round, so that the most specific has the last word.

mod go_sort;

use fairway_caddyfile::Segment;

use crate::config::{Route, Written};
use crate::directives::{DIRECTIVES, Parse};

pub(crate) use go_sort::sort as go_sort;

/// The routes of one directive; they stay together.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its name in the order: `handle_path` counts as `handle`.
    pub directive: &'static str,
    pub routes: Vec<Route>,
}

impl Item {
    /// The items that a line gives: one for each route if they are for the same requests, else one for all.
    pub(crate) fn of(directive: &'static str, segment: &Segment, mut routes: Vec<Route>) -> Vec<Self> {
        let written = Written::line(segment);
        for route in &mut routes {
            route.written = written.clone();
        }
        let directive = if directive == "handle_path" {
            "handle"
        } else {
            directive
        };
        let item = |routes| Self { directive, routes };
        if routes.windows(2).all(|pair| pair[0].matches == pair[1].matches) {
            routes.into_iter().map(|route| item(vec![route])).collect()
        } else {
            vec![item(routes)]
        }
    }
}

/// Where `order` puts a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Directly before another.
    Before(String),
    /// Directly after another.
    After(String),
}

/// The names of the directives that run, in order.
#[derive(Clone, Debug)]
pub(crate) struct Order(pub Vec<&'static str>);

impl Default for Order {
    fn default() -> Self {
        let running = DIRECTIVES
            .iter()
            .filter(|directive| !matches!(directive.parse, Parse::Site(_)));
        Self(running.map(|directive| directive.name).collect())
    }
}

impl Order {
    /// Moves a directive, as the global option `order` does; one that does not run gets a place, without effect. An
    /// error says which of the two names is no directive, or not one with a place.
    pub(crate) fn apply(&mut self, directive: &str, position: &Position) -> Result<(), String> {
        let unknown = |name: &str| format!("`{name}` is not a directive that can be ordered");
        let known = DIRECTIVES.iter().find(|known| known.name == directive);
        let name = known.ok_or_else(|| unknown(directive))?.name;
        let from = self.0.iter().position(|other| *other == name);
        if let Some(from) = from {
            self.0.remove(from);
        }
        let place = |order: &[&str], anchor: &String| {
            let at = order.iter().position(|name| name == anchor);
            at.ok_or_else(|| unknown(anchor))
        };
        let at = match position {
            Position::First => Ok(0),
            Position::Last => Ok(self.0.len()),
            Position::Before(anchor) => place(&self.0, anchor),
            Position::After(anchor) => place(&self.0, anchor).map(|at| at + 1),
        };
        // After a mistake everything stays where it was.
        if let Some(at) = at.as_ref().ok().copied().or(from) {
            self.0.insert(at, name);
        }
        at.map(drop)
    }

    /// Sorts the routes of a block.
    pub(crate) fn sort(&self, items: &mut Vec<Item>) {
        let mut keyed: Vec<(Key, Item)> = items.drain(..).map(|item| (self.key(&item), item)).collect();
        go_sort(&mut keyed, |(a, _), (b, _)| a.is_before(b));
        items.extend(keyed.into_iter().map(|(_, item)| item));
    }

    fn key(&self, item: &Item) -> Key {
        let position = self.0.iter().position(|name| *name == item.directive);
        let requests = match &*item.routes {
            [route] => match &*route.matches {
                [] => Requests::All,
                [set] => match set.path.as_ref().map(|path| &*path.0) {
                    Some([path]) if !path.is_empty() => Requests::Path(path.clone()),
                    _ => Requests::Some,
                },
                _ => Requests::Some,
            },
            _ => Requests::Various,
        };
        Key {
            position: position.unwrap_or(usize::MAX),
            reversed: item.directive == "vars",
            requests,
        }
    }
}

/// What routes are sorted by.
struct Key {
    position: usize,
    reversed: bool,
    requests: Requests,
}

/// Which requests a directive is for.
enum Requests {
    All,
    Some,
    /// Those that match one path, and perhaps more.
    Path(String),
    /// It has several routes for different requests: nothing is before it or after it.
    Various,
}

impl Key {
    /// Whether the one goes before the other. With `reversed` it may hold both ways.
    fn is_before(&self, other: &Self) -> bool {
        if self.position != other.position {
            return self.position < other.position;
        }
        let before = match (&self.requests, &other.requests) {
            (Requests::Various, _) | (_, Requests::Various) => return false,
            (Requests::Path(path), Requests::Path(other)) => is_path_before(path, other),
            (Requests::All, _) => false,
            (Requests::Some | Requests::Path(_), other) => matches!(other, Requests::All),
        };
        before != self.reversed
    }
}

/// The longer path first, without its last `*`; of two equal ones the one without it, then by their bytes.
fn is_path_before(path: &str, other: &str) -> bool {
    let trim = |path: &str| path.strip_suffix('*').unwrap_or(path).to_owned();
    let (trimmed, other_trimmed) = (trim(path), trim(other));
    if trimmed == other_trimmed {
        return path.len() < other.len();
    }
    if trimmed.len() == other_trimmed.len() {
        return trimmed < other_trimmed;
    }
    trimmed.len() > other_trimmed.len()
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source, parse};

    use super::*;
    use crate::matchers::{Set, method, path};

    /// Sorts lines; a word beginning with `/` is a path matcher, `GET` a method, the last word a name.
    #[track_caller]
    fn check(order: &Order, lines: &str, expected: &str) {
        let source = Source::new(
            Origin::operator("Caddyfile"),
            "Caddyfile",
            format!(":80\n{lines}\n"),
        );
        let parsed = parse(source, &Options::default());
        let mut items = Vec::new();
        for segment in &parsed.file.sites[0].block.segments {
            let mut set = Set::default();
            let paths: Vec<String> = segment
                .args
                .iter()
                .filter(|token| token.text.starts_with('/'))
                .map(|token| token.text.clone())
                .collect();
            if !paths.is_empty() {
                set.path = Some(path::Config(paths));
            }
            if segment.args.iter().any(|token| token.text == "GET") {
                set.method = Some(method::Config(vec!["GET".into()]));
            }
            let directive = DIRECTIVES
                .iter()
                .find(|directive| directive.name == segment.name.text)
                .unwrap();
            let route = Route {
                matches: Some(set).into_iter().filter(|set| !set.is_empty()).collect(),
                group: Some(segment.args.last().unwrap().text.clone()),
                ..Route::default()
            };
            items.extend(Item::of(directive.name, segment, vec![route]));
        }
        order.sort(&mut items);
        let names: Vec<&str> = items
            .iter()
            .filter_map(|item| item.routes[0].group.as_deref())
            .collect();
        assert_eq!(names.join(" "), expected, "{lines}");
    }

    #[test]
    fn directives_run_in_the_order_of_the_table() {
        check(
            &Order::default(),
            "respond a\nheader b\nhandle_path /x c\nhandle d\nredir e",
            "b e c d a",
        );
    }

    #[test]
    fn longer_paths_and_matchers_come_first() {
        let order = Order::default();
        check(&order, "respond a\nrespond GET b\nrespond c", "b a c");
        check(&order, "respond /a a\nrespond /a* b\nrespond /ab c", "c a b");
        check(&order, "respond /b a\nrespond /a b\nrespond /abc* c", "c b a");
        check(&order, "respond /a /b a\nrespond /abc b\nrespond GET c", "a b c");
        check(&order, "respond /a GET a\nrespond /abc GET b", "b a");
    }

    #[test]
    fn the_most_specific_variable_comes_last() {
        let order = Order::default();
        check(&order, "vars /abc a\nvars /a b\nvars c", "c b a");
        check(&order, "vars a\nvars b\nvars c", "c b a");
    }
    #[test]
    fn order_moves_directives() {
        let mut order = Order::default();
        let lines = "header a\nrespond b\nhandle c";
        order.apply("respond", &Position::First).unwrap();
        check(&order, lines, "b a c");
        order.apply("header", &Position::Last).unwrap();
        check(&order, lines, "b c a");
        order.apply("header", &Position::Before("handle".into())).unwrap();
        check(&order, lines, "b a c");
        order.apply("respond", &Position::After("header".into())).unwrap();
        check(&order, lines, "a b c");
    }

    #[test]
    fn order_knows_what_it_can_move() {
        let mut order = Order::default();
        let before = order.0.clone();
        for (directive, position) in [
            ("log", Position::Before("nonsense".into())),
            ("respond", Position::After("nonsense".into())),
            ("nonsense", Position::Last),
            ("header", Position::Before("header".into())),
            ("header", Position::After("tls".into())),
        ] {
            assert!(
                order.apply(directive, &position).is_err(),
                "{directive} {position:?}"
            );
        }
        assert_eq!(order.0, before);
    }
}
