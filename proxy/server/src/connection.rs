//! A client's connection: TLS, the choice of protocol, and the life of the connection until it ends.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairway_engine::exchange::{Connection, Tls};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::batched::Batched;
use crate::plain_on_tls;
use crate::plan::Settings;
use crate::proxy_protocol::ProxyProtocol;
use crate::request;
use crate::tls::TlsServer;
use crate::traffic::{Local, LocalExecutor};
use crate::watched::{Order, Watch, Watched};

/// For everything before the first byte of HTTP.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(crate) async fn serve(local: Rc<Local>, listener: usize, stream: TcpStream, remote: SocketAddr) {
    let Some((tls, settings)) = local.entrance(listener) else {
        return;
    };
    let Ok(bound) = stream.local_addr() else {
        return;
    };
    let connection = Connection::new(canonical(remote), canonical(bound), None);
    let (stream, connection, prefix) = match &settings.proxy_protocol {
        None => (stream, connection, Bytes::new()),
        // Boxed, since few connections need room for it.
        Some(proxy_protocol) => match Box::pin(behind_proxy(proxy_protocol, stream, connection)).await {
            Some(received) => received,
            None => return,
        },
    };
    let beginning = begin(&local, tls.as_deref(), &settings, stream, connection, prefix);
    let begun = tokio::time::timeout(HANDSHAKE, beginning).await;
    drop(tls);
    let Ok(Some(begun)) = begun else {
        return;
    };
    let visit = Visit {
        local,
        listener,
        settings,
        connection: Arc::new(begun.connection),
    };
    match begun.stream {
        Stream::Plain(stream) => visit.serve(stream, begun.prefix, begun.http2).await,
        Stream::Tls(stream) => visit.serve(*stream, begun.prefix, begun.http2).await,
    }
}

/// IPv4 addresses in their own form, also on sockets of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A connection on which HTTP begins.
struct Begun {
    stream: Stream,
    /// What was read from it already.
    prefix: Bytes,
    http2: bool,
    connection: Connection,
}

enum Stream {
    Plain(Batched),
    Tls(Box<tokio_rustls::server::TlsStream<Batched>>),
}

/// A connection that may begin with a PROXY header, after it: with what was read and is none. Nothing if it is closed.
async fn behind_proxy(
    proxy_protocol: &ProxyProtocol,
    mut stream: TcpStream,
    mut connection: Connection,
) -> Option<(TcpStream, Connection, Bytes)> {
    let received = proxy_protocol
        .receive(&mut stream, connection.remote.ip())
        .await?;
    if let Some((source, destination)) = received.addresses {
        connection.remote = canonical(source);
        connection.local = canonical(destination);
    }
    Some((stream, connection, received.prefix))
}

/// Everything before HTTP, behind the bytes that were read already. Nothing if there is none to come.
async fn begin(
    local: &Local,
    tls: Option<&TlsServer>,
    settings: &Settings,
    mut stream: TcpStream,
    mut connection: Connection,
    prefix: Bytes,
) -> Option<Begun> {
    let Some(tls) = tls else {
        let (prefix, http2) = if settings.h2c {
            preface(&mut stream, prefix).await?
        } else {
            (prefix, false)
        };
        return Some(Begun {
            stream: Stream::Plain(Batched::new(stream)),
            prefix,
            http2,
            connection,
        });
    };
    let mut first = [0];
    if let Some(read) = prefix.first() {
        // Read in search of a PROXY header, and so never the beginning of TLS.
        first[0] = *read;
    } else if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0].is_ascii_uppercase() {
        plain_on_tls::answer(&mut stream, prefix, settings.http_redirect).await;
        return None;
    }
    let stream = match tls.accept(Batched::new(stream), connection.local).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, client = %connection.remote, "TLS handshake failed");
            local.counters.failed_handshakes.one();
            return None;
        }
    };
    let tls = describe(stream.get_ref().1);
    let http2 = tls.protocol == "h2";
    connection.tls = Some(tls);
    Some(Begun {
        stream: Stream::Tls(Box::new(stream)),
        prefix: Bytes::new(),
        http2,
        connection,
    })
}

/// Reads until it is clear whether HTTP/2 begins, behind the bytes that were read already.
async fn preface(stream: &mut TcpStream, prefix: Bytes) -> Option<(Bytes, bool)> {
    let mut read = BytesMut::with_capacity(PREFACE.len().max(prefix.len()));
    read.extend_from_slice(&prefix);
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let mut rest = (&mut *stream).take((PREFACE.len() - read.len()) as u64);
        if rest.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let http2 = read == PREFACE;
    Some((read.freeze(), http2))
}

fn describe(session: &rustls::ServerConnection) -> Tls {
    Tls {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "tls1.3",
            _ => "tls1.2",
        },
        cipher_suite: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .map_or("", iana_name),
        protocol: match session.alpn_protocol() {
            Some(b"h2") => "h2",
            Some(b"http/1.1") => "http/1.1",
            _ => "",
        },
        server_name: session
            .server_name()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .into(),
        resumed: session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        client: session
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|der| Box::new(crate::tls::shown(der))),
    }
}

/// The name of a cipher suite in the registry; rustls marks those of TLS 1.3.
fn iana_name(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        name => name,
    }
}

/// A connection on which HTTP is spoken.
struct Visit {
    local: Rc<Local>,
    listener: usize,
    settings: Arc<Settings>,
    connection: Arc<Connection>,
}

impl Visit {
    async fn serve<T>(self, io: T, prefix: Bytes, http2: bool)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let watch = Arc::new(Watch::new(Arc::clone(&self.settings)));
        let looked_after = self.local.watch(&watch);
        let client = Rc::new(request::Client {
            local: self.local,
            listener: self.listener,
            settings: Arc::clone(&self.settings),
            connection: self.connection,
            watch: Arc::clone(&watch),
        });
        let service = service_fn(|request| request::answer(Rc::clone(&client), request));
        if http2 {
            let io = TokioIo::new(Watched::new(io, prefix, None));
            let connection = http2_builder(&self.settings).serve_connection(io, service);
            run(&watch, connection, http2::Connection::graceful_shutdown).await;
        } else if self.settings.h1 {
            let io = TokioIo::new(Watched::new(io, prefix, Some(Arc::clone(&watch))));
            let connection = http1_builder(&self.settings)
                .serve_connection(io, service)
                .with_upgrades();
            run(
                &watch,
                connection,
                http1::UpgradeableConnection::graceful_shutdown,
            )
            .await;
        }
        drop(looked_after);
    }
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The sweeper measures the time of heads, together with that of idle connections.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(true);
    if let Some(bytes) = settings.max_header_bytes {
        builder.max_header_size(bytes);
    }
    builder
}

fn http2_builder(settings: &Settings) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    let header_bytes = settings.max_header_bytes.unwrap_or(64 * 1024);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(256 * 1024)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024)
        .enable_connect_protocol();
    builder
}

/// Drives a connection until it ends by itself or on orders.
async fn run<C, E>(watch: &Watch, connection: C, finish: impl Fn(Pin<&mut C>))
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let mut finishing = false;
    let mut known = false;
    let ended = poll_fn(|context: &mut Context<'_>| {
        if !known {
            known = true;
            watch.set_waker(context.waker());
        }
        if watch.order() == Order::Close {
            // Once more: a head that takes too long is answered while reading.
            let _ = connection.as_mut().poll(context);
            return Poll::Ready(Ok(()));
        }
        let mut poll = connection.as_mut().poll(context);
        // After polling: the first request of a connection may have come just now.
        if poll.is_pending() && !finishing && watch.order() == Order::Finish {
            finishing = true;
            finish(connection.as_mut());
            poll = connection.as_mut().poll(context);
        }
        poll
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "connection ended");
    }
}
