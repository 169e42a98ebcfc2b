//! The JSON of `reverse_proxy`: Caddy's `http.handlers.reverse_proxy`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::dynamic::Config as DynamicUpstreams;
use super::selection::Policy;
use super::transport;
use crate::cluster::ServicePort;
use crate::config::Route;
use crate::handlers::{headers, rewrite};
use crate::matchers::Set;
use crate::response_matcher;
use crate::values::{Duration, StatusCode};

/// `reverse_proxy`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How upstreams are spoken to; plain HTTP without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<transport::Config>,
    /// How an upstream is chosen, and how often another one is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
    /// How upstreams that do not work are noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_checks: Option<HealthChecks>,
    /// The upstreams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Upstream>,
    /// Upstreams that come and go while the config stays; in place of `upstreams`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_upstreams: Option<DynamicUpstreams>,
    /// How long written bytes may wait for more of them. Fairway never lets them wait.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub flush_interval: Duration,
    /// Addresses and ranges of peers whose `X-Forwarded-*` headers are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// What is done to the headers of requests and responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<headers::Config>,
    /// How many bytes of the request's body are read before it is sent; -1: all of them. 0.
    #[serde(skip_serializing_if = "is_default")]
    pub request_buffers: i64,
    /// How many bytes of the response's body are read before it is answered; -1: all of them. 0.
    #[serde(skip_serializing_if = "is_default")]
    pub response_buffers: i64,
    /// How long an upgraded connection may last; no limit at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub stream_timeout: Duration,
    /// The size of the buffers of upgraded connections.
    #[serde(skip_serializing_if = "is_default")]
    pub stream_buffer_size: i64,
    /// How long upgraded connections outlive their config. Fairway never cuts them.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub stream_close_delay: Duration,
    /// What becomes of method and target on their way upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<rewrite::Config>,
    /// What is done with certain responses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handle_response: Vec<ResponseHandler>,
    /// Whether more is logged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verbose_logs: bool,
}

/// One upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Its address, `[network/]host:port`; may hold placeholders.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dial: String,
    /// How many requests it takes at once; no limit at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub max_requests: i64,
}

/// `{"source": "kubernetes", "services": […]}`: Fairway's `http.reverse_proxy.upstreams.kubernetes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesUpstreams {
    /// The Service ports whose endpoints are the upstreams, in the order in which `first` and `weighted_round_robin`
    /// choose among them.
    pub services: Vec<ServicePort>,
}

/// How an upstream is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancing {
    /// The policy; `random` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection_policy: Option<Policy>,
    /// How often an upstream is tried again after the first time.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: i64,
    /// For how long upstreams are tried.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub try_duration: Duration,
    /// How long to wait between two tries. 250 ms with `try_duration`, else 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub try_interval: Duration,
    /// Which requests are sent again although they may have arrived; those with GET without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_match: Vec<Set>,
}

/// How upstreams that do not work are noticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthChecks {
    /// By asking them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealthChecks>,
    /// By what becomes of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveHealthChecks>,
}

/// Health checks that ask upstreams. On if there is a `uri`, `path` or `port`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActiveHealthChecks {
    /// An older form of `uri`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The path and query that are asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// The address that is asked in place of each upstream's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    /// The port that is asked in place of the upstream's own.
    #[serde(skip_serializing_if = "is_default")]
    pub port: i64,
    /// Headers of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The method. GET.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The body of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Whether redirects are followed; without it they are failures.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow_redirects: bool,
    /// The time between two checks. 30 s.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub interval: Duration,
    /// How long a check may take. 5 s.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub timeout: Duration,
    /// How many checks make an upstream healthy. 1.
    #[serde(skip_serializing_if = "is_default")]
    pub passes: i64,
    /// How many failed checks make it unhealthy. 1.
    #[serde(skip_serializing_if = "is_default")]
    pub fails: i64,
    /// How many bytes of the response are looked at; no limit but Fairway's own, 1 MiB, at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub max_size: i64,
    /// The status that is expected, or its class; any 2xx at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub expect_status: i64,
    /// A regular expression that the body must match.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expect_body: String,
}

/// Health checks by what becomes of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PassiveHealthChecks {
    /// How long a failure counts; failures are not counted at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub fail_duration: Duration,
    /// How many failures make an upstream unavailable. 1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_fails: i64,
    /// How many requests at once make it unavailable; no limit at 0.
    #[serde(skip_serializing_if = "is_default")]
    pub unhealthy_request_count: i64,
    /// Which status codes, or classes of them, are failures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unhealthy_status: Vec<i64>,
    /// From which time a response is a failure; none is for its time at 0.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub unhealthy_latency: Duration,
}

/// What is done with certain responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseHandler {
    /// Which responses; all without it.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<response_matcher::Config>,
    /// The status that the client gets in place of the upstream's; the rest stays.
    #[serde(skip_serializing_if = "StatusCode::is_empty")]
    pub status_code: StatusCode,
    /// What answers in place of the upstream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// Whether a field has its type's default, and so is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(json: &Value, expected: Option<&[&str]>) {
        let read: DynamicUpstreams = serde_json::from_value(json.clone()).unwrap();
        let services = match &read {
            DynamicUpstreams::Kubernetes(source) => {
                Some(source.services.iter().map(ToString::to_string).collect())
            }
            _ => None,
        };
        let expected = expected.map(|ports| ports.iter().map(|&port| port.to_owned()).collect::<Vec<_>>());
        assert_eq!(services, expected, "{json}");
        assert_eq!(&serde_json::to_value(&read).unwrap(), json, "reads back");
    }

    #[track_caller]
    fn check_refused(json: &Value, part: &str) {
        let error = serde_json::from_value::<DynamicUpstreams>(json.clone()).expect_err(part);
        assert!(error.to_string().contains(part), "{json}: {error}");
    }

    #[test]
    fn service_ports_are_read() {
        let services = json!([{"namespace": "shop", "name": "api", "port": "8080"},
            {"namespace": "web", "name": "b", "port": "http"}]);
        check(
            &json!({"source": "kubernetes", "services": services}),
            Some(&["shop/api:8080", "web/b:http"]),
        );
        check(
            &json!({"source": "a", "name": "x", "resolver": {"addresses": ["b"]}}),
            None,
        );
    }

    #[test]
    fn mistakes_in_service_ports_are_told() {
        check_refused(&json!({}), "missing field `source`");
        check_refused(&json!({"source": "b"}), "unknown variant `b`");
        check_refused(&json!({"source": "kubernetes"}), "missing field `services`");
        check_refused(
            &json!({"source": "kubernetes", "services": [], "x": 1}),
            "unknown field `x`",
        );
        let service = json!({"namespace": "shop", "name": "api"});
        check_refused(
            &json!({"source": "kubernetes", "services": [service]}),
            "missing field `port`",
        );
    }
}
