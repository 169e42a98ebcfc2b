//! From a file to a config.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fairway_caddyfile::{Diagnostic, Environment, Files, Options, Origin, Source};
use fairway_engine::config::Config;
use fairway_server::tls;

use crate::cli::{self, Adapter};
use crate::diagnostics::Broken;

/// A config, and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub config: Config,
    /// What is worth knowing although the config is good.
    pub warnings: Vec<Diagnostic>,
    /// The file; none for standard input.
    pub path: Option<PathBuf>,
    /// A hash of the certificates, keys and authorities that the config names by their files.
    pub certificates: u64,
}

impl Loaded {
    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        let name = self.path.as_deref().unwrap_or(Path::new("standard input"));
        name.display().to_string()
    }

    /// Whether it serves the same as another.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.certificates == other.certificates && self.config == other.config
    }
}

/// Reads the config that the flags name. The mistakes of a Caddyfile are in the error, all of them: [`Broken`].
pub(crate) fn load(args: &cli::Config) -> anyhow::Result<Loaded> {
    load_seen(args, &mut Seen::default())
}

/// [`load`], which tells as well what was read, also when it fails.
pub(crate) fn load_seen(args: &cli::Config, seen: &mut Seen) -> anyhow::Result<Loaded> {
    seen.0.clear();
    if let Some(path) = args.file.as_deref().filter(|path| *path != Path::new("-")) {
        seen.note(path);
    } else if args.file.is_none() {
        seen.note(Path::new("Caddyfile"));
    }
    let (path, text) = read(args.file.as_deref())?;
    make(args, path, text, seen)
}

/// [`load`] of standard input that was read already.
pub(crate) fn load_text(args: &cli::Config, text: String) -> anyhow::Result<Loaded> {
    make(args, None, text, &mut Seen::default())
}

fn make(args: &cli::Config, path: Option<PathBuf>, text: String, seen: &mut Seen) -> anyhow::Result<Loaded> {
    let is_caddyfile = match args.adapter {
        Some(Adapter::Caddyfile) => true,
        None => args.file.is_none() || path.as_deref().is_some_and(is_named_caddyfile),
    };
    let mut loaded = if is_caddyfile {
        adapt(path, text, seen)?
    } else {
        parse_json(path, &text)?
    };
    let mut hasher = DefaultHasher::new();
    for file in tls::files(&loaded.config) {
        seen.note(file).hash(&mut hasher);
    }
    loaded.certificates = hasher.finish();
    Ok(loaded)
}

/// As Caddy tells them apart: by the name.
fn is_named_caddyfile(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default();
    (name.starts_with("Caddyfile") || extension == "caddyfile") && extension != "json"
}

/// The text of a file, or of standard input.
pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<(Option<PathBuf>, String)> {
    if path == Some(Path::new("-")) {
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .context("reading standard input")?;
        return Ok((
            None,
            String::from_utf8(bytes).context("standard input is not UTF-8 text")?,
        ));
    }
    let path = path.unwrap_or(Path::new("Caddyfile"));
    let bytes = std::fs::read(path).with_context(|| {
        if path.exists() {
            format!("reading {}", path.display())
        } else {
            format!(
                "there is no config file {}; name one with --config FILE",
                path.display()
            )
        }
    })?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", path.display()))?;
    Ok((Some(path.to_owned()), text))
}

fn adapt(path: Option<PathBuf>, text: String, seen: &mut Seen) -> anyhow::Result<Loaded> {
    if text.trim().is_empty() {
        // As in Caddy; and whoever watches may see a file between being emptied and being written.
        let name = path.as_deref().unwrap_or(Path::new("standard input"));
        bail!(
            "{} is empty; a Caddyfile has at least a site, such as `:8080`",
            name.display()
        );
    }
    let source = match &path {
        Some(path) => Source::from_file(Origin::operator(&path.to_string_lossy()), path.clone(), text),
        None => Source::new(Origin::operator("standard input"), "-", text),
    };
    let process = Process {
        seen: RefCell::new(seen),
    };
    let options = Options {
        environment: &process,
        files: &process,
        ..Options::default()
    };
    let adapted = fairway_engine::adapt(source, &options);
    if adapted.has_errors() {
        let name = path.as_deref().unwrap_or(Path::new("standard input"));
        return Err(Broken {
            name: name.display().to_string(),
            diagnostics: adapted.diagnostics,
        }
        .into());
    }
    Ok(Loaded {
        config: adapted.config,
        warnings: adapted.diagnostics,
        path,
        certificates: 0,
    })
}

fn parse_json(path: Option<PathBuf>, text: &str) -> anyhow::Result<Loaded> {
    let name = path
        .as_deref()
        .unwrap_or(Path::new("standard input"))
        .display()
        .to_string();
    let config = serde_json::from_str(text).with_context(|| {
        let hint = if text.trim_start().starts_with('{') {
            ""
        } else {
            "; if it is a Caddyfile, say --adapter caddyfile"
        };
        format!("{name} is no JSON config{hint}")
    })?;
    Ok(Loaded {
        config,
        warnings: Vec::new(),
        path,
        certificates: 0,
    })
}

/// The process's own environment, and files that it remembers.
struct Process<'s> {
    seen: RefCell<&'s mut Seen>,
}

impl Environment for Process<'_> {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Files for Process<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.seen.borrow_mut().note(path);
        std::fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.seen.borrow_mut().note(folder);
        names(folder)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let names = std::fs::read_dir(folder)?;
    names
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The files and folders that a config was read from, and those that it names for TLS, as they were then.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<(PathBuf, u64)>);

impl Seen {
    fn note(&mut self, path: &Path) -> u64 {
        let now = fingerprint(path);
        self.0.push((path.to_owned(), now));
        now
    }

    /// All of them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// Whether they are all as they were: reading the config again would tell nothing new.
    pub(crate) fn is_current(&self) -> bool {
        self.0.iter().all(|(path, then)| fingerprint(path) == *then)
    }
}

/// A hash of what a file holds, or of the names in a folder.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    if path.is_dir() || path.as_os_str().is_empty() {
        let mut names = names(path).unwrap_or_default();
        names.sort();
        names.hash(&mut hasher);
    } else {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_no_config() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Caddyfile");
        std::fs::write(&file, "\n \n").unwrap();
        let args = cli::Config {
            file: Some(file),
            adapter: None,
            envfile: Vec::new(),
        };
        let error = load(&args).unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }

    #[test]
    fn what_was_read_is_current_until_one_of_the_files_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
        write("Caddyfile", ":80 {\n\timport parts/*\n}\n");
        std::fs::create_dir(file("parts")).unwrap();
        write("parts/a", "respond a\n");
        let args = cli::Config {
            file: Some(file("Caddyfile")),
            adapter: None,
            envfile: Vec::new(),
        };
        let mut seen = Seen::default();
        load_seen(&args, &mut seen).unwrap();
        assert!(seen.is_current());
        write("own.log", "a line that has nothing to do with it");
        assert!(seen.is_current());
        write("parts/a", "respond b\n");
        assert!(!seen.is_current());
        // Also where it is broken, and where a file comes to a folder.
        write("parts/a", "respnd b\n");
        assert!(load_seen(&args, &mut seen).is_err());
        assert!(seen.is_current());
        write("parts/b", "respond b\n");
        assert!(!seen.is_current());
    }
}
