//! TCP streams whose small writes wait until the thread has nothing else to do, and then leave together.
//!
//! Every write to an idle peer on another core wakes it, which costs the writer more than the write itself. Writes that
//! leave one right after the other find the peer awake. A write waits at most until [`Batch::LENGTH`] of them do, or
//! the thread has read [`Batch::PATIENCE`] times since.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A TCP stream whose small writes are batched, on a thread that sends batches; elsewhere they are not.
#[derive(Debug)]
pub(crate) struct Batched {
    read: OwnedReadHalf,
    write: Arc<Outgoing>,
}

impl Batched {
    /// A write of more bytes is not worth a copy.
    const SMALL: usize = 2048;

    pub(crate) fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let write = Arc::new(Outgoing {
            half: Some(write),
            stuck: AtomicBool::new(false),
            rest: Mutex::default(),
        });
        Self { read, write }
    }

    /// Writes at once. A batch that was sent holds the half no longer; a task that sends its rest may, for a moment.
    fn poll_half<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut OwnedWriteHalf>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if let Some(Outgoing { half: Some(half), .. }) = Arc::get_mut(&mut self.write) {
            return poll(Pin::new(half), context);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when nothing of this stream is left of a batch that was sent.
    fn poll_rest(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.write.stuck.load(Ordering::Relaxed) {
            self.write.fault()?;
            ready!(self.write.half().as_ref().poll_write_ready(context))?;
            self.write.push()?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Batched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        BATCH.with(Batch::step);
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Batched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(context))?;
        BATCH.with(|batch| {
            if batch.open.get() && bytes.len() <= Self::SMALL {
                batch.push(&self.write, bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            batch.send();
            ready!(self.poll_rest(context))?;
            self.poll_half(context, |half, context| half.poll_write(context, bytes))
        })
    }

    /// What waits for its batch counts as flushed: nothing but the end of the thread's turn is missing.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_rest(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        BATCH.with(Batch::send);
        ready!(self.poll_rest(context))?;
        self.poll_half(context, OwnedWriteHalf::poll_shutdown)
    }
}

/// Sends what waits on this thread; to be called before the thread sleeps.
pub(crate) fn send() {
    BATCH.with(Batch::send);
}

/// Lets writes wait from now on: this thread calls [`send`] whenever it has nothing else to do.
pub(crate) fn open() {
    BATCH.with(|batch| batch.open.set(true));
}

thread_local! {
    static BATCH: Batch = const { Batch::new() };
}

/// The writes that wait on a thread.
struct Batch {
    /// Whether writes may wait at all.
    open: Cell<bool>,
    /// Reads since the last batch was sent.
    steps: Cell<u32>,
    waiting: RefCell<Waiting>,
}

struct Waiting {
    bytes: Vec<u8>,
    writes: Vec<(Arc<Outgoing>, Range<usize>)>,
}

impl Batch {
    /// How many writes wait at most.
    const LENGTH: usize = 32;

    /// How many bytes wait at most, but for one write.
    const SIZE: usize = 32 * 1024;

    /// After how many reads of the thread a batch is sent, should the thread never be done.
    const PATIENCE: u32 = 256;

    const fn new() -> Self {
        Self {
            open: Cell::new(false),
            steps: Cell::new(0),
            waiting: RefCell::new(Waiting {
                bytes: Vec::new(),
                writes: Vec::new(),
            }),
        }
    }

    fn step(&self) {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps >= Self::PATIENCE {
            self.send();
        }
    }

    fn push(&self, to: &Arc<Outgoing>, bytes: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        let start = waiting.bytes.len();
        waiting.bytes.extend_from_slice(bytes);
        let end = waiting.bytes.len();
        match waiting.writes.last_mut() {
            Some((last, range)) if Arc::ptr_eq(last, to) => range.end = end,
            _ => waiting.writes.push((Arc::clone(to), start..end)),
        }
        let full = waiting.writes.len() >= Self::LENGTH || end >= Self::SIZE;
        drop(waiting);
        if full {
            self.send();
        }
    }

    fn send(&self) {
        self.steps.set(0);
        let Waiting { bytes, writes } = &mut *self.waiting.borrow_mut();
        for (to, range) in writes.drain(..) {
            to.send(&bytes[range]);
        }
        bytes.clear();
    }
}

/// The writing side of a stream.
#[derive(Debug)]
struct Outgoing {
    /// Always there; taken when dropped.
    half: Option<OwnedWriteHalf>,
    /// Whether `rest` has anything to tell.
    stuck: AtomicBool,
    rest: Mutex<Rest>,
}

/// What the socket did not take of a batch that was sent.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    error: Option<io::ErrorKind>,
}

impl Outgoing {
    fn half(&self) -> &OwnedWriteHalf {
        self.half.as_ref().expect("the half is taken only when dropped")
    }

    /// Writes without waiting. A task sends what the socket does not take; an error is kept for the next who writes.
    fn send(self: Arc<Self>, bytes: &[u8]) {
        if self.stuck.load(Ordering::Relaxed) {
            self.rest().bytes.extend_from_slice(bytes);
            return;
        }
        match self.half().try_write(bytes) {
            Ok(count) if count == bytes.len() => {}
            Ok(count) => self.keep(&bytes[count..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.keep(bytes),
            Err(error) => {
                self.rest().error = Some(error.kind());
                self.stuck.store(true, Ordering::Relaxed);
            }
        }
    }

    fn keep(self: Arc<Self>, bytes: &[u8]) {
        self.rest().bytes.extend_from_slice(bytes);
        self.stuck.store(true, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            while self.stuck.load(Ordering::Relaxed) && self.fault().is_ok() {
                let sent = match self.half().writable().await {
                    Ok(()) => self.push(),
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    self.rest().error = Some(error.kind());
                }
            }
        });
    }

    /// Writes of the rest what the socket takes.
    fn push(&self) -> io::Result<()> {
        let mut rest = self.rest();
        match self.half().try_write(&rest.bytes) {
            Ok(count) => drop(rest.bytes.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if rest.bytes.is_empty() {
            rest.bytes = Vec::new();
            self.stuck.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Why nothing can be written any more, if so.
    fn fault(&self) -> io::Result<()> {
        self.rest().error.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Dropped as it is, the half would shut down the stream first, for a system call more.
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    /// Runs on a thread of its own that lets writes wait, and sends them if `parks` before it sleeps.
    fn on_thread<F: Future<Output = ()>>(parks: bool, work: impl FnOnce() -> F + Send + 'static) {
        let work = move || {
            let mut builder = Builder::new_current_thread();
            builder.enable_all();
            if parks {
                builder.on_thread_park(send);
            }
            let runtime = builder.build_local(LocalOptions::default()).unwrap();
            runtime.block_on(async {
                open();
                work().await;
            });
        };
        std::thread::spawn(work).join().unwrap();
    }

    fn pair() -> (Batched, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        far.set_nonblocking(true).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = TcpStream::from_std(near).unwrap();
        (Batched::new(near), TcpStream::from_std(far).unwrap())
    }

    #[track_caller]
    fn check_unsent(far: &TcpStream) {
        let read = far.try_read(&mut [0; 8]);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    async fn check_sent(far: &mut TcpStream, expected: &[u8]) {
        let mut read = vec![0; expected.len()];
        far.read_exact(&mut read).await.unwrap();
        assert!(read == expected, "{} bytes differ", expected.len());
    }

    #[test]
    fn writes_wait_for_the_end_of_the_turn() {
        on_thread(false, || async {
            let (mut one, mut far_one) = pair();
            let (mut two, mut far_two) = pair();
            one.write_all(b"a").await.unwrap();
            two.write_all(b"x").await.unwrap();
            one.write_all(b"b").await.unwrap();
            one.flush().await.unwrap();
            check_unsent(&far_one);
            send();
            check_sent(&mut far_one, b"ab").await;
            check_sent(&mut far_two, b"x").await;
        });
    }

    #[test]
    fn a_thread_sends_before_it_sleeps() {
        on_thread(true, || async {
            let (mut near, mut far) = pair();
            near.write_all(b"ping").await.unwrap();
            check_sent(&mut far, b"ping").await;
        });
    }

    #[test]
    fn a_busy_thread_sends_now_and_then() {
        on_thread(false, || async {
            let (mut near, mut far) = pair();
            near.write_all(b"late").await.unwrap();
            far.write_all(&[b'.'; Batch::PATIENCE as usize]).await.unwrap();
            for _ in 0..Batch::PATIENCE {
                near.read_u8().await.unwrap();
            }
            check_sent(&mut far, b"late").await;
        });
    }

    #[test]
    fn a_batch_is_bounded() {
        on_thread(false, || async {
            let (mut near, mut far) = pair();
            let piece = [b'p'; Batched::SMALL];
            for _ in 0..Batch::SIZE / Batched::SMALL {
                near.write_all(&piece).await.unwrap();
            }
            check_sent(&mut far, &vec![b'p'; Batch::SIZE]).await;
            let mut pairs = Vec::new();
            for _ in 0..Batch::LENGTH {
                let (mut near, far) = pair();
                near.write_all(b"x").await.unwrap();
                pairs.push((near, far));
            }
            for (_near, far) in &mut pairs {
                check_sent(far, b"x").await;
            }
        });
    }

    #[test]
    fn order_is_kept_before_large_writes_and_the_end() {
        on_thread(false, || async {
            let (mut near, mut far) = pair();
            near.write_all(b"small").await.unwrap();
            let large = vec![b'l'; Batched::SMALL + 1];
            near.write_all(&large).await.unwrap();
            check_sent(&mut far, &[b"small", &large[..]].concat()).await;
            near.write_all(b"end").await.unwrap();
            near.shutdown().await.unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"end");
        });
    }

    /// Fills the socket, so that nothing of the next batch goes out. Gives what was written.
    async fn fill(near: &mut Batched) -> Vec<u8> {
        let piece = vec![b'f'; 1 << 20];
        let mut written = 0;
        loop {
            let poll = poll_fn(|context| Poll::Ready(Pin::new(&mut *near).poll_write(context, &piece))).await;
            match poll {
                Poll::Ready(count) => written += count.unwrap(),
                Poll::Pending => return vec![b'f'; written],
            }
        }
    }

    #[test]
    fn what_the_socket_does_not_take_is_sent_later() {
        on_thread(true, || async {
            let (mut near, mut far) = pair();
            let filled = fill(&mut near).await;
            near.write_all(b"rest").await.unwrap();
            send();
            let flush = poll_fn(|context| Poll::Ready(Pin::new(&mut near).poll_flush(context))).await;
            assert!(flush.is_pending());
            // Nobody writes or flushes any more.
            check_sent(&mut far, &[&filled, &b"rest"[..]].concat()).await;
            near.write_all(b"more").await.unwrap();
            near.flush().await.unwrap();
            check_sent(&mut far, b"more").await;
        });
    }

    #[test]
    fn large_writes_wait_for_the_rest() {
        on_thread(true, || async {
            let (mut near, mut far) = pair();
            let filled = fill(&mut near).await;
            near.write_all(b"rest").await.unwrap();
            send();
            let large = vec![b'l'; 100_000];
            let sent = [&filled, &b"rest"[..], &large].concat();
            tokio::join!(
                async {
                    near.write_all(&large).await.unwrap();
                    near.shutdown().await.unwrap();
                },
                check_sent(&mut far, &sent),
            );
        });
    }

    #[test]
    fn an_error_is_told_to_the_next_writer() {
        on_thread(false, || async {
            let (mut near, far) = pair();
            drop(far);
            while near.write_all(b"x").await.is_ok() {
                send();
            }
            assert!(near.write_all(b"y").await.is_err());
            assert!(near.flush().await.is_err());
        });
    }

    #[test]
    fn what_waits_outlives_its_stream() {
        on_thread(false, || async {
            let (mut near, mut far) = pair();
            near.write_all(b"bye").await.unwrap();
            drop(near);
            send();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"bye");
        });
    }
}
