//! Access logs: one entry for each request of a site that logs, after its response went out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairway_engine::body::{Body, BodyError};
use fairway_engine::exchange::Exchange;
use fairway_engine::template::Value as Field;
use http::{HeaderMap, StatusCode, Version};
use http_body::{Frame, SizeHint};
use serde_json::{Map, Value, json};

/// Headers that are logged without their values.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Fields that the writer of an entry adds.
const WRITERS: [&str; 4] = ["level", "ts", "logger", "msg"];

/// Takes entries. Called on traffic threads: it must not wait; what it cannot take it drops.
pub trait AccessLog: Send + Sync {
    /// Writes an entry to the access logger `logger`; the default access logger has an empty name.
    fn write(&self, logger: &str, entry: &Entry);
}

/// What is logged of a request, in Caddy's words.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// `request`: the request as the client sent it.
    pub request: Map<String, Value>,
    /// `bytes_read`: bytes of the request's body that were read.
    pub bytes_read: u64,
    /// `user_id`: who it was, if somebody authenticated.
    pub user_id: String,
    /// `duration`: from the end of the request's head to the end of the response.
    pub duration: Duration,
    /// `size`: bytes of the response's body.
    pub size: u64,
    /// `status`: 0 if there was no response.
    pub status: u16,
    /// `resp_headers`
    pub response_headers: Map<String, Value>,
    /// What `log_append` adds.
    pub appended: Vec<(String, Value)>,
}

impl Entry {
    /// The fields in Caddy's order; level, time, logger and message are the writer's.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("request".into(), Value::Object(self.request.clone()));
        fields.insert("bytes_read".into(), self.bytes_read.into());
        fields.insert("user_id".into(), self.user_id.as_str().into());
        fields.insert("duration".into(), self.duration.as_secs_f64().into());
        fields.insert("size".into(), self.size.into());
        fields.insert("status".into(), self.status.into());
        fields.insert(
            "resp_headers".into(),
            Value::Object(self.response_headers.clone()),
        );
        for (name, value) in &self.appended {
            // Whoever appends cannot change what happened.
            if !fields.contains_key(name) && !WRITERS.contains(&name.as_str()) {
                fields.insert(name.clone(), value.clone());
            }
        }
        fields
    }
}

/// An entry in the making.
pub(crate) struct Record {
    log: Arc<dyn AccessLog>,
    loggers: Box<[Box<str>]>,
    started: Instant,
    credentials: bool,
    read: Arc<AtomicU64>,
    entry: Entry,
}

impl Record {
    /// Of a request before anything changed it.
    pub(crate) fn new(
        log: Arc<dyn AccessLog>,
        loggers: &[Box<str>],
        exchange: &Exchange,
        credentials: bool,
    ) -> Self {
        Self {
            log,
            loggers: loggers.into(),
            started: exchange.started,
            credentials,
            read: Arc::default(),
            entry: Entry {
                request: request(exchange, credentials),
                ..Entry::default()
            },
        }
    }

    /// The request's body, with what is read of it counted.
    pub(crate) fn count(&self, body: Body) -> Body {
        match body {
            Body::Empty => Body::Empty,
            body => Body::stream(Counted {
                body,
                read: Arc::clone(&self.read),
            }),
        }
    }

    /// Notes what is known in the end: who the client is, what is appended, and by which other loggers it is logged.
    pub(crate) fn conclude(&mut self, exchange: &Exchange) {
        if let Some(Field::List(names)) = exchange.vars.get("access_logger_names") {
            self.loggers.clone_from(names);
        }
        let appended = exchange.log.iter();
        self.entry.appended = appended
            .map(|(name, value)| (name.to_owned(), json(value)))
            .collect();
        if let Some(id) = exchange.values.get("http.auth.user.id") {
            self.entry.user_id = id.to_string();
        }
        let client_ip = exchange.client_ip.to_string();
        self.entry.request.insert("client_ip".into(), client_ip.into());
    }

    /// Notes the response's head.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.entry.status = status.as_u16();
        self.entry.response_headers = loggable(headers, self.credentials);
    }

    /// Writes the entry.
    pub(crate) fn write(mut self: Box<Self>, sent: u64) {
        self.entry.bytes_read = self.read.load(Relaxed);
        self.entry.size = sent;
        self.entry.duration = self.started.elapsed();
        for logger in &self.loggers {
            self.log.write(logger, &self.entry);
        }
    }
}

fn json(value: &Field) -> Value {
    match value {
        Field::Null => Value::Null,
        Field::Text(text) => (**text).into(),
        Field::Integer(number) => (*number).into(),
        Field::Float(number) => (*number).into(),
        Field::Bool(truth) => (*truth).into(),
        Field::List(list) => list.iter().map(|text| &**text).collect(),
    }
}

fn request(exchange: &Exchange, credentials: bool) -> Map<String, Value> {
    let remote = exchange.connection.remote;
    let mut fields = Map::new();
    fields.insert("remote_ip".into(), remote.ip().to_string().into());
    fields.insert("remote_port".into(), remote.port().to_string().into());
    fields.insert("client_ip".into(), exchange.client_ip.to_string().into());
    let protocol = match exchange.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    };
    fields.insert("proto".into(), protocol.into());
    fields.insert("method".into(), exchange.method.as_str().into());
    fields.insert("host".into(), (*exchange.host).into());
    fields.insert("uri".into(), exchange.target().path_and_query().into());
    let headers = loggable(&exchange.headers, credentials);
    fields.insert("headers".into(), Value::Object(headers));
    if let Some(tls) = &exchange.connection.tls {
        let version = if tls.version == "tls1.3" { 0x0304 } else { 0x0303 };
        let session = json!({
            "resumed": tls.resumed,
            "version": version,
            "cipher_suite": cipher_suite(tls.cipher_suite),
            "proto": tls.protocol,
            "server_name": tls.server_name,
            "ech": false,
        });
        fields.insert("tls".into(), session);
    }
    fields
}

/// The number of a cipher suite; those that can be negotiated here.
fn cipher_suite(name: &str) -> u16 {
    match name {
        "TLS_AES_128_GCM_SHA256" => 0x1301,
        "TLS_AES_256_GCM_SHA384" => 0x1302,
        "TLS_CHACHA20_POLY1305_SHA256" => 0x1303,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => 0xc02b,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => 0xc02c,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => 0xc02f,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => 0xc030,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => 0xcca8,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => 0xcca9,
        _ => 0,
    }
}

/// Headers by their names in Go's spelling.
fn loggable(headers: &HeaderMap, credentials: bool) -> Map<String, Value> {
    let values = |name: &http::HeaderName| -> Value {
        if !credentials && CREDENTIALS.contains(&name.as_str()) {
            return json!(["REDACTED"]);
        }
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        Value::Array(values.collect())
    };
    headers
        .keys()
        .map(|name| (canonical(name.as_str()), values(name)))
        .collect()
}

/// `user-agent` as `User-Agent`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let spell = |letter: char| {
        let spelt = if upper {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        upper = letter == '-';
        spelt
    };
    name.chars().map(spell).collect()
}

/// A body that counts what is read of it.
struct Counted {
    body: Body,
    read: Arc<AtomicU64>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &poll
            && let Some(data) = frame.data_ref()
        {
            self.read.fetch_add(data.len() as u64, Relaxed);
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_redacted_unless_asked_for() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "a=b".parse().unwrap());
        headers.append("x-a", "1".parse().unwrap());
        headers.append("x-a", "2".parse().unwrap());
        let expected = json!({"Cookie": ["REDACTED"], "X-A": ["1", "2"]});
        assert_eq!(Value::Object(loggable(&headers, false)), expected);
        assert_eq!(loggable(&headers, true)["Cookie"], json!(["a=b"]));
    }
}
