//! A traffic thread: its runtime, its listeners, its connections.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use fairway_engine::table::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::batched;
use crate::connection;
use crate::metrics::Counters;
use crate::plan::Settings;
use crate::request::unread;
use crate::running::{Followed, Inbox, Phase, Published, Signal};
use crate::tls::TlsServer;
use crate::watched::{self, Order, Watch};
use crate::world::Services;

/// How often connections are looked at for having taken too long.
const SWEEP: Duration = Duration::from_millis(watched::TICK);

/// How long accepting rests when the process has run out of something, file descriptors above all.
const REST: Duration = Duration::from_millis(100);

/// The threads that do slow work for all traffic threads.
#[derive(Clone)]
pub(crate) struct Helpers {
    pub(crate) handle: Handle,
    /// Keeps the runtime of the handle until the last traffic thread is gone.
    _runtime: Arc<OwnedRuntime>,
}

struct OwnedRuntime(Option<tokio::runtime::Runtime>);

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Helpers {
    /// Twice as many as there are traffic threads, at least four.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .thread_name("helper")
            .max_blocking_threads((threads * 2).max(4))
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(OwnedRuntime(Some(runtime))),
        })
    }
}

/// What a traffic thread is started with.
pub(crate) struct Seat {
    pub(crate) published: Arc<ArcSwap<Published>>,
    pub(crate) signal: watch::Receiver<Signal>,
    pub(crate) inbox: Inbox,
    /// Which of the threads this is, where it tells what it has followed.
    pub(crate) number: usize,
    pub(crate) followed: Arc<Followed>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) access_log: Option<Arc<dyn AccessLog>>,
    pub(crate) helpers: Helpers,
    /// Dropped when the thread ends.
    pub(crate) alive: mpsc::Sender<()>,
}

impl Seat {
    /// Serves until the end.
    pub(crate) fn run(self) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(batched::send)
            .build_local(LocalOptions::default());
        // Outlives the runtime and thereby all sockets.
        let _alive = self.alive.clone();
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => tracing::error!(%error, "a traffic thread could not start"),
        }
    }

    async fn serve(mut self) {
        batched::open();
        let (unread, bodies) = mpsc::unbounded_channel();
        let local = Rc::new(Local {
            cache: RefCell::new(Cache::new(self.published)),
            services: Services::new(self.helpers),
            access_log: self.access_log,
            counters: self.counters,
            tasks: TaskTracker::new(),
            watches: RefCell::default(),
            next_watch: Cell::new(0),
            is_leaving: Cell::new(false),
            draining: CancellationToken::new(),
            unread,
        });
        let reader = tokio::task::spawn_local(unread::receive(bodies, local.tasks.clone()));
        let sweeper = tokio::task::spawn_local(sweep(Rc::clone(&local)));
        loop {
            let fresh = std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
            for (number, listener) in fresh {
                match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let accepting = accept(Rc::clone(&local), number, listener);
                        local.tasks.spawn_local(accepting);
                    }
                    Err(error) => tracing::error!(%error, "a listener is of no use"),
                }
            }
            let Signal { generation, phase } = *self.signal.borrow_and_update();
            // Lets go of the table that was served before.
            local.cache.borrow_mut().load();
            self.followed.note(self.number, generation);
            local.is_leaving.set(phase != Phase::Serve);
            let is_over = matches!(phase, Phase::Drain | Phase::Cut);
            if is_over || self.signal.changed().await.is_err() {
                break;
            }
        }
        local.drain();
        local.tasks.close();
        tokio::select! {
            () = local.tasks.wait() => {}
            _ = self.signal.wait_for(|signal| signal.phase == Phase::Cut) => {}
        }
        batched::send();
        sweeper.abort();
        reader.abort();
    }
}

/// What the tasks of a traffic thread share.
pub(crate) struct Local {
    cache: RefCell<Cache<Arc<ArcSwap<Published>>, Arc<Published>>>,
    pub(crate) services: Services,
    pub(crate) access_log: Option<Arc<dyn AccessLog>>,
    pub(crate) counters: Arc<Counters>,
    /// Listeners, connections and tunnels: what the end waits for.
    pub(crate) tasks: TaskTracker,
    watches: RefCell<HashMap<u64, Arc<Watch>>>,
    next_watch: Cell<u64>,
    /// Whether connections are not to be used again.
    pub(crate) is_leaving: Cell<bool>,
    draining: CancellationToken,
    /// Takes bodies that nobody reads to their end.
    pub(crate) unread: unread::Sender,
}

impl Local {
    /// How connections to a listener begin now. Not the whole slot: a client may take long to begin, and the slot holds
    /// the routes.
    pub(crate) fn entrance(&self, listener: usize) -> Option<(Option<Arc<TlsServer>>, Arc<Settings>)> {
        let mut cache = self.cache.borrow_mut();
        let slot = cache.load().slots.get(listener)?.as_ref()?;
        Some((slot.tls.clone(), Arc::clone(&slot.settings)))
    }

    /// The server behind a listener now. Its count is the only thing that requests of several threads share.
    pub(crate) fn server(&self, listener: usize) -> Option<Arc<Server>> {
        let mut cache = self.cache.borrow_mut();
        let slot = cache.load().slots.get(listener)?.as_ref()?;
        Some(Arc::clone(&slot.server))
    }

    /// Adds a connection to those that are looked after, until the guard is dropped.
    pub(crate) fn watch(self: &Rc<Self>, watch: &Arc<Watch>) -> impl Drop + use<> {
        let id = self.next_watch.get();
        self.next_watch.set(id + 1);
        self.watches.borrow_mut().insert(id, Arc::clone(watch));
        if self.draining.is_cancelled() {
            watch.tell(Order::Finish);
        }
        let local = Rc::clone(self);
        Guard(Some(move || {
            local.watches.borrow_mut().remove(&id);
        }))
    }

    fn drain(&self) {
        self.draining.cancel();
        for watch in self.watches.borrow().values() {
            watch.tell(Order::Finish);
        }
    }
}

struct Guard<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Guard<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Ends connections that take too long, and closes upstream connections that nobody needs.
async fn sweep(local: Rc<Local>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = watched::tick();
        for watch in local.watches.borrow().values() {
            watch.sweep(now);
        }
        local.services.sweep();
    }
}

/// Accepts connections until the end; those that wait at the end are served, too.
async fn accept(local: Rc<Local>, number: usize, listener: TcpListener) {
    loop {
        tokio::select! {
            biased;
            () = local.draining.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => begin(&local, number, stream, remote),
                Err(error) => refused(&local, &error).await,
            },
        }
    }
    // Asks the kernel itself: what tokio knows of the queue may be old.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, remote)) = listener.accept() {
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            begin(&local, number, stream, remote);
        }
    }
}

fn begin(local: &Rc<Local>, number: usize, stream: TcpStream, remote: SocketAddr) {
    local.counters.connections.one();
    let visited = Rc::clone(local);
    local.tasks.spawn_local(async move {
        connection::serve(Rc::clone(&visited), number, stream, remote).await;
        visited.counters.closed.one();
    });
}

async fn refused(local: &Local, error: &io::Error) {
    // A connection that was gone before it was accepted is no matter.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "accepting rests");
        local.counters.rests.one();
        tokio::time::sleep(REST).await;
    }
}

/// Runs hyper's tasks on the thread that they were made on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
