//! The proxy under test: a process that follows its config.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value as Json;

/// How many lines of the log are shown when a test fails.
const SHOWN: usize = 20;

/// A running proxy; killed if the test fails, which then shows the end of its log.
pub struct Proxy {
    child: Child,
    folder: PathBuf,
}

/// What the proxy tells of a swap.
#[derive(Debug, Clone, Copy)]
pub struct Swap {
    /// How long it took, in seconds.
    pub duration: f64,
    /// How many tables were in memory when it was done: the new one, the one before, and whatever was still held.
    pub tables: u64,
}

impl Proxy {
    /// Starts it in a folder that holds its Caddyfile.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let output = File::create(folder.join("log")).expect("a log");
        let child = Command::new(crate::fairway().expect("`make test` builds it"))
            .args(["run", "--watch", "--config", "Caddyfile"])
            .current_dir(folder)
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("it starts");
        Self {
            child,
            folder: folder.to_owned(),
        }
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The end of the log.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// Where it listens; of each entry with this message.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |entry: Json| {
            let address = entry["address"].as_str()?.replace("[::]", "127.0.0.1");
            address.parse().ok()
        };
        self.entries("listening").filter_map(address).collect()
    }

    /// The swaps so far.
    #[must_use]
    pub fn swaps(&self) -> Vec<Swap> {
        let swap = |entry: Json| Swap {
            duration: entry["duration"].as_f64().expect("a swap tells its duration"),
            tables: entry["tables"].as_u64().expect("a swap tells the tables"),
        };
        self.entries("swapped").map(swap).collect()
    }

    fn entries(&self, message: &str) -> impl Iterator<Item = Json> {
        let log = self.log();
        let entries: Vec<Json> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|entry: &Json| entry["message"] == message)
            .collect();
        entries.into_iter()
    }

    /// Its resident memory in KiB, where the system tells it.
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Asks it to come to its end.
    pub fn ask_to_end(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status();
        assert!(status.expect("kill runs").success());
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
