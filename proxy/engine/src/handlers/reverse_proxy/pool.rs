//! The upstreams that a request chooses from.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use http::HeaderValue;

use super::lane::Lane;
use super::retry::Failure;
use super::selection::Selection;
use super::upstreams::Upstream;
use crate::exchange::Exchange;

/// The upstreams of a compiled handler.
#[derive(Debug)]
pub(super) enum Upstreams {
    /// Those that the config names.
    Fixed(Pool),
    /// The endpoints of Services, which come and go.
    Lane(Arc<Lane>),
}

/// Upstreams at one moment, and how one of them is chosen.
#[derive(Debug)]
pub(super) struct Pool {
    pub members: Members,
    pub selection: Selection,
}

/// Upstreams at one moment.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub upstreams: Box<[Arc<Upstream>]>,
    /// Which of them are one Service's endpoints, for each Service as they are written. Empty for upstreams that are no
    /// endpoints.
    pub services: Box<[Range<usize>]>,
}

/// The upstream that a request goes to.
#[derive(Debug)]
pub(super) struct Chosen {
    pub upstream: Arc<Upstream>,
    /// The cookie by which the client comes back to it.
    pub cookie: Option<HeaderValue>,
}

impl Upstreams {
    /// Chooses one that is there now, without a lock. What is chosen stays whole when it leaves meanwhile.
    pub(super) fn choose(&self, robin: &AtomicU32, exchange: &Exchange) -> Result<Chosen, Failure> {
        match self {
            Self::Fixed(pool) => pool.choose(robin, exchange).ok_or(Failure::NoUpstream),
            Self::Lane(lane) => {
                let pool = lane.pool();
                pool.choose(robin, exchange).ok_or_else(|| {
                    if pool.members.upstreams.is_empty() {
                        lane.warn();
                        Failure::NoEndpoints(lane.services())
                    } else {
                        Failure::NoUpstream
                    }
                })
            }
        }
    }
}

impl Pool {
    fn choose(&self, robin: &AtomicU32, exchange: &Exchange) -> Option<Chosen> {
        let choice = self.selection.select(&self.members, robin, exchange)?;
        Some(Chosen {
            upstream: Arc::clone(&self.members.upstreams[choice.index]),
            cookie: choice.cookie,
        })
    }
}

impl From<Box<[Arc<Upstream>]>> for Members {
    fn from(upstreams: Box<[Arc<Upstream>]>) -> Self {
        Self {
            upstreams,
            services: Box::default(),
        }
    }
}
