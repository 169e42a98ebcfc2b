//! A connection over HTTP/1.1 at work: it reads and writes while whoever waits for its request polls it.
//!
//! It has no task of its own, so that a request costs neither a task's turn nor the way through the scheduler. While
//! it lies idle nobody polls it; it only takes note that something happened.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::task::AbortHandle;

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Drives a connection. Dropping it closes the connection.
pub(super) struct Driver {
    /// None: it has ended.
    connection: Option<Connection>,
    wakes: Arc<Wakes>,
    /// Of `wakes`.
    waker: Waker,
}

impl Driver {
    pub(super) fn new(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        let wakes = Arc::new(Wakes {
            task: AtomicWaker::new(),
            quiet: AtomicBool::new(true),
            stirred: AtomicBool::new(false),
        });
        Self {
            connection: Some(Box::pin(connection)),
            waker: Waker::from(Arc::clone(&wakes)),
            wakes,
        }
    }

    /// Polls something that comes of the connection, once the connection has done what it can without waiting.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        wanted: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.drive();
        let poll = wanted(&mut Context::from_waker(&self.waker));
        if poll.is_pending() {
            self.listen(context);
        }
        poll
    }

    /// Polls something that the connection may have brought already.
    pub(super) fn poll_brought<T>(&self, wanted: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        wanted(&mut Context::from_waker(&self.waker))
    }

    /// Has the connection do what it can without waiting.
    fn drive(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        // What it wakes now is asked right after.
        self.wakes.quiet.store(true, Relaxed);
        self.wakes.stirred.store(false, Relaxed);
        let polled = connection.as_mut().poll(&mut Context::from_waker(&self.waker));
        if let Poll::Ready(ended) = polled {
            note(ended);
            self.connection = None;
        }
    }

    /// Has a task woken when there is something to do, which may be now.
    fn listen(&self, context: &Context<'_>) {
        self.wakes.task.register(context.waker());
        self.wakes.quiet.store(false, SeqCst);
        if self.wakes.stirred.load(SeqCst) {
            context.waker().wake_by_ref();
        }
    }

    /// Nobody waits for the connection, and it has done what there was to do: from here on it wakes no task, and takes
    /// note of what happens.
    pub(super) fn rest(&self) {
        self.wakes.quiet.store(true, Relaxed);
        self.wakes.stirred.store(false, Relaxed);
    }

    /// Follows up on what happened while nobody polled the connection, which may be its end. Whether it is `busy` with
    /// its last request is for its sender to say.
    pub(super) fn catch_up(&mut self, busy: bool) {
        if busy || self.wakes.stirred.load(Relaxed) {
            self.drive();
        }
    }

    /// Gives the connection a task, which drives it to its end.
    pub(super) fn spawn(self) -> AbortHandle {
        let connection = self.connection;
        let task = tokio::task::spawn_local(async move {
            if let Some(connection) = connection {
                note(connection.await);
            }
        });
        task.abort_handle()
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "upstream connection ended");
    }
}

/// Stands between a connection and the task that waits for it: what the connection wakes while that task polls it
/// would only have the task polled for nothing.
struct Wakes {
    task: AtomicWaker,
    /// Whether the task is not to be woken.
    quiet: AtomicBool,
    /// Whether anything was woken since the connection was last polled.
    stirred: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order, and the other way round in `listen`: one of the two sees what the other did.
        self.stirred.store(true, SeqCst);
        if !self.quiet.load(SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// A connection that does nothing, the place where it leaves its waker, and how often it was polled.
    fn idle() -> (Driver, Arc<AtomicWaker>, Arc<AtomicUsize>) {
        let (waker, polls) = (Arc::new(AtomicWaker::new()), Arc::new(AtomicUsize::new(0)));
        let (theirs, count) = (Arc::clone(&waker), Arc::clone(&polls));
        let driver = Driver::new(poll_fn(move |context| {
            theirs.register(context.waker());
            count.fetch_add(1, SeqCst);
            Poll::Pending
        }));
        (driver, waker, polls)
    }

    #[test]
    fn who_waits_is_woken_and_nobody_else() {
        let (mut driver, theirs, polls) = idle();
        let task = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut context = Context::from_waker(&waker);
        assert!(driver.poll(&mut context, |_| Poll::<()>::Pending).is_pending());
        theirs.wake();
        assert_eq!(task.0.load(SeqCst), 1);
        assert!(driver.poll(&mut context, |_| Poll::Ready(())).is_ready());
        driver.rest();
        driver.catch_up(false);
        theirs.wake();
        assert_eq!((task.0.load(SeqCst), polls.load(SeqCst)), (1, 2));
        driver.catch_up(false);
        driver.rest();
        driver.catch_up(false);
        assert_eq!(polls.load(SeqCst), 3);
        driver.catch_up(true);
        assert_eq!(polls.load(SeqCst), 4);
    }

    #[test]
    fn what_is_woken_while_polling_is_not_lost() {
        let task = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut driver = Driver::new(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let mut context = Context::from_waker(&waker);
        assert!(driver.poll(&mut context, |_| Poll::Ready(())).is_ready());
        assert_eq!(task.0.load(SeqCst), 0);
        assert!(driver.poll(&mut context, |_| Poll::<()>::Pending).is_pending());
        assert_eq!(task.0.load(SeqCst), 1);
    }
}
