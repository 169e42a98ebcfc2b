//! One request over a fresh HTTP/2 connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Stage;
use super::case::Request;
use super::tls;
use super::wire::{Answer, Refusal, Security, destination, tcp};

/// A server that does not answer for so long is recorded as a timeout.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

pub(super) fn send(request: &Request, stage: &Stage) -> Result<Answer, Refusal> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        timeout(PATIENCE, exchange(request, stage))
            .await
            .unwrap_or(Err(Refusal::Timeout))
    })
}

async fn exchange(request: &Request, stage: &Stage) -> Result<Answer, Refusal> {
    let destination = destination(request, stage);
    let stream = tcp(request, destination.port)?;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    let Security::Tls(name) = destination.security else {
        return speak(request, "http", stream).await;
    };
    let (config, name) = tls::client(name.as_deref(), &["h2"]);
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|_| Refusal::Tls)?;
    speak(request, "https", stream).await
}

async fn speak(
    request: &Request,
    scheme: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Answer, Refusal> {
    let closed = |_| Refusal::Closed;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(closed)?;
    let answer = async {
        let mut message = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(format!("{scheme}://{}{}", request.host(), request.target));
        for (name, value) in request
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            message = message.header(name, value);
        }
        let message = message
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(|_| Refusal::Closed)?;
        let response = sender.send_request(message).await.map_err(closed)?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            ..Answer::default()
        };
        answer.headers = pairs(response.headers());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                answer.truncated = true;
                break;
            };
            match frame.into_data() {
                Ok(data) => answer.body.extend_from_slice(&data),
                Err(frame) => answer.trailers = frame.trailers_ref().map(pairs).unwrap_or_default(),
            }
        }
        Ok(answer)
    };
    // The connection is driven only as long as the answer is awaited; both end together.
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

fn pairs(headers: &http::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}
