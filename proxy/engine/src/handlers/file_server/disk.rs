//! A look at the disk, away from the traffic threads: which file it is, and whether it may be seen.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::paths;

/// The longest `ETag` that is read from a file, in bytes.
const MAX_ETAG: u64 = 1024;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The path of the file or folder, without a slash at its end.
    pub path: String,
    pub hide: Vec<String>,
    /// The files that stand for a folder.
    pub index: Vec<String>,
    /// The formats that the client can decode, and the suffixes of their files, best first.
    pub formats: Vec<(&'static str, &'static str)>,
    /// The suffixes of files that hold an `ETag`.
    pub etag_suffixes: Box<[Box<str>]>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Found {
    pub file: File,
    /// Its path; that of the file which is not compressed.
    pub path: String,
    /// How long it is; that of the file which is sent.
    pub length: u64,
    /// When it was changed; that of the file which is not compressed.
    pub modified: Option<SystemTime>,
    pub etag: Option<String>,
    /// The format, if it is compressed.
    pub encoding: Option<&'static str>,
    /// Whether it stands for a folder.
    pub is_index: bool,
}

/// Why there is no file to serve.
#[derive(Debug)]
pub(super) enum NotServed {
    NotFound,
    Forbidden,
    InvalidPath,
    /// It is there, but cannot be opened now.
    Busy(String),
    Failed(String),
}

impl Lookup {
    /// Finds and opens the file.
    pub(super) fn run(self) -> Result<Found, NotServed> {
        let hide = absolute_patterns(&self.hide);
        let mut path = self.path;
        let mut metadata = std::fs::metadata(&path).map_err(|error| not_read(&error))?;
        let mut is_index = false;
        if metadata.is_dir() {
            for name in &self.index {
                let candidate = paths::sanitized_path_join(&path, name);
                if is_hidden(&absolute(&candidate), &hide) {
                    continue;
                }
                if let Ok(of_candidate) = std::fs::metadata(&candidate) {
                    (path, metadata, is_index) = (candidate, of_candidate, true);
                    break;
                }
            }
        }
        // Devices and pipes might never end, or never begin.
        if !metadata.is_file() || is_hidden(&absolute(&path), &hide) {
            return Err(NotServed::NotFound);
        }
        let modified = metadata.modified().ok().filter(is_useful);
        for (name, suffix) in self.formats {
            let compressed = format!("{path}{suffix}");
            let Ok(of_compressed) = std::fs::metadata(&compressed) else {
                continue;
            };
            if !of_compressed.is_file() {
                continue;
            }
            let Ok(file) = File::open(&compressed) else {
                continue;
            };
            return Ok(Found {
                etag: etag(&compressed, &of_compressed, &self.etag_suffixes)?,
                length: length(&file)?,
                file,
                path,
                modified,
                encoding: Some(name),
                is_index,
            });
        }
        let file = File::open(&path).map_err(|error| match not_read(&error) {
            NotServed::InvalidPath => NotServed::Busy(format!("opening the file: {error}")),
            problem => problem,
        })?;
        Ok(Found {
            etag: etag(&path, &metadata, &self.etag_suffixes)?,
            length: length(&file)?,
            file,
            path,
            modified,
            encoding: None,
            is_index,
        })
    }
}

fn not_read(error: &io::Error) -> NotServed {
    match error.kind() {
        ErrorKind::NotFound => NotServed::NotFound,
        ErrorKind::PermissionDenied => NotServed::Forbidden,
        _ => NotServed::InvalidPath,
    }
}

/// The length of what was opened: it may be another file than the one that was looked at.
fn length(file: &File) -> Result<u64, NotServed> {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err(NotServed::NotFound),
        Err(error) => Err(NotServed::Failed(format!("looking at the open file: {error}"))),
    }
}

/// Whether a time says when a file was changed. Images and archives made to be the same each time have these.
fn is_useful(modified: &SystemTime) -> bool {
    !matches!(
        modified.duration_since(UNIX_EPOCH).map(|since| since.as_secs()),
        Ok(0 | 1)
    )
}

/// The `ETag` that lies beside a file, else one made of its time and length.
fn etag(path: &str, metadata: &Metadata, suffixes: &[Box<str>]) -> Result<Option<String>, NotServed> {
    for suffix in suffixes {
        let mut text = Vec::new();
        let read = File::open(format!("{path}{suffix}"))
            .and_then(|file| file.take(MAX_ETAG + 1).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(NotServed::Failed(format!(
                    "reading the ETag of the file: {error}"
                )));
            }
            Ok(_) if text.len() as u64 > MAX_ETAG => {
                return Err(NotServed::Failed(format!(
                    "the ETag is longer than {MAX_ETAG} bytes"
                )));
            }
            Ok(_) => {
                text.retain(|byte| *byte != b'\n');
                let text = String::from_utf8(text)
                    .map_err(|_| NotServed::Failed("the ETag of the file is no text".into()))?;
                return Ok(Some(text).filter(|text| !text.is_empty()));
            }
        }
    }
    let modified = metadata.modified().ok().filter(is_useful);
    Ok(modified.map(|modified| {
        let (sign, nanoseconds) = match modified.duration_since(UNIX_EPOCH) {
            Ok(since) => ("", since.as_nanos()),
            Err(before) => ("-", before.duration().as_nanos()),
        };
        format!(
            "\"{sign}{}{}\"",
            base36(nanoseconds),
            base36(u128::from(metadata.len()))
        )
    }))
}

fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = (number % 36) as u8;
        digits.push(char::from(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        }));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// A path from the root of the file system on, if the working directory is known; without a slash at its end.
fn absolute(path: &str) -> String {
    let whole = if path.starts_with('/') {
        paths::sanitized_path_join("/", path)
    } else {
        match std::env::current_dir() {
            Ok(folder) => paths::sanitized_path_join("/", &super::text(&folder.join(path))),
            Err(_) => path.to_owned(),
        }
    };
    match whole.strip_suffix('/') {
        Some("") | None => whole,
        Some(whole) => whole.to_owned(),
    }
}

/// Patterns with a slash are paths, relative to the working directory.
fn absolute_patterns(patterns: &[String]) -> Vec<String> {
    let whole = |pattern: &String| {
        if pattern.contains('/') {
            absolute(pattern)
        } else {
            pattern.clone()
        }
    };
    patterns.iter().map(whole).collect()
}

/// Whether a path is hidden: by a pattern without a slash if one of its elements fits, by one with a slash if the
/// whole fits or lies below. A wrong pattern hides nothing.
pub(super) fn is_hidden(path: &str, hide: &[String]) -> bool {
    let fits = |pattern: &str, name: &str| paths::glob_match(pattern, name).unwrap_or(false);
    hide.iter().any(|pattern| {
        let hidden = if pattern.contains('/') {
            path.strip_prefix(pattern.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        } else {
            path.split('/').any(|element| fits(pattern, element))
        };
        hidden || fits(pattern, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, pattern: &str, expected: bool) {
        assert_eq!(
            is_hidden(path, &[pattern.to_owned()]),
            expected,
            "{path} {pattern}"
        );
    }

    #[test]
    fn names_hide_everywhere_and_paths_only_there() {
        check("/a/bar", "bar", true);
        check("/bar/a", "bar", true);
        check("/barstool", "bar", false);
        check("/a/b.key", "*.key", true);
        check("/a/b", "/a/b", true);
        check("/a/b/c", "/a/b", true);
        check("/a/bc", "/a/b", false);
        check("/x/a/b", "/a/b", false);
        check("/a/x/b", "/a/*/b", true);
        check("/a/x/y/b", "/a/*/b", false);
        check("/a", "[", false);
        check("/a/b", "/", false);
        // A placeholder without a value hides all rather than nothing.
        check("/a", "", true);
    }

    #[test]
    fn numbers_have_36_digits() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(35), "z");
        assert_eq!(base36(36), "10");
        assert_eq!(base36(3000), "2bc");
    }
}
