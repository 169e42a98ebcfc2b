//! The PROXY protocol, as a load balancer in front speaks it: before anything else, a connection says whose it is.
//!
//! Both versions are understood. A header is believed only from peers that the config allows; of others it is read and
//! forgotten, or it ends the connection, as the config says. What it may cost is bounded: a line of 107 bytes, a binary
//! header of 4 KiB, and a timeout.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use fairway_engine::values::Duration as ConfigDuration;
use ipnet::IpNet;
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a header may take if the config does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a line of version 1 may be, its end included.
const LINE: usize = 107;

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What of version 2 has always the same length.
const FIXED: usize = 16;

/// How long what follows it may be.
const MAX_ADDRESSES: usize = 4096;

/// What is done with headers: the listener wrapper `proxy_protocol`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    timeout: Duration,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    fallback: Policy,
}

/// What is done with the header of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// It is read and forgotten.
    Ignore,
    /// It is believed.
    Use,
    /// There must be none.
    Reject,
    /// It is believed, and must be there.
    Require,
    /// It is not looked for.
    Skip,
}

/// A connection after its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Whose connection it is, and where it went: source and destination. None if that is the socket itself.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// What was read and is no header.
    pub prefix: Bytes,
}

/// A header that was read.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    /// There is none; these bytes were read in search of it.
    Absent(Bytes),
    /// It says nothing about addresses.
    Local,
    /// Source and destination.
    Addresses(SocketAddr, SocketAddr),
}

impl ProxyProtocol {
    /// Reads the settings of the wrapper; an error says what is wrong with them.
    pub(crate) fn new<'j>(
        settings: impl IntoIterator<Item = (&'j String, &'j Json)>,
    ) -> Result<Self, String> {
        let mut found = Self {
            timeout: TIMEOUT,
            allow: Vec::new(),
            deny: Vec::new(),
            fallback: Policy::Ignore,
        };
        for (key, value) in settings {
            match key.as_str() {
                "timeout" => {
                    let timeout: ConfigDuration =
                        serde_json::from_value(value.clone()).map_err(|error| format!("timeout: {error}"))?;
                    let timeout = timeout.to_std().filter(|timeout| !timeout.is_zero());
                    found.timeout = timeout.unwrap_or(TIMEOUT);
                }
                "allow" => found.allow = ranges(value)?,
                "deny" => found.deny = ranges(value)?,
                "fallback_policy" => found.fallback = Policy::new(value)?,
                _ => return Err(format!("there is no setting `{key}`")),
            }
        }
        Ok(found)
    }

    /// Reads the header of a connection from `peer`, if there is one. None ends the connection.
    ///
    /// Dropping the future midway leaves the connection half read: it must be dropped, too.
    pub(crate) async fn receive(&self, stream: &mut TcpStream, peer: IpAddr) -> Option<Received> {
        let policy = self.policy(peer);
        let mut plain = Received {
            addresses: None,
            prefix: Bytes::new(),
        };
        if policy == Policy::Skip {
            return Some(plain);
        }
        let mut read = BytesMut::new();
        let header = match tokio::time::timeout(self.timeout, header(stream, &mut read)).await {
            Ok(Ok(header)) => header,
            Ok(Err(error)) => {
                tracing::debug!(%error, client = %peer, "reading a PROXY header");
                return None;
            }
            // Who says nothing for so long has no header to send.
            Err(_) if read.is_empty() => Header::Absent(Bytes::new()),
            Err(_) => return None,
        };
        match (header, policy) {
            (Header::Absent(_), Policy::Require)
            | (Header::Local | Header::Addresses(..), Policy::Reject) => {
                tracing::debug!(client = %peer, "the PROXY header is missing, or not allowed");
                return None;
            }
            (Header::Absent(prefix), _) => plain.prefix = prefix,
            (Header::Addresses(source, destination), Policy::Use | Policy::Require) => {
                plain.addresses = Some((source, destination));
            }
            (Header::Local | Header::Addresses(..), _) => {}
        }
        Some(plain)
    }

    fn policy(&self, peer: IpAddr) -> Policy {
        let peer = peer.to_canonical();
        let within = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&peer));
        if within(&self.deny) {
            Policy::Reject
        } else if within(&self.allow) {
            Policy::Use
        } else {
            self.fallback
        }
    }
}

impl Policy {
    fn new(value: &Json) -> Result<Self, String> {
        let name = value.as_str().unwrap_or_default();
        Ok(match name.to_ascii_uppercase().as_str() {
            "IGNORE" => Self::Ignore,
            "USE" => Self::Use,
            "REJECT" => Self::Reject,
            "REQUIRE" => Self::Require,
            "SKIP" => Self::Skip,
            _ => return Err(format!("there is no fallback policy {value}")),
        })
    }
}

fn ranges(value: &Json) -> Result<Vec<IpNet>, String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    let range = |value: &Json| {
        let range = value.as_str().and_then(|text| text.parse::<IpNet>().ok());
        range.ok_or_else(|| format!("{value} is no range like 10.0.0.0/8"))
    };
    list.iter().map(range).collect()
}

/// Reads a header into `read`, and not a byte beyond it.
async fn header(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Header> {
    let mut first = [0];
    match (stream.peek(&mut first).await?, first[0]) {
        (1, b'P') => line(stream, read).await,
        (1, b'\r') => binary(stream, read).await,
        _ => Ok(Header::Absent(Bytes::new())),
    }
}

/// Version 1: `PROXY TCP4 SOURCE DESTINATION PORT PORT`.
async fn line(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Header> {
    const WORD: &[u8] = b"PROXY ";
    while !read.ends_with(b"\n") {
        if read.len() == LINE {
            return Err(io::Error::other("the line is too long"));
        }
        let mut ahead = [0; LINE];
        let ahead = &mut ahead[..LINE - read.len()];
        let count = stream.peek(ahead).await?;
        let ahead = &ahead[..count];
        let mut begin = read.iter().chain(ahead).zip(WORD);
        if count == 0 || !begin.all(|(found, wanted)| found == wanted) {
            return Ok(Header::Absent(read.split().freeze()));
        }
        let end = ahead.iter().position(|byte| *byte == b'\n');
        take(stream, read, end.map_or(count, |end| end + 1)).await?;
    }
    let text = read
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok());
    let parsed = text.and_then(parse_line);
    parsed.ok_or_else(|| io::Error::other("the line cannot be understood"))
}

fn parse_line(line: &str) -> Option<Header> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Header::Local);
    }
    let [source, destination] = [words.next()?, words.next()?].map(str::parse::<IpAddr>);
    let [from, to] = [words.next()?, words.next()?].map(str::parse::<u16>);
    let (source, destination) = (source.ok()?, destination.ok()?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(())?;
    Some(addresses((source, from.ok()?), (destination, to.ok()?)))
}

/// Version 2.
async fn binary(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Header> {
    while read.len() < FIXED {
        let mut ahead = [0; FIXED];
        let ahead = &mut ahead[..FIXED - read.len()];
        let count = stream.peek(ahead).await?;
        let ahead = &ahead[..count];
        let mut begin = read.iter().chain(ahead).zip(SIGNATURE);
        if count == 0 || !begin.all(|(found, wanted)| found == wanted) {
            return Ok(Header::Absent(read.split().freeze()));
        }
        take(stream, read, count).await?;
    }
    let (command, family) = (read[12], read[13]);
    let length = usize::from(u16::from_be_bytes([read[14], read[15]]));
    if length > MAX_ADDRESSES {
        return Err(io::Error::other("the header is too long"));
    }
    take(stream, read, length).await?;
    let parsed = parse_binary(command, family, &read[FIXED..]);
    parsed.ok_or_else(|| io::Error::other("the header cannot be understood"))
}

fn parse_binary(command: u8, family: u8, mut body: &[u8]) -> Option<Header> {
    match command {
        0x20 => return Some(Header::Local),
        0x21 => {}
        _ => return None,
    }
    // What follows the addresses says more about the connection, and is of no account here.
    match family {
        // TCP and UDP over IPv4.
        0x11 | 0x12 if body.len() >= 12 => {
            let [source, destination] = [body.get_u32(), body.get_u32()].map(Ipv4Addr::from_bits);
            let [from, to] = [body.get_u16(), body.get_u16()];
            Some(addresses((source.into(), from), (destination.into(), to)))
        }
        // TCP and UDP over IPv6.
        0x21 | 0x22 if body.len() >= 36 => {
            let [source, destination] = [body.get_u128(), body.get_u128()].map(Ipv6Addr::from_bits);
            let [from, to] = [body.get_u16(), body.get_u16()];
            Some(addresses((source.into(), from), (destination.into(), to)))
        }
        // Nothing known, and Unix sockets.
        0x00 | 0x31 | 0x32 => Some(Header::Local),
        _ => None,
    }
}

fn addresses(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Header {
    Header::Addresses(SocketAddr::from(source), SocketAddr::from(destination))
}

/// Reads exactly so many bytes.
async fn take(stream: &mut TcpStream, read: &mut BytesMut, count: usize) -> io::Result<()> {
    let wanted = read.len() + count;
    while read.len() < wanted {
        let mut rest = (&mut *stream).take((wanted - read.len()) as u64);
        if rest.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn wrapper(settings: &Json) -> ProxyProtocol {
        ProxyProtocol::new(settings.as_object().unwrap()).unwrap()
    }

    /// Sends parts of a connection from 127.0.0.1, each after the one before was read; gives what is received, and what
    /// is left to read.
    fn receive(settings: &Json, parts: &[&[u8]]) -> Option<(Received, Vec<u8>)> {
        let wrapper = wrapper(settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (mut server, peer) = listener.accept().await.unwrap();
            let send = async {
                for part in parts {
                    client.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client.shutdown().await.unwrap();
            };
            let (received, ()) = tokio::join!(wrapper.receive(&mut server, peer.ip()), send);
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            received.map(|received| (received, rest))
        })
    }

    #[track_caller]
    fn check(bytes: &[u8], source: &str, destination: &str) {
        let settings = json!({"allow": ["127.0.0.0/8"]});
        let addresses = (source.parse().unwrap(), destination.parse().unwrap());
        let expected = Received {
            addresses: Some(addresses),
            prefix: Bytes::new(),
        };
        let whole = [bytes, b"GET /"].concat();
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        for parts in [vec![&*whole], single] {
            let (received, rest) = receive(&settings, &parts).unwrap();
            assert_eq!((&received, &*rest), (&expected, &b"GET /"[..]), "{bytes:?}");
        }
    }

    /// What is no header is handed over whole.
    #[track_caller]
    fn check_absent(bytes: &[u8]) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for parts in [vec![bytes], single] {
            let (received, rest) = receive(&json!({}), &parts).unwrap();
            assert_eq!(received.addresses, None);
            assert_eq!([&*received.prefix, &*rest].concat(), bytes);
        }
    }

    #[track_caller]
    fn check_closed(bytes: &[u8]) {
        let settings = json!({"allow": ["127.0.0.1/32"]});
        assert_eq!(receive(&settings, &[bytes]), None, "{bytes:?}");
    }

    fn version2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, body].concat()
    }

    #[test]
    fn both_versions_say_whose_connection_it_is() {
        check(
            b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 80\r\n",
            "203.0.113.9:5000",
            "10.0.0.1:80",
        );
        check(
            b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n",
            "[2001:db8::1]:5000",
            "[2001:db8::2]:443",
        );
        let body = [203, 0, 113, 9, 10, 0, 0, 1, 0x13, 0x88, 0, 80, 4, 0, 1, 0];
        check(&version2(0x21, 0x11, &body), "203.0.113.9:5000", "10.0.0.1:80");
        let mut body = [0; 36];
        (body[15], body[31], body[33], body[35]) = (1, 2, 3, 4);
        check(&version2(0x21, 0x21, &body), "[::1]:3", "[::2]:4");
    }

    #[test]
    fn a_header_may_leave_the_addresses_as_they_are() {
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN a b c d\r\n".to_vec(),
            version2(0x20, 0, &[]),
            version2(0x21, 0, &[1, 2, 3]),
        ] {
            let settings = json!({"fallback_policy": "require"});
            let (received, rest) = receive(&settings, &[&header, b"x"]).unwrap();
            assert_eq!((received.addresses, &*rest), (None, &b"x"[..]));
        }
    }

    #[test]
    fn what_is_no_header_goes_on() {
        for bytes in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"POST /",
            b"PROXIES",
            b"P",
            b"\r\n\r\nGET",
            b"\x16\x03",
        ] {
            check_absent(bytes);
        }
    }

    #[test]
    fn broken_headers_end_the_connection() {
        check_closed(b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n");
        check_closed(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n");
        check_closed(b"PROXY TCP4 ::1 ::2 1 2\r\n");
        check_closed(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n");
        check_closed(b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n");
        check_closed(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n");
        check_closed(&[&b"PROXY TCP4 "[..], &[b'1'; 200]].concat());
        check_closed(&version2(0x11, 0x11, &[0; 12]));
        check_closed(&version2(0x21, 0x11, &[0; 11]));
        check_closed(&version2(0x21, 0x41, &[0; 12]));
        check_closed(&version2(0x21, 0x11, &[0; MAX_ADDRESSES + 1]));
        check_closed(&version2(0x21, 0x11, &[0; 12])[..20]);
    }

    #[test]
    fn the_config_says_who_is_believed() {
        let header = b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 80\r\n";
        let told = |settings: Json, bytes: &[u8]| {
            let received = receive(&settings, &[bytes]);
            received.map(|(received, rest)| (received.addresses.is_some(), rest.is_empty()))
        };
        for (settings, with, without) in [
            (json!({}), Some((false, true)), Some((false, false))),
            (
                json!({"allow": ["10.0.0.0/8"]}),
                Some((false, true)),
                Some((false, false)),
            ),
            (
                json!({"allow": ["127.0.0.0/8"]}),
                Some((true, true)),
                Some((false, false)),
            ),
            (
                json!({"fallback_policy": "USE"}),
                Some((true, true)),
                Some((false, false)),
            ),
            (json!({"fallback_policy": "REQUIRE"}), Some((true, true)), None),
            (json!({"fallback_policy": "REJECT"}), None, Some((false, false))),
            (
                json!({"fallback_policy": "SKIP"}),
                Some((false, false)),
                Some((false, false)),
            ),
            (
                json!({"allow": ["127.0.0.0/8"], "deny": ["127.0.0.1/32"]}),
                None,
                Some((false, false)),
            ),
        ] {
            assert_eq!(told(settings.clone(), header), with, "{settings}");
            assert_eq!(told(settings.clone(), b"GET /"), without, "{settings}");
        }
    }

    #[test]
    fn waiting_for_a_header_has_an_end() {
        let wrapper = wrapper(&json!({"timeout": "1ms", "fallback_policy": "require"}));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let received = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, peer) = listener.accept().await.unwrap();
            wrapper.receive(&mut server, peer.ip()).await
        });
        assert_eq!(received, None);
    }

    #[test]
    fn settings_are_checked() {
        for (settings, mistake) in [
            (
                json!({"allow": ["127.0.0.1"]}),
                r#""127.0.0.1" is no range like 10.0.0.0/8"#,
            ),
            (json!({"deny": [1]}), "1 is no range like 10.0.0.0/8"),
            (
                json!({"fallback_policy": "x"}),
                r#"there is no fallback policy "x""#,
            ),
            (json!({"x": 1}), "there is no setting `x`"),
        ] {
            let found = ProxyProtocol::new(settings.as_object().unwrap());
            assert_eq!(found, Err(mistake.to_owned()));
        }
    }
}
