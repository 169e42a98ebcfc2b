//! Processes and folders that never outlive the test, however it ends.
//!
//! A process of tests that is killed cannot clean up, and a value in a static is never dropped. So each program gets a
//! watcher beside it, which reads from a pipe that only the test can write to and that nobody ever does. When the test
//! is gone, for whatever reason, the system closes the pipe, and the watcher acts.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// Becomes the program, after it has left a watcher behind. The watcher makes sure that the program is still its parent:
/// once it is gone, its number may be that of another.
const WATCHED: &str = r#"
exec 3<&0
{
    cat <&3
    read -r _ _ _ parent _ </proc/self/stat
    [ "$parent" != $$ ] || kill -KILL $$
} >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"#;

/// Removes a folder as soon as the programs that write into it have ended.
const SWEEP: &str = r#"cat; for again in 1 2 3 4 5 6 7 8 9; do rm -rf "$1" && exit; sleep 0.2; done"#;

/// A running program.
pub(super) struct Guarded {
    child: Child,
    /// Closed by the system when this process ends.
    pipe: Option<ChildStdin>,
}

impl Guarded {
    /// Starts a program that writes what it has to say into a file. Its process is the program itself, so that its
    /// number and its exit status are those of the program.
    pub(super) fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Self, String> {
        let told = |error| format!("starting {}: {error}", program.display());
        let output = File::create(log).map_err(told)?;
        let errors = output.try_clone().map_err(told)?;
        let folder = log.parent().unwrap_or(Path::new("/"));
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env("HOME", folder)
            .env("NO_PROXY", "*")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C ends the test; what it started ends by its watcher.
            .process_group(0)
            .spawn()
            .map_err(told)?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.pipe.take());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder for one cluster, which nobody else may look into.
pub(super) struct Folder {
    path: PathBuf,
    sweeper: Child,
}

impl Folder {
    pub(super) fn new() -> Result<Self, String> {
        let told = |error: std::io::Error| format!("a folder for the cluster: {error}");
        let path = tempfile::Builder::new()
            .prefix("fairway-cluster-")
            .tempdir()
            .map_err(told)?
            .keep();
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(told)?;
        Ok(Self { path, sweeper })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closes the pipe first.
        let _ = self.sweeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cluster::wait;

    fn start(folder: &Folder, script: &str) -> Guarded {
        let arguments = ["-c".to_owned(), script.to_owned()];
        Guarded::start(Path::new("/bin/sh"), &arguments, &folder.path().join("log")).expect("it starts")
    }

    #[track_caller]
    fn wait_until_gone(process: u32) {
        wait("the end of the process", || {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            if status.is_empty() || status.contains("State:\tZ") {
                return Ok(());
            }
            Err(status)
        });
    }

    #[test]
    fn a_closed_pipe_ends_the_program() {
        let folder = Folder::new().expect("a folder");
        let mut guarded = start(&folder, "exec sleep 1000");
        // As when the process of the test is killed.
        drop(guarded.pipe.take());
        wait_until_gone(guarded.id());
        assert!(!guarded.ended().expect("it has ended").success());
    }

    #[test]
    fn a_program_has_its_own_status_and_no_input() {
        let folder = Folder::new().expect("a folder");
        let mut guarded = start(&folder, "cat; echo said; exit 7");
        let status = wait("the end", || guarded.ended().ok_or_else(|| "it runs".to_owned()));
        assert_eq!(status.code(), Some(7));
        let said = fs::read_to_string(folder.path().join("log")).expect("a log");
        assert_eq!(said, "said\n");
    }

    #[test]
    fn what_is_dropped_is_gone_with_its_folder() {
        let folder = Folder::new().expect("a folder");
        let path = folder.path().to_owned();
        let guarded = start(&folder, "exec sleep 1000");
        let process = guarded.id();
        drop(guarded);
        drop(folder);
        wait_until_gone(process);
        assert!(!path.exists());
    }
}
