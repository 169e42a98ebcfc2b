//! Active health checks: asks upstreams at intervals, on a thread of its own, once for the whole process.

use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fairway_engine::handlers::reverse_proxy::health::Check;
use futures_util::FutureExt;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::traffic::Helpers;
use crate::world::Services;

/// How often connections to upstreams are looked at for having been idle too long.
const SWEEP: Duration = Duration::from_secs(5);

/// The shortest time between two probes, whatever a config says.
const SHORTEST: Duration = Duration::from_millis(1);

/// The checks of the table that is served.
pub(crate) type Checks = Box<[Arc<Check>]>;

/// Starts the thread. It follows the channel: a check that was there before goes on, one that is gone ends. When the
/// other side of the channel is dropped, the thread ends.
pub(crate) fn start(checks: watch::Receiver<Checks>, helpers: Helpers) -> io::Result<()> {
    let run = move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(follow(checks, Rc::new(Services::new(helpers)))),
            Err(error) => tracing::error!(%error, "the thread of health checks could not start"),
        }
    };
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(run)
        .map(drop)
}

/// A check at work; dropping it ends it.
struct Round {
    /// Keeps the address, by which checks are known, from being used again.
    _check: Arc<Check>,
    task: JoinHandle<()>,
}

impl Drop for Round {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(mut checks: watch::Receiver<Checks>, services: Rc<Services>) {
    let mut rounds: HashMap<*const Check, Round> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wanted = checks.borrow_and_update().clone();
        let mut before = std::mem::take(&mut rounds);
        for check in &wanted {
            let key = Arc::as_ptr(check);
            let round = before.remove(&key).unwrap_or_else(|| Round {
                _check: Arc::clone(check),
                task: tokio::task::spawn_local(repeat(Arc::clone(check), Rc::clone(&services))),
            });
            rounds.insert(key, round);
        }
        drop(before);
        drop(wanted);
        loop {
            tokio::select! {
                changed = checks.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                _ = sweep.tick() => services.sweep(),
            }
        }
    }
}

/// Asks at once, then at intervals, until it is dropped.
async fn repeat(check: Arc<Check>, services: Rc<Services>) {
    let mut ticks = tokio::time::interval(check.interval.max(SHORTEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let probe = AssertUnwindSafe(check.probe(&*services));
        if probe.catch_unwind().await.is_err() {
            tracing::error!("a health check panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use fairway_engine::table::Table;
    use serde_json::{Value, json};

    use super::*;

    const CEILING: Duration = Duration::from_secs(20);

    /// An upstream that answers every request with a status, and tells of each.
    fn upstream(status: u16) -> (SocketAddr, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, is_asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                    head.push(byte[0]);
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                if asked.send(String::from_utf8(head).unwrap()).is_err() {
                    return;
                }
            }
        });
        (address, is_asked)
    }

    fn proxy(upstream: SocketAddr, interval: &str) -> Value {
        json!({"handler": "reverse_proxy", "upstreams": [{"dial": upstream.to_string()}],
            "health_checks": {"active": {"uri": "/healthz", "interval": interval}}})
    }

    fn table(registry: &fairway_engine::Registry, proxies: &[Value]) -> Table {
        let routes = json!([{"handle": proxies}]);
        let config = json!({"apps": {"http": {"servers": {"srv0": {"listen": [":80"], "routes": routes}}}}});
        fairway_engine::compile(&serde_json::from_value(config).unwrap(), registry).unwrap()
    }

    fn run(table: &Table) -> watch::Sender<Checks> {
        let (sender, receiver) = watch::channel(table.checks.clone());
        start(receiver, Helpers::start(1).unwrap()).unwrap();
        sender
    }

    #[track_caller]
    fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < CEILING, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn upstreams_are_asked_again_and_again() {
        let (address, asked) = upstream(500);
        let table = table(&fairway_engine::Registry::default(), &[proxy(address, "1ms")]);
        let _sender = run(&table);
        for _ in 0..3 {
            let head = asked.recv_timeout(CEILING).unwrap();
            assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        }
        wait_until("found broken", || !table.checks[0].is_healthy());
    }

    #[test]
    fn a_swap_keeps_unchanged_checks_and_ends_others() {
        let registry = fairway_engine::Registry::default();
        let (kept, asks_kept) = upstream(200);
        let (dropped, asks_dropped) = upstream(200);
        let (new, asks_new) = upstream(200);
        let first = table(&registry, &[proxy(kept, "1h"), proxy(dropped, "1ms")]);
        let sender = run(&first);
        asks_kept.recv_timeout(CEILING).unwrap();
        asks_dropped.recv_timeout(CEILING).unwrap();
        let second = table(&registry, &[proxy(kept, "1h"), proxy(new, "1ms")]);
        let gone = Arc::downgrade(
            first
                .checks
                .iter()
                .find(|check| check.interval < CEILING)
                .unwrap(),
        );
        sender.send_replace(second.checks.clone());
        drop(first);
        wait_until("the dropped check is forgotten", || gone.upgrade().is_none());
        for _ in 0..3 {
            asks_new.recv_timeout(CEILING).unwrap();
        }
        asks_kept.try_recv().unwrap_err();
    }

    #[test]
    fn a_check_follows_the_endpoints_of_its_service() {
        let (first, asks_first) = upstream(200);
        let (second, asks_second) = upstream(200);
        let api = json!({"namespace": "shop", "name": "api", "port": "80"});
        let proxy = json!({"handler": "reverse_proxy",
            "dynamic_upstreams": {"source": "kubernetes", "services": [api.clone()]},
            "health_checks": {"active": {"uri": "/healthz", "interval": "1ms"}}});
        let registry = fairway_engine::Registry::default();
        let table = table(&registry, &[proxy]);
        let api = serde_json::from_value(api).unwrap();
        assert!(registry.set_endpoints(&api, &[first]));
        let _sender = run(&table);
        asks_first.recv_timeout(CEILING).unwrap();
        assert!(registry.set_endpoints(&api, &[second]));
        asks_second.recv_timeout(CEILING).unwrap();
    }

    #[test]
    fn the_end_ends_all_checks() {
        let (address, asked) = upstream(200);
        let table = table(&fairway_engine::Registry::default(), &[proxy(address, "1ms")]);
        let sender = run(&table);
        asked.recv_timeout(CEILING).unwrap();
        let check = Arc::downgrade(&table.checks[0]);
        drop(table);
        drop(sender);
        wait_until("the check is forgotten", || check.upgrade().is_none());
    }
}
