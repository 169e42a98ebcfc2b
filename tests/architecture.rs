//! Holds the edges between the crates (ARCHITECTURE.md), their lints, and one version of what must be one.
//!
//! The manifests are read by Cargo itself, so every way to write a dependency counts: inline, as a table of
//! its own, inherited from the workspace, renamed, optional, for one target. Development dependencies are
//! exempt: tests may look at a crate with other eyes.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a crate must never name among its dependencies, and why.
const MUST_NOT_USE: &[(&str, &[&str], &str)] = &[
    (
        "fairway-caddyfile",
        &[
            "serde_json",
            "http",
            "hyper",
            "tokio",
            "rustls",
            "kube",
            "k8s-openapi",
            "fairway-engine",
            "fairway-server",
        ],
        "the language knows texts, not what they mean",
    ),
    (
        "fairway-engine",
        &[
            "hyper",
            "hyper-util",
            "rustls",
            "tokio-rustls",
            "tokio",
            "socket2",
            "kube",
            "k8s-openapi",
            "fairway-server",
            "fairway",
        ],
        "the engine knows what a request means, and opens no socket",
    ),
    (
        "fairway-server",
        &["fairway-caddyfile", "kube", "k8s-openapi", "fairway"],
        "the server serves a table, wherever it came from",
    ),
    (
        "fairway-crds",
        &[
            "fairway-engine",
            "fairway-caddyfile",
            "fairway-server",
            "fairway",
            "kube-client",
            "kube-runtime",
            "tokio",
            "hyper",
            "http",
            "rustls",
        ],
        "a type is not a program",
    ),
    (
        "fairway-image",
        &[
            "fairway-engine",
            "fairway-caddyfile",
            "fairway-server",
            "fairway-crds",
            "fairway",
            "flate2",
        ],
        "the image is made of any static program, and of the same bytes on every machine",
    ),
    (
        "fairway-tests",
        &["fairway-caddyfile", "fairway-engine", "fairway-server"],
        "black-box tests see the product from outside",
    ),
];

/// Of these the lock file holds exactly one version: two would not know each other's types.
const ONE_VERSION: &[&str] = &["hyper", "http", "rustls", "kube-core", "k8s-openapi", "schemars"];

/// These are in no build: TLS is rustls with aws-lc-rs.
const NEVER: &[&str] = &["ring", "openssl-sys", "native-tls"];

#[test]
fn edges_point_one_way() {
    assert_eq!(
        forbidden_edges(&metadata(&fairway_tests::repository())),
        Vec::<String>::new()
    );
}

#[test]
fn every_library_has_its_edges_listed() {
    let metadata = metadata(&fairway_tests::repository());
    let names = packages(&metadata).filter_map(|package| package["name"].as_str());
    // The program may use all of them.
    for name in names.filter(|name| *name != "fairway") {
        let listed = MUST_NOT_USE.iter().any(|(known, ..)| *known == name);
        assert!(listed, "MUST_NOT_USE has no entry for {name}");
    }
    assert!(packages(&metadata).any(|package| package["name"] == "fairway-crds"));
}

#[test]
fn every_member_obeys_the_lints_of_the_workspace() {
    let metadata = metadata(&fairway_tests::repository());
    let manifests = packages(&metadata).filter_map(|package| package["manifest_path"].as_str());
    for manifest in manifests {
        let text = fs::read_to_string(manifest).expect("Cargo has just read it");
        assert!(
            inherits_lints(&text),
            "{manifest} needs `[lints] workspace = true`"
        );
    }
}

#[test]
fn the_lock_file_resolves_one_of_each() {
    let lock = fs::read_to_string(fairway_tests::repository().join("Cargo.lock"))
        .expect("the lock file is committed");
    assert_eq!(wrong_versions(&lock), Vec::<String>::new());
}

#[test]
fn no_build_contains_another_tls_stack() {
    let options = [
        "tree",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    assert_eq!(
        banned_packages(&cargo(&fairway_tests::repository(), &options)),
        Vec::<String>::new()
    );
}

#[test]
fn a_forbidden_edge_is_found_however_it_is_written() {
    let tidy = "serde = \"1\"\n[dev-dependencies]\nhyper = \"1\"\ntokio = { workspace = true }\n";
    check_edges(tidy, &[]);
    check_edges("hyper = \"1\"\n", &["hyper"]);
    check_edges("hyper.workspace = true\n", &["hyper"]);
    check_edges("hyper = { workspace = true, optional = true }\n", &["hyper"]);
    check_edges("web = { package = \"hyper\", version = \"1\" }\n", &["hyper"]);
    check_edges("\n[dependencies.tokio]\nworkspace = true\n", &["tokio"]);
    check_edges("\n[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n", &["tokio"]);
    check_edges("\n[build-dependencies]\nrustls = \"0.23\"\n", &["rustls"]);
}

#[test]
fn the_types_of_the_cluster_know_no_program() {
    let check =
        |dependencies: &str, expected: &[&str]| check_edges_of("fairway-crds", dependencies, expected);
    let tidy = "serde = \"1\"\nschemars = \"1\"\nkube = \"5\"\nk8s-openapi = \"0.29\"\n";
    check(tidy, &[]);
    check("tokio.workspace = true\n", &["tokio"]);
    check("kube-client = \"5\"\n", &["kube-client"]);
    check(
        "engine = { package = \"fairway-engine\", version = \"0.1\" }\nfairway-caddyfile = \"0.1\"\n",
        &["fairway-engine", "fairway-caddyfile"],
    );
}

#[test]
fn missing_lints_are_found() {
    assert!(inherits_lints(
        "[package]\nname = \"x\"\n\n[lints]\n# the house's\nworkspace = true\n"
    ));
    assert!(inherits_lints("lints.workspace = true\n[package]\n"));
    assert!(!inherits_lints(
        "[package]\nversion.workspace = true\n[lints]\n[dependencies]\nworkspace = true\n"
    ));
    assert!(!inherits_lints("[lints]\nworkspace = false\n"));
    assert!(!inherits_lints("[package]\nname = \"x\"\n"));
}

#[test]
fn doubled_packages_are_found() {
    let lock = |names: &[&str]| {
        let packages = names
            .iter()
            .map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"));
        packages.collect::<Vec<_>>().join("\n")
    };
    let check = |names: &[&str], expected: &[&str]| assert_eq!(wrong_versions(&lock(names)), expected);
    let with = |more: &[&'static str]| [&["kube-core", "k8s-openapi", "schemars"], more].concat();
    check(&with(&["http", "hyper", "rustls", "http-body"]), &[]);
    check(
        &with(&["http", "http", "hyper", "rustls"]),
        &["2 versions of http"],
    );
    check(&with(&["http", "hyper"]), &["0 versions of rustls"]);
    check(
        &with(&["http", "hyper", "rustls", "k8s-openapi"]),
        &["2 versions of k8s-openapi"],
    );
}

#[test]
fn banned_packages_are_found() {
    let tree = "fairway v0.1.0 (/x)\nring v0.17.14\nstring v1.0.0\nring v0.17.14 (*)\n";
    assert_eq!(
        banned_packages(tree),
        ["ring is not allowed", "ring is not allowed"]
    );
    assert_eq!(banned_packages("rustls v0.23.46\n"), Vec::<String>::new());
}

/// Checks what is found among dependencies of a crate called as the engine is.
#[track_caller]
fn check_edges(dependencies: &str, expected: &[&str]) {
    check_edges_of("fairway-engine", dependencies, expected);
}

/// Puts dependencies into the manifest of a crate of a name, and checks what is found.
#[track_caller]
fn check_edges_of(name: &str, dependencies: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"member\"]\n\
                     [workspace.dependencies]\nhyper = \"1\"\ntokio = \"1\"\n";
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[features]\n[dependencies]\n{dependencies}"
    );
    fs::create_dir_all(folder.path().join("member/src")).expect("a folder");
    fs::write(folder.path().join("Cargo.toml"), workspace).expect("a file");
    fs::write(folder.path().join("member/Cargo.toml"), manifest).expect("a file");
    fs::write(folder.path().join("member/src/lib.rs"), "").expect("a file");
    let found = forbidden_edges(&metadata(folder.path()));
    let expected: Vec<_> = expected.iter().map(|name| format!("`{name}`")).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.contains(expected), "{found}");
    }
}

/// The manifests below a workspace, as Cargo understands them; nothing is resolved or downloaded.
fn metadata(workspace: &Path) -> Value {
    let json = cargo(workspace, &["metadata", "--no-deps", "--format-version", "1"]);
    serde_json::from_str(&json).expect("cargo prints JSON")
}

/// What Cargo says about a workspace, without the network.
fn cargo(workspace: &Path, options: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(options)
        .arg("--offline")
        .current_dir(workspace)
        .output()
        .expect("cargo runs, because it runs this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// Every edge that must not be, as a sentence.
fn forbidden_edges(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages(metadata) {
        let Some((name, forbidden, why)) = MUST_NOT_USE.iter().find(|(name, ..)| package["name"] == *name)
        else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] != "dev" && forbidden.contains(&used) {
                found.push(format!("{name} must not use `{used}`: {why}"));
            }
        }
    }
    found
}

/// Whether a manifest says `workspace = true` for its lints, in either spelling.
fn inherits_lints(manifest: &str) -> bool {
    let mut table = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            table = line;
        }
        let setting: String = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        match table {
            "[lints]" => setting == "workspace=true",
            "" => setting == "lints.workspace=true",
            _ => false,
        }
    })
}

/// What the lock file holds too often or not at all.
fn wrong_versions(lock: &str) -> Vec<String> {
    let names: Vec<_> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect();
    let count = |name: &str| names.iter().filter(|known| **known == name).count();
    let doubled = ONE_VERSION.iter().filter(|name| count(name) != 1);
    doubled
        .map(|name| format!("{} versions of {name}", count(name)))
        .collect()
}

/// What `cargo tree` lists although it must be in no build. The lock file cannot tell: it also names what
/// features that are off would bring.
fn banned_packages(tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names
        .filter(|name| NEVER.contains(name))
        .map(|name| format!("{name} is not allowed"))
        .collect()
}
