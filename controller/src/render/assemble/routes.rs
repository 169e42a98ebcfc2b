//! Routes that were made before.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_engine::config::Route;

/// Routes made before, by their ids: the same route is the same `Arc`, so that nothing of it is compiled again.
#[derive(Debug, Default)]
pub(in crate::render) struct Routes {
    made: HashMap<String, Made>,
    round: u64,
}

#[derive(Debug)]
struct Made {
    serial: u64,
    hosts: Vec<Box<str>>,
    route: Arc<Route>,
    round: u64,
}

impl Routes {
    /// The route with this id; made anew if its part or its hosts changed.
    pub(super) fn get(
        &mut self,
        id: String,
        serial: u64,
        hosts: &[Box<str>],
        make: impl FnOnce() -> Route,
    ) -> Arc<Route> {
        let round = self.round;
        if let Some(made) = self.made.get_mut(&id)
            && made.serial == serial
            && made.hosts == hosts
        {
            made.round = round;
            return Arc::clone(&made.route);
        }
        let route = Arc::new(Route {
            id: Some(id.as_str().into()),
            ..make()
        });
        let hosts = hosts.to_vec();
        let made = Made {
            serial,
            hosts,
            route: Arc::clone(&route),
            round,
        };
        self.made.insert(id, made);
        route
    }

    /// Forgets what the last assembly did not use.
    pub(super) fn end_round(&mut self) {
        let round = self.round;
        self.made.retain(|_, made| made.round == round);
        self.round += 1;
    }
}
