//! `kubectl` as the administrator of one cluster.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::printed;

/// The program, and where the cluster's files lie.
pub(super) struct Kubectl {
    program: PathBuf,
    folder: PathBuf,
}

impl Kubectl {
    /// Of the cluster in whose folder `admin.kubeconfig` lies.
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        Ok(Self {
            program: super::program("kubectl")?,
            folder: folder.to_owned(),
        })
    }

    /// The kubeconfig of an administrator.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// Runs it; gives what it printed, or what it complained about.
    pub(super) fn run(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let told = |error: std::io::Error| format!("running kubectl: {error}");
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(self.config())
            // What it knows of the server is the server's alone, and goes with it.
            .args(["--cache-dir", "cache", "--request-timeout=120s"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("NO_PROXY", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(told)?;
        let mut pipe = child.stdin.take().expect("it is piped");
        // It reads all of its input before it prints anything, or none of it.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let output = child.wait_with_output().map_err(told)?;
        printed("kubectl", arguments, &output)
    }

    /// Applies objects as the server merges them.
    pub(super) fn apply(&self, yaml: &str) -> Result<String, String> {
        self.run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }
}
