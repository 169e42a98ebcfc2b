//! The pods behind Fairway, and the load on them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fairway_tests::cluster::{Node, wait};
use fairway_tests::ledger::{Authority, Balance, Client, Door, Ledger, Seen, load};
use serde_json::{Value, json};

use crate::release;

/// The site of the load; it is served with TLS.
pub(crate) const SITE: &str = "shop.test";

/// The host of an Ingress, without TLS.
pub(crate) const HOST: &str = "ingress.test";

const IMAGE: &str = "fairway.test/upstream:test";

/// Requests per second, unless `FAIRWAY_LEDGER_RATE` says otherwise.
const RATE: u32 = 100;

/// Objects that the load needs, and what it has to know.
pub(crate) struct Backend<'a> {
    node: &'a Node,
    seen: PathBuf,
    authority: Authority,
}

/// Hands the image of the pods to the node.
pub(crate) fn import(node: &mut Node) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_upstream"));
    node.import(IMAGE, &program)
        .unwrap_or_else(|error| panic!("{error}"));
}

impl<'a> Backend<'a> {
    /// Two pods, a Service, an Ingress and a `CaddyRoute` to them.
    #[track_caller]
    pub(crate) fn apply(node: &'a Node) -> Self {
        // They write as a user of their own.
        let folder = node.folder().join("seen");
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let backend = Self {
            node,
            seen: folder.join("numbers"),
            authority: Authority::default(),
        };
        let pair = backend.authority.issue(SITE);
        let text = format!(
            "{SITE} {{\n\thandle /stream {{\n\t\treverse_proxy h2c://web:streams\n\t}}\n\thandle {{\n\t\treverse_proxy \
             web:http\n\t}}\n}}\n"
        );
        for object in [
            deployment(&folder),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [
                    {"name": "http", "port": 80, "targetPort": "http"},
                    {"name": "streams", "port": 81, "targetPort": "streams"},
                ]},
            }),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-tls"}, "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem},
            }),
            json!({
                "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": "shop"},
                "spec": {
                    "ingressClassName": "fairway", "caddyfile": text,
                    "tls": [{"hosts": [SITE], "secretName": "shop-tls"}],
                },
            }),
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
                "spec": {"ingressClassName": "fairway", "rules": [{"host": HOST, "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}},
                ]}}]},
            }),
        ] {
            node.apply(&object.to_string());
        }
        backend
    }

    /// Waits until this host is answered by a pod.
    #[track_caller]
    pub(crate) fn wait_until_served(&self, scheme: &str, host: &str) {
        let port = if scheme == "https" {
            release::HTTPS
        } else {
            release::HTTP
        };
        let address = self.node.address();
        let trusted = self.node.folder().join("shop.pem");
        fs::write(&trusted, self.authority.root_pem()).expect("a file");
        wait(&format!("{scheme}://{host}"), || {
            let asked = std::process::Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "5",
                    "--header",
                    "x-number: 0",
                ])
                .args(["--resolve", &format!("{host}:{port}:{address}"), "--cacert"])
                .arg(&trusted)
                .arg(format!("{scheme}://{host}:{port}/"))
                .output()
                .expect("curl runs");
            if asked.stdout == b"0 " {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            Err(format!("{:?} {said}", String::from_utf8_lossy(&asked.stdout)))
        });
    }

    /// Sets the number of pods, and waits until they are as many.
    #[track_caller]
    pub(crate) fn scale(&self, replicas: usize) {
        self.node
            .expect(&["scale", "deploy/web", &format!("--replicas={replicas}")], "");
        self.wait_for_pods(replicas);
    }

    /// Replaces all pods, and waits until the old ones are gone.
    #[track_caller]
    pub(crate) fn roll(&self, replicas: usize) {
        self.node.expect(&["rollout", "restart", "deploy/web"], "");
        self.node
            .expect(&["rollout", "status", "deploy/web", "--timeout=120s"], "");
        self.wait_for_pods(replicas);
    }

    /// Waits until the load has come to the pods for a while.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self) {
        let length = || fs::metadata(&self.seen).map_or(0, |file| file.len());
        let enough = length() + 500;
        wait("requests", || match length() {
            length if length >= enough => Ok(()),
            length => Err(format!("{length} bytes")),
        });
    }

    #[track_caller]
    fn wait_for_pods(&self, replicas: usize) {
        wait("the pods", || {
            let found = self.node.get(&["pods", "--selector=app=web"]);
            let pods = found["items"].as_array().cloned().unwrap_or_default();
            let ready = pods
                .iter()
                .filter(|pod| pod["status"]["containerStatuses"][0]["ready"] == true);
            if ready.count() == replicas && pods.len() == replicas {
                return Ok(());
            }
            Err(format!("{} pods: {found}", pods.len()))
        });
    }

    /// Does something while requests are sent, and accounts for each of them.
    #[track_caller]
    pub(crate) fn under_load(&self, what: &str, act: impl FnOnce()) -> Balance {
        let from = fs::metadata(&self.seen).map_or(0, |file| file.len());
        let rate = std::env::var("FAIRWAY_LEDGER_RATE").map_or(RATE, |rate| rate.parse().expect("a number"));
        let address = SocketAddr::from((self.node.address(), release::HTTPS));
        let door = Door::tls(address, SITE, &self.authority);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (ledger, enough) = (Ledger::default(), Arc::<AtomicBool>::default());
        let client = runtime.block_on(Client::connect(door, ledger.clone()));
        let client = client.expect("the release takes connections");
        let loaded = runtime.spawn(load(client, vec![SITE.to_owned()], rate, Arc::clone(&enough)));
        release::timed(what, act);
        enough.store(true, Ordering::Relaxed);
        runtime.block_on(loaded).expect("the load does not panic");
        let seen = Seen::read(&self.seen, from).expect("the pods have written it");
        let balance = ledger.balance(&seen);
        println!("{balance}");
        balance
    }
}

fn deployment(folder: &std::path::Path) -> Value {
    let container = json!({
        "name": "upstream", "image": IMAGE, "args": ["8080", "8081", "/seen/numbers"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "streams", "containerPort": 8081}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "seen", "mountPath": "/seen"}],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 20, "containers": [container],
                    "volumes": [{"name": "seen", "hostPath": {"path": folder, "type": "Directory"}}],
                },
            },
        },
    })
}
