//! Tunnels: what two connections become after an upgrade.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use fairway_engine::handlers::reverse_proxy::Tunnel;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::traffic::Local;
use crate::upstream::{Http1, Io};
use crate::watched::Watched;

/// An upstream's connection after it switched protocols, on its way in the extensions of a response.
#[derive(Clone)]
pub(crate) struct Switched(Arc<Mutex<Option<Connection>>>);

type Connection = Watched<Box<dyn Io>>;

impl Switched {
    pub(crate) fn new(http: Http1) -> Self {
        let (read, io) = http.into_switched();
        Self(Arc::new(Mutex::new(Some(Watched::new(io, read, None)))))
    }

    /// Gives the connection; once.
    pub(crate) fn take(&self) -> io::Result<Connection> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Joins a client and an upstream as soon as the client has switched protocols too, until both have ended or the limit is
/// over. Swaps do not touch it; the end waits for it.
pub(crate) fn join(local: &Rc<Local>, client: OnUpgrade, upstream: &Switched, tunnel: Option<Tunnel>) {
    let upstream = upstream.take();
    local.tasks.spawn_local(async move {
        let both = async { Ok((upstream?, client.await.map_err(io::Error::other)?)) };
        let (mut upstream, client) = match both.await {
            Ok(sides) => sides,
            Err(error) => {
                let error: io::Error = error;
                tracing::debug!(%error, "a tunnel did not come about");
                return;
            }
        };
        let mut client = TokioIo::new(client);
        let copying = copy_bidirectional(&mut client, &mut upstream);
        let limit = tunnel.as_ref().and_then(|tunnel| tunnel.limit);
        let copied = match limit {
            None => Ok(copying.await),
            Some(limit) => tokio::time::timeout(limit, copying).await,
        };
        match copied {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a tunnel broke"),
            Err(_) => tracing::debug!("a tunnel reached its limit"),
        }
        // Until here it counted as a request of the upstream.
        drop(tunnel);
    });
}
