//! The way to the API server. Every request has an end, a token that was renewed is taken at once, and what the server
//! asks for reaches whoever asked.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri};
use kube::Client;
use kube::client::{Body, DynBody};
use serde_json::json;
use tokio::time::Sleep;
use tower::{BoxError, Service};

use super::health::Health;
use crate::api_server;

/// How long the API server may take to accept a connection, to begin an answer, and between two parts of one. A watch
/// may be silent for longer; it has an end of its own.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(15);

/// A watch of a kind that ends early is not begun anew before this time.
const PACE: Duration = Duration::from_secs(1);

/// How long a token that was read from a file is used without looking again.
const TOKEN: Duration = Duration::from_secs(10);

/// Makes a client. What it finds out about watches goes to `health`.
pub(crate) fn connect(mut config: kube::Config, health: &Health) -> Result<Client, kube::Error> {
    // It would wait for as long as the server says, a day too, and tell nobody.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    let token = match config.auth_info.token {
        None => config.auth_info.token_file.take(),
        Some(_) => None,
    };
    let token = token.map(|path| Arc::new(TokenFile::new(PathBuf::from(path))));
    let health = health.clone();
    let layer = tower::layer::layer_fn(move |inner| Door {
        inner,
        token: token.clone(),
        health: health.clone(),
        watches: HashMap::new(),
    });
    Ok(api_server::builder(config)?.with_layer(&layer).build())
}

/// Nothing came in time.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {} s", .0.as_secs())]
struct NoAnswer(Duration);

/// Stands between the client and the connections.
struct Door<S> {
    inner: S,
    token: Option<Arc<TokenFile>>,
    health: Health,
    /// When each kind was last watched. There are as many as kinds.
    watches: HashMap<String, Instant>,
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Box<DynBody>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(header) = self.token.as_ref().and_then(|token| token.header()) {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let watched = watched(request.uri());
        let wait = watched.as_ref().map_or(Duration::ZERO, |kind| {
            let before = self.watches.insert(kind.clone(), Instant::now());
            before.map_or(Duration::ZERO, |before| PACE.saturating_sub(before.elapsed()))
        });
        let (token, health) = (self.token.clone(), self.health.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = tokio::time::timeout(ANSWER, answer).await;
            let response = response.map_err(|_| NoAnswer(ANSWER))??;
            // One that ends at once must not be asked for again and again.
            tokio::time::sleep(wait).await;
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(token) = &token
            {
                token.forget();
            }
            if let Some(seconds) = retry_after(&response) {
                return Ok(refusal(response.status(), seconds));
            }
            let Some(kind) = watched else {
                return Ok(response.map(|body| Box::new(Limited::new(body)) as Box<DynBody>));
            };
            if response.status().is_success() && health.healed(&kind) {
                tracing::info!(%kind, "watched again");
            }
            Ok(response)
        })
    }
}

/// The kind that a request watches, if that is what it does.
fn watched(uri: &Uri) -> Option<String> {
    let mut parameters = uri.query()?.split('&');
    parameters.find(|parameter| *parameter == "watch=true")?;
    uri.path().rsplit('/').next().map(str::to_owned)
}

/// The seconds for which the server asks, if it refuses because it has too much to do.
fn retry_after<B>(response: &Response<B>) -> Option<u64> {
    let is_busy = matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let asked = response.headers().get(RETRY_AFTER).filter(|_| is_busy)?;
    asked.to_str().ok()?.trim().parse().ok()
}

/// What the server asks for in a header, in the words of Kubernetes, in which it reaches the caller.
fn refusal(status: StatusCode, seconds: u64) -> Response<Box<DynBody>> {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status.as_u16(),
        "reason": if status == StatusCode::TOO_MANY_REQUESTS { "TooManyRequests" } else { "ServiceUnavailable" },
        "message": format!("the API server is busy and asks to wait {seconds} s"),
        "details": {"retryAfterSeconds": u32::try_from(seconds).unwrap_or(u32::MAX)},
    });
    let body = Full::new(Bytes::from(body.to_string())).map_err(BoxError::from);
    let mut response = Response::new(Box::new(body) as Box<DynBody>);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A body whose parts come in time, or it fails.
struct Limited {
    inner: Box<DynBody>,
    silence: Pin<Box<Sleep>>,
}

impl Limited {
    fn new(inner: Box<DynBody>) -> Self {
        let silence = Box::pin(tokio::time::sleep(SILENCE));
        Self { inner, silence }
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            let next = tokio::time::Instant::now() + SILENCE;
            this.silence.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        let is_over = this.silence.as_mut().poll(context).is_ready();
        if is_over {
            return Poll::Ready(Some(Err(NoAnswer(SILENCE).into())));
        }
        Poll::Pending
    }
}

/// The token of a file, which others renew.
struct TokenFile {
    path: PathBuf,
    read: Mutex<Option<(HeaderValue, Instant)>>,
}

impl TokenFile {
    const fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::new(None),
        }
    }

    /// The header to send. A token that cannot be read anew is used on.
    fn header(&self) -> Option<HeaderValue> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, then)) = &*read
            && then.elapsed() < TOKEN
        {
            return Some(header.clone());
        }
        match std::fs::read_to_string(&self.path) {
            Ok(text) => {
                let header = HeaderValue::try_from(format!("Bearer {}", text.trim()));
                if let Ok(mut header) = header {
                    header.set_sensitive(true);
                    *read = Some((header, Instant::now()));
                }
            }
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%error, %path, "the token cannot be read; the last one is used");
            }
        }
        read.as_ref().map(|(header, _)| header.clone())
    }

    /// It was refused: the file is looked at before the next request.
    fn forget(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, then)) = &mut *read
            && let Some(long_ago) = then.checked_sub(TOKEN)
        {
            *then = long_ago;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_watched(uri: &'static str, expected: Option<&str>) {
        assert_eq!(watched(&Uri::from_static(uri)).as_deref(), expected);
    }

    #[test]
    fn a_watch_is_known_by_its_address() {
        check_watched("/api/v1/services?&watch=true&timeoutSeconds=25", Some("services"));
        check_watched(
            "/apis/networking.k8s.io/v1/ingresses?watch=true",
            Some("ingresses"),
        );
        check_watched("/api/v1/services?&limit=500", None);
        check_watched("/api/v1/services", None);
    }

    #[track_caller]
    fn check_retry_after(status: u16, header: &'static str, expected: Option<u64>) {
        let response = Response::builder().status(status).header(RETRY_AFTER, header);
        assert_eq!(retry_after(&response.body(()).unwrap()), expected);
    }

    #[test]
    fn only_a_busy_server_is_waited_for() {
        check_retry_after(429, "7", Some(7));
        check_retry_after(503, " 1 ", Some(1));
        check_retry_after(200, "7", None);
        check_retry_after(429, "soon", None);
        check_retry_after(429, "-1", None);
        check_retry_after(429, "99999999999999999999", None);
    }

    #[test]
    fn a_token_is_read_anew_when_it_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = TokenFile::new(path.clone());
        assert_eq!(token.header(), None);
        let check = |expected: &str| assert_eq!(token.header().unwrap(), expected);
        std::fs::write(&path, "one\n").unwrap();
        check("Bearer one");
        std::fs::write(&path, "two\n").unwrap();
        check("Bearer one");
        token.forget();
        check("Bearer two");
        std::fs::remove_file(&path).unwrap();
        token.forget();
        check("Bearer two");
    }
}
