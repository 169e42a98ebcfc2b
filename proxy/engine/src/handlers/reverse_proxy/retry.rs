//! Whether a request is sent again: how often, for how long, and whether that is safe.

use std::time::{Duration, Instant};

use http::Method;

use super::config::LoadBalancing;
use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::matchers::{Matcher, Unanswered, match_all};
use crate::template::Value;
use crate::world::World;

const IS_TRANSPORT_ERROR: &str = "http.reverse_proxy.is_transport_error";

/// When a request is sent again.
#[derive(Debug, Default)]
pub(super) struct Policy {
    retries: u64,
    duration: Option<Duration>,
    interval: Option<Duration>,
    matchers: Box<[Matchers]>,
}

#[derive(Debug)]
struct Matchers {
    set: Box<[Matcher]>,
    /// Only expressions can look at a response.
    has_expression: bool,
}

/// Why a request came to nothing so far.
#[derive(Debug)]
pub(super) enum Failure {
    NoUpstream,
    /// These Services have no endpoints.
    NoEndpoints(String),
    /// Nothing was sent.
    Connect(String),
    /// It may have arrived.
    Exchange(String),
    /// The same.
    Timeout(String),
    /// It was answered, with this status, and the config wants another answer.
    Response(u16),
}

impl Policy {
    pub(super) fn compile(config: &LoadBalancing) -> Result<Self, CompileError> {
        let matchers = config.retry_match.iter().map(|set| {
            let compiled = set.compile()?;
            if compiled.iter().any(Matcher::asks_disk) {
                return Err(CompileError::new("`retry_match` cannot ask for files"));
            }
            Ok(Matchers {
                set: compiled,
                has_expression: set.expression.is_some(),
            })
        });
        let duration = config.try_duration.to_std();
        let default = duration.map(|_| Duration::from_millis(250));
        Ok(Self {
            retries: u64::try_from(config.retries).unwrap_or(0),
            duration,
            interval: config.try_interval.to_std().or(default),
            matchers: matchers.collect::<Result<_, CompileError>>()?,
        })
    }

    /// Whether a request is never sent again.
    pub(super) fn is_none(&self) -> bool {
        self.retries == 0 && self.duration.is_none()
    }

    /// Whether responses may be a reason to send again.
    pub(super) fn looks_at_responses(&self) -> bool {
        self.matchers.iter().any(|matchers| matchers.has_expression)
    }

    /// Whether the response, as placeholders tell it, is a reason.
    pub(super) fn wants_other_response(&self, exchange: &mut Exchange) -> bool {
        let mut sets = self.matchers.iter().filter(|matchers| matchers.has_expression);
        sets.any(|matchers| matches(matchers, exchange))
    }

    /// Whether it is safe, or wanted all the same, to send it again after a failure.
    pub(super) fn may_repeat(&self, failure: &Failure, method: &Method, exchange: &mut Exchange) -> bool {
        match failure {
            Failure::NoUpstream | Failure::NoEndpoints(_) | Failure::Connect(_) | Failure::Response(_) => {
                true
            }
            Failure::Exchange(_) | Failure::Timeout(_) if self.matchers.is_empty() => *method == Method::GET,
            Failure::Exchange(_) | Failure::Timeout(_) => {
                exchange.values.set(IS_TRANSPORT_ERROR, Value::Bool(true));
                let wanted = self.matchers.iter().any(|matchers| matches(matchers, exchange));
                exchange.values.remove(IS_TRANSPORT_ERROR);
                wanted
            }
        }
    }
}

/// A matcher that fails is no reason to send anything again.
fn matches(matchers: &Matchers, exchange: &mut Exchange) -> bool {
    match match_all(&matchers.set, exchange) {
        Ok(answer) => answer,
        Err(Unanswered::Error(error)) => {
            tracing::warn!(%error, "matching a request for another try failed");
            false
        }
        // It was refused when the config was compiled.
        Err(Unanswered::NeedsFiles(_)) => false,
    }
}

/// What is left of the tries.
#[derive(Debug)]
pub(super) struct Budget<'p> {
    policy: &'p Policy,
    start: Instant,
    waited: Duration,
    /// How often it was tried again.
    pub retries: u64,
}

impl<'p> Budget<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            start: Instant::now(),
            waited: Duration::ZERO,
            retries: 0,
        }
    }

    /// Since the first try.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed().max(self.waited)
    }

    /// When the try that is made now begins. To ask the clock is not cheap, so the first one begins with the budget.
    pub(super) fn begins(&self) -> Instant {
        if self.retries == 0 {
            self.start
        } else {
            Instant::now()
        }
    }

    /// Since the first try, the last of which took `latency` until it was answered.
    pub(super) fn spent(&self, latency: Option<Duration>) -> Duration {
        latency
            .filter(|_| self.retries == 0)
            .unwrap_or_else(|| self.elapsed())
    }

    /// Whether there may be another try.
    pub(super) fn allows_another(&self) -> bool {
        !self.policy.is_none()
            && self.policy.duration.is_none_or(|limit| self.elapsed() < limit)
            && (self.policy.retries == 0 || self.retries < self.policy.retries)
    }

    /// Waits for the next try.
    pub(super) async fn wait<W: World>(&mut self, world: &W) {
        self.retries += 1;
        if let Some(interval) = self.policy.interval {
            world.sleep(interval).await;
            self.waited += interval;
        }
    }
}

impl From<Failure> for HandlerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoUpstream => Self::new(503, "no upstreams available"),
            Failure::NoEndpoints(services) => Self::new(503, format!("no endpoints for {services}")),
            Failure::Connect(message) | Failure::Exchange(message) => Self::new(502, message),
            Failure::Timeout(message) => Self::new(504, message),
            Failure::Response(status) => Self::new(
                status,
                format!("the upstream answered with status {status}, and no other could be had"),
            ),
        }
    }
}
