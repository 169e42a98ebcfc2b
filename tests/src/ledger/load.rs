//! The load: a fixed rate, however fast the answers are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::interval;

use super::{Client, Kind};

/// How often it looks which requests are due.
const STEP: Duration = Duration::from_millis(5);

/// Sends `rate` requests per second, to one host after another, until `enough` is set; ends when the last of them
/// has. Of a hundred, two each are streams, downloads and `WebSocket`s; the others are shared by the two versions
/// of HTTP. If it is dropped midway, the requests under way are given up.
pub async fn load(client: Client, hosts: Vec<String>, rate: u32, enough: Arc<AtomicBool>) {
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    let mut steps = interval(STEP);
    let mut sent = 0_u64;
    while !enough.load(Ordering::Relaxed) {
        steps.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        for index in sent..due {
            let host = usize::try_from(index).unwrap_or_default() % hosts.len();
            let (client, host) = (client.clone(), hosts[host].clone());
            under_way.spawn(async move { client.send(kind(index), &host).await });
        }
        sent = due;
        while under_way.try_join_next().is_some() {}
    }
    // What panics has dropped its entry, which the ledger then tells.
    while under_way.join_next().await.is_some() {}
}

fn kind(index: u64) -> Kind {
    match index % 50 {
        7 => Kind::Stream,
        23 => Kind::Download,
        38 => Kind::WebSocket,
        other if other % 2 == 0 => Kind::KeepAlive,
        _ => Kind::Http2,
    }
}
