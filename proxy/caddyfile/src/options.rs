//! What the parser asks of the world, and how much it may spend.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::origin::Origin;
use crate::tree::Snippet;

/// Environment variables, for `{$NAME}`.
pub trait Environment {
    /// The value of a variable, if it is set.
    fn var(&self, name: &str) -> Option<String>;
}

/// The file system, for `import`.
pub trait Files {
    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a folder, in any order. An error means that there is nothing to list.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;
}

/// Snippets of other objects.
pub trait Library {
    /// The snippet that `name`, written by `from`, means outside its own text; only if `from` may use it.
    fn snippet(&self, name: &str, from: &Origin) -> Option<Arc<Snippet>>;

    /// Why there is no such snippet for `from`, if more can be said than that: a sentence without its full stop.
    fn refusal(&self, _name: &str, _from: &Origin) -> Option<String> {
        None
    }

    /// The names that `from` may use, for "did you mean".
    fn names(&self, _from: &Origin) -> Vec<String> {
        Vec::new()
    }
}

/// No environment, no files, no library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Environment for Nothing {
    fn var(&self, _name: &str) -> Option<String> {
        None
    }
}

impl Files for Nothing {
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn exists(&self, _path: &Path) -> bool {
        false
    }
}

impl Library for Nothing {
    fn snippet(&self, _name: &str, _from: &Origin) -> Option<Arc<Snippet>> {
        None
    }
}

/// Bounds on what one text may cost. Passing one ends the parse with a single diagnostic.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one text, before and after its variables are substituted.
    pub source_bytes: usize,
    /// Bytes that all imports together may produce.
    pub imported_bytes: usize,
    /// Tokens read and produced by imports, together.
    pub tokens: usize,
    /// Imports within imports.
    pub import_depth: usize,
    /// Imports carried out, together.
    pub imports: usize,
    /// Blocks within blocks.
    pub nesting: usize,
    /// Diagnostics kept; those beyond are counted only.
    pub diagnostics: usize,
}

/// Generous: for an operator's files.
impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 64 << 20,
            imported_bytes: 256 << 20,
            tokens: 2_000_000,
            import_depth: 50,
            imports: 200_000,
            nesting: 100,
            diagnostics: 200,
        }
    }
}

impl Limits {
    /// For one object of a cluster, whose text the API server holds to about 1.5 MB.
    pub fn object() -> Self {
        Self {
            source_bytes: 2 << 20,
            imported_bytes: 16 << 20,
            tokens: 200_000,
            import_depth: 20,
            imports: 5_000,
            nesting: 50,
            diagnostics: 50,
        }
    }
}

/// How to parse.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Variables for an operator's `{$NAME}`; a tenant's are refused.
    pub environment: &'a dyn Environment,
    /// Files for an operator's `import`; a tenant's are refused.
    pub files: &'a dyn Files,
    /// Snippets of other objects.
    pub library: &'a dyn Library,
    /// Bounds.
    pub limits: Limits,
}

/// Nothing around, and the operator's limits.
impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            environment: &Nothing,
            files: &Nothing,
            library: &Nothing,
            limits: Limits::default(),
        }
    }
}
