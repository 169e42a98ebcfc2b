//! What is known of upstreams while they are used: requests in flight, failures, verdicts of health checks.
//!
//! All of it is atomic: a request reads and writes it without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::transport::Transport;
use crate::exchange::Exchange;
use crate::template::{Template, Unknown};
use crate::values::NetworkAddress;
use crate::world::{Dial, Network};

/// How many failures can be remembered at most.
pub(super) const MAX_FAILS: usize = 4096;

/// What is known of an upstream. Shared by all tables that name the same upstream with the same health checks.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Requests that were sent and whose response has not ended.
    requests: AtomicUsize,
    /// Set by active health checks.
    unhealthy: AtomicBool,
    passes: AtomicUsize,
    fails: AtomicUsize,
    failures: Option<Failures>,
}

/// The times of the last failures, as many as make the upstream unavailable, in a ring.
#[derive(Debug)]
struct Failures {
    lifetime: u64,
    /// [`now`] at each failure; 0 for none.
    times: Box<[AtomicU64]>,
    next: AtomicUsize,
}

/// When failures make an upstream unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FailurePolicy {
    pub lifetime: Duration,
    /// From 1 to [`MAX_FAILS`].
    pub max_fails: usize,
}

impl Endpoint {
    pub(super) fn new(policy: Option<FailurePolicy>) -> Self {
        let failures = policy.map(|policy| Failures {
            lifetime: u64::try_from(policy.lifetime.as_nanos()).unwrap_or(u64::MAX),
            times: (0..policy.max_fails).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicUsize::new(0),
        });
        Self {
            requests: AtomicUsize::new(0),
            unhealthy: AtomicBool::new(false),
            passes: AtomicUsize::new(0),
            fails: AtomicUsize::new(0),
            failures,
        }
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// How many requests are in flight.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Remembers a failure at a time, which is [`now`] outside of tests.
    pub(super) fn fail(&self, at: u64) {
        if let Some(failures) = &self.failures {
            let index = failures.next.fetch_add(1, Ordering::Relaxed) % failures.times.len();
            failures.times[index].store(at, Ordering::Relaxed);
        }
    }

    /// How many failures still count; never more than make it unavailable. The clock is asked only if any are
    /// remembered.
    pub(super) fn failures_at(&self, clock: impl FnOnce() -> u64) -> usize {
        self.failures.as_ref().map_or(0, |failures| {
            let at = clock();
            let times = failures.times.iter();
            times.filter(|time| failures.counts(time, at)).count()
        })
    }

    /// Whether too many failures still count: the oldest of the last ones does.
    fn is_failing(&self, at: u64) -> bool {
        self.failures.as_ref().is_some_and(|failures| {
            let oldest = failures.next.load(Ordering::Relaxed) % failures.times.len();
            failures.counts(&failures.times[oldest], at)
        })
    }

    /// Whether active health checks found it working, or have not yet found it broken.
    pub(super) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    /// Takes note of a health check that passed; `enough` of them make it healthy.
    pub(super) fn pass(&self, enough: usize) {
        if self.passes.fetch_add(1, Ordering::Relaxed) + 1 >= enough {
            self.set_unhealthy(false);
        }
    }

    /// Takes note of a health check that failed; `enough` of them make it unhealthy.
    pub(super) fn miss(&self, enough: usize) {
        if self.fails.fetch_add(1, Ordering::Relaxed) + 1 >= enough {
            self.set_unhealthy(true);
        }
    }

    /// As in Caddy, the counts begin anew only when the verdict changes.
    fn set_unhealthy(&self, unhealthy: bool) {
        if self.unhealthy.swap(unhealthy, Ordering::Relaxed) != unhealthy {
            self.passes.store(0, Ordering::Relaxed);
            self.fails.store(0, Ordering::Relaxed);
        }
    }
}

impl Failures {
    fn counts(&self, time: &AtomicU64, at: u64) -> bool {
        let time = time.load(Ordering::Relaxed);
        time != 0 && at.saturating_sub(time) < self.lifetime
    }
}

/// Counts a request of an upstream as long as it lives.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The clock of failures: nanoseconds since it was first asked, never 0.
pub(super) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// An upstream of a compiled handler.
#[derive(Debug)]
pub(super) struct Upstream {
    /// As configured.
    pub text: Box<str>,
    pub address: Address,
    /// How many requests it takes at once.
    pub max_requests: Option<usize>,
    pub endpoint: Arc<Endpoint>,
    /// How it is spoken to, if not as the handler says.
    pub transport: Option<Arc<Transport>>,
}

/// Where an upstream is.
#[derive(Debug)]
pub(super) enum Address {
    Fixed(Arc<Target>),
    /// With placeholders.
    Template(Template),
}

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub dial: Dial,
    /// With the network: `tcp/a:80`.
    pub text: Box<str>,
    pub host: Box<str>,
    pub port: u16,
}

impl Upstream {
    /// Whether a request may be sent there.
    pub(super) fn is_available(&self, at: u64) -> bool {
        self.endpoint.is_healthy()
            && !self.endpoint.is_failing(at)
            && self
                .max_requests
                .is_none_or(|most| self.endpoint.requests() < most)
    }

    /// Where it is, for this request. An error says why it is nowhere.
    pub(super) fn target(&self, exchange: &Exchange) -> Result<Arc<Target>, String> {
        match &self.address {
            Address::Fixed(target) => Ok(Arc::clone(target)),
            Address::Template(template) => {
                Target::parse(&template.fill(exchange, Unknown::Empty)).map(Arc::new)
            }
        }
    }
}

impl Address {
    /// Reads a configured address. An error says what is wrong with it.
    pub(super) fn new(dial: &str) -> Result<Self, String> {
        let template = Template::new(dial);
        match template.literal() {
            Some(literal) => Target::parse(literal).map(|target| Self::Fixed(Arc::new(target))),
            None => Ok(Self::Template(template)),
        }
    }
}

impl Target {
    /// Reads `[network/]host:port`.
    pub(super) fn parse(dial: &str) -> Result<Self, String> {
        let address = NetworkAddress::parse(dial).map_err(|error| format!("`{dial}`: {error}"))?;
        if address.port_count() != 1 {
            return Err(format!("`{dial}` is a range of ports; one is needed"));
        }
        if address.is_unix() {
            let text = address.to_string();
            let (path, _) =
                crate::values::split_socket_mode(&address.host).map_err(|error| error.to_string())?;
            let dial = Dial {
                address: path.into(),
                network: Network::Unix,
            };
            return Ok(Self {
                dial,
                text: text.into(),
                host: path.into(),
                port: 0,
            });
        }
        if !address.network.starts_with("tcp") {
            return Err(format!(
                "`{dial}`: upstreams cannot be reached over `{}`",
                address.network
            ));
        }
        let target = Self::tcp(&address.host, address.start_port);
        Ok(Self {
            text: format!("{}/{}", address.network, target.dial.address).into(),
            ..target
        })
    }

    /// A port of a host.
    pub(super) fn tcp(host: &str, port: u16) -> Self {
        let joined = crate::paths::join_host_port(host, &port.to_string());
        Self {
            text: format!("tcp/{joined}").into(),
            dial: Dial {
                address: joined.into(),
                network: Network::Tcp,
            },
            host: host.into(),
            port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn endpoint(max_fails: usize) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(Some(FailurePolicy {
            lifetime: Duration::from_secs(10),
            max_fails,
        })))
    }

    #[test]
    fn failures_count_for_their_lifetime() {
        let endpoint = endpoint(2);
        endpoint.fail(SECOND);
        assert!(!endpoint.is_failing(SECOND));
        endpoint.fail(5 * SECOND);
        assert!(endpoint.is_failing(5 * SECOND));
        assert_eq!(endpoint.failures_at(|| 5 * SECOND), 2);
        assert!(endpoint.is_failing(10 * SECOND));
        assert!(!endpoint.is_failing(11 * SECOND));
        assert_eq!(endpoint.failures_at(|| 11 * SECOND), 1);
        endpoint.fail(12 * SECOND);
        assert!(endpoint.is_failing(12 * SECOND));
        assert!(!endpoint.is_failing(15 * SECOND));
    }

    #[test]
    fn failures_are_not_counted_without_a_policy() {
        let endpoint = Arc::new(Endpoint::new(None));
        endpoint.fail(SECOND);
        assert!(!endpoint.is_failing(SECOND));
    }

    #[test]
    fn requests_count_until_their_guards_go() {
        let endpoint = endpoint(1);
        let (first, second) = (endpoint.begin(), endpoint.begin());
        assert_eq!(endpoint.requests(), 2);
        drop(first);
        assert_eq!(endpoint.requests(), 1);
        drop(second);
        assert_eq!(endpoint.requests(), 0);
    }

    #[test]
    fn verdicts_change_after_enough_checks() {
        let endpoint = endpoint(1);
        assert!(endpoint.is_healthy());
        endpoint.miss(2);
        assert!(endpoint.is_healthy());
        endpoint.miss(2);
        assert!(!endpoint.is_healthy());
        endpoint.pass(3);
        endpoint.pass(3);
        assert!(!endpoint.is_healthy());
        endpoint.pass(3);
        assert!(endpoint.is_healthy());
    }

    #[track_caller]
    fn check_target(dial: &str, expected: Result<(&str, Network, &str, u16), &str>) {
        match (Target::parse(dial), expected) {
            (Ok(target), Ok((address, network, host, port))) => {
                assert_eq!((&*target.dial.address, target.dial.network), (address, network));
                assert_eq!((&*target.host, target.port), (host, port));
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, _) => panic!("{dial}: {found:?}"),
        }
    }

    #[test]
    fn addresses_name_their_network() {
        let check = |dial: &str, expected: &str| assert_eq!(&*Target::parse(dial).unwrap().text, expected);
        check("a:80", "tcp/a:80");
        check("tcp4/a:80", "tcp4/a:80");
        check("[::1]:80", "tcp/[::1]:80");
        check("unix//run/a.sock", "unix//run/a.sock");
    }

    #[test]
    fn dial_addresses_are_taken_apart() {
        check_target("a:80", Ok(("a:80", Network::Tcp, "a", 80)));
        check_target("tcp/[::1]:80", Ok(("[::1]:80", Network::Tcp, "::1", 80)));
        check_target(
            "unix//run/a.sock",
            Ok(("/run/a.sock", Network::Unix, "/run/a.sock", 0)),
        );
        check_target("a:1-2", Err("range"));
        check_target("a:x", Err("port number"));
        check_target("udp/a:53", Err("over `udp`"));
        check_target("fd/3", Err("over `fd`"));
    }
}
