//! Limits on single reads and writes: `read_timeout` and `write_timeout` of a transport.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::gather;

/// A connection on which no read and no write waits longer than its limit.
pub(super) struct Timed<T> {
    io: T,
    read: Limit,
    write: Limit,
}

impl<T> Timed<T> {
    pub(super) fn new(io: T, read: Option<Duration>, write: Option<Duration>) -> Self {
        Self {
            io,
            read: Limit::new(read),
            write: Limit::new(write),
        }
    }
}

/// How long something may wait, and since when it does.
struct Limit {
    duration: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Limit {
    fn new(duration: Option<Duration>) -> Self {
        Self {
            duration,
            waiting: None,
        }
    }

    /// Passes on what is ready; what waits for too long is an error.
    fn hold<R>(&mut self, poll: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        let Some(duration) = self.duration else {
            return poll;
        };
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(duration)));
        waiting.as_mut().poll(context).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nothing moved within {duration:?}"),
            ))
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_read(context, buffer);
        this.read.hold(poll, context)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write(context, bytes);
        this.write.hold(poll, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = gather::poll_write(Pin::new(&mut this.io), context, slices);
        this.write.hold(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_flush(context);
        this.write.hold(poll, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
