//! A world that takes notes of what handlers do, and does as little as it can.

use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::address;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::handlers::reverse_proxy::transport::Transport;
use crate::serve::Outcome;
use crate::table::Route;
use crate::world::{Dial, SendError, World};

/// What was noted of a handler.
#[derive(Debug)]
pub(super) struct Seen {
    /// The address of its route in the table.
    pub route: usize,
    /// Its number in the route.
    pub handler: usize,
    /// How it ended; none if it did not.
    pub outcome: Option<Outcome>,
    /// Method, path and query as it left them.
    pub request: String,
    /// To whom it sent the request.
    pub sent: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Recorder(RefCell<Vec<Seen>>);

impl Recorder {
    pub(super) fn into_seen(self) -> Vec<Seen> {
        self.0.into_inner()
    }

    fn note(&self, write: impl FnOnce(&mut Seen)) {
        if let Some(last) = self.0.borrow_mut().last_mut() {
            write(last);
        }
    }
}

impl World for Recorder {
    async fn send(
        &self,
        dial: &Dial,
        _transport: &Arc<Transport>,
        _request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        self.note(|seen| seen.sent.push(dial.address.to_string()));
        Ok(http::Response::new(Body::Empty))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }

    fn file(&self, _file: std::fs::File, _offset: u64, _length: u64) -> Body {
        Body::Empty
    }

    fn within(&self, body: Body, _limit: Duration) -> Body {
        body
    }

    async fn sleep(&self, _duration: Duration) {
        pending::<()>().await;
    }

    fn begins(&self, route: &Route, handler: usize) {
        self.0.borrow_mut().push(Seen {
            route: address(route),
            handler,
            outcome: None,
            request: String::new(),
            sent: Vec::new(),
        });
    }

    fn ended(&self, outcome: Outcome, exchange: &Exchange) {
        let request = format!("{} {}", exchange.method, exchange.target().path_and_query());
        self.note(|seen| {
            seen.outcome = Some(outcome);
            seen.request = request;
        });
    }
}
