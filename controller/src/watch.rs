//! `--watch` and `--manifests`: tells when the files of the config may have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Watches the folders of files until it is dropped.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    notice: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // One waiting notice is enough: whoever takes it reads the newest state.
        let (notice, changes) = mpsc::channel(1);
        let sender = notice.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        Ok(Self {
            watcher: notify::recommended_watcher(tell).context("watching files")?,
            folders: BTreeSet::new(),
            notice,
            changes,
        })
    }

    /// Watches the folders of these files, and no others. Folders, because editors put a new file in the place of the
    /// old one, and mounted config maps a new link; so files that have nothing to do with it are seen as well: a notice
    /// is no more than a reason to look. A folder that cannot be watched is told and left out.
    pub(crate) fn follow<'f>(&mut self, files: impl Iterator<Item = &'f Path>) {
        let wanted: BTreeSet<PathBuf> = files.map(folder).collect();
        for gone in self.folders.difference(&wanted) {
            // It may have been removed, and be watched no longer.
            let _ = self.watcher.unwatch(gone);
        }
        self.folders.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            if self.folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder);
                    // What happened before it was watched is looked for once.
                    let _ = self.notice.try_send(());
                }
                Err(error) => {
                    let folder = folder.display();
                    tracing::warn!(%error, %folder, "changes in this folder are not seen");
                }
            }
        }
    }

    /// Watches a folder and those below it.
    pub(crate) fn tree(folder: &Path) -> anyhow::Result<Self> {
        let mut watch = Self::new()?;
        let watched = watch.watcher.watch(folder, RecursiveMode::Recursive);
        watched.with_context(|| format!("watching {}", folder.display()))?;
        Ok(watch)
    }

    /// Waits until something changed. Nothing is lost if the future is dropped.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The folder of a file; a folder itself, of which the names matter.
fn folder(file: &Path) -> PathBuf {
    if file.is_dir() {
        return file.to_owned();
    }
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
