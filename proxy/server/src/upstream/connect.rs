//! New connections to upstreams: name, socket, TLS, protocol.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fairway_engine::body::BodyError;
use fairway_engine::handlers::reverse_proxy::transport::{Transport, UpstreamTls};
use fairway_engine::paths;
use fairway_engine::world::{Dial, Network};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::deadline::Timed;
use super::http1::{Http1, Io};
use super::pool::Sender;
use super::resolve::Resolver;
use super::tls;
use crate::batched::Batched;
use crate::traffic::LocalExecutor;
use crate::world;

/// For a TLS handshake whose transport names no limit.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Makes connections for one traffic thread.
pub(super) struct Connector {
    helpers: Handle,
    resolver: Resolver,
    /// By the transport's id, and whether HTTP/2 is offered.
    configs: RefCell<HashMap<(u64, bool), Arc<rustls::ClientConfig>>>,
}

impl Connector {
    pub(super) fn new(helpers: Handle) -> Self {
        Self {
            resolver: Resolver::new(helpers.clone()),
            helpers,
            configs: RefCell::default(),
        }
    }

    /// Forgets a transport that nobody uses any more.
    pub(super) fn forget(&self, id: u64) {
        self.configs.borrow_mut().retain(|key, _| key.0 != id);
    }

    /// Connects. Dropping the future closes what was begun.
    pub(super) async fn connect(
        &self,
        dial: &Dial,
        transport: &Arc<Transport>,
        upgrade: bool,
    ) -> Result<Sender, BodyError> {
        match dial.network {
            Network::Tcp => {
                let dialing = self.dial(&dial.address, transport.local_address);
                let stream = within(transport.dial_timeout, dialing).await?;
                self.secure(Batched::new(stream), dial, transport, upgrade).await
            }
            Network::Unix => {
                let stream = within(transport.dial_timeout, UnixStream::connect(&*dial.address)).await?;
                self.secure(stream, dial, transport, upgrade).await
            }
        }
    }

    /// Tries the addresses of a host in turn.
    async fn dial(&self, address: &str, from: Option<IpAddr>) -> io::Result<TcpStream> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidInput, "malformed address");
        let (host, port) = paths::split_host_port(address).map_err(|_| malformed())?;
        let port = port.parse().map_err(|_| malformed())?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no addresses");
        for ip in self.resolver.resolve(host).await? {
            if from.is_some_and(|from| from.is_ipv4() != ip.is_ipv4()) {
                continue;
            }
            match connect(SocketAddr::new(ip, port), from).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn secure<T>(
        &self,
        stream: T,
        dial: &Dial,
        transport: &Arc<Transport>,
        upgrade: bool,
    ) -> Result<Sender, BodyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = Timed::new(stream, transport.read_timeout, transport.write_timeout);
        let Some(settings) = &transport.tls else {
            return if transport.versions.h2c && !upgrade {
                http2(stream).await
            } else {
                Ok(http1(stream, transport))
            };
        };
        let offers_http2 = transport.versions.h2 && !upgrade;
        let config = self.config(transport, settings, offers_http2).await?;
        let host = match dial.network {
            Network::Tcp => paths::split_host_port(&dial.address).map_or(&*dial.address, |split| split.0),
            Network::Unix => "localhost",
        };
        let name = settings.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())?;
        let limit = if settings.handshake_timeout.is_zero() {
            HANDSHAKE
        } else {
            settings.handshake_timeout
        };
        let stream = within(limit, TlsConnector::from(config).connect(name, stream)).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            http2(stream).await
        } else {
            Ok(http1(stream, transport))
        }
    }

    async fn config(
        &self,
        transport: &Arc<Transport>,
        settings: &UpstreamTls,
        offers_http2: bool,
    ) -> Result<Arc<rustls::ClientConfig>, BodyError> {
        let key = (transport.id, offers_http2);
        if let Some(config) = self.configs.borrow().get(&key) {
            return Ok(Arc::clone(config));
        }
        let settings = settings.clone();
        let offers_http1 = transport.versions.h1 || !offers_http2;
        let build = move || tls::client_config(&settings, offers_http1, offers_http2);
        let config = Arc::new(world::run(&self.helpers, build).await?);
        self.configs.borrow_mut().insert(key, Arc::clone(&config));
        Ok(config)
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no connection within {limit:?}"),
        )),
    }
}

async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(address).await
}

fn http1(stream: impl Io + 'static, transport: &Transport) -> Sender {
    Sender::Http1(Box::new(Http1::new(stream, transport.max_response_header)))
}

async fn http2<T>(stream: T) -> Result<Sender, BodyError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Sender::Http2(sender))
}
