//! Fairway as a release of its chart on a node, and what is to be known of its pods.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fairway_tests::cluster::{Node, wait};
use serde_json::Value;

/// The namespace and the name of the release.
pub(crate) const NAME: &str = "fairway";

/// Where the release answers on the node.
pub(crate) const HTTP: u16 = 30080;
pub(crate) const HTTPS: u16 = 30443;

/// The image: what `make image` has written, or the program under test in an image of its own.
const REPOSITORY: &str = "fairway.test/fairway";
const TAG: &str = "test";

/// How long a pod serves on before it ends, in seconds.
const DELAY: u32 = 4;

/// What is set besides, on every call.
fn values() -> Vec<String> {
    let set = [
        format!("image.repository={REPOSITORY}"),
        format!("image.tag={TAG}"),
        "replicas=2".to_owned(),
        "service.type=NodePort".to_owned(),
        format!("service.httpNodePort={HTTP}"),
        format!("service.httpsNodePort={HTTPS}"),
        format!("shutdown.delaySeconds={DELAY}"),
        "shutdown.drainSeconds=20".to_owned(),
    ];
    set.into_iter()
        .flat_map(|value| ["--set".to_owned(), value])
        .collect()
}

/// Hands the image to the node.
pub(crate) fn import(node: &mut Node) {
    let imported = match std::env::var_os("FAIRWAY_IMAGE") {
        Some(file) => node.import_file(&PathBuf::from(file)),
        None => {
            fairway_tests::fairway().and_then(|program| node.import(&format!("{REPOSITORY}:{TAG}"), &program))
        }
    };
    imported.unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a verb of `helm` that waits until the release is ready, with these values besides.
#[track_caller]
pub(crate) fn helm(node: &Node, verb: &str, besides: &[&str]) {
    let chart = fairway_tests::repository().join("charts/fairway");
    let chart = chart.display().to_string();
    let values = values();
    let mut arguments = vec![
        verb,
        NAME,
        &chart,
        "--namespace",
        NAME,
        "--wait",
        "--timeout=120s",
    ];
    arguments.extend(values.iter().map(String::as_str));
    arguments.extend_from_slice(besides);
    if let Err(error) = node.helm(&arguments) {
        panic!("{error}\n{}", told(node));
    }
}

/// Its pods, as the API server has them.
pub(crate) fn pods(node: &Node) -> Vec<Value> {
    let found = node.get(&[
        "pods",
        "--namespace",
        NAME,
        "--selector=app.kubernetes.io/name=fairway",
    ]);
    found["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until two pods are ready and no other is left.
#[track_caller]
pub(crate) fn settle(node: &Node) {
    wait("two pods of the release", || {
        let pods = pods(node);
        let is_ready = |pod: &Value| {
            pod["metadata"]["deletionTimestamp"].is_null()
                && pod["status"]["containerStatuses"][0]["ready"] == true
        };
        if pods.len() == 2 && pods.iter().all(is_ready) {
            return Ok(());
        }
        Err(told(node))
    });
}

/// The container of a pod, without the name of what runs it.
pub(crate) fn container(pod: &Value) -> String {
    let id = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .unwrap_or_default();
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Checks what the kernel allows each process of the release.
#[track_caller]
pub(crate) fn check_restrictions(node: &Node) {
    for pod in pods(node) {
        let process = node.process(&container(&pod)).expect("its process runs");
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it is there");
        let line = |name: &str| {
            let found = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let everybody = "65532 65532 65532 65532";
        for (name, expected) in [
            ("Uid", everybody),
            ("Gid", everybody),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            // A filter of system calls.
            ("Seccomp", "2"),
        ] {
            assert_eq!(line(name), expected, "{name}");
        }
        let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).expect("it is there");
        let root = mounts
            .lines()
            .find(|line| line.split(' ').nth(4) == Some("/"))
            .expect("it has a root");
        let options = root.split(' ').nth(5).unwrap_or_default();
        assert!(options.split(',').any(|option| option == "ro"), "{root}");
    }
}

/// Ends the process of one of its pods at once. Gives the connections that it had, by the port of the client, when it runs
/// again and is ready.
#[track_caller]
pub(crate) fn kill_one(node: &Node) -> BTreeSet<u16> {
    let pod = pods(node).swap_remove(0);
    let name = pod["metadata"]["name"].as_str().expect("it has one").to_owned();
    let process = node
        .process(&container(&pod))
        .expect("its process runs")
        .to_string();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &process])
        .status();
    assert!(killed.expect("kill runs").success());
    let address = pod["status"]["podIP"].as_str().expect("it has one");
    let connections = connections(node, address);
    wait("the pod to be restarted", || {
        let pod = node.get(&["pod", &name, "--namespace", NAME]);
        let status = &pod["status"]["containerStatuses"][0];
        if status["restartCount"] == 1 && status["ready"] == true {
            assert_eq!(status["lastState"]["terminated"]["exitCode"], 137);
            return Ok(());
        }
        Err(status.to_string())
    });
    connections
}

/// The connections that the Service has led to this pod, as the kernel remembers them, also for a while after their end.
fn connections(node: &Node, pod: &str) -> BTreeSet<u16> {
    let port = HTTPS.to_string();
    let list = ["conntrack", "-L", "--proto", "tcp", "--orig-port-dst", &port];
    let list = node.run(&list).expect("it is told");
    let is_of_pod = |line: &&str| {
        line.split_whitespace()
            .any(|word| word.strip_prefix("src=") == Some(pod))
    };
    let port = |line: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix("sport=")?.parse().ok())
    };
    list.lines().filter(is_of_pod).filter_map(port).collect()
}

/// What may tell why it is not ready.
pub(crate) fn told(node: &Node) -> String {
    let here = ["--namespace", NAME];
    let pods = node.kubectl(&[&["describe", "pods"], &here[..]].concat(), "");
    let logs = [
        "logs",
        "--selector=app.kubernetes.io/name=fairway",
        "--all-containers",
        "--prefix",
        "--tail=20",
    ];
    let logs = node.kubectl(&[&logs, &here[..]].concat(), "");
    format!("{}\n{}", pods.unwrap_or_default(), logs.unwrap_or_default())
}

/// How long something took, printed on a line of its own.
pub(crate) fn timed<T>(what: &str, act: impl FnOnce() -> T) -> (T, Duration) {
    let begun = std::time::Instant::now();
    let done = act();
    let took = begun.elapsed();
    println!("{what}: {took:.1?}");
    (done, took)
}
