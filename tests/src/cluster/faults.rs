//! A proxy between the program and the API server, which does what networks and busy servers do.
//!
//! The program speaks plain HTTP to it, and it speaks TLS to the real API server. It counts every request, so that a test
//! sees a busy loop and every write.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use super::Cluster;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered with a status, and `Retry-After` in seconds.
    Refuse(u16, Option<u64>),
    /// No request is answered, and answers under way fall silent for ever.
    Hang,
    /// Every answer is broken off after so many bytes.
    BreakOff(usize),
    /// Every answer ends after so many bytes, as if it were whole.
    Cut(usize),
    /// Connections end without an answer.
    Drop,
    /// Every request waits before it goes on.
    Delay(Duration),
    /// Watches are told that their version is gone, and the first list is empty.
    EmptyList,
}

/// A request that came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path without its query.
    pub path: String,
}

/// The proxy. It ends when it is dropped.
pub struct Faults {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: PathBuf,
    // Last: it ends the connections.
    _runtime: Runtime,
}

struct Shared {
    api: SocketAddr,
    tls: TlsConnector,
    /// What the API server is told about who asks.
    headers: Vec<(&'static str, HeaderValue)>,
    state: Mutex<State>,
    /// Changes whenever the faults do.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// By the kind that is asked for, as it stands in paths; empty for all.
    faults: BTreeMap<String, Fault>,
    /// The only token that is good, if that matters.
    token: Option<String>,
    asked: Vec<Asked>,
}

impl Faults {
    /// Starts a proxy that lets everything through, in the name of the program.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        let headers = vec![("authorization", bearer(&token_of(&cluster.limited())))];
        Self::with_headers(cluster, headers)
    }

    /// The same in the name of another service account in the namespace of the program.
    #[must_use]
    pub fn start_as(cluster: &Cluster, account: &str) -> Self {
        let user = format!("system:serviceaccount:{}:{account}", super::HOME);
        let user = HeaderValue::try_from(user).expect("a name");
        let headers = vec![
            ("authorization", bearer(&token_of(&cluster.admin()))),
            ("impersonate-user", user),
        ];
        Self::with_headers(cluster, headers)
    }

    fn with_headers(cluster: &Cluster, headers: Vec<(&'static str, HeaderValue)>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            api: SocketAddr::from(([127, 0, 0, 1], cluster.port())),
            tls: connector(cluster),
            headers,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Self {
            shared,
            address,
            folder: cluster.folder().to_owned(),
            _runtime: runtime,
        }
    }

    /// A kubeconfig that leads here.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.write_kubeconfig(&json!({}))
    }

    /// A kubeconfig that leads here, with a token that stands in a file: the second path. From now on no other is good.
    #[must_use]
    pub fn kubeconfig_with_token(&self, token: &str) -> (PathBuf, PathBuf) {
        let file = self.folder.join(format!("token-{}", self.address.port()));
        fs::write(&file, token).expect("the file is written");
        self.renew_token(token);
        (self.write_kubeconfig(&json!({"tokenFile": file})), file)
    }

    /// From now on only this token is good.
    pub fn renew_token(&self, token: &str) {
        self.state().token = Some(format!("Bearer {token}"));
        self.shared.changed.send_replace(());
    }

    /// Lets something go wrong for a kind such as `ingresses`, or for all with an empty name.
    pub fn set(&self, kind: &str, fault: Fault) {
        self.state().faults.insert(kind.to_owned(), fault);
        self.shared.changed.send_replace(());
    }

    /// Lets everything through again.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// What was asked since the last call.
    #[must_use]
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    fn write_kubeconfig(&self, user: &Value) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        let path = self
            .folder
            .join(format!("faults-{}.kubeconfig", self.address.port()));
        fs::write(&path, config.to_string()).expect("the file is written");
        path
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong with a request for a path.
    fn fault(&self, path: &str) -> Option<Fault> {
        let state = self.state();
        let found = state.faults.iter().find(|(kind, _)| is_of(path, kind));
        found.map(|(_, fault)| *fault)
    }

    fn is_unauthorized<B>(&self, request: &Request<B>) -> bool {
        let state = self.state();
        let shown = request.headers().get(AUTHORIZATION);
        let good = state.token.as_ref();
        good.is_some_and(|good| shown.is_none_or(|shown| shown.as_bytes() != good.as_bytes()))
    }
}

fn is_of(path: &str, kind: &str) -> bool {
    kind.is_empty() || path.split('/').any(|part| part == kind)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The error of a connection that is to end.
type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Piped>, Broken> {
    let path = request.uri().path().to_owned();
    let is_watch = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch=true"));
    let asked = Asked {
        method: request.method().clone(),
        path: path.clone(),
    };
    shared.state().asked.push(asked);
    if shared.is_unauthorized(&request) {
        return Ok(status(401, None));
    }
    // From here on, so that no change is missed.
    let changes = shared.changed.subscribe();
    let fault = shared.fault(&path);
    match fault {
        Some(Fault::Refuse(code, wait)) => return Ok(status(code, wait)),
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Drop) => return Err("dropped".into()),
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::EmptyList) if is_watch => return Ok(status(410, None)),
        Some(Fault::EmptyList) if request.method() == Method::GET => {
            shared
                .state()
                .faults
                .retain(|_, fault| *fault != Fault::EmptyList);
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
            return Ok(whole(200, None, &list));
        }
        Some(Fault::BreakOff(_) | Fault::Cut(_) | Fault::EmptyList) | None => {}
    }
    let response = forward(request, &shared).await?;
    let (parts, body) = response.into_parts();
    let (sender, receiver) = mpsc::channel(1);
    let pipe = Pipe {
        path,
        fault,
        sender,
        changes,
    };
    tokio::spawn(pipe.run(body, shared));
    let mut response = Response::from_parts(parts, Piped(receiver));
    // It may become shorter.
    response.headers_mut().remove("content-length");
    Ok(response)
}

/// Asks the API server, on a connection of its own.
async fn forward(request: Request<Incoming>, shared: &Shared) -> Result<Response<Incoming>, Broken> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let host = HeaderValue::try_from(shared.api.to_string())?;
    parts.headers.insert(HOST, host);
    for (name, value) in &shared.headers {
        parts.headers.insert(*name, value.clone());
    }
    let stream = TcpStream::connect(shared.api).await?;
    let name = ServerName::from(shared.api.ip());
    let stream = shared.tls.connect(name, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await?)
}

/// What carries the body of an answer.
struct Pipe {
    path: String,
    fault: Option<Fault>,
    sender: mpsc::Sender<Result<Frame<Bytes>, Broken>>,
    changes: watch::Receiver<()>,
}

impl Pipe {
    async fn run(mut self, mut body: Incoming, shared: Arc<Shared>) {
        let mut left = match self.fault {
            Some(Fault::BreakOff(bytes) | Fault::Cut(bytes)) => Some(bytes),
            _ => None,
        };
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.sender.closed() => return,
                Ok(()) = self.changes.changed() => match shared.fault(&self.path) {
                    None | Some(Fault::Delay(_)) => continue,
                    Some(Fault::Hang) => return self.sender.closed().await,
                    Some(_) => return self.break_off().await,
                },
            };
            let Some(frame) = frame else { return };
            let frame = match (frame.map(Frame::into_data), &mut left) {
                (Ok(Ok(data)), None) => data,
                (Ok(Ok(data)), Some(left)) => {
                    let part = data.slice(..data.len().min(*left));
                    *left -= part.len();
                    part
                }
                (Ok(Err(_)), _) => return,
                (Err(_), _) => return self.break_off().await,
            };
            let _ = self.sender.send(Ok(Frame::data(frame))).await;
            if left == Some(0) {
                if matches!(self.fault, Some(Fault::BreakOff(_))) {
                    self.break_off().await;
                }
                return;
            }
        }
    }

    async fn break_off(&self) {
        let _ = self.sender.send(Err("broken off".into())).await;
    }
}

/// The body of an answer, as it comes from its pipe.
struct Piped(mpsc::Receiver<Result<Frame<Bytes>, Broken>>);

impl Body for Piped {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(context)
    }
}

/// An answer of Kubernetes that says no.
fn status(code: u16, wait: Option<u64>) -> Response<Piped> {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "message": "so the test wants it", "reason": if code == 410 { "Expired" } else { "Injected" },
    });
    whole(code, wait, &body)
}

fn whole(code: u16, wait: Option<u64>, body: &Value) -> Response<Piped> {
    let (sender, receiver) = mpsc::channel(1);
    let frame = Frame::data(Bytes::from(body.to_string()));
    sender.try_send(Ok(frame)).expect("there is room for one");
    let mut response = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    if let Some(seconds) = wait {
        response = response.header("retry-after", seconds);
    }
    response.body(Piped(receiver)).expect("a good answer")
}

fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a token")
}

/// The token that stands in a kubeconfig of the cluster.
fn token_of(kubeconfig: &Path) -> String {
    let text = fs::read_to_string(kubeconfig).expect("the cluster has written it");
    let config: Value = serde_json::from_str(&text).expect("as JSON");
    let token = config["users"][0]["user"]["token"].as_str();
    token.expect("it has a token").to_owned()
}

/// Trusts the API server of a cluster.
fn connector(cluster: &Cluster) -> TlsConnector {
    let authority = cluster.folder().join("ca.pem");
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).expect("the cluster has written it");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
