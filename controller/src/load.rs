//! From a file to a config.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fairway_caddyfile::{Diagnostic, Environment, Files, Options, Origin, Source};
use fairway_engine::config::Config;

use crate::cli::{self, Adapter};

/// A config, and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub config: Config,
    /// What is worth knowing although the config is good.
    pub warnings: Vec<Diagnostic>,
    /// The file; none for standard input.
    pub path: Option<PathBuf>,
}

/// Reads the config that the flags name. The mistakes of a Caddyfile are printed, all of them.
pub(crate) fn load(args: &cli::Config) -> anyhow::Result<Loaded> {
    let (path, text) = read(args.file.as_deref())?;
    let is_caddyfile = match args.adapter {
        Some(Adapter::Caddyfile) => true,
        None => args.file.is_none() || path.as_deref().is_some_and(is_named_caddyfile),
    };
    if is_caddyfile {
        adapt(path, text)
    } else {
        parse_json(path, &text)
    }
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

fn adapt(path: Option<PathBuf>, text: String) -> anyhow::Result<Loaded> {
    let source = match &path {
        Some(path) => Source::from_file(Origin::operator(&path.to_string_lossy()), path.clone(), text),
        None => Source::new(Origin::operator("standard input"), "-", text),
    };
    let options = Options {
        environment: &Process,
        files: &Process,
        ..Options::default()
    };
    let adapted = fairway_engine::adapt(source, &options);
    if adapted.has_errors() {
        print(&adapted.diagnostics);
        let count = adapted
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .count();
        let mistakes = if count == 1 {
            "one mistake".to_owned()
        } else {
            format!("{count} mistakes")
        };
        bail!(
            "{mistakes} in {}",
            path.as_deref().unwrap_or(Path::new("standard input")).display()
        );
    }
    Ok(Loaded {
        config: adapted.config,
        warnings: adapted.diagnostics,
        path,
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
    })
}

/// Prints diagnostics to standard error, each with its excerpt.
pub(crate) fn print(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        eprintln!("{}\n", diagnostic.render());
    }
}

/// The process's own environment and files.
struct Process;

impl Environment for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Files for Process {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
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

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}
