//! `--envfile`: files of `KEY=VALUE` lines.
//!
//! The environment of a process must not be changed once it has threads, so the program starts itself anew with the
//! larger environment: same process, same arguments, less the flag.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Tells the new program that the files are read.
const DONE: &str = "FAIRWAY_ENVFILE_READ";

/// Starts anew with the variables of `files`, unless there are none or it has happened. Variables that are set stay.
pub(crate) fn apply(files: &[PathBuf]) -> anyhow::Result<()> {
    if files.is_empty() || std::env::var_os(DONE).is_some() {
        return Ok(());
    }
    let mut variables = Vec::new();
    for file in files {
        variables.extend(read(file)?);
    }
    variables.retain(|(name, _)| std::env::var_os(name).is_none());
    match restart(variables)? {}
}

fn restart(variables: Vec<(String, String)>) -> anyhow::Result<Infallible> {
    let program = std::env::current_exe().context("finding the program's own file")?;
    let error = Command::new(program)
        .args(std::env::args_os().skip(1))
        .envs(variables)
        .env(DONE, "1")
        .exec();
    Err(error).context("starting anew with the environment of --envfile")
}

fn read(file: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            bail!(
                "{}:{}: `{line}` is not of the form KEY=VALUE",
                file.display(),
                index + 1
            );
        };
        let name = name.trim();
        if name.is_empty() || name.contains([' ', '\t', '\0']) || value.contains('\0') {
            bail!(
                "{}:{}: `{name}` cannot be the name of a variable",
                file.display(),
                index + 1
            );
        }
        variables.push((name.to_owned(), unquote(value.trim()).to_owned()));
    }
    Ok(variables)
}

fn unquote(value: &str) -> &str {
    let inside = |quote| {
        value
            .strip_prefix(quote)
            .and_then(|value| value.strip_suffix(quote))
    };
    inside('"').or_else(|| inside('\'')).unwrap_or_else(|| {
        // Behind white space, `#` begins a comment.
        value.find(" #").map_or(value, |at| value[..at].trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_and_names_the_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(
            &file,
            "# a comment\nA=1\n\nexport B = \"x y\"\nC='#no'\nD=v # comment\n",
        )
        .unwrap();
        let expected = [("A", "1"), ("B", "x y"), ("C", "#no"), ("D", "v")];
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(read(&file).unwrap(), expected);
        std::fs::write(&file, "A=1\nnothing\n").unwrap();
        assert!(
            read(&file)
                .unwrap_err()
                .to_string()
                .ends_with("env:2: `nothing` is not of the form KEY=VALUE")
        );
    }
}
