//! A look at the disk, away from the traffic threads: which of several files is there.

use std::fs::{self, Metadata};
use std::path::Path;

use crate::paths;

/// What the disk is asked for one request. Two that are equal have the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// Cleaned.
    pub(super) root: String,
    pub(super) patterns: Vec<Pattern>,
    pub(super) policy: Policy,
}

/// A file to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// With the root. May stand for several files.
    pub path: String,
    /// What was split off the path.
    pub remainder: String,
    /// Ends the search for the first, instead of a file.
    pub status: Option<u16>,
}

/// Which file is meant of those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    First,
    /// The first; the last pattern is taken whatever it finds.
    FirstOrLast,
    Smallest,
    Largest,
    Newest,
}

/// What the disk says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    Found(Found),
    Status(u16),
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub path: String,
    /// The path without the root.
    pub relative: String,
    pub remainder: String,
    pub is_folder: bool,
}

impl Lookup {
    /// Looks.
    pub(crate) fn run(&self) -> Answer {
        let best = match self.policy {
            Policy::First | Policy::FirstOrLast => return self.first(),
            Policy::Smallest => self.best(|of_file, best| best.len() == 0 || of_file.len() < best.len()),
            Policy::Largest => self
                .best(|of_file, best| of_file.len() > best.len())
                .filter(|(_, metadata)| metadata.len() > 0),
            Policy::Newest => self.best(|of_file, best| {
                let times = (of_file.modified().ok(), best.modified().ok());
                times.0 > times.1
            }),
        };
        best.map_or(Answer::Nothing, |(mut found, metadata)| {
            found.is_folder = metadata.is_dir();
            Answer::Found(found)
        })
    }

    fn first(&self) -> Answer {
        let last = self.patterns.len() - 1;
        for (index, pattern) in self.patterns.iter().enumerate() {
            if let Some(status) = pattern.status {
                return Answer::Status(status);
            }
            for mut found in self.candidates(pattern) {
                if index == last && self.policy == Policy::FirstOrLast {
                    return Answer::Found(found);
                }
                let is_folder = fs::metadata(&found.path).map(|metadata| metadata.is_dir());
                if is_folder.is_ok_and(|is_folder| is_folder == found.path.ends_with('/')) {
                    found.is_folder = found.path.ends_with('/');
                    return Answer::Found(found);
                }
            }
        }
        Answer::Nothing
    }

    /// The file before which no other one is.
    fn best(&self, is_before: impl Fn(&Metadata, &Metadata) -> bool) -> Option<(Found, Metadata)> {
        let mut best: Option<(Found, Metadata)> = None;
        for found in self.patterns.iter().flat_map(|pattern| self.candidates(pattern)) {
            let Ok(metadata) = fs::metadata(&found.path) else {
                continue;
            };
            if best.as_ref().is_none_or(|(_, best)| is_before(&metadata, best)) {
                best = Some((found, metadata));
            }
        }
        best
    }

    fn candidates(&self, pattern: &Pattern) -> impl Iterator<Item = Found> {
        glob(&pattern.path).into_iter().map(|path| Found {
            relative: path.strip_prefix(&*self.root).unwrap_or(&path).to_owned(),
            path,
            remainder: pattern.remainder.clone(),
            is_folder: false,
        })
    }
}

/// The files that a pattern stands for, sorted within each folder; none for a wrong pattern.
///
/// A slash at the end is kept, but only of a pattern that stands for itself; any other one with it finds nothing, as
/// in Go.
fn glob(pattern: &str) -> Vec<String> {
    if !has_meta(pattern) {
        return if is_there(pattern) {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        };
    }
    if paths::glob_match(pattern, "").is_err() {
        return Vec::new();
    }
    // Not by calling itself: a client chooses how many elements there are.
    let mut elements = pattern.split('/');
    let mut folder = String::new();
    let mut first = None;
    for element in elements.by_ref() {
        if has_meta(element) {
            first = Some(element);
            break;
        }
        folder.push_str(element);
        folder.push('/');
    }
    let folder = match folder.len() {
        0 => ".",
        1 => "/",
        length => &folder[..length - 1],
    };
    let mut found = vec![folder.to_owned()];
    for element in first.into_iter().chain(elements) {
        found = found.iter().flat_map(|folder| within(folder, element)).collect();
        if found.is_empty() {
            break;
        }
    }
    found
}

/// What of a folder matches one element of a pattern.
fn within(folder: &str, element: &str) -> Vec<String> {
    let path = |name: &str| paths::clean(&format!("{folder}/{name}"));
    if let Some(name) = literal(element) {
        let is_name = !matches!(name.as_str(), "" | "." | "..");
        let path = path(&name);
        return if is_name && is_there(&path) {
            vec![path]
        } else {
            Vec::new()
        };
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| paths::glob_match(element, name) == Ok(true))
        .collect();
    names.sort();
    names.iter().map(|name| path(name)).collect()
}

/// Whether a file is there, be it a link that leads nowhere.
fn is_there(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_ok()
}

/// Whether a pattern may stand for another name than itself.
fn has_meta(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '\\'])
}

/// The only name that an element stands for, if there is only one.
fn literal(element: &str) -> Option<String> {
    let mut name = String::new();
    let mut letters = element.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' | '?' | '[' => return None,
            '\\' => name.push(letters.next()?),
            letter => name.push(letter),
        }
    }
    Some(name)
}
