//! The upstream: notes each number, and sends it back in the manner that the path asks for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::NUMBER;
use super::body::{Payload, fed, full, pieces};
use super::frame::{self, Side};

/// How often each number has arrived; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    counts: Arc<Mutex<BTreeMap<u64, u32>>>,
    /// Where the numbers are written, too.
    file: Option<Arc<File>>,
}

impl Seen {
    /// Adds each number to a file, for another process to read: one on a line, written at once, so that several may add
    /// to one file.
    #[must_use]
    pub fn written_to(file: File) -> Self {
        Self {
            counts: Arc::default(),
            file: Some(Arc::new(file)),
        }
    }

    /// What was written to a file, but for its first bytes.
    pub fn read(file: &Path, from: u64) -> io::Result<Self> {
        let mut written = File::open(file)?;
        written.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        written.read_to_string(&mut text)?;
        let seen = Self::default();
        text.lines()
            .filter_map(|line| line.parse().ok())
            .for_each(|number| seen.note(number));
        Ok(seen)
    }

    /// Notes that a request with this number has arrived.
    pub fn note(&self, number: u64) {
        *self.counted().entry(number).or_default() += 1;
        if let Some(mut file) = self.file.as_deref() {
            // If it cannot be written, the ledger misses the number.
            let _ = file.write_all(format!("{number}\n").as_bytes());
        }
    }

    /// How often each number has arrived until now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<u64, u32> {
        self.counted().clone()
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u32>> {
        self.counts.lock().expect("nothing panics while it counts")
    }
}

/// A server on two ports, one for each version of HTTP. It runs as long as the runtime it was started in.
#[derive(Debug, Clone, Copy)]
pub struct Upstream {
    /// Where it speaks HTTP/1.1.
    pub http1: SocketAddr,
    /// Where it speaks HTTP/2 without TLS.
    pub http2: SocketAddr,
}

impl Upstream {
    /// Starts two on an address of this machine, and gives the thread of their own that they run on: a client that is
    /// busy must not look like an upstream that does not answer.
    pub fn start_two(seen: &Seen, address: IpAddr) -> io::Result<(Runtime, [Self; 2])> {
        let thread = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let two = thread.block_on(async {
            let start = async || Self::start(seen, address).await;
            io::Result::Ok([start().await?, start().await?])
        })?;
        Ok((thread, two))
    }

    /// Starts one that notes what arrives in `seen`. If dropped midway, it does not run.
    pub async fn start(seen: &Seen, address: IpAddr) -> io::Result<Self> {
        let first = TcpListener::bind((address, 0)).await?;
        let second = TcpListener::bind((address, 0)).await?;
        Self::serve(first, second, seen)
    }

    /// The same on listeners that are there, for HTTP/1.1 and for HTTP/2.
    pub fn serve(http1: TcpListener, http2: TcpListener, seen: &Seen) -> io::Result<Self> {
        let addresses = Self {
            http1: http1.local_addr()?,
            http2: http2.local_addr()?,
        };
        tokio::spawn(serve_http1(http1, seen.clone()));
        tokio::spawn(serve_http2(http2, seen.clone()));
        Ok(addresses)
    }
}

async fn serve_http1(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request| answer(request, seen.clone()));
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(connection);
    }
}

async fn serve_http2(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request| answer(request, seen.clone()));
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn answer(mut request: Request<Incoming>, seen: Seen) -> Result<Response<Payload>, Infallible> {
    let number = request.headers().get(NUMBER).cloned();
    let parsed = number
        .as_ref()
        .and_then(|number| number.to_str().ok()?.parse().ok());
    let (Some(header), Some(number)) = (number, parsed) else {
        return Ok(status(StatusCode::BAD_REQUEST));
    };
    seen.note(number);
    let mut response = match request.uri().path() {
        "/stream" => {
            let (sender, body) = fed();
            tokio::spawn(echo(request.into_body(), sender, header.clone()));
            Response::new(body)
        }
        "/download" => {
            let (sender, body) = fed();
            tokio::spawn(async move {
                for piece in pieces(number) {
                    if sender.send(Frame::data(piece)).await.is_err() {
                        return;
                    }
                }
            });
            Response::new(body)
        }
        "/socket" => {
            tokio::spawn(talk(hyper::upgrade::on(&mut request)));
            let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            response
        }
        _ => match request.into_body().collect().await {
            Ok(body) => {
                let body = body.to_bytes();
                Response::new(full([format!("{number} ").as_bytes(), &body].concat()))
            }
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
    };
    response.headers_mut().insert(NUMBER, header);
    Ok(response)
}

/// Sends every piece back as it comes, and the number in the trailers. The end of a body may come as an empty
/// piece; that is not sent back, because a peer breaks off a connection that has carried a hundred of them.
async fn echo(mut body: Incoming, to: mpsc::Sender<Frame<Bytes>>, number: HeaderValue) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
            && to.send(Frame::data(data)).await.is_err()
        {
            return;
        }
    }
    let trailers = HeaderMap::from_iter([(hyper::header::HeaderName::from_static(NUMBER), number)]);
    // The client may have gone.
    let _ = to.send(Frame::trailers(trailers)).await;
}

/// Sends every message back until the client closes.
async fn talk(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut wire = TokioIo::new(upgraded);
    while let Ok(frame) = frame::read(&mut wire).await {
        let last = frame == frame::Frame::Close;
        if frame::write(&mut wire, &frame, Side::Server).await.is_err() || last {
            return;
        }
    }
}

fn status(code: StatusCode) -> Response<Payload> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = code;
    response
}
