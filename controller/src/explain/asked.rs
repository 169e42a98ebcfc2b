//! The request that is asked about, and the listeners that it may come to.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, bail, ensure};
use fairway_engine::body::Body;
use fairway_engine::config::Config;
use fairway_engine::exchange::{Connection, Tls};
use fairway_engine::values::NetworkAddress;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Uri, Version};

use crate::cli;

/// A request, apart from the connection that it comes on.
#[derive(Debug)]
pub(super) struct Asked {
    /// Without its port, lower case.
    pub host: String,
    port: Option<u16>,
    target: Uri,
    pub method: Method,
    headers: HeaderMap,
    scheme: Option<Scheme>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub server: String,
    port: u16,
    pub scheme: Scheme,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Asked {
    /// Reads the flags.
    pub(super) fn new(args: &cli::Explain) -> anyhow::Result<Self> {
        let (host, port) = host_and_port(&args.host)?;
        ensure!(
            args.path.starts_with('/'),
            "the path `{}` does not begin with `/`",
            args.path
        );
        let target = args
            .path
            .parse()
            .with_context(|| format!("`{}` is no path; escape what is not plain ASCII", args.path))?;
        let method = args.method.to_ascii_uppercase();
        let method = method
            .parse()
            .with_context(|| format!("`{}` is no method", args.method))?;
        let mut headers = HeaderMap::new();
        for header in &args.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("`{header}` is no header; write `Name: value`"))?;
            let name: HeaderName = name
                .trim()
                .parse()
                .with_context(|| format!("`{name}` is no name of a header"))?;
            ensure!(name != HOST, "the host is the first argument, not a header");
            let value = HeaderValue::from_str(value.trim())
                .with_context(|| format!("the value of the header `{name}` cannot be sent"))?;
            headers.append(name, value);
        }
        let scheme = match (args.http, args.https) {
            (true, _) => Some(Scheme::Http),
            (_, true) => Some(Scheme::Https),
            _ => None,
        };
        Ok(Self {
            host,
            port,
            target,
            method,
            headers,
            scheme,
        })
    }

    /// The listeners that it may come to, those for HTTPS first.
    pub(super) fn listeners(&self, config: &Config) -> anyhow::Result<Vec<Listener>> {
        let all = listeners(config)?;
        let mut ports: Vec<String> = all
            .iter()
            .map(|listener| format!("{} ({})", listener.port, listener.scheme.name()))
            .collect();
        let fits = |listener: &Listener| {
            self.port.is_none_or(|port| port == listener.port)
                && self.scheme.is_none_or(|scheme| scheme == listener.scheme)
        };
        let mut fitting: Vec<Listener> = all.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            ports.sort();
            ports.dedup();
            let asked = match (self.scheme, self.port) {
                (Some(scheme), Some(port)) => format!("by {} on port {port}", scheme.name()),
                (Some(scheme), None) => format!("by {}", scheme.name()),
                (None, Some(port)) => format!("on port {port}"),
                (None, None) => "at all".to_owned(),
            };
            if ports.is_empty() {
                bail!("nothing is served {asked}");
            }
            bail!("nothing is served {asked}; the ports are {}", ports.join(", "));
        }
        // Without a port, the scheme's own comes before others.
        fitting.sort_by_key(|listener| {
            (
                listener.scheme == Scheme::Http,
                listener.port != listener.scheme.port(),
            )
        });
        Ok(fitting)
    }

    /// The request as it comes to a listener.
    pub(super) fn request(&self, listener: &Listener) -> anyhow::Result<Request<Body>> {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        *request.version_mut() = match listener.scheme {
            Scheme::Http => Version::HTTP_11,
            Scheme::Https => Version::HTTP_2,
        };
        let host = HeaderValue::from_str(&self.authority(listener)).context("making the Host header")?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }

    /// The connection that it comes on.
    pub(super) fn connection(&self, listener: &Listener) -> Connection {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let tls = (listener.scheme == Scheme::Https).then(|| Tls {
            version: "tls1.3",
            cipher_suite: "TLS_AES_128_GCM_SHA256",
            protocol: "h2",
            server_name: self.host.as_str().into(),
            ..Tls::default()
        });
        Connection::new(here(49152), here(listener.port), tls)
    }

    /// The request in a few words: its method, unless it is GET, and its address.
    pub(super) fn url(&self, listener: &Listener) -> String {
        let authority = self.authority(listener);
        let url = format!("{}://{authority}{}", listener.scheme.name(), self.target);
        match self.method {
            Method::GET => url,
            _ => format!("{} {url}", self.method),
        }
    }

    /// The path alone.
    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    fn authority(&self, listener: &Listener) -> String {
        match listener.port {
            port if port == listener.scheme.port() => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

/// Host, in lower case, and port. A host may be an IPv6 address in brackets.
fn host_and_port(text: &str) -> anyhow::Result<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    ensure!(
        !text.contains("://") && !text.contains('/'),
        "`{text}` is no host; scheme and path are told apart from it: --https, and the second argument"
    );
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    ensure!(
        !host.is_empty() && host.chars().all(is_host),
        "`{text}` is no host"
    );
    let is_address = host.starts_with('[') && host.ends_with(']');
    ensure!(
        is_address || !host.contains([':', '[', ']']),
        "`{text}` is no host; an IPv6 address stands in brackets"
    );
    let port = port.map(|port| {
        let number = port.parse().ok().filter(|&number: &u16| number > 0);
        number.with_context(|| format!("`{port}` is no port"))
    });
    Ok((host.to_ascii_lowercase(), port.transpose()?))
}

fn listeners(config: &Config) -> anyhow::Result<Vec<Listener>> {
    let mut found = Vec::new();
    let Some(http) = &config.apps.http else {
        return Ok(found);
    };
    for (name, server) in &http.servers {
        for listen in &server.listen {
            let address = NetworkAddress::parse(listen).with_context(|| format!("listener `{listen}`"))?;
            for port in address.start_port..=address.end_port {
                let speaks_tls =
                    server.tls_connection_policies.is_some() && port != http.http_port.unwrap_or(80);
                found.push(Listener {
                    server: name.clone(),
                    port,
                    scheme: if speaks_tls { Scheme::Https } else { Scheme::Http },
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let found = host_and_port(text).ok();
        let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_host_may_have_a_port() {
        check("Shop.Test", Some(("shop.test", None)));
        check("shop.test:8080", Some(("shop.test", Some(8080))));
        check("[::1]", Some(("[::1]", None)));
        check("[::1]:80", Some(("[::1]", Some(80))));
        for wrong in [
            "", ":80", "a b", "a/b", "http://a", "a:x", "a:0", "a:99999", "::1", "ä.test", "a:",
        ] {
            check(wrong, None);
        }
    }
}
