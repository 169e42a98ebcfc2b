//! HTTP/1 as bytes: what is sent is exactly what the case says, and what comes back is read strictly.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::Stage;
use super::case::{Request, Version, unescape};
use super::tls;

/// A server that says nothing for so long is recorded as a timeout.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a handshake asks for of every WebSocket; its answer is the one of RFC 6455.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// One answer, as it came.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
    /// Statuses and headers that came before, without 100.
    pub(super) informational: Vec<(u16, Vec<(String, String)>)>,
    /// The body ended before its announced end.
    pub(super) truncated: bool,
    /// The frame that came back over a WebSocket.
    pub(super) frame: Option<String>,
    /// What ALPN chose, if it was offered.
    pub(super) alpn: Option<String>,
    /// The connection may carry another request.
    pub(super) stays_open: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Refused,
    Closed,
    Tls,
    Timeout,
}

impl Refusal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Tls => "tls-failed",
            Self::Timeout => "timeout",
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Closed,
        }
    }
}

/// Where a request goes, and how.
pub(super) struct Destination {
    pub(super) port: u16,
    pub(super) security: Security,
}

/// What protects a connection.
pub(super) enum Security {
    Plain,
    /// TLS, with the name asked for in the handshake, if any.
    Tls(Option<String>),
}

pub(super) fn destination(request: &Request, stage: &Stage) -> Destination {
    let port = match &request.port {
        Some(port) => stage.fill_in(port).parse().unwrap_or(0),
        None => stage
            .ports
            .port(if request.is_tls { "HTTPS" } else { "HTTP" })
            .unwrap_or(0),
    };
    if !request.is_tls {
        return Destination {
            port,
            security: Security::Plain,
        };
    }
    let name = match request.sni.as_deref() {
        Some("-") => None,
        Some(name) => Some(name.to_owned()),
        None => Some(request.host().split(':').next().unwrap_or_default().to_owned()),
    };
    Destination {
        port,
        security: Security::Tls(name),
    }
}

/// A TCP connection from the client's address.
pub(super) fn tcp(request: &Request, port: u16) -> Result<TcpStream, Refusal> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(source) = &request.source {
        let source: Ipv4Addr = source.parse().map_err(|_| Refusal::Closed)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection to the server, on which HTTP/1 is spoken.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    alpn: Option<String>,
}

impl Connection {
    /// Connects, and shakes hands over TLS.
    pub(super) fn open(request: &Request, stage: &Stage) -> Result<Self, Refusal> {
        let destination = destination(request, stage);
        let mut tcp = tcp(request, destination.port)?;
        let Security::Tls(name) = destination.security else {
            return Ok(Self {
                stream: BufReader::new(Box::new(tcp)),
                alpn: None,
            });
        };
        let offered: Vec<_> = request.alpn.iter().map(String::as_str).collect();
        let (config, name) = tls::client(name.as_deref(), &offered);
        let mut connection = ClientConnection::new(config, name).map_err(|_| Refusal::Tls)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).map_err(|_| Refusal::Tls)?;
        }
        let alpn = connection
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(Self {
            stream: BufReader::new(Box::new(StreamOwned::new(connection, tcp))),
            alpn,
        })
    }

    /// Sends one request and reads its answer.
    pub(super) fn send(&mut self, request: &Request, stage: &Stage) -> Result<Answer, Refusal> {
        let written = self.stream.get_mut().write_all(&message(request, stage));
        // A server may answer and close before it has read all; what it said still counts.
        if written.is_ok() {
            let _ = self.stream.get_mut().flush();
        }
        let mut answer = Answer {
            alpn: self.alpn.clone(),
            ..Answer::default()
        };
        loop {
            let line = read_line(&mut self.stream)?;
            let status = line
                .strip_prefix("HTTP/1.")
                .and_then(|rest| rest.get(2..5)?.parse().ok());
            answer.status = status.ok_or(Refusal::Closed)?;
            answer.headers = read_headers(&mut self.stream)?;
            match answer.status {
                100 => {}
                101 | 200.. => break,
                _ => answer
                    .informational
                    .push((answer.status, std::mem::take(&mut answer.headers))),
            }
        }
        if answer.status == 101 && request.is_websocket {
            answer.frame = Some(self.exchange_frames()?);
            return Ok(answer);
        }
        match self.read_body(request, &mut answer).map_err(Refusal::from) {
            Ok(()) => {}
            Err(Refusal::Timeout) => return Err(Refusal::Timeout),
            Err(_) => answer.truncated = true,
        }
        Ok(answer)
    }

    fn read_body(&mut self, request: &Request, answer: &mut Answer) -> io::Result<()> {
        answer.stays_open = !find(&answer.headers, "connection").is_some_and(|value| value.contains("close"));
        if request.method == "HEAD" || matches!(answer.status, 204 | 304) {
            return Ok(());
        }
        if find(&answer.headers, "transfer-encoding").is_some() {
            answer.trailers = read_chunks(&mut self.stream, &mut answer.body)?;
        } else if let Some(length) = find(&answer.headers, "content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            (&mut self.stream).take(length).read_to_end(&mut answer.body)?;
            if (answer.body.len() as u64) < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        } else {
            answer.stays_open = false;
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(())
    }

    /// Sends `hello`, reads what comes back, and says goodbye.
    fn exchange_frames(&mut self) -> Result<String, Refusal> {
        let masked: Vec<u8> = b"hello"
            .iter()
            .zip([1, 2, 3, 4, 1])
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        let stream = self.stream.get_mut();
        stream.write_all(&[&[0x81, 0x85, 1, 2, 3, 4][..], &masked].concat())?;
        stream.flush()?;
        let frame = read_frame(&mut self.stream)?.ok_or(Refusal::Closed)?;
        let stream = self.stream.get_mut();
        stream.write_all(&[0x88, 0x80, 1, 2, 3, 4])?;
        stream.flush()?;
        Ok(String::from_utf8_lossy(&frame.1).into_owned())
    }
}

/// The bytes of a request.
fn message(request: &Request, stage: &Stage) -> Vec<u8> {
    if let Some(raw) = &request.raw {
        return unescape(&stage.fill_in(raw));
    }
    let version = if request.version == Version::Http10 {
        "1.0"
    } else {
        "1.1"
    };
    let mut head = format!("{} {} HTTP/{version}\r\n", request.method, request.target);
    let mut add = |name: &str, value: &str| {
        let _ = write!(head, "{name}: {value}\r\n");
    };
    if !request.has_no_host && find(&request.headers, "host").is_none() {
        add("Host", "localhost");
    }
    for (name, value) in &request.headers {
        add(name, value);
    }
    if request.is_websocket {
        add("Connection", "Upgrade");
        add("Upgrade", "websocket");
        add("Sec-WebSocket-Version", "13");
        add("Sec-WebSocket-Key", KEY);
    }
    let mut body = request.body.clone();
    if request.is_chunked {
        add("Transfer-Encoding", "chunked");
        let (first, second) = body.split_at(body.len() / 2);
        let mut chunks = Vec::new();
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            chunks.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            chunks.extend_from_slice(part);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        body = chunks;
    } else if !body.is_empty() && find(&request.headers, "content-length").is_none() {
        add("Content-Length", &body.len().to_string());
    }
    [head.as_bytes(), b"\r\n", &body].concat()
}

/// The first value of a header.
pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// A line without its end; the end of the stream is an error.
pub(super) fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(1 << 20).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

pub(super) fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads a chunked body into `body`, as far as it comes; its trailers.
pub(super) fn read_chunks(
    reader: &mut impl BufRead,
    body: &mut Vec<u8>,
) -> io::Result<Vec<(String, String)>> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            return read_headers(reader);
        }
        let before = body.len() as u64;
        reader.by_ref().take(size).read_to_end(body)?;
        if body.len() as u64 - before < size || !read_line(reader)?.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A short WebSocket frame: opcode and data; nothing at the end of the stream.
pub(super) fn read_frame(reader: &mut impl BufRead) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 2];
    if let Err(error) = reader.read_exact(&mut head) {
        return if error.kind() == ErrorKind::UnexpectedEof {
            Ok(None)
        } else {
            Err(error)
        };
    }
    let mut mask = [0; 4];
    if head[1] & 128 != 0 {
        reader.read_exact(&mut mask)?;
    }
    let mut data = vec![0; usize::from(head[1] & 127)];
    if data.len() > 125 {
        return Err(io::Error::other("only short frames are exchanged here"));
    }
    reader.read_exact(&mut data)?;
    for (byte, mask) in data.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((head[0] & 15, data)))
}
