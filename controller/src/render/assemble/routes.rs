//! Routes that were made before.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_engine::config::Route;
use fairway_engine::handlers::{Config as Handler, log_append};

/// Routes made before, by their ids: the same route is the same `Arc`, so that nothing of it is compiled again.
#[derive(Debug, Default)]
pub(in crate::render) struct Routes {
    made: HashMap<String, Made>,
    round: u64,
    /// Whether the access log is told whose route it was, and where the request went.
    pub(in crate::render) are_logged: bool,
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
        let mut route = make();
        if self.are_logged {
            route.handle.splice(..0, logged(&id));
        }
        route.id = Some(id.as_str().into());
        let route = Arc::new(route);
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

/// Adds the object and the upstream to the entries of a route's requests. The object is noted before anything of the
/// object runs, so that no author can claim to be another.
fn logged(id: &str) -> Vec<Handler> {
    // Bodies are invoked by routes that log already; ends of hosts are nobody's.
    let end = id.find('#').or_else(|| id.rfind("/redirect"));
    let Some(object) = end.map(|end| &id[..end]).filter(|_| !id.ends_with("/body")) else {
        return Vec::new();
    };
    let object = log_append::Config {
        key: "object".to_owned(),
        value: object.to_owned(),
        early: true,
    };
    let upstream = log_append::Config {
        key: "upstream".to_owned(),
        value: "{http.reverse_proxy.upstream.hostport}".to_owned(),
        early: false,
    };
    [object, upstream].map(Handler::LogAppend).to_vec()
}
