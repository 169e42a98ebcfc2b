//! Tunnels: what two connections become after an upgrade.

use std::rc::Rc;

use fairway_engine::handlers::reverse_proxy::Tunnel;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::traffic::Local;

/// Joins a client and an upstream as soon as both have switched protocols, until both have ended or the limit is
/// over. Swaps do not touch it; the end waits for it.
pub(crate) fn join(local: &Rc<Local>, client: OnUpgrade, upstream: OnUpgrade, tunnel: Option<Tunnel>) {
    local.tasks.spawn_local(async move {
        let (client, upstream) = match futures_util::future::try_join(client, upstream).await {
            Ok(sides) => sides,
            Err(error) => {
                tracing::debug!(%error, "a tunnel did not come about");
                return;
            }
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
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
