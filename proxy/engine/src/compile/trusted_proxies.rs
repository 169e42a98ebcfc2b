//! Who may say what the client's address is.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

use crate::compile::CompileError;
use crate::config::{IpSource, Server as ServerConfig};

/// The peers whose word about the client's address is taken.
#[derive(Debug, Default)]
pub struct TrustedProxies {
    ranges: Box<[IpNet]>,
    headers: Box<[HeaderName]>,
    strict: bool,
}

impl TrustedProxies {
    pub(crate) fn compile(config: &ServerConfig) -> Result<Self, CompileError> {
        let Some(IpSource::Static { ranges }) = &config.trusted_proxies else {
            return Ok(Self::default());
        };
        let header = |name: &String| {
            name.parse()
                .map_err(|_| CompileError::new(format!("`{name}` is no header")))
        };
        let headers = match &config.client_ip_headers {
            Some(names) => names.iter().map(header).collect::<Result<_, _>>()?,
            None => Box::new([HeaderName::from_static("x-forwarded-for")]) as Box<[HeaderName]>,
        };
        let ranges = ranges
            .iter()
            .map(|range| parse_range(range).map_err(CompileError::new));
        Ok(Self {
            ranges: ranges.collect::<Result<_, _>>()?,
            headers,
            strict: config.trusted_proxies_strict.unwrap_or_default() != 0,
        })
    }

    /// Whether the peer is trusted.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.ranges.iter().any(|range| range.contains(&peer))
    }

    /// The client's address, if the peer is trusted and names one: the left-most valid address of the headers, or,
    /// if strict, the right-most one that is not itself trusted.
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let lines = self
            .headers
            .iter()
            .flat_map(|name| headers.get_all(name))
            .filter_map(|line| line.to_str().ok());
        let mut addresses = lines.flat_map(|line| line.split(',')).filter_map(address);
        if !self.strict {
            return addresses.next();
        }
        let addresses: Vec<IpAddr> = addresses.collect();
        let outside = addresses.iter().rev().find(|address| !self.trusts(**address));
        outside
            .or(addresses.first())
            .copied()
            .filter(|_| self.trusts(peer))
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(text, |(host, _)| host);
    let host = bare
        .parse()
        .ok()
        .or_else(|| bare.rsplit_once(':')?.0.parse().ok());
    host.map(|address: IpAddr| address.to_canonical())
}

/// An address or a range in CIDR form.
pub(crate) fn parse_range(text: &str) -> Result<IpNet, String> {
    let range = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    range.ok_or_else(|| format!("`{text}` is neither an IP address nor a range like 10.0.0.0/8"))
}
