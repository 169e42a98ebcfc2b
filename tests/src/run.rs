//! The program as a command that ends.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// What does not end after this time hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program in a folder that is its home, too, with something on its standard input.
///
/// # Panics
/// If it does not start, or hangs.
#[track_caller]
pub fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let program = crate::fairway().expect("`make test` builds it");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A program that does not read its input closes it; that is its right.
    let _ = child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input.as_bytes());
    let id = child.id().to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
        panic!("{arguments:?} did not end within {PATIENCE:?}");
    });
    output.expect("it can be waited for")
}
