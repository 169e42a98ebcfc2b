//! etcd, kube-apiserver and, for those who ask, kube-controller-manager.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::guard::{Folder, Guarded};
use super::kubectl::Kubectl;
use super::{HOME, Namespace, PATIENCE, STEP, chart, objects, program, signal, upstream};
use crate::conversation::free_port;
use crate::ledger::Authority;

/// How often a start is tried: a port that was free may be taken when the program binds it.
const TRIES: usize = 3;

/// The user as whom the program comes: what the API server makes of the token of its `ServiceAccount`.
const USER: &str = "system:serviceaccount:fairway:fairway";
const GROUPS: &str = "system:serviceaccounts,system:serviceaccounts:fairway";

/// A running API server. Ends when it is dropped, and when the process of the test ends.
pub struct Cluster {
    // In this order they are dropped: what writes into the folder goes before it.
    controllers: OnceLock<Guarded>,
    servers: Servers,
    kubectl: Kubectl,
    spaces: AtomicUsize,
    folder: Folder,
}

struct Servers {
    api: Guarded,
    /// What it was started with, to start it again.
    arguments: Vec<String>,
    _etcd: Guarded,
    port: u16,
}

impl Cluster {
    /// The cluster that the tests of this process share, each in its own namespace. Started by whoever comes first.
    #[must_use]
    pub fn shared() -> &'static Self {
        // What failed once is not tried again by every test.
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::try_start(&[])).as_ref();
        shared.unwrap_or_else(|error| panic!("no cluster: {error}"))
    }

    /// A cluster for one test that must be alone.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with flags of the API server that others do without.
    #[must_use]
    pub fn start_with(flags: &[String]) -> Self {
        Self::try_start(flags).unwrap_or_else(|error| panic!("no cluster: {error}"))
    }

    fn try_start(flags: &[String]) -> Result<Self, String> {
        let folder = Folder::new()?;
        let kubectl = Kubectl::new(folder.path())?;
        let keys = Keys::write(folder.path())?;
        let servers = Servers::start(folder.path(), &keys, flags)?;
        let cluster = Self {
            controllers: OnceLock::new(),
            kubectl,
            spaces: AtomicUsize::new(0),
            servers,
            folder,
        };
        keys.write_kubeconfigs(cluster.folder.path(), cluster.servers.port)?;
        // What the program may do is what the chart gives it, and no more.
        cluster.apply(&chart::rights())?;
        Ok(cluster)
    }

    /// Starts the controllers of Kubernetes, which empty a deleted namespace and make `EndpointSlices` of pods. Tests
    /// that need none of that are quicker without.
    pub fn with_controllers(&self) -> &Self {
        self.controllers.get_or_init(|| {
            let folder = self.folder.path();
            let config = |name: &str| format!("--{name}={}", folder.join("admin.kubeconfig").display());
            let arguments = [
                config("kubeconfig"),
                config("authentication-kubeconfig"),
                config("authorization-kubeconfig"),
                "--leader-elect=false".to_owned(),
                // By default it starts so slowly that the first service account comes after five seconds.
                "--kube-api-qps=300".to_owned(),
                "--kube-api-burst=600".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", free_port()),
                format!("--cert-dir={}", folder.join("controllers").display()),
                format!("--root-ca-file={}", folder.join("ca.pem").display()),
                format!(
                    "--service-account-private-key-file={}",
                    folder.join("accounts.key").display()
                ),
            ];
            let log = folder.join("kube-controller-manager.log");
            program("kube-controller-manager")
                .and_then(|program| Guarded::start(&program, &arguments, &log))
                .unwrap_or_else(|error| panic!("no controllers: {error}"))
        });
        self
    }

    /// Ends the API server at once. What it stored stays; whoever asks is refused.
    pub fn stop_api(&mut self) {
        self.servers.api.kill();
    }

    /// Starts the API server again, on its port, and waits until it answers.
    pub fn restart_api(&mut self) {
        let folder = self.folder.path();
        let log = folder.join("kube-apiserver-again.log");
        let servers = &mut self.servers;
        let started = program("kube-apiserver").and_then(|program| {
            servers.api = Guarded::start(&program, &servers.arguments, &log)?;
            servers.wait_until_ready(&folder.join("ca.pem"), &log)
        });
        started.unwrap_or_else(|error| panic!("the API server does not come back: {error}"));
    }

    /// Stops the API server in its tracks: connections are taken, and nothing is ever said.
    pub fn freeze_api(&self) {
        signal(self.servers.api.id(), "STOP");
    }

    /// Lets a frozen API server go on.
    pub fn thaw_api(&self) {
        signal(self.servers.api.id(), "CONT");
    }

    /// A new namespace, whose name begins with this word.
    #[must_use]
    pub fn namespace(&self, word: &str) -> Namespace<'_> {
        let number = self.spaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("{word}-{number}");
        self.expect(&["create", "namespace", &name], "");
        Namespace::new(self, name)
    }

    /// Runs `kubectl` with all rights; gives what it printed, or what it complained about.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        self.kubectl.run(arguments, input)
    }

    /// Applies objects as the server merges them.
    pub fn apply(&self, yaml: &str) -> Result<String, String> {
        self.kubectl.apply(yaml)
    }

    /// Teaches the API server our own kinds, as a user does.
    pub fn teach_kinds(&self) -> &Self {
        let program = crate::fairway().unwrap_or_else(|error| panic!("{error}"));
        let printed = Command::new(program).arg("crd").output().expect("it starts");
        let definitions = String::from_utf8(printed.stdout).expect("it prints text");
        self.apply(&definitions).unwrap_or_else(|error| panic!("{error}"));
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/caddyroutes.fairway.dev",
        ];
        self.expect(&[&established[..], &["--timeout=120s"]].concat(), "");
        self
    }

    /// The kubeconfig of an administrator.
    #[must_use]
    pub fn admin(&self) -> PathBuf {
        self.kubectl.config()
    }

    /// The kubeconfig as which the program comes, with exactly the rights that it needs.
    #[must_use]
    pub fn limited(&self) -> PathBuf {
        self.folder.path().join("fairway.kubeconfig")
    }

    /// Runs `kubectl`, which must work.
    #[track_caller]
    pub fn expect(&self, arguments: &[&str], input: &str) -> String {
        match self.kubectl(arguments, input) {
            Ok(printed) => printed,
            Err(error) => panic!("{error}"),
        }
    }

    /// Teaches the API server our kinds, and makes the class `fairway`, which the objects of tests name.
    pub fn prepare(&self) -> &Self {
        self.teach_kinds();
        let class = objects::class().to_string();
        self.apply(&class).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Gives another service account in the namespace of the program the same rights; gives the name of its role.
    pub fn grant(&self, account: &str) -> String {
        let rights = chart::rights().replace("name: fairway", &format!("name: {account}"));
        self.apply(&rights).unwrap_or_else(|error| panic!("{error}"));
        account.to_owned()
    }

    /// Where the API server listens.
    pub(super) const fn port(&self) -> u16 {
        self.servers.port
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Servers {
    fn start(folder: &Path, keys: &Keys, flags: &[String]) -> Result<Self, String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match Self::try_start(folder, keys, flags) {
                Ok(servers) => return Ok(servers),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_start(folder: &Path, keys: &Keys, flags: &[String]) -> Result<Self, String> {
        let etcd_port = free_port();
        let client = format!("http://127.0.0.1:{etcd_port}");
        let peer = format!("http://127.0.0.1:{}", free_port());
        let data = folder.join("etcd");
        let _ = fs::remove_dir_all(&data);
        let etcd = [
            "--name=n1".to_owned(),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=n1={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let etcd = Guarded::start(&program("etcd")?, &etcd, &folder.join("etcd.log"))?;
        let port = free_port();
        let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
        let api = [
            format!("--etcd-servers={client}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--advertise-address={}", upstream::address_of_this_machine()?),
            // Nobody finds the API server by a Service here.
            "--endpoint-reconciler-type=none".to_owned(),
            file("tls-cert-file", "api.pem"),
            file("tls-private-key-file", "api.key"),
            file("token-auth-file", "tokens.csv"),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            file("service-account-key-file", "accounts.pem"),
            file("service-account-signing-key-file", "accounts.key"),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        ];
        let api_arguments = [&api[..], flags].concat();
        let log = folder.join("kube-apiserver.log");
        let api = Guarded::start(&program("kube-apiserver")?, &api_arguments, &log)?;
        let mut servers = Self {
            api,
            arguments: api_arguments,
            _etcd: etcd,
            port,
        };
        servers.wait_until_ready(&keys.authority_file, &log)?;
        Ok(servers)
    }

    /// Waits until the roles of RBAC and the namespaces are there, too.
    fn wait_until_ready(&mut self, authority: &Path, log: &Path) -> Result<(), String> {
        let begun = std::time::Instant::now();
        let address = format!("https://127.0.0.1:{}/readyz", self.port);
        loop {
            let asked = Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "10",
                    "--cacert",
                ])
                .arg(authority)
                .arg(&address)
                .output()
                .map_err(|error| format!("running curl: {error}"))?;
            if asked.stdout == b"ok" {
                return Ok(());
            }
            let ended = self.api.ended();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let said = String::from_utf8_lossy(&asked.stderr);
                let log = fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(10)..].join("\n");
                return Err(format!(
                    "the API server does not answer ({ended:?}): {said}\n{tail}"
                ));
            }
            std::thread::park_timeout(STEP);
        }
    }
}

/// The secrets of one cluster. They are made anew each time and lie in its folder alone.
struct Keys {
    authority_file: PathBuf,
    authority: String,
    admin: String,
    limited: String,
}

impl Keys {
    fn write(folder: &Path) -> Result<Self, String> {
        let authority = Authority::default();
        let keys = Self {
            authority_file: folder.join("ca.pem"),
            authority: authority.root_pem().to_owned(),
            admin: token()?,
            limited: token()?,
        };
        let server = authority.issue(&Ipv4Addr::LOCALHOST.to_string());
        // Any key signs the tokens of service accounts, and any certificate holds the half that checks them.
        let accounts = authority.issue("accounts");
        let tokens = format!(
            "{},admin,admin,system:masters\n{},{USER},fairway,\"{GROUPS}\"\n",
            keys.admin, keys.limited
        );
        put(folder, "ca.pem", &keys.authority)?;
        put(folder, "api.pem", &server.certificate_pem)?;
        put(folder, "api.key", &server.key_pem)?;
        put(folder, "accounts.pem", &accounts.certificate_pem)?;
        put(folder, "accounts.key", &accounts.key_pem)?;
        put(folder, "tokens.csv", &tokens)?;
        Ok(keys)
    }

    fn write_kubeconfigs(&self, folder: &Path, port: u16) -> Result<(), String> {
        for (name, token) in [("admin", &self.admin), (HOME, &self.limited)] {
            let config = serde_json::json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": {
                    "server": format!("https://127.0.0.1:{port}"),
                    "certificate-authority": self.authority_file,
                }}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                "current-context": "test",
            });
            put(folder, &format!("{name}.kubeconfig"), &config.to_string())?;
        }
        Ok(())
    }
}

/// Writes a file that nobody else may read.
pub(super) fn put(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = folder.join(name);
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("writing {}: {error}", path.display()))
}

fn token() -> Result<String, String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|error| format!("a random token: {error}"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
