//! Where the objects come from: a cluster, or a folder of manifests. Both give the same snapshots.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::cluster::Cluster;
use crate::manifests::{Manifests, Problem};
use crate::objects::Key;
use crate::snapshot::Snapshot;
use crate::watch::Watch;

/// A source of snapshots.
pub(crate) enum Source {
    Manifests(Box<Folder>),
    Cluster(Box<Cluster>),
}

/// A folder of manifests that is watched.
pub(crate) struct Folder {
    manifests: Manifests,
    watch: Watch,
    /// What is wrong with documents, as it was said last.
    problems: Vec<Problem>,
    /// What the folder held at the beginning, until it is asked for.
    first: Option<(Snapshot, Vec<Problem>)>,
}

impl Folder {
    /// Watches a folder; an error if there is none.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        // Its error says best what is wrong with a folder.
        std::fs::read_dir(folder).with_context(|| format!("reading the folder {}", folder.display()))?;
        // Watched before it is read, so that no change falls between.
        let watch = Watch::tree(folder)?;
        let mut manifests = Manifests::new(folder);
        let first = manifests.read()?;
        Ok(Self {
            manifests,
            watch,
            problems: Vec::new(),
            first: Some(first),
        })
    }

    async fn changed(&mut self) -> Arc<Snapshot> {
        loop {
            let read = if let Some(first) = self.first.take() {
                Ok(first)
            } else {
                self.watch.changed().await;
                self.manifests.read()
            };
            match read {
                Ok((snapshot, problems)) => {
                    for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
                        tracing::error!("{problem}");
                    }
                    self.problems = problems;
                    return Arc::new(snapshot);
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "the folder stays as it was"),
            }
        }
    }
}

impl Source {
    /// Waits for a snapshot that may differ from the last one; the first is complete. Nothing is lost if the future is
    /// dropped.
    pub(crate) async fn changed(&mut self) -> Arc<Snapshot> {
        match self {
            Source::Manifests(folder) => folder.changed().await,
            Source::Cluster(cluster) => cluster.changed().await,
        }
    }

    /// The objects as they are now, once they are complete.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        match self {
            Source::Manifests(_) => None,
            Source::Cluster(cluster) => cluster.snapshot(),
        }
    }

    /// The file and line of an object, if it stands in a file.
    pub(crate) fn place(&self, kind: &str, key: &Key) -> Option<String> {
        match self {
            Source::Manifests(folder) => folder.manifests.place(kind, key).map(ToString::to_string),
            Source::Cluster(_) => None,
        }
    }

    /// Whether endpoints on this machine are all right: those of manifests are somebody's own.
    pub(crate) fn allows_local(&self) -> bool {
        matches!(self, Source::Manifests(_))
    }
}
