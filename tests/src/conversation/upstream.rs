//! Four small HTTP/1.1 servers that echo what they got, or follow the rules of the case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;

use super::case::Case;
use super::rule::Rule;
use super::wire::{find, read_chunks, read_frame, read_headers, read_line};

/// How many upstreams a case has.
const COUNT: usize = 4;

/// An upstream gives up on a silent peer after this time, so that no thread waits forever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as an upstream got it.
pub(super) struct Received {
    pub(super) upstream: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The upstreams of one case; they end with it.
pub(super) struct Upstreams {
    ports: Vec<u16>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    open: Mutex<BTreeMap<usize, TcpStream>>,
    opened: AtomicUsize,
    ends: AtomicBool,
}

/// The rules of one upstream, with the hits that each had.
struct Behaviour {
    name: String,
    rules: Vec<(Rule, AtomicUsize)>,
}

impl Upstreams {
    pub(super) fn start(case: &Case) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            open: Mutex::default(),
            opened: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let mut upstreams = Self {
            ports: Vec::new(),
            shared: shared.clone(),
            threads: Vec::new(),
        };
        for number in 1..=COUNT {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            upstreams.ports.push(listener.local_addr()?.port());
            let rules = case.upstreams.get(&number).cloned().unwrap_or_default();
            let behaviour = Arc::new(Behaviour {
                name: format!("up{number}"),
                rules: rules
                    .into_iter()
                    .map(|rule| (rule, AtomicUsize::new(0)))
                    .collect(),
            });
            let shared = shared.clone();
            upstreams
                .threads
                .push(thread::spawn(move || accept(&listener, &behaviour, &shared)));
        }
        Ok(upstreams)
    }

    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// What they got since the last call.
    pub(super) fn take(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .map(|mut received| std::mem::take(&mut *received))
            .unwrap_or_default()
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        for port in &self.ports {
            // Wakes the thread that waits in `accept`.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, *port));
        }
        if let Ok(open) = self.shared.open.lock() {
            for stream in open.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, behaviour: &Arc<Behaviour>, shared: &Arc<Shared>) {
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.ends.load(Ordering::SeqCst) {
            return;
        }
        let (behaviour, shared) = (behaviour.clone(), shared.clone());
        thread::spawn(move || {
            let id = shared.opened.fetch_add(1, Ordering::Relaxed);
            if let (Ok(clone), Ok(mut open)) = (stream.try_clone(), shared.open.lock()) {
                open.insert(id, clone);
            }
            let _ = converse(&stream, &behaviour, &shared);
            let _ = stream.shutdown(Shutdown::Both);
            if let Ok(mut open) = shared.open.lock() {
                open.remove(&id);
            }
        });
    }
}

fn converse(stream: &TcpStream, behaviour: &Behaviour, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while answer(&mut reader, stream, behaviour, shared)? {}
    Ok(())
}

/// Answers one request; whether another may follow.
fn answer(
    reader: &mut BufReader<TcpStream>,
    mut stream: &TcpStream,
    behaviour: &Behaviour,
    shared: &Shared,
) -> io::Result<bool> {
    let line = read_line(reader)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        return Ok(false);
    };
    let headers = read_headers(reader)?;
    if find(&headers, "expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if find(&headers, "transfer-encoding").is_some() {
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = find(&headers, "content-length").and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut body)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Recorded before the answer, so that whoever has the answer finds the record.
    if !path.starts_with("/_health")
        && let Ok(mut received) = shared.received.lock()
    {
        received.push(Received {
            upstream: behaviour.name.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers.clone(),
            body: body.clone(),
        });
    }
    let fallback = (Rule::default(), AtomicUsize::new(0));
    let (rule, hits) = behaviour
        .rules
        .iter()
        .find(|(rule, _)| rule.fits(method, path))
        .unwrap_or(&fallback);
    let hit = hits.fetch_add(1, Ordering::Relaxed);
    if rule.drops {
        return Ok(false);
    }
    if rule.is_websocket && find(&headers, "upgrade").is_some() {
        return echo_frames(reader, stream);
    }
    let status = rule
        .status
        .get(hit)
        .or(rule.status.last())
        .copied()
        .unwrap_or(200);
    let (kind, out) = match &rule.body {
        Some(body) => ("text/plain", body.clone()),
        None => (
            "application/json",
            echo(&behaviour.name, method, path, query, &headers, &body),
        ),
    };
    if let Some(link) = &rule.early {
        write!(stream, "HTTP/1.1 103 Early Hints\r\n{link}\r\n\r\n")?;
    }
    let mut head = format!("HTTP/1.1 {status} Upstream\r\n");
    let own_kind = find(&rule.headers, "content-type").is_some();
    let kind = (!own_kind && status != 204 && status != 304).then_some(("Content-Type", kind));
    let headers_out = rule
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(kind);
    for (name, value) in headers_out {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let has_body = method != "HEAD" && status != 204 && status != 304;
    if rule.is_chunked || rule.trailer.is_some() {
        if let Some((name, _)) = &rule.trailer {
            let _ = write!(head, "Trailer: {name}\r\n");
        }
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
        if has_body {
            for part in [&out[..out.len() / 2], &out[out.len() / 2..]]
                .into_iter()
                .filter(|part| !part.is_empty())
            {
                write!(stream, "{:x}\r\n", part.len())?;
                stream.write_all(part)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n")?;
            if let Some((name, value)) = &rule.trailer {
                write!(stream, "{name}: {value}\r\n")?;
            }
            stream.write_all(b"\r\n")?;
        }
        return Ok(true);
    }
    if status != 204 && status != 304 {
        let _ = write!(head, "Content-Length: {}\r\n", out.len());
    }
    write!(stream, "{head}\r\n")?;
    if let Some(bytes) = rule.drops_after {
        stream.write_all(&out[..bytes.min(out.len())])?;
        return Ok(false);
    }
    if has_body {
        stream.write_all(&out)?;
    }
    Ok(true)
}

fn echo(
    name: &str,
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let body = String::from_utf8_lossy(body);
    json!({ "echo": name, "method": method, "path": path, "query": query, "headers": headers, "body": body })
        .to_string()
        .into_bytes()
}

/// Accepts a WebSocket handshake (of the one key that the client uses) and sends every frame back.
fn echo_frames(reader: &mut BufReader<TcpStream>, mut stream: &TcpStream) -> io::Result<bool> {
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Upstream: yes\r\n\r\n",
    )?;
    while let Some((code, data)) = read_frame(reader)? {
        if code == 8 {
            break;
        }
        stream.write_all(&[0x80 | code, data.len() as u8])?;
        stream.write_all(&data)?;
    }
    let _ = reader.fill_buf();
    Ok(false)
}
