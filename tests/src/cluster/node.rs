//! A whole node: a cluster on which pods run.
//!
//! What it is for: what is promised of an image, a chart and a rollout is shown with real ones. [`Node::start`] starts
//! etcd, the programs of Kubernetes, containerd and the cluster's DNS within a [`machine`] of their own, whose address
//! is the only thing that this machine sees of them. It needs root, and what `tests/cluster/build node` builds and installs.
//!
//! Where to start reading: [`Node`], then `machine.rs`, which sees to the ending, then `programs.rs`.

mod keys;
mod machine;
mod programs;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;

use super::control_plane::put;
use super::guard::{Folder, Guarded};
use super::kubectl::Kubectl;
use super::{PATIENCE, STEP, printed, program};
use machine::Machine;
use programs::{API_PORT, Programs, SOCKET};

/// The name of the node.
const NAME: &str = "node-1";

/// The image of the process that keeps a pod together.
const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

/// The cluster's DNS, and its image.
const DNS: &str = include_str!("node/dns.yaml");
const DNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.15.0";

/// How many lines of a log are shown.
const SHOWN: usize = 15;

/// A running cluster of one node. Ends when it is dropped, and when the process of the test ends.
pub struct Node {
    // In this order they are dropped: what writes into the folder goes before it.
    programs: Vec<(&'static str, Guarded)>,
    machine: Machine,
    kubectl: Kubectl,
    images: usize,
    took: Duration,
    folder: Folder,
}

impl Node {
    /// Starts one, and waits until pods can be made.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("no node: {error}"))
    }

    fn try_start() -> Result<Self, String> {
        let begun = Instant::now();
        let folder = Folder::new()?;
        let machine = Machine::start(folder.path())?;
        let address = machine.address();
        keys::write(folder.path(), address, &format!("https://{address}:{API_PORT}"))?;
        let network = folder.path().join("network");
        fs::create_dir(&network).map_err(|error| format!("{}: {error}", network.display()))?;
        for (name, text) in programs::files(folder.path(), machine.group()) {
            put(folder.path(), name, &text)?;
        }
        let mut node = Self {
            programs: Vec::new(),
            kubectl: Kubectl::new(folder.path())?,
            machine,
            images: 0,
            took: Duration::ZERO,
            folder,
        };
        let Programs { first, then } = Programs::new(node.folder.path(), address);
        node.spawn(first)?;
        node.until("containerd", |node| node.ctr(&["version"]))?;
        node.import(PAUSE, &program("pause")?)?;
        node.import(DNS_IMAGE, &program("coredns")?)?;
        node.until("the API server", |node| {
            node.kubectl(&["get", "--raw", "/readyz"], "")
        })?;
        node.spawn(then)?;
        let ready = ["wait", "--for=condition=Ready", "--timeout=0s", "node", NAME];
        node.until("the node", |node| node.kubectl(&ready, ""))?;
        // Pods that come earlier are refused, or wait for it.
        for what in ["serviceaccount/default", "configmap/kube-root-ca.crt"] {
            node.until(what, |node| node.kubectl(&["get", what], ""))?;
        }
        node.kubectl.apply(DNS)?;
        node.took = begun.elapsed();
        Ok(node)
    }

    /// How long it took to start.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// Its address, at which the ports of nodes are.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// The folder in which everything of it lies, also for pods.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `kubectl` with all rights; gives what it printed, or what it complained about.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        self.kubectl.run(arguments, input)
    }

    /// Runs `kubectl`, which must work.
    #[track_caller]
    pub fn expect(&self, arguments: &[&str], input: &str) -> String {
        self.kubectl(arguments, input)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.tails()))
    }

    /// Applies objects, which must be taken.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl.apply(yaml).unwrap_or_else(|error| panic!("{error}"));
    }

    /// An object, or the list of a kind.
    #[track_caller]
    pub fn get(&self, arguments: &[&str]) -> Value {
        let printed = self.expect(&[&["get", "--output=json"], arguments].concat(), "");
        serde_json::from_str(&printed).expect("it prints JSON")
    }

    /// Runs `helm` with all rights; gives what it printed, or what it complained about.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        let folder = self.folder.path();
        let output = Command::new(program("helm")?)
            .args(arguments)
            .env("KUBECONFIG", self.kubectl.config())
            .env("HELM_CACHE_HOME", folder.join("helm/cache"))
            .env("HELM_CONFIG_HOME", folder.join("helm/config"))
            .env("HELM_DATA_HOME", folder.join("helm/data"))
            .env("NO_PROXY", "*")
            .output()
            .map_err(|error| format!("running helm: {error}"))?;
        printed("helm", arguments, &output)
    }

    /// Makes an image of a program, under a name in full, and hands it to containerd.
    pub fn import(&mut self, name: &str, program: &Path) -> Result<(), String> {
        self.images += 1;
        let file = self.folder.path().join(format!("image-{}.tar", self.images));
        let packed = Command::new(crate::repository().join("tests/cluster/image"))
            .args([Path::new(name), program, &file])
            .output()
            .map_err(|error| format!("running tests/cluster/image: {error}"))?;
        if !packed.status.success() {
            return Err(String::from_utf8_lossy(&packed.stderr).into_owned());
        }
        let imported = self.import_file(&file);
        let _ = fs::remove_file(&file);
        imported
    }

    /// Hands a file with an image to containerd.
    pub fn import_file(&self, file: &Path) -> Result<(), String> {
        let file = file.display().to_string();
        self.ctr(&["images", "import", &file]).map(drop)
    }

    /// Runs a program on the machine of the node.
    pub fn run(&self, command: &[&str]) -> Result<String, String> {
        self.machine.run(command)
    }

    /// The process of a container, as this machine counts it.
    #[must_use]
    pub fn process(&self, container: &str) -> Option<u32> {
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.find(|number| {
            let groups = fs::read_to_string(format!("/proc/{number}/cgroup"));
            groups.is_ok_and(|groups| groups.contains(container))
        })
    }

    /// The ends of the logs of its programs.
    #[must_use]
    pub fn tails(&self) -> String {
        let tail = |name: &str| {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(SHOWN)..];
            format!("-- {name}\n{}\n", last.join("\n"))
        };
        self.programs.iter().map(|(name, _)| tail(name)).collect()
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        let ctr = ["ctr", "--address", SOCKET, "--namespace", "k8s.io"];
        self.run(&[&ctr, arguments].concat())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn spawn(&mut self, programs: Vec<(&'static str, Vec<String>)>) -> Result<(), String> {
        for (name, arguments) in programs {
            let path = match name {
                "containerd" => PathBuf::from(name),
                name => program(name)?,
            };
            let started = self.machine.spawn(&path, &arguments, &self.log(name))?;
            self.programs.push((name, started));
        }
        Ok(())
    }

    /// Waits until something works. If one of the programs ends meanwhile, it never will.
    fn until(&mut self, what: &str, works: impl Fn(&Self) -> Result<String, String>) -> Result<(), String> {
        let begun = Instant::now();
        while let Err(error) = works(self) {
            let ended = self
                .programs
                .iter_mut()
                .find_map(|(name, program)| Some((*name, program.ended()?)));
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(format!(
                    "waited for {what} in vain ({ended:?}): {error}\n{}",
                    self.tails()
                ));
            }
            thread::park_timeout(STEP);
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() && env::var_os("FAIRWAY_NODE_LOGS").is_some() {
            eprintln!("{}", self.tails());
        }
    }
}
