//! `fairway fmt`: the layout of `caddy fmt`, also of the Caddyfiles in manifests.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::cli::{self, Format};
use crate::diagnostics::{self, About, Summary};
use crate::embedded::{self, Reformatted};
use crate::manifests::is_manifest;
use crate::{load, stdout};

/// The code of a text that is not formatted.
const UNFORMATTED: &str = "not-formatted";

/// Formats a file as the flags say.
pub(crate) fn fmt(args: &cli::Fmt) -> anyhow::Result<()> {
    let named = args.file.as_deref().or(args.config.as_deref());
    let (path, text) = load::read(named)?;
    let (formatted, left) = if is_manifest(path.as_deref(), &text) {
        manifests(&text)
    } else {
        (fairway_caddyfile::format(&text), Vec::new())
    };
    let file = path.as_deref();
    let name = file.map_or("-".to_owned(), |path| path.display().to_string());
    if let (true, Some(path)) = (args.overwrite, file) {
        if text != formatted {
            replace(path, &formatted).with_context(|| format!("writing {}", path.display()))?;
        }
    } else {
        let output = if args.diff {
            diff(&text, &formatted)
        } else {
            formatted.clone()
        };
        stdout::print(output)?;
    }
    let is_left = !left.is_empty();
    for (line, object) in left {
        let message = format!("{object} is not formatted, and cannot be as it is written");
        let help = "write it as a block below `|`";
        report(&name, line, &message, Some(help), args.format);
    }
    match first_difference(&text, &formatted) {
        Some(line) if file.is_some() && !args.overwrite => {
            let help = "--overwrite formats it in place";
            if args.format == Format::Json {
                report(&name, line, "the file is not formatted", Some(help), args.format);
            }
            Err(Summary(format!("{name}:{line}: the file is not formatted; {help}")).into())
        }
        _ if is_left => Err(Summary(format!("{name} is not formatted")).into()),
        _ => Ok(()),
    }
}

fn report(name: &str, line: usize, message: &str, help: Option<&str>, format: Format) {
    let about = About {
        severity: "error",
        code: UNFORMATTED,
        message,
        help,
        at: Some((name, line)),
        ..About::default()
    };
    diagnostics::print_about(&about, format);
}

/// Formats the Caddyfiles in manifests and keeps every other byte. Those that have to stay as they are come with it:
/// the line on which each begins, and its name.
fn manifests(text: &str) -> (String, Vec<(usize, String)>) {
    let mut formatted = text.to_owned();
    let mut left = Vec::new();
    // From the end, so that what comes before stays where it is.
    for embedded in embedded::find(text).iter().rev() {
        let new = fairway_caddyfile::format(&embedded.text);
        if !embedded.is_caddyfile() || new.trim_end() == embedded.text.trim_end() {
            continue;
        }
        // How a text ends is said by how it is written.
        let new = if embedded.text.ends_with('\n') {
            &*new
        } else {
            new.trim_end()
        };
        match embedded.scalar.replace(new) {
            Reformatted::Bytes(range, new) => formatted.replace_range(range, &new),
            Reformatted::NotHere => {
                let line = text[..embedded.scalar.start].matches('\n').count() + 1;
                left.insert(0, (line, embedded.name.clone()));
            }
        }
    }
    (formatted, left)
}

/// Writes a new file beside the old one and puts it in its place, so that nothing is lost midway.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let target = std::fs::canonicalize(path)?;
    let permissions = std::fs::metadata(&target)?.permissions();
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".fmt~");
    let beside = target.with_file_name(name);
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, permissions))
        .and_then(|()| std::fs::rename(&beside, &target));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// The number of the first line that differs, counted from 1.
fn first_difference(before: &str, after: &str) -> Option<usize> {
    if before == after {
        return None;
    }
    let same = before
        .lines()
        .zip(after.lines())
        .take_while(|(before, after)| before == after)
        .count();
    Some(same + 1)
}

/// Both texts line by line: common lines at the beginning and the end once, what lies between twice.
fn diff(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut output = String::new();
    let (mut left, mut right) = (0, 0);
    while left < before.len() || right < after.len() {
        if left < before.len() && before.get(left) == after.get(right) {
            let _ = writeln!(output, "  {}", before[left]);
            (left, right) = (left + 1, right + 1);
            continue;
        }
        // The formatter keeps words in order, so the texts meet again soon; look a few lines ahead on both sides.
        let meet = (1..64).find_map(|steps| {
            (0..=steps).map(|l| (l, steps - l)).find(|&(l, r)| {
                matches!((before.get(left + l), after.get(right + r)), (Some(a), Some(b)) if a == b)
            })
        });
        let (l, r) = meet.unwrap_or((before.len() - left, after.len() - right));
        for line in &before[left..left + l] {
            let _ = writeln!(output, "- {line}");
        }
        for line in &after[right..right + r] {
            let _ = writeln!(output, "+ {line}");
        }
        (left, right) = (left + l, right + r);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_changed_line_beside_its_new_form() {
        let before = "a {\nb\n}\n";
        assert_eq!(
            diff(before, &fairway_caddyfile::format(before)),
            "  a {\n- b\n+ \tb\n  }\n"
        );
        assert_eq!(diff("a\n", "a\n"), "  a\n");
        assert_eq!(diff("", "a\n"), "+ a\n");
    }

    #[test]
    fn names_the_first_line_that_differs() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\n\tb\n"), Some(2));
        assert_eq!(first_difference("a", "a\n"), Some(2));
    }
}
