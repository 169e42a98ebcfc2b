//! `--watch`: tells when the config file may have changed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Watches a file until it is dropped.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches the folder of `file`, because editors put a new file in the place of the old one, and mounted
    /// config maps a new link; imported files beside it are seen as well,
    /// and so are files that have nothing to do with it: a notice is no more than a reason to look.
    pub(crate) fn new(file: &Path) -> anyhow::Result<Self> {
        Self::start(&folder(file), RecursiveMode::NonRecursive)
    }

    /// Watches a folder and those below it.
    pub(crate) fn folder(folder: &Path) -> anyhow::Result<Self> {
        Self::start(folder, RecursiveMode::Recursive)
    }

    fn start(folder: &Path, mode: RecursiveMode) -> anyhow::Result<Self> {
        // One waiting notice is enough: whoever takes it reads the newest state.
        let (sender, changes) = mpsc::channel(1);
        let notice = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(notice).context("watching files")?;
        watcher
            .watch(folder, mode)
            .with_context(|| format!("watching {}", folder.display()))?;
        Ok(Self {
            _watcher: watcher,
            changes,
        })
    }

    /// Waits until something changed. Nothing is lost if the future is dropped.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
