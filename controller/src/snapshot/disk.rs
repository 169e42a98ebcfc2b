//! The snapshot on disk, for a process that starts while the API server does not answer.
//!
//! The first line tells the version that wrote it and the time, the second holds the objects as JSON, the last a checksum
//! of all before it. No other version reads it, so it promises nothing to anybody. It holds the keys of certificates, so nobody but
//! its owner may read it. A file that is not whole, a full disk or a folder that cannot be written costs a line in the
//! log and nothing else.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, IntoInnerError, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;
use xxhash_rust::xxh64::Xxh64;

use super::{Snapshot, Store};
use crate::metrics::Metrics;
use crate::objects::{
    CaddyRoute, EndpointSlice, HasMeta, Ingress, IngressClass, Key, Namespace, ReferenceGrant, Secret,
    Service,
};

/// Changes with what the objects look like here; a release does so, too.
const FORMAT: u32 = 1;
/// The name of the file, and of the one that takes its place when it is whole.
const FILE: &str = "snapshot";
const UNFINISHED: &str = "snapshot.unfinished";
/// The length of the last line.
const LAST: usize = 17;
/// How long nothing is written after something was: changes that come meanwhile are written together.
const REST: Duration = Duration::from_secs(5);

/// A snapshot that was read, and when it was written.
#[derive(Debug)]
pub(crate) struct Restored {
    pub snapshot: Snapshot,
    pub written: Timestamp,
}

/// Reads the snapshot of a folder beside everything else. Gives nothing if there is none; one that is of no use is told.
pub(crate) fn read(folder: &Path) -> oneshot::Receiver<Option<Restored>> {
    let (sender, receiver) = oneshot::channel();
    let path = folder.join(FILE);
    // A thread of its own, which the end of the process does not wait for: a disk may hang.
    let spawned = std::thread::Builder::new()
        .name("snapshot-read".to_owned())
        .spawn(move || {
            let restored = load(&path).unwrap_or_else(|error| {
                let (path, error) = (path.display(), format!("{error:#}"));
                tracing::warn!(%path, error, "the snapshot on disk is of no use");
                None
            });
            let _ = sender.send(restored);
        });
    if let Err(error) = spawned {
        tracing::warn!(%error, "the snapshot on disk cannot be read");
    }
    receiver
}

/// Keeps the snapshot on disk fresh, away from whoever serves.
pub(crate) struct Keeper {
    writer: SyncSender<(Arc<Snapshot>, HashSet<Key>)>,
    /// When the next is written, if there is anything new.
    due: Option<Instant>,
    rested: Instant,
}

impl Keeper {
    /// Writes into this folder; it is made if need be.
    pub(crate) fn start(folder: PathBuf, metrics: Metrics) -> anyhow::Result<Self> {
        let (writer, snapshots) = sync_channel(1);
        std::thread::Builder::new()
            .name("snapshot-write".to_owned())
            .spawn(move || keep(&folder, &snapshots, &metrics))
            .context("starting to keep snapshots")?;
        Ok(Self {
            writer,
            due: None,
            rested: Instant::now(),
        })
    }

    /// Takes note that the snapshot changed.
    pub(crate) fn note(&mut self) {
        self.due.get_or_insert(self.rested);
    }

    /// Waits until a snapshot is to be written. Nothing is lost if the future is dropped.
    pub(crate) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Writes a snapshot, with no other Secrets than these. Does not wait for the disk.
    pub(crate) fn write(&mut self, snapshot: Arc<Snapshot>, secrets: HashSet<Key>) {
        self.rested = Instant::now() + REST;
        // If the disk is still busy with another, this one waits as if it were new.
        let is_taken = self.writer.try_send((snapshot, secrets)).is_ok();
        self.due = (!is_taken).then_some(self.rested);
    }

    /// Whether there is anything that was not written yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.due.is_some()
    }
}

/// Writes one snapshot after the other. What fails is told once, until it works again.
fn keep(folder: &Path, snapshots: &Receiver<(Arc<Snapshot>, HashSet<Key>)>, metrics: &Metrics) {
    let mut works = true;
    while let Ok((snapshot, secrets)) = snapshots.recv() {
        let saved = save(folder, &snapshot, &secrets);
        // Whoever changes a snapshot that is held has to copy it.
        drop(snapshot);
        metrics.kept(saved.is_ok());
        match saved {
            Ok(()) if !works => tracing::info!("the snapshot is kept on disk again"),
            Ok(()) => {}
            Err(error) if works => {
                let (folder, error) = (folder.display(), format!("{error:#}"));
                tracing::warn!(%folder, error, "the snapshot cannot be kept on disk; a restart needs the API server");
                works = false;
                continue;
            }
            Err(_) => continue,
        }
        works = true;
    }
}

/// Puts a file in the place of the old one, when it is whole.
fn save(folder: &Path, snapshot: &Snapshot, secrets: &HashSet<Key>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|file| write(file, snapshot, secrets)?.sync_all())
        .and_then(|()| fs::rename(&unfinished, folder.join(FILE)));
    if written.is_err() {
        // A full disk is not to stay full for its sake.
        let _ = fs::remove_file(&unfinished);
        return written;
    }
    File::open(folder)?.sync_all()
}

/// Writes object by object: all of them as one text would take as much memory again.
fn write<W: Write>(output: W, snapshot: &Snapshot, secrets: &HashSet<Key>) -> io::Result<W> {
    let mut output = BufWriter::new(Summed {
        output,
        sum: Xxh64::new(0),
    });
    writeln!(output, "{}{:.0}", version(), Timestamp::now())?;
    serde_json::to_writer(&mut output, &objects(snapshot, secrets))?;
    output.write_all(b"\n")?;
    let Summed { mut output, sum } = output.into_inner().map_err(IntoInnerError::into_error)?;
    output.write_all(last_line(&sum).as_bytes())?;
    Ok(output)
}

/// Sums up what is written.
struct Summed<W> {
    output: W,
    sum: Xxh64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn last_line(sum: &Xxh64) -> String {
    format!("{:016x}\n", sum.digest())
}

/// How a file begins.
fn version() -> String {
    format!("fairway-snapshot {FORMAT} {} ", env!("CARGO_PKG_VERSION"))
}

/// Reads a file; `None` if there is none.
fn load(path: &Path) -> anyhow::Result<Option<Restored>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let version = version();
    if !bytes.starts_with(version.as_bytes()) {
        bail!("another version wrote it");
    }
    let (summed, last) = bytes.split_at(bytes.len().saturating_sub(LAST));
    let mut sum = Xxh64::new(0);
    sum.update(summed);
    if last != last_line(&sum).as_bytes() {
        bail!("it is not as it was written");
    }
    let rest = summed.get(version.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (written, objects) = rest.split_at(end.unwrap_or_default());
    let written = std::str::from_utf8(written).context("reading its time")?;
    let written = written.parse().context("reading its time")?;
    Ok(Some(Restored {
        snapshot: restore(objects)?,
        written,
    }))
}

/// The objects of a snapshot as they stand in the file.
#[derive(Serialize, Deserialize)]
struct Objects<I, C, R, V, E, S, N, G> {
    ingresses: Vec<I>,
    classes: Vec<C>,
    routes: Vec<R>,
    services: Vec<V>,
    slices: Vec<E>,
    secrets: Vec<S>,
    namespaces: Vec<N>,
    grants: Vec<G>,
}

/// What is kept of a snapshot: of its Secrets these alone.
fn objects<'s>(snapshot: &'s Snapshot, secrets: &HashSet<Key>) -> impl Serialize + use<'s> {
    let named = snapshot.secrets.iter().filter(|(key, _)| secrets.contains(*key));
    Objects {
        ingresses: list(&snapshot.ingresses),
        classes: list(&snapshot.classes),
        routes: list(&snapshot.routes),
        services: list(&snapshot.services),
        slices: list(&snapshot.slices),
        secrets: named.map(|(_, secret)| &**secret).collect::<Vec<_>>(),
        namespaces: list(&snapshot.namespaces),
        grants: list(&snapshot.grants),
    }
}

fn restore(payload: &[u8]) -> anyhow::Result<Snapshot> {
    type Read =
        Objects<Ingress, IngressClass, CaddyRoute, Service, EndpointSlice, Secret, Namespace, ReferenceGrant>;
    let objects: Read = serde_json::from_slice(payload).context("reading objects from JSON")?;
    Ok(Snapshot {
        ingresses: store(objects.ingresses),
        classes: store(objects.classes),
        routes: store(objects.routes),
        services: store(objects.services),
        slices: store(objects.slices),
        secrets: store(objects.secrets),
        namespaces: store(objects.namespaces),
        grants: store(objects.grants),
    })
}

fn list<T>(store: &Store<T>) -> Vec<&T> {
    store.values().map(|object| &**object).collect()
}

fn store<T: HasMeta>(objects: Vec<T>) -> Store<T> {
    let objects = objects.into_iter();
    objects.map(|object| (object.key(), Arc::new(object))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn put<T: HasMeta + serde::de::DeserializeOwned>(store: &mut Store<T>, object: serde_json::Value) {
        let object: T = serde_json::from_value(object).unwrap();
        store.insert(object.key(), Arc::new(object));
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let meta = |name: &str| {
            json!({"namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"kubernetes.io/service-name": "web"}, "annotations": {"fairway.dev/import": "a"}})
        };
        put(
            &mut snapshot.ingresses,
            json!({"metadata": meta("web"), "spec": {"rules": [{"host": "a.test", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
            ]}}], "tls": [{"hosts": ["a.test"], "secretName": "tls"}]}}),
        );
        put(
            &mut snapshot.classes,
            json!({"metadata": meta("class"), "spec": {"controller": "fairway.dev/ingress-controller",
                "parameters": {"kind": "CaddyRoute", "name": "x"}}}),
        );
        put(
            &mut snapshot.routes,
            json!({"metadata": meta("route"), "spec": {"caddyfile": "b.test\n", "exportTo": ["*"]},
                "status": {"lastGood": {"generation": 1, "caddyfile": "b.test\n"}}}),
        );
        put(
            &mut snapshot.services,
            json!({"metadata": meta("web"), "spec": {"type": "ClusterIP", "ports": [{"port": 80, "appProtocol": "h2c"}]}}),
        );
        put(
            &mut snapshot.slices,
            json!({"metadata": meta("web-1"), "ports": [{"port": 8080}],
                "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}),
        );
        put(
            &mut snapshot.secrets,
            json!({"metadata": meta("tls"), "data": {"tls.crt": "AAAA"}}),
        );
        put(
            &mut snapshot.secrets,
            json!({"metadata": meta("other"), "data": {"password": "BBBB"}}),
        );
        put(&mut snapshot.namespaces, json!({"metadata": meta("shop")}));
        put(
            &mut snapshot.grants,
            json!({"metadata": meta("grant"), "spec": {"from": [{"group": "", "kind": "Ingress", "namespace": "a"}],
                "to": [{"group": "", "kind": "Secret", "name": "tls"}]}}),
        );
        snapshot
    }

    fn named() -> HashSet<Key> {
        HashSet::from([Key::new("shop", "tls")])
    }

    /// A folder with a snapshot, as it is written.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &snapshot(), &named()).unwrap();
        folder
    }

    #[test]
    fn what_is_written_is_read_but_for_secrets_that_nobody_names() {
        let folder = folder();
        let restored = load(&folder.path().join(FILE)).unwrap().unwrap();
        let mut expected = snapshot();
        expected.secrets.remove(&Key::new("shop", "other"));
        assert_eq!(format!("{:?}", restored.snapshot), format!("{expected:?}"));
        let value = |snapshot: &Snapshot| snapshot.secrets[&Key::new("shop", "tls")].value("tls.crt");
        assert_eq!(value(&restored.snapshot), value(&expected));
        assert!(
            !fs::read_to_string(folder.path().join(FILE))
                .unwrap()
                .contains("BBBB")
        );
    }

    #[test]
    fn nobody_else_may_read_it() {
        let folder = folder();
        // Nor if somebody prepared a file that all may read.
        fs::write(folder.path().join(UNFINISHED), "").unwrap();
        save(folder.path(), &snapshot(), &named()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!folder.path().join(UNFINISHED).exists());
    }

    /// Changes the file; what then is wrong with it.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let folder = folder();
        let path = folder.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        assert_eq!(load(&path).unwrap_err().to_string(), expected);
    }

    /// A file of this version, with a true checksum.
    fn signed(text: &str) -> Vec<u8> {
        let text = version() + text;
        let mut sum = Xxh64::new(0);
        sum.update(text.as_bytes());
        (text + &last_line(&sum)).into_bytes()
    }

    /// A disk with room for so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_an_error_wherever_it_ends() {
        let mut whole = Vec::new();
        write(&mut whole, &snapshot(), &named()).unwrap();
        assert!(write(Disk(whole.len()), &snapshot(), &named()).is_ok());
        for room in [0, LAST, whole.len() - LAST, whole.len() - 1] {
            assert!(write(Disk(room), &snapshot(), &named()).is_err(), "{room}");
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        check(Vec::clear, "another version wrote it");
        check(|bytes| bytes.truncate(20), "another version wrote it");
        check(|bytes| bytes.truncate(30), "it is not as it was written");
        check(
            |bytes| bytes.truncate(bytes.len() - 1),
            "it is not as it was written",
        );
        check(|bytes| bytes.push(b' '), "it is not as it was written");
        check(
            |bytes| {
                let last = bytes.len() - 2;
                bytes[last] ^= 1;
            },
            "it is not as it was written",
        );
        check(
            |bytes| *bytes = version().into_bytes(),
            "it is not as it was written",
        );
        check(|bytes| *bytes = signed(""), "reading its time");
        check(
            |bytes| *bytes = signed("2026-01-01T00:00:00Z\n[0]\n"),
            "reading objects from JSON",
        );
        check(|bytes| *bytes = vec![0xff; 10_000], "another version wrote it");
    }

    #[test]
    fn another_version_is_refused() {
        check(
            |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let other = text.replacen(env!("CARGO_PKG_VERSION"), "99.0.0", 1);
                *bytes = other.into_bytes();
            },
            "another version wrote it",
        );
    }

    #[test]
    fn a_folder_without_one_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(&folder.path().join(FILE)).unwrap().is_none());
        assert!(load(&folder.path().join("missing/snapshot")).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_one() {
        let folder = folder();
        let before = fs::read(folder.path().join(FILE)).unwrap();
        // A folder in its place cannot be written over, whoever writes.
        fs::create_dir(folder.path().join(UNFINISHED)).unwrap();
        assert!(save(folder.path(), &Snapshot::default(), &named()).is_err());
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), before);
    }

    #[test]
    fn changes_are_written_together_and_not_too_often() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::start(folder.path().to_owned(), Metrics::default()).unwrap();
        assert!(!keeper.is_behind());
        keeper.note();
        assert!(keeper.due <= Some(Instant::now()));
        keeper.write(Arc::new(snapshot()), named());
        assert!(!keeper.is_behind());
        let written = Instant::now();
        keeper.note();
        let due = keeper.due;
        assert!(due > Some(written + REST / 2) && due <= Some(written + REST));
        keeper.note();
        assert_eq!(keeper.due, due);
    }
}
