//! The chart as Helm renders it.

use std::process::Command;

use super::{printed, program, version};

/// What the chart becomes with its defaults, which those apply who have no Helm.
pub const MANIFEST: &str = include_str!("../../../deploy/fairway.yaml");

/// The kinds that say what the program may do, and as whom.
const RIGHTS: &[&str] = &[
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];

/// Runs `helm` in the root of the repository; gives what it printed, or what it complained about. It keeps nothing.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().map_err(|error| format!("a folder for helm: {error}"))?;
    let output = Command::new(program("helm")?)
        .args(arguments)
        .current_dir(crate::repository())
        .env("HOME", home.path())
        .env_remove("KUBECONFIG")
        .envs(["CACHE", "CONFIG", "DATA"].map(|name| (format!("HELM_{name}_HOME"), home.path())))
        .output()
        .map_err(|error| format!("running helm: {error}"))?;
    printed("helm", arguments, &output)
}

/// What the chart becomes as the release `fairway` in the namespace `fairway`, with further arguments.
pub fn render(arguments: &[&str]) -> Result<String, String> {
    let version = format!("--kube-version={}", version());
    let usual = [
        "template",
        "fairway",
        "charts/fairway",
        "--namespace=fairway",
        "--include-crds",
        &version,
    ];
    helm(&[&usual, arguments].concat())
}

/// The part of the manifest that gives the program its rights.
pub(super) fn rights() -> String {
    let is_right = |document: &&str| {
        let mut lines = document.lines();
        let kind = lines.find_map(|line| line.strip_prefix("kind: "));
        kind.is_some_and(|kind| RIGHTS.contains(&kind))
    };
    let documents: Vec<&str> = MANIFEST.split("---\n").filter(is_right).collect();
    documents.join("---\n")
}
