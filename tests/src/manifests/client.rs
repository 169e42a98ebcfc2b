//! A client that asks for pages over one connection, plain or with TLS.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::conversation::tls;

/// What has not come after this time never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection; it closes when it is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// The certificate that the other side showed, in DER.
    certificate: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// The value of a header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Asks for one page over a connection of its own.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer, String> {
    Connection::open(address).await?.get(host, path).await
}

impl Connection {
    /// Connects without TLS.
    pub async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = connect(address).await?;
        Self::over(stream, None).await
    }

    /// Connects with TLS, for the name `host`. Any certificate will do; look at [`Connection::certificate`].
    pub async fn secure(address: SocketAddr, host: &str) -> Result<Self, String> {
        let (config, name) = tls::client(Some(host), &["http/1.1"]);
        let connecting = TlsConnector::from(config).connect(name, connect(address).await?);
        let stream = timeout(PATIENCE, connecting)
            .await
            .map_err(|_| "the handshake takes too long".to_owned())?
            .map_err(|error| format!("handshake: {error}"))?;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|certificate| certificate.to_vec());
        Self::over(stream, certificate).await
    }

    /// The certificate that the other side showed, in DER.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// Asks for a page and reads it to its end. If dropped midway, the connection is of no more use.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer, String> {
        let request = Request::get(path)
            .header(HOST, host)
            .body(Empty::new())
            .map_err(|error| format!("{host}{path}: {error}"))?;
        let asking = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        timeout(PATIENCE, asking)
            .await
            .map_err(|_| format!("{host}{path}: no answer in {PATIENCE:?}"))?
            .map_err(|error| format!("{host}{path}: {error}"))
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificate: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let opened = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|error| format!("opening a connection: {error}"))?;
        // It ends with its sender; what went wrong, the sender tells.
        tokio::spawn(connection);
        Ok(Self { sender, certificate })
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await;
    stream.map_err(|error| format!("connecting to {address}: {error}"))
}
