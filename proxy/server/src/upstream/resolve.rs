//! Names of upstreams: `/etc/hosts`, then DNS as the system is configured, cached as long as the records say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::world;

/// The resolver of one traffic thread.
pub(super) struct Resolver {
    helpers: Handle,
    /// Built when the first name is looked up; most processes only meet addresses.
    resolver: OnceCell<TokioResolver>,
}

impl Resolver {
    pub(super) fn new(helpers: Handle) -> Self {
        Self {
            helpers,
            resolver: OnceCell::new(),
        }
    }

    /// The addresses of a host, those of IPv4 first.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver = self.resolver.get_or_try_init(|| self.build()).await?;
        let found = resolver.lookup_ip(host).await.map_err(io::Error::other)?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }

    /// Reads the system's configuration, away from the traffic threads.
    async fn build(&self) -> io::Result<TokioResolver> {
        world::run(&self.helpers, || {
            let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build().map_err(io::Error::other)
        })
        .await
    }
}

/// `localhost` and what is below it is this machine, whatever DNS says.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host
            .len()
            .checked_sub(".localhost".len())
            .and_then(|start| host.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(".localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("a.localhost", true),
            ("notlocalhost", false),
            ("localhost.example", false),
            ("é.example", false),
        ] {
            assert_eq!(is_localhost(host), expected, "{host}");
        }
    }
}
