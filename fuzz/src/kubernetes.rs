//! Kubernetes objects as YAML: what `fairway run --manifests` reads.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::manifests::Manifests;

/// A folder of this process in memory.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/fairway-fuzz.{}", std::process::id()));
    fs::create_dir_all(&folder).expect("there is memory for files");
    folder
});

/// Reading the same file twice gives the same objects and the same problems.
pub(crate) fn objects(data: &[u8]) {
    fs::write(FOLDER.join("a.yaml"), data).expect("the folder is ours");
    let mut manifests = Manifests::new(&FOLDER);
    let (first, problems) = manifests.read().expect("the folder can be listed");
    let (again, problems_again) = manifests.read().expect("the folder can be listed");
    assert_eq!(first.routes.len(), again.routes.len());
    assert_eq!(first.ingresses.len(), again.ingresses.len());
    assert_eq!(problems.len(), problems_again.len());
}
