//! The client: one numbered request of each kind, and the connections that they share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, TE, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::body::{Payload, RECORDS, fed, full, record};
use super::frame::{self, Side};
use super::wire::{Door, Protocol};
use super::{Entry, Kind, Ledger, NUMBER, Trouble};

/// What has not come after this time never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections the requests over HTTP/2 share.
const HTTP2_CONNECTIONS: usize = 4;

/// How many messages a stream and a short WebSocket exchange, and the pace of these and of slow downloads.
const MESSAGES: u64 = 10;
const PACE: Duration = Duration::from_millis(40);

type Http1 = http1::SendRequest<Payload>;
type Http2 = http2::SendRequest<Payload>;

/// A client of one proxy; clones share its connections, which close with the last of them.
#[derive(Clone)]
pub struct Client {
    door: Door,
    ledger: Ledger,
    idle: Arc<Mutex<Vec<Http1>>>,
    http2: Arc<[Http2]>,
}

impl Client {
    /// Connects to the proxy; what it sends is entered into `ledger`.
    pub async fn connect(door: Door, ledger: Ledger) -> Result<Self, Trouble> {
        let mut connections = Vec::new();
        for _ in 0..HTTP2_CONNECTIONS {
            let stream = TokioIo::new(door.connect(Protocol::Http2).await?);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            connections.push(sender);
        }
        Ok(Self {
            door,
            ledger,
            idle: Arc::default(),
            http2: connections.into(),
        })
    }

    /// Asks without a number, and gives the body of a good answer. It is no part of the ledger.
    pub async fn ask(&self, host: &str) -> Result<String, Trouble> {
        let request = Request::builder().uri("/").header(HOST, host);
        let request = request
            .body(full(Bytes::new()))
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let body = in_time(self.over_http1(request)).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends one request of this kind to a host and enters how it ended. A WebSocket is closed again, of either kind.
    pub async fn send(&self, kind: Kind, host: &str) {
        let entry = self.ledger.open(kind);
        let number = entry.number();
        let outcome = match kind {
            Kind::KeepAlive => in_time(self.keep_alive(number, host)).await,
            Kind::Http2 => in_time(self.http2(number, host)).await,
            Kind::Stream => in_time(self.stream(number, host)).await,
            Kind::Download => in_time(self.download(number, host)).await,
            Kind::WebSocket | Kind::Kept => in_time(self.web_socket(number, host)).await,
        };
        entry.close(outcome);
    }

    /// Opens a WebSocket that stays open until it is closed. If it does not come about, the ledger says so.
    pub async fn keep_open(&self, host: &str) -> Option<Socket> {
        let entry = self.ledger.open(Kind::Kept);
        match in_time(self.upgrade(entry.number(), host)).await {
            Ok(wire) => Some(Socket { entry, wire }),
            Err(trouble) => {
                entry.close(Err(trouble));
                None
            }
        }
    }

    async fn keep_alive(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let request = head(Method::GET, number, "/").header(HOST, host);
        let body = self
            .over_http1(request.body(full(Bytes::new())).expect("it is well formed"))
            .await?;
        expect("answer", &body, format!("{number} ").as_bytes())
    }

    async fn http2(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let request = head(Method::POST, number, &self.uri(host, "/"))
            .body(full(format!("body of {number}")))
            .expect("it is well formed");
        let response = self.http2_connection(number).send_request(request).await?;
        let body = numbered(response, number)?.collect().await?.to_bytes();
        expect("answer", &body, format!("{number} body of {number}").as_bytes())
    }

    async fn stream(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let (sender, body) = fed();
        let request = head(Method::POST, number, &self.uri(host, "/stream"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(body)
            .expect("it is well formed");
        let mut answer = numbered(self.http2_connection(number).send_request(request).await?, number)?;
        let mut pace = pace();
        for message in 0..MESSAGES {
            pace.tick().await;
            let sent = Bytes::copy_from_slice(&record(number, message));
            if sender.send(Frame::data(sent.clone())).await.is_err() {
                return Err(Trouble::Reset("the body is no longer read".to_owned()));
            }
            let mut received = Vec::new();
            while received.len() < sent.len() {
                let frame = answer.frame().await.ok_or_else(|| early("stream"))??;
                received.extend_from_slice(&frame.into_data().map_err(|_| early("stream"))?);
            }
            expect("message", &received, &sent)?;
        }
        drop(sender);
        let end = answer.collect().await?;
        let trailer = end.trailers().and_then(|trailers| trailers.get(NUMBER));
        expect(
            "trailer",
            trailer
                .map(hyper::header::HeaderValue::as_bytes)
                .unwrap_or_default(),
            number.to_string().as_bytes(),
        )?;
        expect("rest of the stream", &end.to_bytes(), b"")
    }

    async fn download(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let request = head(Method::GET, number, "/download").header(HOST, host);
        let request = request.body(full(Bytes::new())).expect("it is well formed");
        let mut sender = self.http1_connection().await?;
        let mut body = numbered(sender.send_request(request).await?, number)?;
        let mut received = Vec::new();
        let mut pace = pace();
        let mut taken = 0;
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                received.extend_from_slice(&data);
            }
            // Slow in bytes, however large the pieces are.
            while received.len() >= taken + 32 * 1024 {
                taken += 32 * 1024;
                pace.tick().await;
            }
        }
        let right: Vec<u8> = (0..RECORDS).flat_map(|place| record(number, place)).collect();
        if received != right {
            return Err(Trouble::Failed(format!(
                "a wrong download of {} bytes",
                received.len()
            )));
        }
        self.give_back(sender).await;
        Ok(())
    }

    async fn web_socket(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let mut wire = self.upgrade(number, host).await?;
        let mut pace = pace();
        for message in 0..MESSAGES {
            pace.tick().await;
            echo(&mut wire, &format!("{number} {message}")).await?;
        }
        close(&mut wire).await
    }

    async fn upgrade(&self, number: u64, host: &str) -> Result<TokioIo<Upgraded>, Trouble> {
        let request = head(Method::GET, number, "/socket")
            .header(HOST, host)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "bGVkZ2VyIG9mIGZhaXJ3YQ==")
            .body(full(Bytes::new()))
            .expect("it is well formed");
        let mut response = self.new_connection().await?.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Trouble::Failed(format!("status {}", response.status())));
        }
        check_number(&response, number)?;
        let mut wire = TokioIo::new(hyper::upgrade::on(&mut response).await?);
        echo(&mut wire, &format!("{number} opens")).await?;
        Ok(wire)
    }

    /// A whole exchange on a kept connection.
    async fn over_http1(&self, request: Request<Payload>) -> Result<Bytes, Trouble> {
        let number = request.headers().get(NUMBER).cloned();
        let mut sender = self.http1_connection().await?;
        let response = sender.send_request(request).await?;
        let body = match number.and_then(|number| number.to_str().ok()?.parse().ok()) {
            Some(number) => numbered(response, number)?,
            None => good(response)?,
        };
        let body = body.collect().await?.to_bytes();
        self.give_back(sender).await;
        Ok(body)
    }

    fn uri(&self, host: &str, path: &str) -> String {
        format!("{}://{host}{path}", self.door.scheme())
    }

    fn http2_connection(&self, number: u64) -> Http2 {
        self.http2[usize::try_from(number).unwrap_or_default() % self.http2.len()].clone()
    }

    async fn http1_connection(&self) -> Result<Http1, Trouble> {
        while let Some(sender) = self.take_idle() {
            if !sender.is_closed() {
                return Ok(sender);
            }
            self.ledger.connection_lost();
        }
        self.new_connection().await
    }

    fn take_idle(&self) -> Option<Http1> {
        self.idle
            .lock()
            .expect("nothing panics while it holds this")
            .pop()
    }

    async fn new_connection(&self) -> Result<Http1, Trouble> {
        let stream = TokioIo::new(self.door.connect(Protocol::Http1).await?);
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// Keeps a connection for the next one. That the proxy closes it after an answer is a loss, too.
    async fn give_back(&self, mut sender: Http1) {
        if sender.ready().await.is_err() {
            self.ledger.connection_lost();
            return;
        }
        self.idle
            .lock()
            .expect("nothing panics while it holds this")
            .push(sender);
    }
}

/// A WebSocket that stays open.
#[derive(Debug)]
pub struct Socket {
    entry: Entry,
    wire: TokioIo<Upgraded>,
}

impl Socket {
    /// Sends its number there and back once more, closes, and enters how that went.
    pub async fn finish(mut self) {
        let text = format!("{} at the end", self.entry.number());
        let outcome = in_time(async {
            echo(&mut self.wire, &text).await?;
            close(&mut self.wire).await
        });
        let outcome = outcome.await;
        self.entry.close(outcome);
    }
}

async fn in_time<T>(exchange: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(Trouble::Failed(format!("no answer in {PATIENCE:?}"))))
}

async fn echo(wire: &mut TokioIo<Upgraded>, text: &str) -> Result<(), Trouble> {
    let message = frame::Frame::Text(text.as_bytes().to_vec());
    frame::write(wire, &message, Side::Client).await?;
    match frame::read(wire).await? {
        frame::Frame::Text(answer) => expect("echo", &answer, text.as_bytes()),
        frame::Frame::Close => Err(early("WebSocket")),
    }
}

async fn close(wire: &mut TokioIo<Upgraded>) -> Result<(), Trouble> {
    frame::write(wire, &frame::Frame::Close, Side::Client).await?;
    match frame::read(wire).await? {
        frame::Frame::Close => Ok(()),
        frame::Frame::Text(_) => Err(Trouble::Failed("a message after the end".to_owned())),
    }
}

fn head(method: Method, number: u64, uri: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(uri).header(NUMBER, number)
}

fn good(response: Response<Incoming>) -> Result<Incoming, Trouble> {
    if response.status() != StatusCode::OK {
        return Err(Trouble::Failed(format!("status {}", response.status())));
    }
    Ok(response.into_body())
}

fn numbered(response: Response<Incoming>, number: u64) -> Result<Incoming, Trouble> {
    if response.status() == StatusCode::OK {
        check_number(&response, number)?;
    }
    good(response)
}

fn check_number(response: &Response<Incoming>, number: u64) -> Result<(), Trouble> {
    let answered = response.headers().get(NUMBER);
    expect(
        "number",
        answered
            .map(hyper::header::HeaderValue::as_bytes)
            .unwrap_or_default(),
        number.to_string().as_bytes(),
    )
}

fn expect(what: &str, found: &[u8], right: &[u8]) -> Result<(), Trouble> {
    if found == right {
        return Ok(());
    }
    Err(Trouble::Failed(format!(
        "the {what} is {:?} instead of {:?}",
        String::from_utf8_lossy(found),
        String::from_utf8_lossy(right)
    )))
}

fn early(what: &str) -> Trouble {
    Trouble::Reset(format!("the {what} ended early"))
}

fn pace() -> tokio::time::Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

#[cfg(test)]
mod tests {
    use super::super::{Seen, Upstream};
    use super::*;
    use tokio::task::JoinSet;

    #[test]
    fn without_a_proxy_between_all_streams_are_answered() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (ledger, seen) = (Ledger::default(), Seen::default());
            let upstream = Upstream::start(&seen).await.expect("an upstream");
            let client = Client::connect(Door::plain(upstream.http2), ledger.clone())
                .await
                .expect("it accepts connections");
            let mut streams = JoinSet::new();
            for _ in 0..500 {
                let client = client.clone();
                streams.spawn(async move { client.send(Kind::Stream, "a.test").await });
            }
            while streams.join_next().await.is_some() {}
            let balance = ledger.balance(&seen);
            assert!(balance.is_clean() && balance.total().ok == 500, "{balance}");
        });
    }
}
