//! Active health checks: what to ask upstreams, and what the answer must be.
//!
//! The engine only describes them; whoever holds the table asks [`Check::probe`] at each [`Check::interval`], first
//! at once. A check whose config did not change is the same [`Arc`] in the next table, so its round goes on.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use regex::Regex;

use super::config::ActiveHealthChecks;
use super::transport::Transport;
use super::upstreams::{Address, Endpoint, Target, Upstream};
use crate::body::Body;
use crate::compile::CompileError;
use crate::exchange::{Connection, Exchange};
use crate::go_regex;
use crate::template::{Template, Unknown, Value};
use crate::values::status_code_matches;
use crate::world::{Dial, Fresh, Network, SendError, World};

/// How many bytes of a response are read unless the config says less.
const MAX_BODY: usize = 1 << 20;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// The health checks of one `reverse_proxy`.
#[derive(Debug)]
pub struct Check {
    /// The time between two probes.
    pub interval: Duration,
    timeout: Duration,
    method: Method,
    target: Uri,
    headers: Box<[(Template, Template)]>,
    body: Template,
    follow_redirects: bool,
    passes: usize,
    fails: usize,
    max_size: usize,
    expect_status: Option<u16>,
    expect_body: Option<Regex>,
    /// The address that is asked in place of each upstream's own.
    instead: Option<Target>,
    /// The port that is asked in place of the upstream's own.
    port: Option<u16>,
    /// Changes when upstreams come and go.
    asked: ArcSwap<Vec<Asked>>,
}

/// An upstream that is asked.
#[derive(Debug)]
struct Asked {
    dial: Dial,
    /// What `Host` says, and the name of the upstream in placeholders.
    host: Box<str>,
    transport: Arc<Transport>,
    endpoint: Arc<Endpoint>,
}

impl Check {
    /// Without upstreams yet; see [`follow`](Self::follow).
    pub(super) fn compile(config: &ActiveHealthChecks) -> Result<Option<Self>, CompileError> {
        if config.uri.is_empty() && config.path.is_empty() && config.port == 0 {
            return Ok(None);
        }
        let error = |message: String| CompileError::new(message).within("health_checks");
        let instead = match config.upstream.as_str() {
            "" => None,
            dial => Some(Target::parse(dial).map_err(error)?),
        };
        let port = match config.port {
            0 => None,
            port => Some(u16::try_from(port).map_err(|_| error(format!("{port} is no port")))?),
        };
        let uri = if config.uri.is_empty() {
            &config.path
        } else {
            &config.uri
        };
        let uri = if uri.starts_with('/') {
            uri.clone()
        } else {
            format!("/{uri}")
        };
        let count = |number: i64| usize::try_from(number).unwrap_or(1).max(1);
        let method = match config.method.as_str() {
            "" => Method::GET,
            method => method
                .parse()
                .map_err(|_| error(format!("`{method}` is no method")))?,
        };
        let expect_body = match config.expect_body.as_str() {
            "" => None,
            pattern => {
                Some(go_regex::compile(pattern).map_err(|cause| error(format!("expect_body: {cause}")))?)
            }
        };
        let headers = config.headers.iter().flat_map(|(name, values)| {
            let pair = |value: &String| (Template::new(name), Template::new(value));
            values.iter().map(pair)
        });
        Ok(Some(Self {
            interval: config.interval.to_std().unwrap_or(Duration::from_secs(30)),
            timeout: config.timeout.to_std().unwrap_or(Duration::from_secs(5)),
            method,
            target: crate::paths::to_uri(&uri).ok_or_else(|| error(format!("`{uri}` is no target")))?,
            headers: headers.collect(),
            body: Template::new(&config.body),
            follow_redirects: config.follow_redirects,
            passes: count(config.passes),
            fails: count(config.fails),
            max_size: usize::try_from(config.max_size)
                .ok()
                .filter(|&size| size > 0)
                .unwrap_or(MAX_BODY)
                .min(MAX_BODY),
            expect_status: u16::try_from(config.expect_status)
                .ok()
                .filter(|&status| status > 0),
            expect_body,
            instead,
            port,
            asked: ArcSwap::default(),
        }))
    }

    /// From now on these are asked; those whose address has placeholders are not.
    pub(super) fn follow(&self, upstreams: &[Arc<Upstream>], transport: impl Fn(&Target) -> Arc<Transport>) {
        let asked = upstreams.iter().filter_map(|upstream| {
            let Address::Fixed(target) = &upstream.address else {
                return None;
            };
            let target = self.place(target);
            let host = match target.dial.network {
                Network::Unix => "localhost".into(),
                Network::Tcp => target.dial.address.clone(),
            };
            Some(Asked {
                host,
                transport: transport(&target),
                dial: target.dial,
                endpoint: Arc::clone(&upstream.endpoint),
            })
        });
        self.asked.store(Arc::new(asked.collect()));
    }

    /// Where an upstream is asked.
    fn place(&self, target: &Target) -> Target {
        let host = match target.dial.network {
            Network::Tcp => &*target.host,
            Network::Unix => "localhost",
        };
        match (&self.instead, self.port) {
            (Some(instead), _) => instead.clone(),
            (None, Some(port)) => Target::tcp(host, port),
            (None, None) => target.clone(),
        }
    }

    /// Asks all upstreams at once and takes note of their answers. Dropping the future leaves those that have not
    /// answered as they were.
    pub async fn probe<W: World>(&self, world: &W) {
        let asked = self.asked.load_full();
        let mut pending: Vec<_> = asked
            .iter()
            .map(|asked| Box::pin(self.probe_one(asked, world)))
            .collect();
        poll_fn(|context| {
            pending.retain_mut(|probe| probe.as_mut().poll(context).is_pending());
            if pending.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether all upstreams were found working, or not yet found broken.
    pub fn is_healthy(&self) -> bool {
        let asked = self.asked.load();
        asked.iter().all(|asked| asked.endpoint.is_healthy())
    }

    async fn probe_one<W: World>(&self, asked: &Asked, world: &W) {
        let answer = within(world.sleep(self.timeout), self.ask(asked, world)).await;
        match answer.unwrap_or_else(|| Err("no answer in time".to_owned())) {
            Ok(()) => asked.endpoint.pass(self.passes),
            Err(cause) => {
                tracing::info!(upstream = %asked.dial.address, cause, "health check failed");
                asked.endpoint.miss(self.fails);
            }
        }
    }

    async fn ask<W: World>(&self, asked: &Asked, world: &W) -> Result<(), String> {
        let mut target = self.target.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self.request(asked, &target)?;
            let mut response = world.send(&asked.dial, &asked.transport, request).await;
            if matches!(response, Err(SendError::Lost { .. })) {
                let mut request = self.request(asked, &target)?;
                request.extensions_mut().insert(Fresh);
                response = world.send(&asked.dial, &asked.transport, request).await;
            }
            let response = response.map_err(|error| error.to_string())?;
            let location = response.headers().get(http::header::LOCATION);
            let next = location.filter(|_| self.follow_redirects && response.status().is_redirection());
            match next.and_then(redirect) {
                Some(next) => target = next,
                None => return self.judge(response).await,
            }
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }

    fn request(&self, asked: &Asked, target: &Uri) -> Result<http::Request<Body>, String> {
        let values = placeholders(&asked.host);
        let body = self.body.fill(&values, Unknown::Empty).into_owned();
        let mut request = http::Request::new(Body::from(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.clone();
        let host = HeaderValue::from_str(&asked.host).map_err(|error| error.to_string())?;
        request.headers_mut().insert(http::header::HOST, host);
        let agent = HeaderValue::from_static("Fairway");
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        let mut given: Vec<HeaderName> = Vec::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name
                .fill(&values, Unknown::Empty)
                .parse()
                .map_err(|_| "a header's name is none".to_owned())?;
            let value = HeaderValue::from_str(&value.fill(&values, Unknown::Keep));
            let value = value.map_err(|_| format!("the value of `{name}` is none"))?;
            if given.contains(&name) && name != http::header::HOST {
                request.headers_mut().append(name, value);
            } else if !given.contains(&name) {
                request.headers_mut().insert(name.clone(), value);
                given.push(name);
            }
        }
        Ok(request)
    }

    async fn judge(&self, response: http::Response<Body>) -> Result<(), String> {
        let status = response.status();
        let is_expected = match self.expect_status {
            Some(expected) => status_code_matches(status.as_u16(), expected),
            None => status.is_success(),
        };
        if !is_expected {
            return Err(format!("status {}", status.as_u16()));
        }
        // Read even if nobody looks at it, so that the connection can be used again.
        let body = read(response.into_body(), self.max_size).await;
        let Some(expected) = &self.expect_body else {
            return Ok(());
        };
        let body = body.map_err(|error| error.to_string())?;
        if expected.is_match(&String::from_utf8_lossy(&body)) {
            Ok(())
        } else {
            Err("the body is not as expected".to_owned())
        }
    }
}

/// The target of a redirect; it goes to the same upstream.
fn redirect(location: &HeaderValue) -> Option<Uri> {
    let location: Uri = location.to_str().ok()?.parse().ok()?;
    location.path_and_query().cloned().map(Uri::from)
}

/// A request that never was, for the placeholders of a check.
fn placeholders(host: &str) -> Exchange {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let connection = Connection::new(nowhere, nowhere, None);
    let mut exchange = Exchange::new(http::Request::new(Body::Empty), Arc::new(connection));
    let name = "http.reverse_proxy.active.target_upstream";
    exchange.values.set(name, Value::Text(host.into()));
    exchange
}

/// The first bytes of a body, and all of it is read if it is no longer.
async fn read(mut body: Body, limit: usize) -> Result<Bytes, crate::body::BodyError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() >= room {
                break;
            }
        }
    }
    Ok(bytes.freeze())
}

/// What a future gives if it is ready before the time is over.
async fn within<T>(time: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut time, mut work) = (pin!(time), pin!(work));
    poll_fn(|context| {
        let work: Pin<&mut _> = work.as_mut();
        if let Poll::Ready(done) = work.poll(context) {
            return Poll::Ready(Some(done));
        }
        time.as_mut().poll(context).map(|()| None)
    })
    .await
}
