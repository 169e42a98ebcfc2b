//! `fairway run --manifests` as a process on free ports.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Connection, get};
use crate::wait_for;

/// The running program; killed if it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    home: TempDir,
    /// Where it answers requests over HTTP.
    pub http: SocketAddr,
    /// Where it answers requests over HTTPS.
    pub https: SocketAddr,
    /// Where it tells its verdicts.
    pub admin: SocketAddr,
}

impl Program {
    /// Starts to serve a folder of manifests, and waits until it is ready. If dropped midway, it is killed.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        Self::start_with(program, folder, &[]).await
    }

    /// The same with more arguments than usual.
    pub async fn start_with(program: &Path, folder: &Path, more: &[&str]) -> Result<Self, String> {
        let home = TempDir::with_prefix("fairway-home-").map_err(|error| format!("a folder: {error}"))?;
        let log = home.path().join("log");
        let create = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
        let (output, printed) = (create(&log)?, create(&home.path().join("printed"))?);
        let child = Command::new(program)
            .args([
                "run",
                "--http-port",
                "0",
                "--https-port",
                "0",
                "--admin",
                "127.0.0.1:0",
            ])
            .arg("--manifests")
            .arg(folder)
            .args(more)
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .stdin(Stdio::null())
            .stdout(printed)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("starting {}: {error}", program.display()))?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut started = Self {
            child,
            home,
            http: nowhere,
            https: nowhere,
            admin: nowhere,
        };
        let found = wait_for("the addresses", async || {
            if let Ok(Some(status)) = started.child.try_wait() {
                return Some(Err(format!("it ended with {status}")));
            }
            started.addresses().map(Ok)
        });
        let found = found.await.and_then(|found| found);
        [started.http, started.https, started.admin] =
            found.map_err(|error| format!("{error}\n{}", started.log()))?;
        let admin = started.admin;
        wait_for("the program to be ready", async || {
            let answer = get(admin, "admin", "/readyz").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await?;
        Ok(started)
    }

    /// All that it has logged until now.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The lines of the log with this message.
    #[must_use]
    pub fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["message"] == message).collect()
    }

    /// The lines of JSON that it has printed until now.
    #[must_use]
    pub fn printed(&self) -> Vec<Value> {
        let printed = fs::read_to_string(self.home.path().join("printed")).unwrap_or_default();
        let lines = printed.lines();
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Its verdict on an object: `("CaddyRoute", "shop", "web")`; `None` if it has none.
    pub async fn verdict(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let path = format!("/verdicts/{kind}/{namespace}/{name}");
        let answer = get(self.admin, "admin", &path).await.ok()?;
        serde_json::from_str(&answer.body)
            .ok()
            .filter(|_| answer.status == 200)
    }

    /// A connection to its HTTP port.
    pub async fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.http).await
    }

    /// Asks it to end, and waits until it has. An error if it ends otherwise than well.
    pub async fn stop(mut self) -> Result<(), String> {
        // A shell has `kill` where the machine has no program of this name.
        let kill = format!("kill -TERM {}", self.child.id());
        let asked = Command::new("sh").args(["-c", &kill]).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err("it could not be asked to end".to_owned());
        }
        let status = wait_for("the end", async || self.child.try_wait().ok().flatten()).await?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("it ended with {status}\n{}", self.log()))
        }
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// Those of HTTP, HTTPS and the admin endpoint, once all are logged.
    fn addresses(&self) -> Option<[SocketAddr; 3]> {
        let address = |line: &Value| {
            let address: SocketAddr = line["address"].as_str()?.parse().ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], address.port())))
        };
        let listeners = self.logged("listening");
        let admin = self.logged("admin endpoint");
        Some([
            address(listeners.first()?)?,
            address(listeners.get(1)?)?,
            address(admin.first()?)?,
        ])
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
