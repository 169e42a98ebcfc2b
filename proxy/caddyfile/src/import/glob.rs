//! The patterns of `import`: at most one `*` and one `?`, matched in sorted order.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::options::Files;

/// What a path pattern stands for.
pub(super) enum Pattern {
    /// A single file, which must be there.
    File(PathBuf),
    /// A pattern, which may match nothing.
    Glob(PathBuf),
    /// More wildcards than one of each kind.
    TooMany,
}

/// Joins `pattern` to the folder it is relative to.
pub(super) fn pattern(folder: &Path, pattern: &str) -> Pattern {
    let path = clean(&folder.join(pattern));
    let text = path.to_string_lossy();
    let count = |wildcard| text.matches(wildcard).count();
    if count('*') > 1 || count('?') > 1 || (text.contains('[') && text.contains(']')) {
        Pattern::TooMany
    } else if text.contains(['*', '?']) {
        Pattern::Glob(path)
    } else {
        Pattern::File(path)
    }
}

/// Removes `.` and `..` by their text alone, as Caddy does.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    out
}

/// The paths that match, sorted; at most `most`. A last part that begins with `*` skips names with a leading dot.
pub(super) fn expand(pattern: &Path, files: &dyn Files, most: usize) -> Vec<PathBuf> {
    let components: Vec<Component<'_>> = pattern.components().collect();
    let mut paths = vec![PathBuf::new()];
    for (index, component) in components.iter().enumerate() {
        let part = component.as_os_str().to_string_lossy();
        if !part.contains(['*', '?']) {
            for path in &mut paths {
                path.push(component);
            }
            continue;
        }
        let skips_hidden = index + 1 == components.len() && part.starts_with('*');
        paths = paths
            .iter()
            .flat_map(|folder| names(folder, &part, skips_hidden, files))
            .take(most)
            .collect();
    }
    paths.retain(|path| files.exists(path));
    paths
}

/// The entries of a folder that match.
fn names(folder: &Path, part: &str, skips_hidden: bool, files: &dyn Files) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut names = files.list(here).unwrap_or_default();
    names.retain(|name| matches(part, name) && !(skips_hidden && name.starts_with('.')));
    names.sort_unstable();
    names.iter().map(|name| folder.join(OsStr::new(name))).collect()
}

/// Whether a name matches a part of a pattern that has at most one `*`.
fn matches(part: &str, name: &str) -> bool {
    let same = |part: &str, name: &str| {
        let mut name = name.chars();
        part.chars()
            .all(|c| name.next().is_some_and(|n| c == '?' || c == n))
            && name.next().is_none()
    };
    let Some((head, tail)) = part.split_once('*') else {
        return same(part, name);
    };
    let (head_chars, tail_chars, name_chars) =
        (head.chars().count(), tail.chars().count(), name.chars().count());
    if name_chars < head_chars + tail_chars {
        return false;
    }
    let start: String = name.chars().take(head_chars).collect();
    let end: String = name.chars().skip(name_chars - tail_chars).collect();
    same(head, &start) && same(tail, &end)
}
