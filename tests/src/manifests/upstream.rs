//! A tiny program to stand behind the proxy.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Starts a server on a free port that answers every request with its name and what it sees: `web sees /cart`. It
/// runs as long as the runtime it was started in; gives its address.
pub async fn upstream(name: &str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let name: Bytes = name.to_owned().into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let name = name.clone();
            let service = service_fn(move |request| {
                let answer = answer(&name, &request);
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

fn answer<B>(name: &[u8], request: &Request<B>) -> Response<Full<Bytes>> {
    let name = String::from_utf8_lossy(name);
    let seen = request.uri().path_and_query();
    let seen = seen.map_or("/", |seen| seen.as_str());
    Response::new(Full::new(format!("{name} sees {seen}").into()))
}
