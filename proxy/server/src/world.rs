//! What the engine asks of the world, on sockets, files and helper threads.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError, ClientFault};
use fairway_engine::handlers::reverse_proxy::transport::Transport;
use fairway_engine::world::{Dial, SendError, World};
use http_body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::traffic::Helpers;
use crate::upstream::Upstreams;

/// How many bytes of a file are read at once.
const CHUNK: u64 = 64 * 1024;

/// The services of a traffic thread.
pub(crate) struct Services {
    helpers: Helpers,
    upstreams: Upstreams,
}

impl Services {
    pub(crate) fn new(helpers: Helpers) -> Self {
        let upstreams = Upstreams::new(helpers.handle.clone());
        Self { helpers, upstreams }
    }

    /// Closes upstream connections that have been idle for too long.
    pub(crate) fn sweep(&self) {
        self.upstreams.sweep();
    }
}

impl World for Services {
    async fn send(
        &self,
        dial: &Dial,
        transport: &Arc<Transport>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        self.upstreams.send(dial, transport, request).await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        run(&self.helpers.handle, work).await
    }

    fn file(&self, file: File, offset: u64, length: u64) -> Body {
        if length == 0 {
            return Body::Empty;
        }
        Body::stream(FileBody {
            helpers: self.helpers.handle.clone(),
            file: Arc::new(file),
            offset,
            left: length,
            reading: None,
        })
    }

    fn within(&self, body: Body, limit: Duration) -> Body {
        Body::stream(Timed {
            body,
            limit,
            end: Box::pin(tokio::time::sleep(limit)),
        })
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Runs work on a helper thread. If it panics, so does whoever waits for it.
pub(crate) async fn run<T: Send + 'static>(helpers: &Handle, work: impl FnOnce() -> T + Send + 'static) -> T {
    match helpers.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The helpers end after the traffic threads; nobody sees this.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A body that must end in time.
struct Timed {
    body: Body,
    limit: Duration,
    end: Pin<Box<Sleep>>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Box::new(ClientFault::TooSlow(self.limit)))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A part of a file.
struct FileBody {
    helpers: Handle,
    file: Arc<File>,
    offset: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let reading = this.reading.get_or_insert_with(|| {
            let (file, offset) = (Arc::clone(&this.file), this.offset);
            let length = this.left.min(CHUNK) as usize;
            this.helpers.spawn_blocking(move || read(&file, offset, length))
        });
        let read = ready!(Pin::new(reading).poll(context));
        this.reading = None;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        this.offset += bytes.len() as u64;
        this.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reads exactly so much; a file that has become shorter is an error, so that the response is not taken for whole.
fn read(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, offset)?;
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;

    /// Reads a part of a file of 200,000 bytes; gives its length, or nothing if it fails.
    #[track_caller]
    fn check(offset: u64, length: u64, expected: Option<usize>) {
        let helpers = Helpers::start(1).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|index| (index % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let read = runtime.block_on(async {
            let services = Services::new(helpers);
            services.file(file, offset, length).collect().await
        });
        let read = read.ok().map(http_body_util::Collected::to_bytes);
        assert_eq!(read.as_ref().map(Bytes::len), expected);
        if let Some(read) = read {
            assert_eq!(read, bytes[offset as usize..][..length as usize]);
        }
    }

    #[test]
    fn files_are_read_in_chunks() {
        check(0, 200_000, Some(200_000));
        check(70_000, 65_536, Some(65_536));
        check(10, 0, Some(0));
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        check(0, 200_001, None);
    }
}
