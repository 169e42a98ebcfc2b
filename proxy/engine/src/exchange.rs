//! What a handler works on: the request as it is now, and the response as far as it is known.
//!
//! As in Caddy, response headers gather in one place while handlers run, and survive an error; whoever answers adds
//! its own. What must happen to the finished response (deferred header operations, compression) is pushed as a
//! [`Filter`]; filters run innermost first, when the response is there.

pub mod certificate;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::{HOST, SERVER};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use crate::body::{Body, ClientFault};
use crate::error::HandlerError;
use crate::handlers::Filter;
use crate::handlers::log_append::Fields;
use crate::handlers::map::Maps;
use crate::handlers::reverse_proxy::{Held, Told};
use crate::matchers::file;
use crate::paths;
use crate::template::Value;

/// What is known of the connection that a request came on.
#[derive(Debug)]
pub struct Connection {
    /// The peer.
    pub remote: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// TLS, if there is any.
    pub tls: Option<Tls>,
    /// The peer's address as a header's value, made when it is first asked for.
    forwarded_for: OnceLock<HeaderValue>,
}

impl Connection {
    /// A connection from `remote` to `local`.
    pub fn new(remote: SocketAddr, local: SocketAddr, tls: Option<Tls>) -> Self {
        Self {
            remote,
            local,
            tls,
            forwarded_for: OnceLock::new(),
        }
    }

    /// The peer's address as it stands in `X-Forwarded-For`.
    pub(crate) fn forwarded_for(&self) -> HeaderValue {
        let value = self.forwarded_for.get_or_init(|| {
            let address = self.remote.ip().to_canonical().to_string();
            HeaderValue::try_from(address).expect("digits, dots and colons are fit for a header")
        });
        value.clone()
    }
}

/// What is known of a TLS session.
#[derive(Debug, Default)]
pub struct Tls {
    /// `tls1.2` or `tls1.3`.
    pub version: &'static str,
    /// The name of the cipher suite, as in the IANA registry.
    pub cipher_suite: &'static str,
    /// The negotiated application protocol: `h2`, `http/1.1`, or empty.
    pub protocol: &'static str,
    /// The name that the client asked for, lower case; empty without one.
    pub server_name: Box<str>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The certificate that the client showed.
    pub client: Option<Box<certificate::Certificate>>,
}

/// The target of a request, decoded once.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    /// The decoded path; none while it is the same as the escaped one.
    decoded: Option<Box<str>>,
    /// Whether a rewrite left the path without the slash that `uri` has at its front.
    relative: bool,
}

impl Target {
    /// Of a request line.
    pub fn new(uri: Uri) -> Self {
        let decoded = uri
            .path()
            .contains('%')
            .then(|| paths::decode_path(uri.path()).into());
        Self {
            uri,
            decoded,
            relative: false,
        }
    }

    /// Of an escaped path, which may lack the slash at its front, and a query.
    fn rewritten(path_and_query: &str) -> Option<Self> {
        let relative = !path_and_query.starts_with('/') && path_and_query != "*";
        let uri = if relative {
            paths::to_uri(&format!("/{path_and_query}"))
        } else {
            paths::to_uri(path_and_query)
        };
        Some(Self {
            relative,
            ..Self::new(uri?)
        })
    }

    /// What is left of a path of `uri`.
    fn own<'a>(&self, path: &'a str) -> &'a str {
        if self.relative {
            path.strip_prefix('/').unwrap_or(path)
        } else {
            path
        }
    }

    /// The decoded path. Escapes that would not give UTF-8 stay as they are.
    pub fn path(&self) -> &str {
        self.own(self.decoded.as_deref().unwrap_or_else(|| self.uri.path()))
    }

    /// The path as the client escaped it.
    pub fn escaped_path(&self) -> &str {
        self.own(self.uri.path())
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The target in origin form, if it needs no change but to lose scheme and host.
    pub(crate) fn origin_form(&self) -> Option<Uri> {
        let whole = self.uri.path_and_query().filter(|_| !self.relative)?;
        if !whole.as_str().starts_with('/') {
            return None;
        }
        Some(if self.uri.authority().is_none() {
            self.uri.clone()
        } else {
            whole.clone().into()
        })
    }

    /// Path and query as they go on the wire: `/a%20b?c=d`. Only a rewrite to `a` leaves it without a slash in front;
    /// an empty path is a slash here.
    pub fn path_and_query(&self) -> &str {
        let whole = self.uri.path_and_query();
        let whole = whole.map_or(self.uri.path(), http::uri::PathAndQuery::as_str);
        if self.uri.path() == "/" {
            whole
        } else {
            self.own(whole)
        }
    }
}

/// A request on its way through the handlers.
#[derive(Debug)]
pub struct Exchange {
    /// The method as it is now.
    pub method: Method,
    /// The target as it is now; see [`set_target`](Self::set_target).
    target: Target,
    /// The host as the client named it, with port; `header_up Host` changes it.
    pub host: Box<str>,
    /// The value of the `Host` header that came.
    host_value: Option<HeaderValue>,
    /// The protocol version that the client speaks.
    pub version: Version,
    /// The request's headers as they are now, without `Host`.
    pub headers: HeaderMap,
    /// What the server attached to the request (an upgrade); goes upstream with it.
    pub extensions: http::Extensions,
    /// The request's body.
    pub body: Body,
    /// Why the body ended before its end, once it did; none while nobody limits it.
    pub(crate) client_fault: Option<Arc<OnceLock<ClientFault>>>,
    /// Method and target before anything changed them; none while nothing did.
    original: Option<Box<(Method, Target)>>,
    /// The connection.
    pub connection: Arc<Connection>,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client_ip: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub trusted_proxy: bool,
    /// When the request's head was complete.
    pub started: Instant,
    /// The response's headers so far.
    pub response_headers: HeaderMap,
    /// What is yet to stand in their `Server`. A proxied response has the upstream's name instead, so most requests are
    /// spared the header.
    server_name: Option<HeaderValue>,
    /// What the response carries for the server (an upgrade).
    pub response_extensions: http::Extensions,
    /// What is to be done with the finished response, outermost first.
    pub filters: SmallVec<[Filter; 2]>,
    /// Variables: those of `vars` and of handlers.
    pub vars: Names,
    /// Values that placeholders name in full, such as `http.regexp.name.1`.
    pub values: Names,
    /// The maps that give further placeholders a value when they are used.
    pub maps: Maps,
    /// What is added to the access log's entry.
    pub log: Fields,
    /// What the disk said, for matchers that are being asked again.
    pub(crate) files: Vec<(file::Lookup, file::Answer)>,
    /// The error that is handled now.
    pub error: Option<HandlerError>,
    /// What is known of a request that was sent on.
    pub(crate) told: Told,
    /// The upstream's response, for the routes of `handle_response`.
    pub(crate) held: Option<Box<Held>>,
    /// Made when it is first asked for.
    uuid: OnceLock<uuid::Uuid>,
}

impl Exchange {
    /// At the start: nothing changed, nothing known of the response.
    pub fn new(request: http::Request<Body>, connection: Arc<Connection>) -> Self {
        let (mut parts, body) = request.into_parts();
        let host_value = parts.headers.remove(HOST);
        let host = parts
            .uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| host_value.as_ref().and_then(|host| host.to_str().ok()))
            .unwrap_or_default();
        Self {
            host: host.into(),
            host_value,
            method: parts.method,
            target: Target::new(parts.uri),
            version: parts.version,
            headers: parts.headers,
            extensions: parts.extensions,
            body,
            client_fault: None,
            original: None,
            client_ip: connection.remote.ip(),
            connection,
            trusted_proxy: false,
            started: Instant::now(),
            response_headers: HeaderMap::new(),
            server_name: None,
            response_extensions: http::Extensions::new(),
            filters: SmallVec::new(),
            vars: Names::default(),
            values: Names::default(),
            maps: Maps::default(),
            log: Fields::default(),
            files: Vec::new(),
            error: None,
            told: Told::default(),
            held: None,
            uuid: OnceLock::new(),
        }
    }

    /// Why the body ended before its end, if it did and that is the client's fault.
    pub(crate) fn fault(&self) -> Option<&ClientFault> {
        self.client_fault.as_ref()?.get()
    }

    /// The target as it is now.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The target before anything changed it.
    pub fn original_target(&self) -> &Target {
        self.original
            .as_ref()
            .map_or(&self.target, |original| &original.1)
    }

    /// The method before anything changed it.
    pub fn original_method(&self) -> &Method {
        self.original
            .as_ref()
            .map_or(&self.method, |original| &original.0)
    }

    /// Changes the target; what the client sent stays known. `path_and_query` must be escaped; what is not valid in a
    /// target is escaped.
    pub fn set_target(&mut self, path_and_query: &str) -> Result<(), HandlerError> {
        let target = Target::rewritten(path_and_query)
            .ok_or_else(|| HandlerError::new(400, format!("`{path_and_query}` is no request target")))?;
        self.keep_original();
        self.target = target;
        Ok(())
    }

    /// Changes the method; what the client sent stays known.
    pub fn set_method(&mut self, method: Method) {
        self.keep_original();
        self.method = method;
    }

    /// Puts method and target back to what the client sent, as error routes see them.
    pub fn restore_original(&mut self) {
        if let Some(original) = self.original.take() {
            (self.method, self.target) = *original;
        }
    }

    fn keep_original(&mut self) {
        if self.original.is_none() {
            self.original = Some(Box::new((self.method.clone(), self.target.clone())));
        }
    }

    /// How long the upstream that answered took, if the request was sent on.
    pub fn upstream_latency(&self) -> Option<Duration> {
        self.told.latency()
    }

    /// Has the response name a server, unless an upstream or a handler decides otherwise.
    pub fn set_server_name(&mut self, name: HeaderValue) {
        self.server_name = Some(name);
    }

    /// What is yet to stand in the response's `Server`.
    pub(crate) fn server_name(&self) -> Option<&HeaderValue> {
        self.server_name.as_ref()
    }

    /// Puts the server's name among the response's headers, before anybody looks at them or changes them.
    pub(crate) fn name_server(&mut self) {
        if let Some(name) = self.server_name.take() {
            self.response_headers.insert(SERVER, name);
        }
    }

    /// Has the response not name the server.
    pub(crate) fn unname_server(&mut self) {
        if self.server_name.take().is_none() {
            self.response_headers.remove(SERVER);
        }
    }

    /// The host as a header's value; `None` if it cannot be one.
    pub(crate) fn host_value(&self) -> Option<HeaderValue> {
        match &self.host_value {
            Some(value) if value.as_bytes() == self.host.as_bytes() => Some(value.clone()),
            _ => HeaderValue::from_str(&self.host).ok(),
        }
    }

    /// A random name of this request, the same whenever it is asked for.
    pub fn uuid(&self) -> uuid::Uuid {
        *self.uuid.get_or_init(uuid::Uuid::new_v4)
    }

    /// `https` on a TLS connection, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.connection.tls.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// Values by name; few, so a list.
#[derive(Debug, Default, Clone)]
pub struct Names(SmallVec<[(Cow<'static, str>, Value); 4]>);

impl Names {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Sets a value; the last one wins.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}
