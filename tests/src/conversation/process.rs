//! The server under test as a child process that never outlives its case.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Stage;
use super::case::Case;

/// How long a server may take to end after it was asked to.
const STOP: Duration = Duration::from_secs(5);

pub(super) struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    /// One message for each line that the server prints; closed when it ends.
    printed: Receiver<()>,
}

impl Server {
    pub(super) fn start(program: &Path, stage: &Stage, case: &Case) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(["run", "--config"])
            .arg(&stage.caddyfile)
            .args(["--adapter", "caddyfile"])
            .current_dir(&stage.config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &stage.home)
            .env("XDG_DATA_HOME", stage.home.join("data"))
            .env("XDG_CONFIG_HOME", stage.home.join("config"))
            .envs(case.env.iter().map(|(name, value)| (name, stage.fill_in(value))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {}: {error}", program.display()))?;
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, printed) = channel();
        if let Some(output) = child.stdout.take() {
            follow(output, &log, sender.clone());
        }
        if let Some(output) = child.stderr.take() {
            follow(output, &log, sender);
        }
        Ok(Self { child, log, printed })
    }

    /// Waits until the server prints something or ends, and at most so long.
    pub(super) fn listen_for(&self, time: Duration) {
        let _ = self.printed.recv_timeout(time);
    }

    /// Whether it ended with success, if it ended.
    pub(super) fn ended(&mut self) -> Option<bool> {
        self.child
            .try_wait()
            .ok()
            .flatten()
            .map(|status| status.success())
    }

    /// Waits until it ended by itself.
    pub(super) fn wait_for_end(&mut self, time: Duration) -> Option<bool> {
        let deadline = Instant::now() + time;
        loop {
            match self
                .printed
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return None,
                // Both outputs are closed, so the process is at its end.
                Err(RecvTimeoutError::Disconnected) => {
                    return self.child.wait().ok().map(|status| status.success());
                }
            }
        }
    }

    /// All that it printed.
    pub(super) fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // Asked by its id first, as an operator would; what does not follow is killed.
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        if asked.is_err() || self.wait_for_end(STOP).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn follow(output: impl Read + Send + 'static, log: &Arc<Mutex<String>>, sender: Sender<()>) {
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
            let _ = sender.send(());
        }
    });
}
