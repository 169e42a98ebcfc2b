//! A folder of YAML files in place of an API server.
//!
//! Every document is judged by itself, as an API server would: one that cannot be read leaves the object as it was,
//! and its neighbours alone. Kinds that mean nothing to an ingress controller are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::objects::{
    CaddyRoute, EndpointSlice, Ingress, IngressClass, Key, Meta, Namespace, ReferenceGrant, Secret, Service,
};
use crate::snapshot::Snapshot;

/// Folders within folders that are looked into.
const DEPTH: usize = 8;
/// Bytes of a file that is read; an API server takes objects of 1.5 MB.
const FILE_BYTES: u64 = 64 << 20;

/// A folder of manifests, and what was last read from it.
#[derive(Debug)]
pub(crate) struct Manifests {
    folder: PathBuf,
    objects: Objects,
}

/// A file of manifests that was named on the command line, or standard input.
#[derive(Debug)]
pub(crate) struct Given {
    /// None for standard input.
    pub path: Option<PathBuf>,
    pub text: String,
}

impl Given {
    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "-".to_owned(),
        }
    }
}

type Objects = BTreeMap<(&'static str, Key), Entry>;

/// An object and where it stands.
#[derive(Clone, Debug)]
struct Entry {
    object: Object,
    place: Place,
    /// What it was read from; the same text is the same object.
    text: Arc<str>,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: PathBuf,
    /// Of the first line of the document, or of the mistake, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A document that could not be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub place: Place,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

#[derive(Clone, Debug)]
enum Object {
    Ingress(Arc<Ingress>),
    Class(Arc<IngressClass>),
    Route(Arc<CaddyRoute>),
    Service(Arc<Service>),
    Slice(Arc<EndpointSlice>),
    Secret(Arc<Secret>),
    Namespace(Arc<Namespace>),
    Grant(Arc<ReferenceGrant>),
}

/// What tells which object a document is.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Header {
    api_version: String,
    kind: String,
    metadata: Meta,
}

impl Manifests {
    /// A folder that has not been read yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            objects: Objects::new(),
        }
    }

    /// Reads the folder as it is now. Fails only if it cannot be listed.
    pub(crate) fn read(&mut self) -> anyhow::Result<(Snapshot, Vec<Problem>)> {
        let files = files(&self.folder)?;
        Ok(self.reading(|reading| files.iter().for_each(|file| reading.file(file))))
    }

    /// Reads texts in place of the files of a folder.
    pub(crate) fn of(given: &[Given]) -> (Self, Snapshot, Vec<Problem>) {
        let read = |reading: &mut Reading<'_>| {
            for given in given {
                reading.text(Path::new(&given.name()), &given.text);
            }
        };
        let mut manifests = Self::new(Path::new(""));
        let (snapshot, problems) = manifests.reading(read);
        (manifests, snapshot, problems)
    }

    fn reading(&mut self, read: impl FnOnce(&mut Reading<'_>)) -> (Snapshot, Vec<Problem>) {
        let mut reading = Reading {
            before: &self.objects,
            objects: Objects::new(),
            problems: Vec::new(),
        };
        read(&mut reading);
        let Reading {
            objects, problems, ..
        } = reading;
        self.objects = objects;
        (self.snapshot(), problems)
    }

    /// Where an object stands.
    pub(crate) fn place(&self, kind: &str, key: &Key) -> Option<&Place> {
        let kind = KINDS.iter().find(|known| known.name == kind)?;
        let entry = self.objects.get(&(kind.name, key.clone()))?;
        Some(&entry.place)
    }

    /// The line on which an object begins, below the comments on it.
    pub(crate) fn first_line(&self, kind: &str, key: &Key) -> Option<Place> {
        let kind = KINDS.iter().find(|known| known.name == kind)?;
        let entry = self.objects.get(&(kind.name, key.clone()))?;
        let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let above = entry.text.lines().position(|line| !is_comment(line));
        let mut place = entry.place.clone();
        place.line += above.unwrap_or(0);
        Some(place)
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for ((_, key), entry) in &self.objects {
            let key = key.clone();
            match &entry.object {
                Object::Ingress(object) => drop(snapshot.ingresses.insert(key, Arc::clone(object))),
                Object::Class(object) => drop(snapshot.classes.insert(key, Arc::clone(object))),
                Object::Route(object) => drop(snapshot.routes.insert(key, Arc::clone(object))),
                Object::Service(object) => drop(snapshot.services.insert(key, Arc::clone(object))),
                Object::Slice(object) => drop(snapshot.slices.insert(key, Arc::clone(object))),
                Object::Secret(object) => drop(snapshot.secrets.insert(key, Arc::clone(object))),
                Object::Namespace(object) => drop(snapshot.namespaces.insert(key, Arc::clone(object))),
                Object::Grant(object) => drop(snapshot.grants.insert(key, Arc::clone(object))),
            }
        }
        snapshot
    }
}

/// The folder while it is read.
struct Reading<'b> {
    before: &'b Objects,
    objects: Objects,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn file(&mut self, file: &Path) {
        let text = match read(file) {
            Ok(text) => text,
            Err(error) => {
                self.problem(file, 1, format!("{error:#}"));
                return self.keep_all_of(file);
            }
        };
        self.text(file, &text);
    }

    fn text(&mut self, file: &Path, text: &str) {
        let mut unnamed = false;
        for (line, document) in documents(text) {
            unnamed |= self.document(file, line, document).is_none();
        }
        if unnamed {
            self.keep_all_of(file);
        }
    }

    /// Reads a document. `None` if it does not even say what it is.
    fn document(&mut self, file: &Path, line: usize, text: &str) -> Option<()> {
        if is_blank(text) {
            return Some(());
        }
        let header: Header = self.parse(file, line, text)?;
        if header.kind.is_empty() {
            self.problem(file, line, "the document has no `kind`".into());
            return None;
        }
        let Some(kind) = Kind::of(&header) else {
            let known = KINDS.iter().find(|kind| kind.name == header.kind);
            if let Some(known) = known {
                let Header {
                    api_version, kind, ..
                } = &header;
                let message = format!(
                    "`{kind}` of `{api_version}` is not read; write `apiVersion: {}`",
                    known.api
                );
                self.problem(file, line, message);
            }
            return Some(());
        };
        let mut meta = header.metadata;
        if meta.name.is_empty() {
            self.problem(file, line, format!("the {} has no `metadata.name`", kind.name));
            return None;
        }
        if !kind.namespaced {
            meta.namespace.clear();
        } else if meta.namespace.is_empty() {
            "default".clone_into(&mut meta.namespace);
        }
        let id = (kind.name, meta.key());
        if let Some(other) = self
            .objects
            .get(&id)
            .filter(|other| other.place.file != file || other.place.line != line)
        {
            let message = format!(
                "{} {} stands at {} already, which counts",
                kind.name, id.1, other.place
            );
            self.problem(file, line, message);
            return Some(());
        }
        let place = Place {
            file: file.to_owned(),
            line,
        };
        let before = self.before.get(&id);
        let entry = match before.filter(|before| *before.text == *text) {
            Some(before) => Some(Entry {
                place,
                ..before.clone()
            }),
            None => match (kind.read)(text, &meta) {
                Ok(object) => Some(Entry {
                    object,
                    place,
                    text: text.into(),
                }),
                Err(error) => {
                    self.yaml_problem(file, line, &error, &format!("{} {}", kind.name, id.1));
                    before.cloned()
                }
            },
        };
        if let Some(entry) = entry {
            self.objects.insert(id, entry);
        }
        Some(())
    }

    fn parse<T: DeserializeOwned>(&mut self, file: &Path, line: usize, text: &str) -> Option<T> {
        let parsed = serde_saphyr::from_str(text);
        parsed
            .map_err(|error| self.yaml_problem(file, line, &error, "this document"))
            .ok()
    }

    fn yaml_problem(&mut self, file: &Path, line: usize, error: &serde_saphyr::Error, what: &str) {
        let at = error
            .location()
            .map_or(line, |location| line + location.line() as usize - 1);
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        let stays = if self.before.is_empty() {
            ""
        } else {
            ", and stays as it was"
        };
        self.problem(file, at, format!("{what} cannot be read{stays}: {first}"));
    }

    fn problem(&mut self, file: &Path, line: usize, message: String) {
        let place = Place {
            file: file.to_owned(),
            line,
        };
        self.problems.push(Problem { place, message });
    }

    /// Nobody can tell what became of the objects of a file: they stay.
    fn keep_all_of(&mut self, file: &Path) {
        for (id, entry) in self.before.iter().filter(|(_, entry)| entry.place.file == file) {
            self.objects.entry(id.clone()).or_insert_with(|| entry.clone());
        }
    }
}

struct Kind {
    name: &'static str,
    api: &'static str,
    namespaced: bool,
    read: fn(&str, &Meta) -> Result<Object, serde_saphyr::Error>,
}

impl Kind {
    fn of(header: &Header) -> Option<&'static Self> {
        let matches = |kind: &&Kind| {
            kind.name == header.kind
                && (kind.api == header.api_version
                    // Grants are the same in all versions.
                    || kind.name == "ReferenceGrant" && header.api_version.starts_with("gateway.networking.k8s.io/"))
        };
        KINDS.iter().find(matches)
    }
}

/// Reads an object; its namespace is what it is after defaulting.
macro_rules! reader {
    ($variant:ident, $kind:ty) => {
        |text, meta| {
            let mut object: $kind = serde_saphyr::from_str(text)?;
            object.metadata.namespace.clone_from(&meta.namespace);
            Ok(Object::$variant(Arc::new(object)))
        }
    };
}

const KINDS: &[Kind] = &[
    Kind {
        name: "Ingress",
        api: "networking.k8s.io/v1",
        namespaced: true,
        read: reader!(Ingress, Ingress),
    },
    Kind {
        name: "IngressClass",
        api: "networking.k8s.io/v1",
        namespaced: false,
        read: reader!(Class, IngressClass),
    },
    Kind {
        name: "CaddyRoute",
        api: "fairway.dev/v1alpha1",
        namespaced: true,
        read: reader!(Route, CaddyRoute),
    },
    Kind {
        name: "Service",
        api: "v1",
        namespaced: true,
        read: reader!(Service, Service),
    },
    Kind {
        name: "EndpointSlice",
        api: "discovery.k8s.io/v1",
        namespaced: true,
        read: reader!(Slice, EndpointSlice),
    },
    Kind {
        name: "Secret",
        api: "v1",
        namespaced: true,
        read: reader!(Secret, Secret),
    },
    Kind {
        name: "Namespace",
        api: "v1",
        namespaced: false,
        read: reader!(Namespace, Namespace),
    },
    Kind {
        name: "ReferenceGrant",
        api: "gateway.networking.k8s.io/v1",
        namespaced: true,
        read: reader!(Grant, ReferenceGrant),
    },
];

/// The documents of a file and the lines on which they begin, counted from 1.
pub(crate) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut line, mut at) = (0, 1, 0);
    for (number, content) in text.split_inclusive('\n').enumerate() {
        let is_mark = content.trim_end() == "---" || content.starts_with("--- ");
        if is_mark {
            documents.push((line, &text[start..at]));
            start = at + content.len();
            line = number + 2;
        }
        at += content.len();
    }
    documents.push((line, &text[start..]));
    documents
}

fn is_blank(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#') || line == "...")
}

fn read(file: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(file).context("reading the file")?.len();
    anyhow::ensure!(
        size <= FILE_BYTES,
        "the file is larger than {} MiB",
        FILE_BYTES >> 20
    );
    let bytes = std::fs::read(file).context("reading the file")?;
    String::from_utf8(bytes).context("the file is not UTF-8 text")
}

/// The manifests in a folder and those below it, sorted.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    list(folder, DEPTH, &mut files)?;
    files.sort();
    Ok(files)
}

/// Whether a text is one of manifests: by its name, or if that does not tell by how it begins.
pub(crate) fn is_manifest(path: Option<&Path>, text: &str) -> bool {
    let is_named = |wanted: &[&str]| {
        let extension = path.and_then(Path::extension);
        extension.is_some_and(|it| wanted.iter().any(|wanted| it == *wanted))
    };
    if is_named(&["yaml", "yml"]) {
        return true;
    }
    if path.is_some() && !is_named(&["json"]) {
        return false;
    }
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#') && *line != "---");
    if first.is_some_and(|first| first.trim_start().starts_with('{')) {
        let header = serde_saphyr::from_str::<Header>(text);
        return header.is_ok_and(|header| !header.kind.is_empty() && !header.api_version.is_empty());
    }
    let keys = ["apiVersion:", "kind:", "metadata:", "spec:"];
    first.is_some_and(|first| keys.iter().any(|key| first.starts_with(key)))
}

/// The manifests in a folder and those below it. Hidden files and folders are passed over.
fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("reading the folder {}", folder.display()))?
            .path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            seen.insert(path);
        }
    }
    for path in seen {
        if path.is_dir() {
            if depth > 0 {
                list(&path, depth - 1, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: api\nspec:\n  ports:\n  - port: 80\n";

    /// Writes files, reads the folder, and tells the names of Services and the problems.
    #[track_caller]
    fn check(manifests: &mut Manifests, files: &[(&str, &str)], services: &[&str], problems: &[&str]) {
        for (name, text) in files {
            std::fs::write(manifests.folder.join(name), text).unwrap();
        }
        let (snapshot, found) = manifests.read().unwrap();
        let names: Vec<String> = snapshot.services.keys().map(Key::to_string).collect();
        assert_eq!(names, services);
        let folder = format!("{}/", manifests.folder.display());
        let found: Vec<String> = found
            .iter()
            .map(|problem| problem.to_string().replace(&folder, ""))
            .collect();
        assert_eq!(found, problems);
    }

    fn folder() -> (tempfile::TempDir, Manifests) {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::new(folder.path());
        (folder, manifests)
    }

    #[test]
    fn reads_documents_and_passes_over_other_kinds() {
        let (_folder, mut manifests) = folder();
        let text = format!(
            "# a comment\n---\n{SERVICE}---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\n---\n"
        );
        check(
            &mut manifests,
            &[("a.yaml", &text), ("b.txt", "no"), (".c.yaml", "{")],
            &["default/api"],
            &[],
        );
    }

    #[test]
    fn a_broken_document_leaves_its_object_and_its_neighbours_as_they_were() {
        let (_folder, mut manifests) = folder();
        let other = SERVICE.replace("name: api", "name: web");
        let both = format!("{SERVICE}---\n{other}");
        check(
            &mut manifests,
            &[("a.yaml", &both)],
            &["default/api", "default/web"],
            &[],
        );
        let broken = both.replacen("port: 80", "port: eighty", 1);
        let message = "a.yaml:7: Service default/api cannot be read, and stays as it was: ";
        let (snapshot, found) = {
            std::fs::write(manifests.folder.join("a.yaml"), &broken).unwrap();
            manifests.read().unwrap()
        };
        assert_eq!(snapshot.services.len(), 2);
        assert!(found[0].to_string().contains(message), "{}", found[0]);
        // What it is cannot be told: all of the file stays.
        std::fs::write(manifests.folder.join("a.yaml"), format!("kind: [\n---\n{other}")).unwrap();
        let (snapshot, found) = manifests.read().unwrap();
        assert_eq!(snapshot.services.len(), 2);
        assert_eq!(found.len(), 1, "{found:?}");
        check(&mut manifests, &[("a.yaml", &other)], &["default/web"], &[]);
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        let (_folder, mut manifests) = folder();
        check(
            &mut manifests,
            &[("a.yaml", SERVICE), ("b.yaml", SERVICE)],
            &["default/api"],
            &["b.yaml:1: Service default/api stands at FOLDER/a.yaml:1 already, which counts"]
                .map(|text| text.replace("FOLDER/", ""))
                .each_ref()
                .map(String::as_str),
        );
    }

    #[test]
    fn wrong_versions_and_missing_names_are_told() {
        let (_folder, mut manifests) = folder();
        let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata:\n  name: x\n";
        let nameless = "apiVersion: v1\nkind: Service\n";
        check(
            &mut manifests,
            &[("a.yaml", old), ("b.yaml", nameless), ("c.yaml", "a: b\n")],
            &[],
            &[
                "a.yaml:1: `Ingress` of `extensions/v1beta1` is not read; write `apiVersion: networking.k8s.io/v1`",
                "b.yaml:1: the Service has no `metadata.name`",
                "c.yaml:1: the document has no `kind`",
            ],
        );
    }

    #[test]
    fn the_same_text_is_the_same_object() {
        let (_folder, mut manifests) = folder();
        check(&mut manifests, &[("a.yaml", SERVICE)], &["default/api"], &[]);
        let (first, _) = manifests.read().unwrap();
        check(
            &mut manifests,
            &[("0.yaml", &SERVICE.replace("name: api", "name: b"))],
            &["default/api", "default/b"],
            &[],
        );
        let (second, _) = manifests.read().unwrap();
        let key = Key::new("default", "api");
        assert!(Arc::ptr_eq(&first.services[&key], &second.services[&key]));
        assert_eq!(manifests.place("Service", &key).unwrap().line, 1);
    }
}
