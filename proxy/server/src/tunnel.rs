//! Tunnels: what two connections become after an upgrade.

use std::rc::Rc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::traffic::Local;

/// Joins a client and an upstream as soon as both have switched protocols, until both have ended. Swaps do not touch
/// it; the end waits for it.
pub(crate) fn join(local: &Rc<Local>, client: OnUpgrade, upstream: OnUpgrade) {
    local.tasks.spawn_local(async move {
        let (client, upstream) = match futures_util::future::try_join(client, upstream).await {
            Ok(sides) => sides,
            Err(error) => {
                tracing::debug!(%error, "a tunnel did not come about");
                return;
            }
        };
        let copied = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
        if let Err(error) = copied {
            tracing::debug!(%error, "a tunnel broke");
        }
    });
}
