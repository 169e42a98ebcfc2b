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

/// How often it connects until somebody takes it: a Service may choose one that has just gone, several times.
const CONNECTS: usize = 20;

/// How many messages a stream and a short WebSocket exchange, and the pace of these and of slow downloads.
const MESSAGES: u64 = 10;
const PACE: Duration = Duration::from_millis(40);

type Http1 = Connection<http1::SendRequest<Payload>>;
type Http2 = Connection<http2::SendRequest<Payload>>;

/// One connection, and its port at this end.
#[derive(Clone)]
struct Connection<S> {
    sender: S,
    port: u16,
}

/// A client of one proxy; clones share its connections, which close with the last of them.
#[derive(Clone)]
pub struct Client {
    door: Door,
    ledger: Ledger,
    idle: Arc<Mutex<Vec<Http1>>>,
    http2: Arc<[Mutex<Http2>]>,
}

impl Client {
    /// Connects to the proxy; what it sends is entered into `ledger`.
    pub async fn connect(door: Door, ledger: Ledger) -> Result<Self, Trouble> {
        let mut connections = Vec::new();
        for _ in 0..HTTP2_CONNECTIONS {
            connections.push(Mutex::new(new_http2(&door).await?));
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
            Kind::Http2 | Kind::Stream => in_time(self.until_processed(kind, number, host)).await,
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

    /// Sends over HTTP/2, and again if the peer has refused to look at it.
    async fn until_processed(&self, kind: Kind, number: u64, host: &str) -> Result<(), Trouble> {
        loop {
            let outcome = match kind {
                Kind::Stream => self.stream(number, host).await,
                _ => self.http2(number, host).await,
            };
            match outcome {
                Err(trouble) if trouble.is_unprocessed() => self.ledger.connection_lost(),
                outcome => return outcome,
            }
        }
    }

    async fn http2(&self, number: u64, host: &str) -> Result<(), Trouble> {
        let request = head(Method::POST, number, &self.uri(host, "/"))
            .body(full(format!("body of {number}")))
            .expect("it is well formed");
        let response = self.over_http2(number, request).await?;
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
        let mut answer = numbered(self.over_http2(number, request).await?, number)?;
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
        let (connection, response) = self.on_http1(number, request).await?;
        let mut body = numbered(response, number)?;
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
        self.give_back(connection).await;
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
        let mut connection = self.new_http1().await?;
        self.ledger.travels(number, connection.port);
        let mut response = connection.sender.send_request(request).await?;
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
        let number = request.headers().get(NUMBER);
        let number = number.and_then(|number| number.to_str().ok()?.parse().ok());
        let (connection, response) = self.on_http1(number.unwrap_or_default(), request).await?;
        let body = match number {
            Some(number) => numbered(response, number)?,
            None => good(response)?,
        };
        let body = body.collect().await?.to_bytes();
        self.give_back(connection).await;
        Ok(body)
    }

    fn uri(&self, host: &str, path: &str) -> String {
        format!("{}://{host}{path}", self.door.scheme())
    }

    /// Sends on a kept connection, or on a new one. One that ended without having sent any of it is no trouble: the
    /// next one is taken, as any client does.
    async fn on_http1(
        &self,
        number: u64,
        mut request: Request<Payload>,
    ) -> Result<(Http1, Response<Incoming>), Trouble> {
        loop {
            let mut connection = self.http1_connection().await?;
            self.ledger.travels(number, connection.port);
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
            self.ledger.connection_lost();
        }
    }

    /// Sends on one of the connections of HTTP/2; one that has ended is replaced.
    async fn over_http2(
        &self,
        number: u64,
        mut request: Request<Payload>,
    ) -> Result<Response<Incoming>, Trouble> {
        let place = &self.http2[usize::try_from(number).unwrap_or_default() % self.http2.len()];
        loop {
            let mut connection = place.lock().expect("nothing panics while it holds this").clone();
            self.ledger.travels(number, connection.port);
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
            let fresh = self.new_http2().await?;
            let mut kept = place.lock().expect("nothing panics while it holds this");
            // Somebody else may have been quicker; then there is one more, which nobody uses.
            if kept.sender.is_closed() {
                *kept = fresh;
                self.ledger.connection_lost();
            }
        }
    }

    async fn http1_connection(&self) -> Result<Http1, Trouble> {
        while let Some(connection) = self.take_idle() {
            if !connection.sender.is_closed() {
                return Ok(connection);
            }
            self.ledger.connection_lost();
        }
        self.new_http1().await
    }

    async fn new_http1(&self) -> Result<Http1, Trouble> {
        let mut tries = 1;
        loop {
            match new_http1(&self.door).await {
                Err(trouble) => self.try_again(trouble, &mut tries)?,
                connected => return connected,
            }
        }
    }

    async fn new_http2(&self) -> Result<Http2, Trouble> {
        let mut tries = 1;
        loop {
            match new_http2(&self.door).await {
                Err(trouble) => self.try_again(trouble, &mut tries)?,
                connected => return connected,
            }
        }
    }

    /// A connection that did not come about is tried again: nothing was asked for yet. The ledger tells how often.
    fn try_again(&self, trouble: Trouble, tries: &mut usize) -> Result<(), Trouble> {
        if *tries == CONNECTS || matches!(trouble, Trouble::Failed(_)) {
            return Err(trouble);
        }
        *tries += 1;
        self.ledger.connection_refused();
        Ok(())
    }

    fn take_idle(&self) -> Option<Http1> {
        self.idle
            .lock()
            .expect("nothing panics while it holds this")
            .pop()
    }

    /// Keeps a connection for the next one. That the proxy closes it after an answer is a loss, too.
    async fn give_back(&self, mut connection: Http1) {
        if connection.sender.ready().await.is_err() {
            self.ledger.connection_lost();
            return;
        }
        self.idle
            .lock()
            .expect("nothing panics while it holds this")
            .push(connection);
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

async fn new_http1(door: &Door) -> Result<Http1, Trouble> {
    let wire = door.connect(Protocol::Http1).await?;
    let port = wire.port()?;
    let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(Connection { sender, port })
}

async fn new_http2(door: &Door) -> Result<Http2, Trouble> {
    let wire = door.connect(Protocol::Http2).await?;
    let port = wire.port()?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await?;
    tokio::spawn(connection);
    Ok(Connection { sender, port })
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
            let upstream = Upstream::start(&seen, std::net::Ipv4Addr::LOCALHOST.into())
                .await
                .expect("an upstream");
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
