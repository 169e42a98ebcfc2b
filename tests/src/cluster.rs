//! A real API server to test against, with RBAC on, and what stands around it.
//!
//! What it is for: every claim about Kubernetes is shown against the real thing. [`Cluster::shared`] starts etcd and
//! kube-apiserver once for a process of tests; each test takes a [`Namespace`] of its own, and starts the program as a
//! [`Replica`] with no more rights than it needs. There is no node and no scheduler: a test writes `EndpointSlices`
//! itself, which name an [`Upstream`] on an address of this machine. What needs pods takes a [`Node`].
//!
//! Everything started ends with the test, whether it passes, panics or is killed; so do the keys and tokens, which lie
//! in a folder of the system's own. Where to start reading: [`Cluster`], then `guard.rs`, which sees to the ending.

mod chart;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod control_plane;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod faults;
mod guard;
mod kubectl;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod namespace;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod node;
mod objects;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod replica;
#[expect(clippy::missing_panics_doc, reason = "a test is to fail there")]
mod upstream;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, thread};

pub use chart::{MANIFEST as CHART, helm, render};
pub use control_plane::Cluster;
pub use faults::{Asked, Fault, Faults};
pub use namespace::Namespace;
pub use node::Node;
pub use objects::{caddy_route, conditions, ingress};
pub use replica::{Answer, Replica};
pub use upstream::{Upstream, address_of_this_machine};

/// What has not happened after this time never will, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often is looked whether it has.
const STEP: Duration = Duration::from_millis(30);

/// The namespace of the program, where its replicas agree who writes.
pub const HOME: &str = "fairway";

/// The version of Kubernetes, and with it of the programs.
const VERSIONS: &str = include_str!("../cluster/go.mod");

/// Looks again and again until there is something to give, and fails if that takes too long.
///
/// # Panics
/// When the time is up, with the last thing that was said in vain.
#[track_caller]
pub fn wait<T>(what: &str, mut ready: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ready() {
            Ok(value) => return value,
            Err(last) => assert!(begun.elapsed() < PATIENCE, "waited for {what} in vain: {last}"),
        }
        thread::park_timeout(STEP);
    }
}

/// Sends a signal to a process that was started here.
fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status();
    assert!(status.expect("kill runs").success(), "no process {process}");
}

/// One of the programs, from the folder that `KUBEBUILDER_ASSETS` names, or from where `tests/cluster/build` puts them.
fn program(name: &str) -> Result<PathBuf, String> {
    let given = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let mut folders = given.into_iter().chain([built()]);
    folders
        .find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
        .ok_or_else(|| format!("there is no {name}: run `tests/cluster/build {name}`"))
}

/// Where the script puts what it builds.
fn built() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join("fairway/kubernetes").join(version()).join("bin")
}

fn version() -> &'static str {
    let mut lines = VERSIONS.lines();
    lines
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .expect("the module names the version")
}

/// What a command printed, or what it complained about.
fn printed(program: &str, arguments: &[&str], output: &Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_and_the_tests_mean_one_folder() {
        let script = crate::repository().join("tests/cluster/build");
        let output = Command::new(script).arg("--folder").output().expect("it runs");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim_end(),
            built().to_string_lossy()
        );
    }

    #[test]
    #[should_panic(expected = "run `tests/cluster/build etcdx`")]
    fn a_missing_program_says_how_to_get_it() {
        program("etcdx").expect("the message is the test");
    }
}
