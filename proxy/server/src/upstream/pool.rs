//! A pool: the connections of one traffic thread to one address by one transport.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fairway_engine::body::Body;
use fairway_engine::handlers::reverse_proxy::transport::KeepAlive;
use hyper::client::conn::http2;

use super::http1::Http1;
use crate::watched;

/// A connection to send a request on.
pub(super) enum Sender {
    Http1(Box<Http1>),
    Http2(http2::SendRequest<Body>),
}

/// The connections to one address. Its lock is never waited for: only one thread comes here. It is a lock because
/// bodies, which give connections back, may have to be sendable.
pub(super) struct Pool {
    keepalive: KeepAlive,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    /// Idle ones; the last used is used first.
    idle: Vec<Idle>,
    /// The one that all share.
    shared: Option<Shared>,
}

struct Idle {
    sender: Box<Http1>,
    /// In milliseconds of [`watched::recent`].
    since: u64,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    /// When a request was sent on it, in the same.
    used: u64,
}

impl Pool {
    pub(super) fn new(keepalive: KeepAlive) -> Self {
        Self {
            keepalive,
            connections: Mutex::default(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is ready. For an upgrade it must be one of its own.
    pub(super) fn take(&self, upgrade: bool) -> Option<Sender> {
        let mut connections = self.connections();
        if !upgrade && let Some(shared) = &mut connections.shared {
            if !shared.sender.is_closed() {
                shared.used = watched::recent();
                return Some(Sender::Http2(shared.sender.clone()));
            }
            connections.shared = None;
        }
        let idle = &mut connections.idle;
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].sender.is_closed() {
                idle.remove(at);
            } else {
                // Those before it have been idle for longer.
                let fits = self.keeps(idle[at].since, watched::soon());
                return fits.then(|| Sender::Http1(idle.remove(at).sender));
            }
        }
        None
    }

    /// Takes back a connection after its request. More than the limit may be idle until the next sweep: with more
    /// requests at once than the limit, each would else cost a new connection.
    pub(super) fn put(&self, sender: Box<Http1>) {
        if !self.keepalive.enabled || self.keepalive.max_idle_per_host == 0 || !sender.is_free() {
            return;
        }
        self.connections().idle.push(Idle {
            sender,
            since: watched::recent(),
        });
    }

    /// Lets others share a new connection, if it can be shared.
    pub(super) fn share(&self, sender: &Sender) {
        if let Sender::Http2(sender) = sender {
            self.connections().shared = Some(Shared {
                sender: sender.clone(),
                used: watched::recent(),
            });
        }
    }

    /// Whether a connection that is idle since a time may still be.
    fn keeps(&self, since: u64, now: u64) -> bool {
        Duration::from_millis(now.saturating_sub(since)) < self.keepalive.idle
    }

    /// Closes what has been idle for too long, and those beyond the limit that nobody used since `before`.
    pub(super) fn sweep(&self, before: u64, now: u64) {
        let mut connections = self.connections();
        connections
            .idle
            .retain_mut(|idle| !idle.sender.is_closed() && self.keeps(idle.since, now));
        let surplus = connections
            .idle
            .len()
            .saturating_sub(self.keepalive.max_idle_per_host);
        let unused = connections.idle.partition_point(|idle| idle.since < before);
        connections.idle.drain(..surplus.min(unused));
        // Requests under way hold the shared connection themselves.
        let shared = connections.shared.take();
        connections.shared =
            shared.filter(|shared| !shared.sender.is_closed() && self.keeps(shared.used, now));
    }

    pub(super) fn is_empty(&self) -> bool {
        let connections = self.connections();
        connections.idle.is_empty() && connections.shared.is_none()
    }
}
