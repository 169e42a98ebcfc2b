//! A connection to the proxy, with TLS or without.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Authority;

/// Where a proxy listens, and what it speaks there.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    name: ServerName<'static>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// What will be spoken.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Door {
    /// Without TLS.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// With TLS, for a site whose certificates come of this authority.
    #[must_use]
    pub fn tls(address: SocketAddr, name: &str, authority: &Authority) -> Self {
        Self {
            address,
            tls: Some(Tls {
                name: ServerName::try_from(name.to_owned()).expect("a name"),
                http1: authority.client(b"http/1.1"),
                http2: authority.client(b"h2"),
            }),
        }
    }

    /// The scheme of what is asked for here.
    pub(super) const fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    pub(super) async fn connect(&self, protocol: Protocol) -> Result<Wire> {
        let stream = TcpStream::connect(self.address).await?;
        let Some(tls) = &self.tls else {
            return Ok(Wire::Plain(stream));
        };
        let config = match protocol {
            Protocol::Http1 => &tls.http1,
            Protocol::Http2 => &tls.http2,
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(tls.name.clone(), stream).await?;
        Ok(Wire::Tls(Box::new(stream)))
    }

    /// The certificate that a new connection is shown; none without TLS.
    pub async fn certificate(&self) -> Result<Option<CertificateDer<'static>>> {
        let Wire::Tls(stream) = self.connect(Protocol::Http1).await? else {
            return Ok(None);
        };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        Ok(certificates.first().cloned())
    }
}

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// The port at this end.
    pub(super) fn port(&self) -> Result<u16> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        Ok(stream.local_addr()?.port())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
