//! Caddy's own adapter and formatter, asked one text at a time.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::files::VARIABLES;

/// A running program of `tests/differential`; it ends when this is dropped.
#[derive(Debug)]
pub struct Real {
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    output: BufReader<ChildStdout>,
}

/// What Caddy makes of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The JSON, or why there is none.
    pub adapted: Result<Value, String>,
    /// The text as the formatter leaves it.
    pub formatted: String,
    /// Whether its formatting changes words or moves them to other lines.
    pub is_harmful: bool,
    /// Whether formatting again changes more.
    pub is_unsettled: bool,
}

/// Builds the program if it is not there, and tells its path; none if Go is missing.
///
/// An error says what the build said.
pub fn build() -> Result<Option<std::path::PathBuf>, String> {
    let script = crate::repository().join("tests/differential/build");
    let built = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("starting {}: {error}", script.display()))?;
    match built.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&built.stdout).trim().into())),
        Some(3) => Ok(None),
        _ => Err(format!("tests/differential/build: {}", built.status)),
    }
}

impl Real {
    /// Starts the program in a folder whose files the texts may import.
    pub fn start(program: &Path, folder: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .current_dir(folder)
            .env_clear()
            .envs(VARIABLES.iter().copied())
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().map(BufWriter::new);
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Asks for one text.
    pub fn ask(&mut self, text: &str) -> io::Result<Answer> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{}", json!({ "text": text }))?;
        input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut answer: Value = serde_json::from_str(&line)?;
        let adapted = match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["json"].take()),
        };
        let formatted = answer["formatted"].as_str().unwrap_or_default().to_owned();
        Ok(Answer {
            adapted,
            formatted,
            is_harmful: answer["harmful"] == true,
            is_unsettled: answer["unsettled"] == true,
        })
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}
