//! A connection over HTTP/1.1 to an upstream: one request at a time, driven by whoever waits for it (RFC 9112).
//!
//! There is no task, no channel and no lock between a request and its socket, and an idle connection holds no buffer.

mod body;
mod fault;
mod head;
mod outgoing;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use fairway_engine::body::Body;
use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use body::Framing;
pub(super) use fault::{Fault, is_loss};

use head::Head;
use outgoing::Outgoing;

/// What a connection reads from and writes to.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection that carries one request at a time.
pub(crate) struct Http1 {
    io: Box<dyn Io>,
    /// What was read and not yet understood.
    read: BytesMut,
    /// How long the head of a response may be, in bytes.
    max_head: usize,
    /// The request that is being sent.
    outgoing: Outgoing,
    /// What is to come of the body of the response.
    incoming: Framing,
    /// Whether another request may follow.
    reusable: bool,
}

impl Http1 {
    pub(super) fn new(io: impl Io + 'static, max_head: usize) -> Self {
        Self {
            io: Box::new(io),
            read: BytesMut::new(),
            max_head,
            outgoing: Outgoing::default(),
            incoming: Framing::None,
            reusable: true,
        }
    }

    /// Sends a request, and gives the response without its body, which [`Http1::poll_frame`] reads. Dropped, it leaves
    /// a connection that is good for nothing.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<()>, Fault> {
        let asked = Asked {
            head: request.method() == Method::HEAD,
            upgrade: request.headers().contains_key(UPGRADE),
        };
        self.reusable = false;
        self.outgoing.begin(request);
        poll_fn(|context| self.poll_answer(asked, context)).await
    }

    /// Sends what the socket takes, and reads the head of the response.
    fn poll_answer(&mut self, asked: Asked, context: &mut Context<'_>) -> Poll<Result<Response<()>, Fault>> {
        let sending = match self.poll_send(context) {
            // The upstream may have said why it does not read on.
            Poll::Ready(Err(fault)) if !fault.is_body() => Some(fault),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        let head = match self.poll_head(context) {
            Poll::Ready(Ok(head)) => head,
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(sending.unwrap_or(fault))),
            Poll::Pending => return sending.map_or(Poll::Pending, |fault| Poll::Ready(Err(fault))),
        };
        let status = head.response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS && !asked.upgrade {
            return Poll::Ready(Err(Fault::Unasked));
        }
        let bodiless = asked.head
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
            );
        self.incoming = if bodiless { Framing::None } else { head.framing };
        self.reusable = head.reusable && sending.is_none() && !matches!(self.incoming, Framing::Close);
        Poll::Ready(Ok(head.response))
    }

    /// Reads heads until one that is final.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Fault>> {
        loop {
            if !self.read.is_empty()
                && let Some(head) = Head::take(&mut self.read, self.max_head)?
            {
                let status = head.response.status();
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                    continue;
                }
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_read(context))? == 0 {
                let nothing = self.read.is_empty();
                return Poll::Ready(Err(if nothing { Fault::Closed } else { Fault::Cut }));
            }
        }
    }

    /// Sends what the socket takes of the request; ready when all of it is sent.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.outgoing.poll(&mut *self.io, context)
    }

    /// Whether all of the request is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.outgoing.is_done()
    }

    /// The next piece of the response's body; none at its end.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.incoming.take(&mut self.read, self.max_head) {
                Ok(body::Taken::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(body::Taken::End) => return Poll::Ready(None),
                Ok(body::Taken::More) => {}
                Err(fault) => return Poll::Ready(Some(Err(self.broken(fault)))),
            }
            match ready!(self.poll_read(context)) {
                Ok(0) if matches!(self.incoming, Framing::Close) => {
                    self.incoming = Framing::None;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(self.broken(Fault::Cut)))),
                Ok(_) => {}
                Err(fault) => return Poll::Ready(Some(Err(self.broken(fault)))),
            }
        }
    }

    /// The next piece of the response's body, if it was read already.
    pub(super) fn brought(&mut self) -> Option<Result<Frame<Bytes>, Fault>> {
        match self.incoming.take(&mut self.read, self.max_head) {
            Ok(body::Taken::Frame(frame)) => Some(Ok(frame)),
            Ok(body::Taken::End | body::Taken::More) => None,
            Err(fault) => Some(Err(self.broken(fault))),
        }
    }

    fn broken(&mut self, fault: Fault) -> Fault {
        self.reusable = false;
        self.incoming = Framing::None;
        fault
    }

    /// What is to come of the response's body.
    pub(super) fn incoming(&self) -> &Framing {
        &self.incoming
    }

    /// Whether request and response are complete and another request may follow.
    pub(super) fn is_free(&self) -> bool {
        self.reusable && self.read.is_empty() && self.is_sent() && matches!(self.incoming, Framing::None)
    }

    /// Whether the upstream closed an idle connection, or said something that nobody asked for.
    pub(super) fn is_closed(&mut self) -> bool {
        !self.reusable || self.poll_read(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// What the connection is after a switch of protocols: the socket, and what was read from it already.
    pub(crate) fn into_switched(self) -> (Bytes, Box<dyn Io>) {
        (self.read.freeze(), self.io)
    }

    /// Reads more into `read`; 0 at the end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let io = Pin::new(&mut *self.io);
        if self.incoming.is_long() {
            self.read.reserve(LARGE);
            return tokio_util::io::poll_read_buf(io, context, &mut self.read).map_err(Fault::from);
        }
        // What comes is mostly small: it is read to where the cache is warm, and takes no more room than it needs.
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH_LENGTH, 0);
            let mut buffer = ReadBuf::new(scratch);
            ready!(io.poll_read(context, &mut buffer))?;
            self.read.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

/// How much is read at once of a body that is known to be long.
const LARGE: usize = 64 * 1024;

const SCRATCH_LENGTH: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether a list between commas has an element, in letters of any case (RFC 9110, 5.6.1).
fn has_element(list: &[u8], element: &str) -> bool {
    let mut elements = list.split(|&byte| byte == b',');
    elements.any(|found| found.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
}

/// What the understanding of a response depends on.
#[derive(Clone, Copy)]
struct Asked {
    head: bool,
    upgrade: bool,
}
