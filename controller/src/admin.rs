//! The local admin endpoint: what Fairway thinks of every object, and the config that it serves. It reads, and changes
//! nothing.
//!
//! | path | answer |
//! |---|---|
//! | `/verdicts` | a JSON list with the verdict on every object |
//! | `/verdicts/KIND/NAMESPACE/NAME` | the verdict on one |
//! | `/config` | the merged config as JSON, without a single key or password of a Secret |
//! | `/healthz` | 200 |
//! | `/metrics` | what is counted, in the text format of Prometheus |
//! | `/readyz` | 200 as soon as a complete config is served; 503 before, and once the end is asked for; tells whether the config comes from disk, and which kinds are not watched just now |
//!
//! `/verdicts` and `/config` tell what tenants wrote, so only this machine (in a cluster: this pod) is answered; `kubectl
//! port-forward` comes from there. The others are for probes and monitoring from elsewhere, too.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::Health;
use crate::control::Report;
use crate::metrics::Metrics;

/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The type of the page of metrics.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to tell besides the report.
#[derive(Clone, Default)]
pub(crate) struct Condition {
    pub metrics: Metrics,
    pub health: Health,
    /// Whoever sets it goes on serving, but wants no more traffic.
    pub is_leaving: Arc<AtomicBool>,
}

/// Starts to answer; gives the address that was bound. Ends with the runtime.
pub(crate) async fn start(
    address: SocketAddr,
    reports: watch::Receiver<Arc<Report>>,
    condition: Condition,
) -> anyhow::Result<SocketAddr> {
    let listener = bind(address)
        .await
        .with_context(|| format!("listening on {address} for --admin"))?;
    let bound = listener.local_addr().context("reading the address of --admin")?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let is_local = peer.ip().to_canonical().is_loopback();
                    let (reports, condition) = (reports.clone(), condition.clone());
                    tokio::spawn(async move {
                        let service = service_fn(|request| {
                            let report = Arc::clone(&reports.borrow());
                            let response = if is_local || is_for_all(request.uri().path()) {
                                answer(&request, &report, &condition)
                            } else {
                                text(StatusCode::FORBIDDEN, "only who asks from this machine is told\n")
                            };
                            async { Ok::<_, Infallible>(response) }
                        });
                        let mut builder = hyper::server::conn::http1::Builder::new();
                        builder
                            .timer(TokioTimer::new())
                            .header_read_timeout(HEADER_TIMEOUT);
                        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                            tracing::debug!(%error, "a connection to the admin endpoint");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting on the admin endpoint");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(bound)
}

/// Listens; where all addresses are wanted and there is no IPv6, on those of IPv4.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Whether everybody may see what is at a path.
fn is_for_all(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn answer<B>(request: &Request<B>, report: &Report, condition: &Condition) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is possible here\n");
    }
    let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    match parts[..] {
        ["verdicts"] => json(&report.verdicts),
        ["verdicts", kind, namespace, name] => {
            let mut verdicts = report.verdicts.iter();
            let found = verdicts.find(|verdict| {
                verdict.kind.eq_ignore_ascii_case(kind)
                    && *verdict.namespace == *namespace
                    && *verdict.name == *name
            });
            match found {
                Some(verdict) => json(verdict),
                None => text(StatusCode::NOT_FOUND, "there is no verdict on such an object\n"),
            }
        }
        ["config"] => json(&report.config),
        ["metrics"] => response(
            StatusCode::OK,
            METRICS,
            condition.metrics.page(report).into_bytes(),
        ),
        ["healthz"] => text(StatusCode::OK, "ok\n"),
        ["readyz"] => {
            let (status, first) = match report.stale {
                _ if condition.is_leaving.load(Ordering::Relaxed) => {
                    let first = "the end was asked for\n".to_owned();
                    (StatusCode::SERVICE_UNAVAILABLE, first)
                }
                _ if !report.is_ready => {
                    let first = "no complete config is served yet\n".to_owned();
                    (StatusCode::SERVICE_UNAVAILABLE, first)
                }
                None => (StatusCode::OK, "ok\n".to_owned()),
                Some(written) => {
                    let from = format!("from the snapshot on disk of {written}");
                    (
                        StatusCode::OK,
                        format!("ok, {from}: the API server has not answered yet\n"),
                    )
                }
            };
            let troubles = condition.health.troubles().into_iter();
            let troubles = troubles.map(|(kind, why)| format!("{kind} are not watched: {why}\n"));
            text(
                status,
                &std::iter::once(first).chain(troubles).collect::<String>(),
            )
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /verdicts, /config, /metrics, /healthz and /readyz\n",
        ),
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(body) => response(StatusCode::OK, "application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn response(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::verdict::{State, Verdict};

    fn report() -> Report {
        let verdict = Verdict {
            kind: "Ingress",
            namespace: "shop".into(),
            name: "web".into(),
            generation: 0,
            state: State::Accepted,
            hosts: vec!["a.test".into()],
            secure: Vec::new(),
            findings: Vec::new(),
            exports: crate::verdict::Exports::default(),
            last_good: None,
        };
        Report {
            is_ready: true,
            verdicts: vec![verdict],
            ..Report::default()
        }
    }

    #[track_caller]
    fn check(method: &str, path: &str, status: u16, body: &str) {
        check_report(&report(), (method, path), status, body);
    }

    #[track_caller]
    fn check_report(report: &Report, (method, path): (&str, &str), status: u16, body: &str) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        check_answer(answer(&request, report, &Condition::default()), status, body);
    }

    #[track_caller]
    fn check_answer(response: Response<Full<Bytes>>, status: u16, body: &str) {
        assert_eq!(response.status(), status, "{body}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime
            .block_on(response.into_body().collect())
            .unwrap()
            .to_bytes();
        assert_eq!(String::from_utf8_lossy(&bytes), body);
    }

    #[test]
    fn answers_by_path() {
        let verdict = r#"{"kind":"Ingress","namespace":"shop","name":"web","generation":0,"state":"Accepted","hosts":["a.test"],"secure":[],"findings":[]}"#;
        check("GET", "/verdicts", 200, &format!("[{verdict}]"));
        check("GET", "/verdicts/ingress/shop/web", 200, verdict);
        check(
            "GET",
            "/verdicts/Ingress/shop/other",
            404,
            "there is no verdict on such an object\n",
        );
        check("GET", "/config", 200, "{}");
        check("GET", "/readyz", 200, "ok\n");
        let stale = Report {
            stale: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            ..report()
        };
        check_report(
            &stale,
            ("GET", "/readyz"),
            200,
            "ok, from the snapshot on disk of 2026-01-02T03:04:05Z: the API server has not answered yet\n",
        );
        let ask = |report: &Report, condition: &Condition| {
            let request = Request::get("/readyz").body(()).unwrap();
            answer(&request, report, condition)
        };
        let early = ask(&Report::default(), &Condition::default());
        assert_eq!(early.status(), 503);
        let condition = Condition::default();
        condition.health.failed("ingresses", "forbidden");
        check_answer(
            ask(&report(), &condition),
            200,
            "ok\ningresses are not watched: forbidden\n",
        );
        condition.is_leaving.store(true, Ordering::Relaxed);
        assert_eq!(ask(&report(), &condition).status(), 503);
        check(
            "GET",
            "/",
            404,
            "there are /verdicts, /config, /metrics, /healthz and /readyz\n",
        );
        check("POST", "/config", 405, "only GET is possible here\n");
    }
}
