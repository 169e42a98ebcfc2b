//! The running data plane, as the control side sees it: start, swap, end.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use fairway_engine::table::{Server, Table};
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::bind::bind;
use crate::metrics::{Counters, Totals};
use crate::plan::{Plan, Settings};
use crate::prober::{self, Checks};
use crate::tls::{Tls, TlsServer};
use crate::traffic::{self, Seat};

/// How the data plane runs.
#[derive(Clone, Default)]
pub struct Options {
    /// Traffic threads; as many as the process has cores, by its quota, without it.
    pub threads: Option<NonZeroUsize>,
    /// Where access logs go; nowhere without it.
    pub access_log: Option<Arc<dyn AccessLog>>,
}

/// Why the data plane did not start, or a plan could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be listened on.
    #[error("listening on {address} for server {server}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The server that wants it.
        server: Box<str>,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A plan that names a server which the table does not have.
    #[error("the table has no server {0}")]
    Server(Box<str>),
    /// Threads cannot be started.
    #[error("starting traffic threads")]
    Threads(#[source] io::Error),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All requests and tunnels came to their end.
    Drained,
    /// The grace period did, before them.
    Cut,
}

/// How long a swap waits for the traffic threads to let go of what was served before.
const LETTING_GO: Duration = Duration::from_millis(100);

/// What the traffic threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serve,
    /// As before, but nobody is to come back over the same connection.
    Leave,
    Drain,
    Cut,
}

/// What wakes the traffic threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// Counts swaps.
    pub(crate) generation: u64,
    pub(crate) phase: Phase,
}

/// What is served behind each listener, by the listener's number.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) slots: Box<[Option<Arc<Slot>>]>,
}

/// What is served behind a listener.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) server: Arc<Server>,
    pub(crate) tls: Option<Arc<TlsServer>>,
    pub(crate) settings: Arc<Settings>,
}

/// Which swap each traffic thread has followed.
#[derive(Debug)]
pub(crate) struct Followed {
    generations: Mutex<Box<[u64]>>,
    changed: Condvar,
}

impl Followed {
    fn new(threads: usize) -> Self {
        Self {
            generations: Mutex::new(vec![0; threads].into()),
            changed: Condvar::new(),
        }
    }

    /// Takes note that a thread holds nothing older than this generation, requests under way apart.
    pub(crate) fn note(&self, thread: usize, generation: u64) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations[thread] = generation;
        self.changed.notify_all();
    }

    /// Waits until all threads have come to a generation, or for a while.
    fn wait(&self, generation: u64, patience: Duration) {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |generations: &mut Box<[u64]>| generations.iter().any(|&at| at < generation);
        // A thread that does not come in time lets go later, and itself.
        let _ = self.changed.wait_timeout_while(generations, patience, behind);
    }
}

/// New listeners of a thread, with their numbers.
pub(crate) type Inbox = Arc<Mutex<Vec<(usize, TcpListener)>>>;

/// A listener that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    wanted: SocketAddr,
    bound: SocketAddr,
}

/// The running data plane. Dropping it cuts everything off.
pub struct Running {
    published: Arc<ArcSwap<Published>>,
    signal: watch::Sender<Signal>,
    inboxes: Vec<Inbox>,
    followed: Arc<Followed>,
    /// What each thread counts.
    counters: Arc<[Arc<Counters>]>,
    open: Mutex<Vec<Open>>,
    threads: Vec<JoinHandle<()>>,
    /// What the thread of health checks follows; it ends with this.
    checks: watch::Sender<Checks>,
    ended: mpsc::Receiver<()>,
}

impl Running {
    /// Binds all addresses of the plan, then starts to serve the table on them.
    pub fn start(table: &Arc<Table>, plan: &Plan, tls: &Tls, options: &Options) -> Result<Self, StartError> {
        let threads = match options.threads {
            Some(threads) => threads.get(),
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        let (signal, receiver) = watch::channel(Signal {
            generation: 0,
            phase: Phase::Serve,
        });
        let (alive, ended) = mpsc::channel(1);
        let mut running = Self {
            published: Arc::default(),
            signal,
            inboxes: (0..threads).map(|_| Inbox::default()).collect(),
            followed: Arc::new(Followed::new(threads)),
            counters: (0..threads).map(|_| Arc::default()).collect(),
            open: Mutex::default(),
            threads: Vec::with_capacity(threads),
            checks: watch::channel(Checks::default()).0,
            ended,
        };
        running.swap(table, plan, tls)?;
        let helpers = traffic::Helpers::start(threads).map_err(StartError::Threads)?;
        for (number, inbox) in running.inboxes.iter().enumerate() {
            let seat = Seat {
                published: Arc::clone(&running.published),
                signal: receiver.clone(),
                inbox: Arc::clone(inbox),
                number,
                followed: Arc::clone(&running.followed),
                counters: Arc::clone(&running.counters[number]),
                access_log: options.access_log.clone(),
                helpers: helpers.clone(),
                alive: alive.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("traffic-{number}"))
                .spawn(move || seat.run());
            running.threads.push(thread.map_err(StartError::Threads)?);
        }
        prober::start(running.checks.subscribe(), helpers).map_err(StartError::Threads)?;
        Ok(running)
    }

    /// Serves another table from the next request on. New addresses are bound before anything changes; those that the
    /// plan no longer names stay open until the end, and connections to them are closed. Returns when the traffic threads
    /// have let go of what was served before, or after a moment.
    pub fn swap(&self, table: &Arc<Table>, plan: &Plan, tls: &Tls) -> Result<(), StartError> {
        let servers: HashMap<&str, &Arc<Server>> = table
            .servers
            .iter()
            .map(|server| (&*server.name, server))
            .collect();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now_open = open.clone();
        let mut fresh = Vec::new();
        let mut slots: Vec<Option<Arc<Slot>>> = vec![None; open.len()];
        for listener in &plan.listeners {
            let server = servers
                .get(&*listener.server)
                .ok_or_else(|| StartError::Server(listener.server.clone()))?;
            let speaks_tls = tls.server(&listener.server).filter(|_| listener.may_tls);
            let slot = Some(Arc::new(Slot {
                server: Arc::clone(server),
                tls: speaks_tls.cloned(),
                settings: Arc::clone(&listener.settings),
            }));
            let free = |(number, open): (usize, &Open)| {
                (open.wanted == listener.address && slots[number].is_none()).then_some(number)
            };
            if let Some(number) = now_open.iter().enumerate().find_map(free) {
                slots[number] = slot;
                continue;
            }
            let failed = |source| StartError::Bind {
                address: listener.address,
                server: listener.server.clone(),
                source,
            };
            let sockets = bind(listener.address, self.inboxes.len()).map_err(failed)?;
            let bound = sockets.first().map(TcpListener::local_addr);
            now_open.push(Open {
                wanted: listener.address,
                bound: bound.transpose().map_err(failed)?.unwrap_or(listener.address),
            });
            fresh.push((slots.len(), sockets));
            slots.push(slot);
        }
        let before = self.published.swap(Arc::new(Published { slots: slots.into() }));
        for (number, sockets) in fresh {
            for (inbox, socket) in self.inboxes.iter().zip(sockets) {
                let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
                inbox.push((number, socket));
            }
        }
        *open = now_open;
        drop(open);
        self.signal.send_modify(|signal| signal.generation += 1);
        if !self.threads.is_empty() {
            // So that it is taken apart here: it is large, and the threads have requests to serve.
            self.followed.wait(self.signal.borrow().generation, LETTING_GO);
        }
        drop(before);
        self.checks.send_replace(table.checks.clone());
        Ok(())
    }

    /// The addresses that are listened on, in the order in which plans named them first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|open| open.bound).collect()
    }

    /// What was counted since the start, whenever somebody asks; also after the end.
    pub fn totals(&self) -> impl Fn() -> Totals + Send + Sync + 'static + use<> {
        let counters = Arc::clone(&self.counters);
        move || Totals::of(&counters)
    }

    /// Serves on, and asks clients of HTTP/1 to come back over another connection: one that is idle when the end comes
    /// may be closed just when the next request is sent over it.
    pub fn leave(&self) {
        self.signal.send_modify(|signal| signal.phase = Phase::Leave);
    }

    /// Ends: no new connections, then waits until requests and tunnels are done, for at most `grace`; without end if
    /// there is none; health checks go on as long. Dropping the future cuts off what is left.
    pub async fn shutdown(mut self, grace: Option<Duration>) -> Ending {
        self.signal.send_modify(|signal| signal.phase = Phase::Drain);
        let ending = match grace {
            None => {
                self.ended.recv().await;
                Ending::Drained
            }
            Some(grace) => match tokio::time::timeout(grace, self.ended.recv()).await {
                Ok(_) => Ending::Drained,
                Err(_) => Ending::Cut,
            },
        };
        self.signal.send_modify(|signal| signal.phase = Phase::Cut);
        self.ended.recv().await;
        ending
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal.send_modify(|signal| signal.phase = Phase::Cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_waits_for_all_threads_but_not_forever() {
        const LONG: Duration = Duration::from_mins(1);
        let followed = Arc::new(Followed::new(2));
        let begun = std::time::Instant::now();
        followed.wait(1, Duration::from_millis(1));
        followed.note(0, 1);
        let late = Arc::clone(&followed);
        let waiting = std::thread::spawn(move || late.wait(1, LONG));
        followed.note(1, 2);
        waiting.join().unwrap();
        followed.wait(1, LONG);
        assert!(begun.elapsed() < LONG);
    }
}
