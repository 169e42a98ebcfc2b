//! Connections under watch: how long each has been idle, or busy with a request's head, and how it is told to end.
//!
//! There is no timer per request or connection: whoever reads or answers notes the time, and the thread's sweeper
//! looks at all connections twice a second.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gather;
use crate::plan::Settings;

/// How long a connection without a request may live on at the end.
const FRESH: Duration = Duration::from_secs(1);

/// What is said to a client whose head took too long.
const LATE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
                      connection: close\r\n\r\n400 Bad Request";

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// To go on.
    Serve,
    /// To end after the requests under way.
    Finish,
    /// To end now.
    Close,
}

/// The state of a connection. Shared with its socket and its requests, which may move to another task.
#[derive(Debug)]
pub(crate) struct Watch {
    settings: Arc<Settings>,
    /// Requests under way.
    active: AtomicU32,
    /// Whether a request's head is being read.
    in_head: AtomicU8,
    /// Since when it is as it is, in milliseconds of [`now`], at most a tick too late.
    since: AtomicU64,
    order: AtomicU8,
    /// Whether no request came yet.
    fresh: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Watch {
    /// Of a new connection: its first request is due.
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            active: AtomicU32::new(0),
            in_head: AtomicU8::new(1),
            since: AtomicU64::new(now()),
            order: AtomicU8::new(0),
            fresh: AtomicBool::new(true),
            waker: Mutex::new(None),
        }
    }

    /// Whom to wake when there are orders.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// What the connection has been told. One that was just accepted may send its first request before it ends: it
    /// is there because nobody told its client otherwise.
    pub(crate) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 if self.fresh.load(Relaxed) => Order::Serve,
            1 => Order::Finish,
            _ => Order::Close,
        }
    }

    /// Tells the connection to end.
    pub(crate) fn tell(&self, order: Order) {
        let before = self.order.fetch_max(order as u8, Relaxed);
        if before < order as u8 {
            self.wake();
        }
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection if it took too long over something.
    pub(crate) fn sweep(&self, now: u64) {
        let spent = Duration::from_millis(now.saturating_sub(self.since.load(Relaxed)));
        if self.order.load(Relaxed) == 1 && spent > FRESH && self.fresh.swap(false, Relaxed) {
            self.wake();
        }
        let (limit, order) = if self.active.load(Relaxed) > 0 {
            match self.settings.write_timeout {
                Some(limit) => (limit, Order::Close),
                None => return,
            }
        } else if self.in_head.load(Relaxed) == 1 {
            (self.settings.read_header_timeout, Order::Close)
        } else {
            (self.settings.idle_timeout, Order::Finish)
        };
        if spent > limit {
            self.tell(order);
        }
    }

    /// A request's head is complete. What is returned stands for the request until its response is out.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.fresh.store(false, Relaxed);
        if self.active.fetch_add(1, Relaxed) == 0 {
            self.in_head.store(0, Relaxed);
            self.since.store(soon(), Relaxed);
        }
        Busy(Arc::clone(self))
    }

    /// Whether the connection is to end because a head takes too long.
    fn is_late(&self) -> bool {
        self.order() == Order::Close && self.active.load(Relaxed) == 0 && self.in_head.load(Relaxed) == 1
    }

    /// Bytes came.
    fn arrived(&self) {
        if self.active.load(Relaxed) == 0 && self.in_head.swap(1, Relaxed) == 0 {
            self.since.store(soon(), Relaxed);
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Relaxed) == 1 {
            self.0.in_head.store(0, Relaxed);
            self.0.since.store(soon(), Relaxed);
        }
    }
}

/// How often sweepers look at connections, in milliseconds.
pub(crate) const TICK: u64 = 500;

/// [`now`] at the last tick. To ask the clock several times for each request would cost more than it is worth.
static RECENT: AtomicU64 = AtomicU64::new(0);

/// The time, for all who take it from here until the next tick.
pub(crate) fn tick() -> u64 {
    let now = now();
    RECENT.store(now, Relaxed);
    now
}

/// A time at most a tick ago.
pub(crate) fn recent() -> u64 {
    RECENT.load(Relaxed)
}

/// A time at most a tick ahead.
pub(crate) fn soon() -> u64 {
    recent() + TICK
}

/// Milliseconds since some moment of this process.
pub(crate) fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// A connection's bytes, the first of which may have been read already.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    io: T,
    prefix: Bytes,
    /// None: reading is not noted (HTTP/2, where any frame is not yet a head).
    watch: Option<Arc<Watch>>,
    /// Whether any bytes came.
    began: bool,
}

impl<T> Watched<T> {
    /// Gives `prefix`, then what `io` gives, and notes in `watch` when bytes come.
    pub(crate) fn new(io: T, prefix: Bytes, watch: Option<Arc<Watch>>) -> Self {
        Self {
            io,
            began: !prefix.is_empty(),
            prefix,
            watch,
        }
    }
}

impl<T: AsyncWrite + Unpin> Watched<T> {
    /// Answers a head that takes too long. Between requests nothing else is being written.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_write(context, LATE))?;
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let length = self.prefix.len().min(buffer.remaining());
            buffer.put_slice(&self.prefix.split_to(length));
            return Poll::Ready(Ok(()));
        }
        if self.began && self.watch.as_ref().is_some_and(|watch| watch.is_late()) {
            return self.poll_refuse(context);
        }
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.began = true;
            if let Some(watch) = &self.watch {
                watch.arrived();
            }
        }
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        gather::poll_write(Pin::new(&mut self.io), context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Arc::new(Settings {
            read_header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(100),
            ..Settings::default()
        })))
    }

    #[track_caller]
    fn check(watch: &Watch, seconds: u64, expected: Order) {
        watch.sweep(tick() + seconds * 1000);
        assert_eq!(watch.order(), expected);
    }

    #[test]
    fn a_first_request_that_does_not_come_ends_it() {
        let watch = watch();
        check(&watch, 9, Order::Serve);
        check(&watch, 11, Order::Close);
    }

    #[test]
    fn a_request_under_way_may_take_its_time() {
        let watch = watch();
        let busy = watch.begin();
        check(&watch, 1000, Order::Serve);
        drop(busy);
        check(&watch, 99, Order::Serve);
        check(&watch, 101, Order::Finish);
    }

    #[test]
    fn a_first_request_may_still_come_at_the_end() {
        let watch = watch();
        watch.tell(Order::Finish);
        check(&watch, 0, Order::Serve);
        check(&watch, 2, Order::Finish);
        let watch = self::watch();
        watch.tell(Order::Finish);
        drop(watch.begin());
        check(&watch, 0, Order::Finish);
    }

    #[test]
    fn a_head_that_began_has_less_time_than_an_idle_connection() {
        let watch = watch();
        drop(watch.begin());
        watch.arrived();
        check(&watch, 9, Order::Serve);
        check(&watch, 11, Order::Close);
    }
}
