//! One placeholder: its name understood once, its value read per request.
//!
//! The names are Caddy's, in full: `http.request.host`. The short forms of a Caddyfile are replaced by the adapter.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;

use crate::body::Body;
use crate::exchange::{Exchange, Target, certificate};
use crate::paths;
use crate::template::Value;

/// A placeholder's name, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// As written, without braces.
    name: Box<str>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Method,
    OriginalMethod,
    Scheme,
    Protocol,
    Host,
    HostPort,
    Port,
    HostLabel(usize),
    Body,
    BodyBase64,
    Remote,
    RemoteHost,
    RemotePort,
    /// The network of the peer: its bits for IPv4 and IPv6.
    RemoteNetwork(Option<u8>, Option<u8>),
    Local,
    LocalHost,
    LocalPort,
    Header(HeaderName),
    Cookie(Box<str>),
    Uuid,
    Duration,
    DurationMilliseconds,
    Uri(Which, Part),
    Query(Box<str>),
    Tls(TlsPart),
    ClientIp,
    Variable(Box<str>),
    ErrorStatus,
    ErrorStatusText,
    ErrorMessage,
    ResponseHeader(HeaderName),
    Environment(Box<str>),
    Time(TimePart),
    /// What the machine is; the same always.
    System(&'static str),
    /// What a handler or a matcher sets under its full name.
    Set,
}

/// The target as it is, or as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Now,
    Original,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    WholeEscaped,
    Path,
    PathEscaped,
    PathSegment(usize),
    Directory,
    File,
    FileBase,
    FileExtension,
    Query,
    QueryEscaped,
    PrefixedQuery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsPart {
    Version,
    CipherSuite,
    Protocol,
    ServerName,
    Resumed,
    Client(certificate::Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimePart {
    Now,
    Http,
    CommonLog,
    Year,
    Unix,
    UnixMilliseconds,
}

impl Placeholder {
    /// Of a full name without braces. A name that nobody knows is one that handlers may set.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            kind: kind(name),
        }
    }

    /// The name, without braces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it stands in a filled template, with braces, and without the backslashes that protect some.
    pub fn written(&self) -> String {
        super::unescape(&format!("{{{}}}", self.name))
    }

    /// Whether no request can know it, since no handler sets a name of that kind.
    pub fn is_never_known(&self) -> bool {
        let odd = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ';');
        self.kind == Kind::Set && (self.name.is_empty() || self.name.contains(odd))
    }

    /// Whether the value does not depend on a request.
    pub fn is_global(&self) -> bool {
        matches!(self.kind, Kind::Environment(_) | Kind::Time(_) | Kind::System(_))
    }

    /// The value; `None` if it is not known in this request.
    pub fn text<'a>(&'a self, exchange: &'a Exchange) -> Option<Cow<'a, str>> {
        self.own_text(exchange).or_else(|| {
            let mapped = exchange.maps.value(&self.name, exchange)?;
            Some(Cow::Owned(mapped.text().into_owned()))
        })
    }

    /// The value, if no map gives it.
    fn own_text<'a>(&'a self, exchange: &'a Exchange) -> Option<Cow<'a, str>> {
        Some(match &self.kind {
            Kind::Method => exchange.method.as_str().into(),
            Kind::OriginalMethod => exchange.original_method().as_str().into(),
            Kind::Scheme => exchange.scheme().into(),
            Kind::Protocol => protocol(exchange.version).into(),
            Kind::Host => host(&exchange.host).into(),
            Kind::HostPort => (*exchange.host).into(),
            Kind::Port => paths::split_host_port(&exchange.host)
                .map_or("", |(_, port)| port)
                .into(),
            Kind::HostLabel(index) => host(&exchange.host)
                .rsplit('.')
                .nth(*index)
                .map_or(Cow::Borrowed(""), |label| label.to_ascii_lowercase().into()),
            Kind::Body => String::from_utf8_lossy(held(&exchange.body)),
            Kind::BodyBase64 => STANDARD.encode(held(&exchange.body)).into(),
            Kind::Remote => exchange.connection.remote.to_string().into(),
            Kind::RemoteHost => exchange.connection.remote.ip().to_string().into(),
            Kind::RemotePort => exchange.connection.remote.port().to_string().into(),
            Kind::RemoteNetwork(v4, v6) => network(exchange, *v4, *v6).into(),
            Kind::Local => exchange.connection.local.to_string().into(),
            Kind::LocalHost => exchange.connection.local.ip().to_string().into(),
            Kind::LocalPort => exchange.connection.local.port().to_string().into(),
            // The host is not among the headers; as in Caddy, `{header.Host}` is nothing.
            Kind::Header(name) if name == http::header::HOST => "".into(),
            Kind::Header(name) => joined(&exchange.headers.get_all(name)),
            Kind::ResponseHeader(name) => response_header(exchange, name),
            Kind::Cookie(name) => cookie(exchange, name)?.into(),
            Kind::Uuid => exchange.uuid().to_string().into(),
            Kind::Duration => seconds(exchange).into(),
            Kind::DurationMilliseconds => (exchange.started.elapsed().as_secs_f64() * 1e3)
                .to_string()
                .into(),
            Kind::Uri(Which::Now, part) => target(exchange.target(), *part),
            Kind::Uri(Which::Original, part) => target(exchange.original_target(), *part),
            Kind::Query(key) => query(exchange.target(), key).into(),
            Kind::Tls(part) => tls(exchange, *part)?,
            Kind::ClientIp => exchange.client_ip.to_string().into(),
            Kind::Variable(name) => exchange
                .vars
                .get(name)
                .map_or(Cow::Borrowed(""), super::Value::text),
            Kind::ErrorStatus => exchange.error.as_ref()?.status.to_string().into(),
            Kind::ErrorStatusText => status_text(exchange.error.as_ref()?.status).into(),
            Kind::ErrorMessage => (*exchange.error.as_ref()?.message).into(),
            Kind::Environment(_) | Kind::Time(_) => self.global_text()?.into(),
            Kind::System(text) => (*text).into(),
            Kind::Set => set(exchange, &self.name)?,
        })
    }

    /// The value with its type, as expressions see it; `None` if it is not known in this request.
    pub fn value(&self, exchange: &Exchange) -> Option<Value> {
        Some(match &self.kind {
            Kind::DurationMilliseconds => Value::Float(exchange.started.elapsed().as_secs_f64() * 1e3),
            Kind::Tls(TlsPart::Resumed) => Value::Bool(exchange.connection.tls.as_ref()?.resumed),
            Kind::Variable(name) => exchange.vars.get(name).cloned().unwrap_or(Value::Null),
            Kind::ErrorStatus => Value::Integer(exchange.error.as_ref()?.status.into()),
            Kind::Set => match exchange.values.get(&self.name) {
                Some(value) => value.clone(),
                None => match exchange.told.value(&self.name) {
                    Some(value) => value,
                    None => return exchange.maps.value(&self.name, exchange),
                },
            },
            _ => Value::Text(self.text(exchange)?.into()),
        })
    }

    /// The value, if it does not depend on a request.
    pub fn global_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Environment(name) => Some(std::env::var(&**name).unwrap_or_default()),
            Kind::Time(part) => Some(time(*part)),
            Kind::System(text) => Some((*text).to_owned()),
            _ => None,
        }
    }
}

fn kind(name: &str) -> Kind {
    if let Some(name) = name.strip_prefix("env.") {
        return Kind::Environment(name.into());
    }
    if let Some(name) = name.strip_prefix("http.request.") {
        return request(name).unwrap_or(Kind::Set);
    }
    if let Some(variable) = name.strip_prefix("http.vars.") {
        return if variable == "client_ip" {
            Kind::ClientIp
        } else {
            Kind::Variable(variable.into())
        };
    }
    let response_header = name
        .strip_prefix("http.response.header.")
        .and_then(|header| header.parse().ok());
    if let Some(header) = response_header {
        return Kind::ResponseHeader(header);
    }
    match name {
        "http.error.status_code" => Kind::ErrorStatus,
        "http.error.status_text" => Kind::ErrorStatusText,
        "http.error.message" => Kind::ErrorMessage,
        "time.now" => Kind::Time(TimePart::Now),
        "time.now.http" => Kind::Time(TimePart::Http),
        "time.now.common_log" => Kind::Time(TimePart::CommonLog),
        "time.now.year" => Kind::Time(TimePart::Year),
        "time.now.unix" => Kind::Time(TimePart::Unix),
        "time.now.unix_ms" => Kind::Time(TimePart::UnixMilliseconds),
        "system.slash" => Kind::System(std::path::MAIN_SEPARATOR_STR),
        "system.os" => Kind::System(std::env::consts::OS),
        "system.arch" => Kind::System(architecture(std::env::consts::ARCH)),
        _ => Kind::Set,
    }
}

/// The name that Go has for a processor.
fn architecture(name: &'static str) -> &'static str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        name => name,
    }
}

/// What follows `http.request.`
fn request(name: &str) -> Option<Kind> {
    if let Some(header) = name.strip_prefix("header.") {
        return header.parse().ok().map(Kind::Header);
    }
    if let Some(cookie) = name.strip_prefix("cookie.") {
        return Some(Kind::Cookie(cookie.into()));
    }
    if let Some(key) = name.strip_prefix("uri.query.") {
        return Some(Kind::Query(key.into()));
    }
    if let Some(label) = name.strip_prefix("host.labels.") {
        return label.parse().ok().map(Kind::HostLabel);
    }
    if let Some(bits) = name.strip_prefix("remote.host/") {
        let (v4, v6) = bits.split_once(',').unwrap_or((bits, bits));
        return Some(Kind::RemoteNetwork(v4.parse().ok(), v6.parse().ok()));
    }
    if let Some(part) = name.strip_prefix("tls.") {
        let part = part.to_ascii_lowercase();
        return Some(Kind::Tls(match part.as_str() {
            "version" => TlsPart::Version,
            "cipher_suite" => TlsPart::CipherSuite,
            "proto" => TlsPart::Protocol,
            "server_name" => TlsPart::ServerName,
            "resumed" => TlsPart::Resumed,
            part => TlsPart::Client(certificate::Part::new(part.strip_prefix("client.")?)?),
        }));
    }
    if let Some(part) = name.strip_prefix("orig_uri") {
        // Of the original target Caddy knows less.
        let known = |part: &Part| {
            let unknown = [
                Part::WholeEscaped,
                Part::PathEscaped,
                Part::FileBase,
                Part::FileExtension,
                Part::QueryEscaped,
            ];
            !unknown.contains(part)
        };
        return uri(part)
            .filter(known)
            .map(|part| Kind::Uri(Which::Original, part));
    }
    if let Some(part) = name.strip_prefix("uri") {
        return uri(part).map(|part| Kind::Uri(Which::Now, part));
    }
    Some(match name {
        "method" => Kind::Method,
        "orig_method" => Kind::OriginalMethod,
        "scheme" => Kind::Scheme,
        "proto" => Kind::Protocol,
        "body" => Kind::Body,
        "body_base64" => Kind::BodyBase64,
        "host" => Kind::Host,
        "hostport" => Kind::HostPort,
        "port" => Kind::Port,
        "remote" => Kind::Remote,
        "remote.host" => Kind::RemoteHost,
        "remote.port" => Kind::RemotePort,
        "local" => Kind::Local,
        "local.host" => Kind::LocalHost,
        "local.port" => Kind::LocalPort,
        "uuid" => Kind::Uuid,
        "duration" => Kind::Duration,
        "duration_ms" => Kind::DurationMilliseconds,
        _ => return None,
    })
}

/// What follows `uri` or `orig_uri`.
fn uri(name: &str) -> Option<Part> {
    Some(match name {
        "" => Part::Whole,
        "_escaped" => Part::WholeEscaped,
        ".path" => Part::Path,
        ".path_escaped" => Part::PathEscaped,
        ".path.dir" => Part::Directory,
        ".path.file" => Part::File,
        ".path.file.base" => Part::FileBase,
        ".path.file.ext" => Part::FileExtension,
        ".query" => Part::Query,
        ".query_escaped" => Part::QueryEscaped,
        ".prefixed_query" => Part::PrefixedQuery,
        _ => Part::PathSegment(name.strip_prefix(".path.")?.parse().ok()?),
    })
}

fn target(target: &Target, part: Part) -> Cow<'_, str> {
    let query = target.query().unwrap_or_default();
    match part {
        Part::Whole => target.path_and_query().into(),
        Part::WholeEscaped => paths::query_escape(target.path_and_query()),
        Part::Path => target.path().into(),
        Part::PathEscaped => paths::query_escape(target.path()),
        Part::PathSegment(index) => {
            let path = target.path();
            let mut elements = path.strip_prefix('/').unwrap_or(path).split('/');
            elements.nth(index).unwrap_or_default().into()
        }
        Part::Directory => {
            let end = target.path().rfind('/').map_or(0, |at| at + 1);
            target.path()[..end].into()
        }
        Part::File => file(target).into(),
        Part::FileBase => {
            // Slashes at the end do not count here, though they do for the extension.
            let path = target.path().trim_end_matches('/');
            let base = match path.rsplit('/').next().unwrap_or_default() {
                "" if target.path().is_empty() => ".",
                "" => "/",
                base => base,
            };
            base.strip_suffix(extension(target)).unwrap_or(base).into()
        }
        Part::FileExtension => extension(target).into(),
        Part::Query => query.into(),
        Part::QueryEscaped => paths::query_escape(query),
        Part::PrefixedQuery if query.is_empty() => "".into(),
        Part::PrefixedQuery => format!("?{query}").into(),
    }
}

fn file(target: &Target) -> &str {
    target.path().rsplit('/').next().unwrap_or_default()
}

/// What follows the last dot of the file, with the dot.
fn extension(target: &Target) -> &str {
    let file = file(target);
    file.rfind('.').map_or("", |at| &file[at..])
}

fn query(target: &Target, key: &str) -> String {
    let (pairs, _) = paths::parse_query(target.query().unwrap_or_default());
    let values: Vec<String> = pairs
        .into_iter()
        .filter(|(name, _)| name == key)
        .map(|(_, value)| value)
        .collect();
    values.join(",")
}

fn tls(exchange: &Exchange, part: TlsPart) -> Option<Cow<'_, str>> {
    let tls = exchange.connection.tls.as_ref()?;
    Some(match part {
        TlsPart::Version => tls.version.into(),
        TlsPart::CipherSuite => tls.cipher_suite.into(),
        TlsPart::Protocol => tls.protocol.into(),
        TlsPart::ServerName => (*tls.server_name).into(),
        TlsPart::Resumed => if tls.resumed { "true" } else { "false" }.into(),
        TlsPart::Client(part) => part.text(tls.client.as_deref()),
    })
}

fn response_header<'a>(exchange: &'a Exchange, name: &HeaderName) -> Cow<'a, str> {
    match exchange.server_name() {
        Some(server) if *name == http::header::SERVER => String::from_utf8_lossy(server.as_bytes()),
        _ => joined(&exchange.response_headers.get_all(name)),
    }
}

fn joined<'a>(values: &http::header::GetAll<'a, http::HeaderValue>) -> Cow<'a, str> {
    let mut values = values
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(first) = values.next() else {
        return Cow::Borrowed("");
    };
    values.fold(first, |joined, value| Cow::Owned(format!("{joined},{value}")))
}

fn cookie<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    let headers = exchange.headers.get_all(http::header::COOKIE).iter();
    let pairs = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'));
    let mut cookies = pairs.filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = cookies.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(
        value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value),
    )
}

/// What is held of a body. The compiler sees to it that whoever tells it finds it so; one that went upstream is gone.
fn held(body: &Body) -> &[u8] {
    match body {
        Body::Full(bytes) => bytes,
        Body::Empty | Body::Stream(_) => &[],
    }
}

fn set<'a>(exchange: &'a Exchange, name: &str) -> Option<Cow<'a, str>> {
    match exchange.values.get(name) {
        Some(value) => Some(value.text()),
        None => Some(exchange.told.value(name)?.text().into_owned().into()),
    }
}

fn host(host: &str) -> &str {
    paths::split_host_port(host).map_or(host, |(host, _)| host)
}

/// The network of the peer, empty if it has no such bits.
fn network(exchange: &Exchange, v4: Option<u8>, v6: Option<u8>) -> String {
    let address = exchange.connection.remote.ip();
    let bits = if address.is_ipv4() { v4 } else { v6 };
    bits.and_then(|bits| ipnet::IpNet::new(address, bits).ok())
        .map_or_else(String::new, |network| network.trunc().to_string())
}

fn seconds(exchange: &Exchange) -> String {
    crate::values::Duration::from(exchange.started.elapsed()).to_string()
}

fn status_text(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn time(part: TimePart) -> String {
    let now = jiff::Zoned::now();
    match part {
        TimePart::Now => now.strftime("%Y-%m-%d %H:%M:%S.%N %z %Z").to_string(),
        TimePart::Http => httpdate::fmt_http_date(std::time::SystemTime::now()),
        TimePart::CommonLog => now.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
        TimePart::Year => now.year().to_string(),
        TimePart::Unix => now.timestamp().as_second().to_string(),
        TimePart::UnixMilliseconds => now.timestamp().as_millisecond().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::error::HandlerError;
    use crate::test_util::exchange;

    /// The values of placeholders in one request: `None` is unknown.
    #[track_caller]
    fn check(exchange: &Exchange, cases: &[(&str, Option<&str>)]) {
        for (name, expected) in cases {
            let placeholder = Placeholder::new(name);
            assert_eq!(placeholder.text(exchange).as_deref(), *expected, "{name}");
            assert!(expected.is_none() || !placeholder.is_never_known(), "{name}");
        }
    }

    #[test]
    fn tell_of_the_request() {
        let request = "GET /a%20b/c.tar.gz?x=1&y=%2F&x=2\nHost: Www.Example.com:81\nX-A: 1\nX-A: 2\nCookie: s=\"v\"; t=a=b";
        let mut exchange = exchange(request);
        exchange.set_method(http::Method::PUT);
        check(
            &exchange,
            &[
                ("http.request.method", Some("PUT")),
                ("http.request.orig_method", Some("GET")),
                ("http.request.scheme", Some("http")),
                ("http.request.proto", Some("HTTP/1.1")),
                ("http.request.host", Some("Www.Example.com")),
                ("http.request.hostport", Some("Www.Example.com:81")),
                ("http.request.port", Some("81")),
                ("http.request.host.labels.0", Some("com")),
                ("http.request.host.labels.2", Some("www")),
                ("http.request.host.labels.3", Some("")),
                ("http.request.host.labels.x", None),
                ("http.request.header.x-a", Some("1,2")),
                ("http.request.header.X-B", Some("")),
                ("http.request.header.Host", Some("")),
                ("http.request.cookie.S", Some("v")),
                ("http.request.cookie.t", Some("a=b")),
                ("http.request.cookie.u", None),
                ("http.request.remote", Some("192.0.2.1:1234")),
                ("http.request.remote.host", Some("192.0.2.1")),
                ("http.request.remote.port", Some("1234")),
                ("http.request.remote.host/24", Some("192.0.2.0/24")),
                ("http.request.remote.host/16,64", Some("192.0.0.0/16")),
                ("http.request.remote.host/33", Some("")),
                ("http.request.remote.host/x", Some("")),
                ("http.request.local", Some("192.0.2.2:80")),
                ("http.request.local.host", Some("192.0.2.2")),
                ("http.request.local.port", Some("80")),
                ("http.request.tls.version", None),
                ("http.request.nothing", None),
                ("http.vars.client_ip", Some("192.0.2.1")),
            ],
        );
    }

    #[test]
    fn tell_of_the_target() {
        let mut exchange = exchange("GET /a%20b/c.tar.gz?x=1&y=%2F&x=2");
        check(
            &exchange,
            &[
                ("http.request.uri", Some("/a%20b/c.tar.gz?x=1&y=%2F&x=2")),
                (
                    "http.request.uri_escaped",
                    Some("%2Fa%2520b%2Fc.tar.gz%3Fx%3D1%26y%3D%252F%26x%3D2"),
                ),
                ("http.request.uri.path", Some("/a b/c.tar.gz")),
                ("http.request.uri.path_escaped", Some("%2Fa+b%2Fc.tar.gz")),
                ("http.request.uri.path.0", Some("a b")),
                ("http.request.uri.path.1", Some("c.tar.gz")),
                ("http.request.uri.path.2", Some("")),
                ("http.request.uri.path.x", None),
                ("http.request.uri.path.dir", Some("/a b/")),
                ("http.request.uri.path.file", Some("c.tar.gz")),
                ("http.request.uri.path.file.base", Some("c.tar")),
                ("http.request.uri.path.file.ext", Some(".gz")),
                ("http.request.uri.query", Some("x=1&y=%2F&x=2")),
                ("http.request.uri.query.x", Some("1,2")),
                ("http.request.uri.query.y", Some("/")),
                ("http.request.uri.query.z", Some("")),
                ("http.request.uri.prefixed_query", Some("?x=1&y=%2F&x=2")),
            ],
        );
        exchange.set_target("/d.e/").unwrap();
        check(
            &exchange,
            &[
                ("http.request.uri", Some("/d.e/")),
                ("http.request.uri.path.file", Some("")),
                ("http.request.uri.path.file.base", Some("d.e")),
                ("http.request.uri.path.file.ext", Some("")),
                ("http.request.uri.prefixed_query", Some("")),
                ("http.request.orig_uri", Some("/a%20b/c.tar.gz?x=1&y=%2F&x=2")),
                ("http.request.orig_uri.path", Some("/a b/c.tar.gz")),
                ("http.request.orig_uri.path.0", Some("a b")),
                ("http.request.orig_uri.path.file", Some("c.tar.gz")),
                ("http.request.orig_uri.path.file.base", None),
                ("http.request.orig_uri.query", Some("x=1&y=%2F&x=2")),
            ],
        );
        exchange.set_target("/").unwrap();
        check(
            &exchange,
            &[
                ("http.request.uri.path.file.base", Some("/")),
                ("http.request.uri.path.dir", Some("/")),
                ("http.request.uri.path.0", Some("")),
            ],
        );
    }

    #[test]
    fn tell_of_the_machine() {
        check(
            &exchange("GET /"),
            &[
                ("system.slash", Some("/")),
                ("system.os", Some("linux")),
                ("system.nothing", None),
            ],
        );
        assert!(Placeholder::new("system.arch").is_global());
        assert_eq!(architecture("x86_64"), "amd64");
    }

    #[test]
    fn tell_the_server_before_its_header_is_there() {
        let mut exchange = exchange("GET /");
        check(&exchange, &[("http.response.header.Server", Some(""))]);
        exchange.set_server_name(http::HeaderValue::from_static("us"));
        check(&exchange, &[("http.response.header.Server", Some("us"))]);
        exchange.name_server();
        check(&exchange, &[("http.response.header.Server", Some("us"))]);
        exchange.unname_server();
        check(&exchange, &[("http.response.header.Server", Some(""))]);
    }

    #[test]
    fn tell_what_was_set() {
        let mut exchange = exchange("GET /");
        check(
            &exchange,
            &[
                ("http.vars.a", Some("")),
                ("http.regexp.r.1", None),
                ("http.error.status_code", None),
                ("http.response.header.X-A", Some("")),
            ],
        );
        exchange.vars.set("a", Value::Bool(true));
        exchange.values.set("http.regexp.r.1", Value::Text("x".into()));
        exchange
            .response_headers
            .insert("x-a", http::HeaderValue::from_static("y"));
        exchange.error = Some(HandlerError::new(404, "gone"));
        check(
            &exchange,
            &[
                ("http.vars.a", Some("true")),
                ("http.regexp.r.1", Some("x")),
                ("http.response.header.X-A", Some("y")),
                ("http.error.status_code", Some("404")),
                ("http.error.status_text", Some("Not Found")),
                ("http.error.message", Some("gone")),
            ],
        );
        let uuid = Placeholder::new("http.request.uuid");
        assert_eq!(uuid.text(&exchange), uuid.text(&exchange));
    }
}
