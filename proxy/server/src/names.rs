//! Names of hosts: `/etc/hosts`, then DNS as the system is configured, cached as long as the records say. The C library
//! takes no part: a static program cannot load what that would want.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use tokio::sync::OnceCell;

/// Looks names up, and remembers them.
#[derive(Default)]
pub struct Names {
    /// Built when the first name is looked up; most processes only meet addresses.
    resolver: OnceCell<TokioResolver>,
}

impl Names {
    /// The addresses of a host, those of IPv4 first. The first time, the system's configuration is read in place.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.addresses_by(host, async { read_system() }).await
    }

    /// The same; the system's configuration comes from `read`, which may wait for another thread.
    pub(crate) async fn addresses_by(
        &self,
        host: &str,
        read: impl Future<Output = io::Result<TokioResolver>>,
    ) -> io::Result<Vec<IpAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver = self.resolver.get_or_try_init(|| read).await?;
        let found = resolver.lookup_ip(host).await.map_err(io::Error::other)?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }
}

/// The addresses of a host, for those who can wait. Must not be called on a traffic thread.
pub(crate) fn addresses_now(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    // A thread of its own, because the one that asks may be in the midst of a runtime.
    let look_up = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(Names::default().addresses(host))
    };
    let ended = std::thread::scope(|scope| scope.spawn(look_up).join());
    ended.unwrap_or_else(|_| Err(io::Error::other("the look-up ended early")))
}

/// A resolver as the system is configured now.
pub(crate) fn read_system() -> io::Result<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(io::Error::other)
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

    /// Also in the midst of a runtime, where waiting is not allowed otherwise.
    #[tokio::test]
    async fn who_can_wait_gets_addresses_at_once() {
        for (host, first) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("localhost", "127.0.0.1"),
        ] {
            assert_eq!(addresses_now(host).unwrap()[0], first.parse::<IpAddr>().unwrap());
        }
        assert!(addresses_now("no host").is_err());
    }
}
