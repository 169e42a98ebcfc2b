//! What the engine needs from the world. The server implements it on sockets and files, tests in memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::body::Body;
use crate::exchange::Exchange;
use crate::handlers::reverse_proxy::transport::Transport;
use crate::serve::Outcome;
use crate::table::Route;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dial {
    /// `host:port`, or the path of a socket for [`Network::Unix`].
    pub address: Box<str>,
    /// What kind of address it is.
    pub network: Network,
}

/// What kind of address a [`Dial`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// TCP to a host, resolved on connect.
    Tcp,
    /// A Unix domain socket.
    Unix,
}

/// Why a request to an upstream came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection was made, so nothing was sent: always safe to try elsewhere. The request comes back whole.
    #[error("connecting to {address}: {source}")]
    Connect {
        /// Where to.
        address: Box<str>,
        /// Why not.
        source: crate::body::BodyError,
        /// The request, unsent.
        request: Box<http::Request<Body>>,
    },
    /// The connection had been used before, and ended before anything of an answer came: most likely it was closed
    /// while the request was on its way. What may be sent twice can be sent again, as [`Fresh`].
    #[error("exchange with {address}: {source}")]
    Lost {
        /// With whom.
        address: Box<str>,
        /// Why.
        source: crate::body::BodyError,
    },
    /// The connection failed after the request, or a part of it, was sent.
    #[error("exchange with {address}: {source}")]
    Exchange {
        /// With whom.
        address: Box<str>,
        /// Why.
        source: crate::body::BodyError,
    },
    /// The upstream did not answer in time.
    #[error("{address} did not answer within {limit:?}")]
    Timeout {
        /// Who.
        address: Box<str>,
        /// The limit of the transport.
        limit: Duration,
    },
}

/// Among the extensions of a request: it is to go out on a new connection.
#[derive(Clone, Copy, Debug)]
pub struct Fresh;

/// The services that handlers ask for. One value per traffic thread.
pub trait World {
    /// Sends a request upstream and gives its response as soon as its head is there. Waits as the transport's limits
    /// say. A 1xx other than 101 is not returned. A 101 carries what the server needs to join the two connections.
    /// Dropping the future closes the connection unless the response was complete.
    fn send(
        &self,
        dial: &Dial,
        transport: &Arc<Transport>,
        request: http::Request<Body>,
    ) -> impl Future<Output = Result<http::Response<Body>, SendError>>;

    /// Runs something slow (hashing, a file) away from the traffic threads.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T>;

    /// A body that reads `length` bytes of an open file from `offset` on, away from the traffic threads.
    fn file(&self, file: std::fs::File, offset: u64, length: u64) -> Body;

    /// A body that fails with [`ClientFault::TooSlow`](crate::body::ClientFault::TooSlow) unless it ends in time.
    fn within(&self, body: Body, limit: Duration) -> Body;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Told that a handler of a route begins. Only who explains listens.
    fn begins(&self, _route: &Route, _handler: usize) {}

    /// Told how the handler ended that began last, and the request as it left it. Only who explains listens.
    fn ended(&self, _outcome: Outcome, _exchange: &Exchange) {}
}
