//! A folder of Kubernetes manifests and the program that serves it.
//!
//! What it is for: the tests of `fairway run --manifests`, and `make demo`. A [`Folder`] is written file by file, each
//! one whole; a [`Program`] serves it on free ports; a [`Connection`] asks for pages, and a [`Load`] asks for them all
//! the time. [`upstream`] is what stands behind.
//!
//! Where to start reading: [`Program::start`]. All tasks belong to the runtime that they were started in.

mod client;
mod load;
mod program;
mod upstream;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use client::{Answer, Connection, get};
pub use load::{Load, Tally};
pub use program::Program;
pub use upstream::upstream;

/// A temporary folder of manifests; it goes with its owner.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        TempDir::with_prefix("fairway-").map(Self)
    }

    /// One with the manifests of another folder.
    pub fn copy_of(other: &Path) -> io::Result<Self> {
        let folder = Self::new()?;
        for entry in fs::read_dir(other)? {
            let path = entry?.path();
            if let Some(name) = path.file_name().filter(|_| path.is_file()) {
                fs::copy(&path, folder.0.path().join(name))?;
            }
        }
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// What a file holds.
    pub fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.file(name))
    }

    /// Writes a file. It takes its place whole, so that no half of it is ever read.
    pub fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.file(&format!(".{name}"));
        fs::write(&new, text)?;
        fs::rename(new, self.file(name))
    }

    /// Takes a file away.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.file(name))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
