//! The program under test, as a controller of the cluster.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::guard::Guarded;
use super::{Cluster, HOME, signal, upstream, wait};
use crate::conversation::free_port;

/// How many lines of the log are shown when a test fails.
const SHOWN: usize = 30;

/// What is written into the status of Ingresses.
const ADDRESS: &str = "10.0.0.1";

/// A running program with the rights of a controller and no others. Killed when the test is over; if it fails, it
/// shows the end of the log.
pub struct Replica {
    process: Guarded,
    arguments: Vec<String>,
    log: PathBuf,
    http: u16,
    https: u16,
    admin: u16,
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head as it came, names in lower case or not.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Replica {
    /// Starts one, and waits until it serves what the cluster holds.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::start_at(cluster, &cluster.limited())
    }

    /// The same with another kubeconfig.
    #[must_use]
    pub fn start_at(cluster: &Cluster, kubeconfig: &Path) -> Self {
        Self::start_by(cluster, kubeconfig, &[format!("--publish-address={ADDRESS}")])
    }

    /// Starts one with flags of its own besides those that say where it is and where it listens.
    #[must_use]
    pub fn start_with(cluster: &Cluster, flags: &[String]) -> Self {
        Self::start_by(cluster, &cluster.limited(), flags)
    }

    fn start_by(cluster: &Cluster, kubeconfig: &Path, flags: &[String]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = cluster.folder().join(format!("replica-{number}.log"));
        let (http, https, admin) = (free_port(), free_port(), free_port());
        let mut arguments = vec![
            "run".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--http-port={http}"),
            format!("--https-port={https}"),
            format!("--admin=[::]:{admin}"),
            format!("--namespace={HOME}"),
        ];
        arguments.extend_from_slice(flags);
        let mut replica = Self {
            process: start(&arguments, &log),
            arguments,
            log,
            http,
            https,
            admin,
        };
        replica.wait_until_ready();
        replica
    }

    /// Kills it, starts another in its place, and does not wait for anything. The log begins anew.
    pub fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = start(&self.arguments, &self.log);
    }

    /// Waits until it serves something complete.
    pub fn wait_until_ready(&mut self) {
        wait("the program to be ready", || {
            if let Some(status) = self.process.ended() {
                panic!("it ended with {status}");
            }
            match self.ask_admin("/readyz")?.status {
                200 => Ok(()),
                other => Err(format!("status {other}")),
            }
        });
    }

    /// Asks for a path of a host over HTTP.
    pub fn http(&self, host: &str, path: &str) -> Result<Answer, String> {
        ask("http", host, self.http, path, None)
    }

    /// Asks for a path of a host over HTTPS, and trusts the authority of this file alone.
    pub fn https(&self, host: &str, path: &str, trusted: &Path) -> Result<Answer, String> {
        ask("https", host, self.https, path, Some(trusted))
    }

    /// Waits until a path of a host is answered over HTTP with a status and a body.
    #[track_caller]
    pub fn wait_for(&self, host: &str, path: &str, status: u16, body: &str) -> Answer {
        wait(&format!("{status} {body:?} from {host}{path}"), || {
            expected(self.http(host, path)?, status, body)
        })
    }

    /// The same over HTTPS.
    #[track_caller]
    pub fn wait_for_https(&self, host: &str, path: &str, trusted: &Path, status: u16, body: &str) -> Answer {
        wait(&format!("{status} {body:?} from https://{host}{path}"), || {
            expected(self.https(host, path, trusted)?, status, body)
        })
    }

    /// Asks the admin endpoint.
    pub fn ask_admin(&self, path: &str) -> Result<Answer, String> {
        ask("http", "127.0.0.1", self.admin, path, None)
    }

    /// Asks the admin endpoint as another machine does.
    pub fn ask_admin_from_outside(&self, path: &str) -> Result<Answer, String> {
        let address = upstream::address_of_this_machine()?.to_string();
        ask("http", &address, self.admin, path, None)
    }

    /// Where it serves HTTPS.
    #[must_use]
    pub fn https_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.https))
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to come to its end.
    pub fn ask_to_end(&self) {
        signal(self.id(), "TERM");
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("the end of the program", || {
            self.process.ended().ok_or_else(|| "it runs".to_owned())
        })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        }
        self.process.kill();
    }
}

fn start(arguments: &[String], log: &Path) -> Guarded {
    crate::fairway()
        .and_then(|program| Guarded::start(&program, arguments, log))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn expected(answer: Answer, status: u16, body: &str) -> Result<Answer, String> {
    if answer.status == status && answer.body == body {
        return Ok(answer);
    }
    Err(format!("{answer:?}"))
}

/// Asks this machine, under the name of a host.
fn ask(scheme: &str, host: &str, port: u16, path: &str, trusted: Option<&Path>) -> Result<Answer, String> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--include",
        "--noproxy",
        "*",
        "--max-time",
        "20",
    ]);
    if host.parse::<IpAddr>().is_err() {
        curl.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
    }
    if let Some(trusted) = trusted {
        curl.arg("--cacert").arg(trusted);
    }
    let output = curl
        .arg(format!("{scheme}://{host}:{port}{path}"))
        .output()
        .map_err(|error| format!("running curl: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or("no status")?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
