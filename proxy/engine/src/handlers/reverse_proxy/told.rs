//! What placeholders tell of a request that was sent on. Texts are made when somebody asks for them: most requests pass
//! without anybody asking.

use std::sync::Arc;
use std::time::Duration;

use super::upstreams::{self, Target, now};
use crate::template::Value;

/// What is known so far: the last try, and the end of all tries.
#[derive(Debug, Default)]
pub(crate) struct Told {
    upstream: Option<Upstream>,
    /// How long the last upstream took to answer.
    pub(super) latency: Option<Duration>,
    /// The status of its response.
    pub(super) status: Option<u16>,
    /// How often the request was sent again, and how long it took in all, once it was answered.
    pub(super) done: Option<(u64, Duration)>,
}

/// An upstream as it was when the request was sent there.
#[derive(Debug)]
struct Upstream {
    target: Arc<Target>,
    requests: usize,
    max_requests: usize,
    fails: usize,
}

impl Told {
    /// The next upstream that the request goes to.
    pub(super) fn set_upstream(&mut self, upstream: &upstreams::Upstream, target: Arc<Target>) {
        self.upstream = Some(Upstream {
            target,
            requests: upstream.endpoint.requests(),
            max_requests: upstream.max_requests.unwrap_or(0),
            fails: upstream.endpoint.failures_at(now),
        });
    }

    /// How long the last upstream took to answer.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// The value of a placeholder's full name; `None` if it is not one of these, or not known yet.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let name = name.strip_prefix("http.reverse_proxy.")?;
        if let Some(part) = name.strip_prefix("upstream.") {
            return match part {
                "latency" => self.latency.map(text),
                "latency_ms" => self.latency.map(milliseconds),
                part => self.upstream.as_ref()?.value(part),
            };
        }
        match name {
            "status_code" => Some(Value::Integer(self.status?.into())),
            "retries" => Some(number(self.done?.0)),
            "duration" => Some(text(self.done?.1)),
            "duration_ms" => Some(milliseconds(self.done?.1)),
            _ => None,
        }
    }
}

impl Upstream {
    fn value(&self, part: &str) -> Option<Value> {
        Some(match part {
            "address" => Value::Text(self.target.text.clone()),
            "hostport" => Value::Text(self.target.dial.address.clone()),
            "host" => Value::Text(self.target.host.clone()),
            "port" => Value::Integer(self.target.port.into()),
            "requests" => number(self.requests),
            "max_requests" => number(self.max_requests),
            "fails" => number(self.fails),
            _ => return None,
        })
    }
}

fn number(count: impl TryInto<i64>) -> Value {
    Value::Integer(count.try_into().unwrap_or(i64::MAX))
}

fn text(time: Duration) -> Value {
    Value::Text(crate::values::Duration::from(time).to_string().into())
}

fn milliseconds(time: Duration) -> Value {
    Value::Float(time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(told: &Told, name: &str, expected: Option<&str>) {
        let value = told.value(name).map(|value| value.text().into_owned());
        assert_eq!(value.as_deref(), expected, "{name}");
    }

    #[test]
    fn nothing_is_known_before_anything_was_sent() {
        for name in [
            "upstream.host",
            "upstream.latency",
            "status_code",
            "retries",
            "duration_ms",
        ] {
            check(&Told::default(), &format!("http.reverse_proxy.{name}"), None);
        }
    }

    #[test]
    fn what_happened_is_told() {
        let told = Told {
            upstream: Some(Upstream {
                target: Arc::new(Target::parse("a.test:80").unwrap()),
                requests: 3,
                max_requests: 0,
                fails: 1,
            }),
            latency: Some(Duration::from_micros(1500)),
            status: Some(204),
            done: Some((2, Duration::from_secs(61))),
        };
        for (name, expected) in [
            ("upstream.address", "tcp/a.test:80"),
            ("upstream.hostport", "a.test:80"),
            ("upstream.host", "a.test"),
            ("upstream.port", "80"),
            ("upstream.requests", "3"),
            ("upstream.max_requests", "0"),
            ("upstream.fails", "1"),
            ("upstream.latency", "1.5ms"),
            ("upstream.latency_ms", "1.5"),
            ("status_code", "204"),
            ("retries", "2"),
            ("duration", "1m1s"),
            ("duration_ms", "61000"),
        ] {
            check(&told, &format!("http.reverse_proxy.{name}"), Some(expected));
        }
        check(&told, "http.reverse_proxy.upstream.nothing", None);
        check(&told, "http.reverse_proxy.nothing", None);
        check(&told, "status_code", None);
    }
}
