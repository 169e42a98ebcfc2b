//! Where a log goes: the standard streams, or a file that is rolled before it grows too large.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fairway_engine::config::Log;

use super::access::not_yet;

/// Megabytes after which a file is rolled, and how many rolled ones are kept; Caddy's defaults.
const ROLL_SIZE: u64 = 100;
const ROLL_KEEP: usize = 10;

/// An open output.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    Stderr,
    Discard,
    File(Rolling),
}

/// A file, and when it is rolled.
#[derive(Debug)]
pub(super) struct Rolling {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    keep: usize,
}

impl Output {
    /// Opens what a logger names; standard error without a name.
    pub(super) fn open(log: &Log) -> io::Result<Self> {
        let Some(writer) = &log.writer else {
            return Ok(Self::Stderr);
        };
        let number = |field: &str| writer.get(field).and_then(serde_json::Value::as_u64);
        match writer
            .get("output")
            .and_then(|output| output.as_str())
            .unwrap_or("stderr")
        {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "discard" => Ok(Self::Discard),
            "file" => {
                let path = writer
                    .get("filename")
                    .and_then(|path| path.as_str())
                    .unwrap_or_default();
                let rolls = writer
                    .get("roll")
                    .and_then(serde_json::Value::as_bool)
                    .unwrap_or(true);
                let limit = if rolls {
                    number("roll_size_mb").unwrap_or(ROLL_SIZE) << 20
                } else {
                    u64::MAX
                };
                let keep = number("roll_keep").map_or(ROLL_KEEP, |keep| keep as usize);
                Rolling::open(Path::new(path), limit, keep).map(Self::File)
            }
            other => Err(not_yet(other)),
        }
    }

    /// Writes a line.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().write_all(line),
            Self::Stderr => io::stderr().write_all(line),
            Self::Discard => Ok(()),
            Self::File(rolling) => rolling.write(line),
        }
    }
}

impl Rolling {
    fn open(path: &Path, limit: u64, keep: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limit,
            keep,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size.saturating_add(line.len() as u64) > self.limit {
            self.roll()?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    /// Puts the file aside under the time, begins a new one, and removes the oldest of those put aside.
    fn roll(&mut self) -> io::Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let (stem, extension) = self.name();
        std::fs::rename(
            &self.path,
            self.path.with_file_name(format!("{stem}-{now:020}{extension}")),
        )?;
        self.file = append(&self.path)?;
        self.size = 0;
        let mut old = self.rolled()?;
        old.sort();
        let surplus = old.len().saturating_sub(self.keep.max(1));
        old.iter().take(surplus).try_for_each(std::fs::remove_file)
    }

    fn rolled(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name();
        let is_rolled = |name: &str| {
            let time = name
                .strip_prefix(&*stem)
                .and_then(|name| name.strip_suffix(&*extension));
            let time = time.and_then(|time| time.strip_prefix('-'));
            time.is_some_and(|time| time.len() == 20 && time.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut rolled = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if is_rolled(&entry.file_name().to_string_lossy()) {
                rolled.push(entry.path());
            }
        }
        Ok(rolled)
    }

    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = part(self.path.extension());
        let extension = if extension.is_empty() {
            extension
        } else {
            format!(".{extension}")
        };
        (part(self.path.file_stem()), extension)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_rolled_before_it_passes_its_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut rolling = Rolling::open(&path, 10, 2).unwrap();
        for line in ["first---\n", "second--\n", "third---\n", "fourth--\n"] {
            rolling.write(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "fourth--\n");
        let mut rolled = rolling.rolled().unwrap();
        rolled.sort();
        let texts: Vec<String> = rolled
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        assert_eq!(texts, ["second--\n", "third---\n"]);
    }
}
