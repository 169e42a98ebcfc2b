//! A machine within this one: its own network, processes and mounts, in which a node does as it likes.
//!
//! A node leaves a lot behind: shims that outlive containerd, mounts, network interfaces, rules of iptables. Here all of
//! that is in name spaces whose first process is a child of the test's, and when that ends, the kernel clears up. Only
//! control groups have to be removed by hand.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::guard::Guarded;
use crate::cluster::{PATIENCE, STEP, program};

/// What the first process does before it settles.
const SCRIPT: &str = include_str!("machine.sh");

/// Removes the control groups of a machine when the test is gone, which are one tree for each controller in version 1, and
/// the end of the cable, which may wait long for what the other end remembers of connections.
const SWEEP: &str = r#"
cat
ip link del "$2"
for again in 1 2 3 4 5 6 7 8 9; do
    trees=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$1")
    [ -n "$trees" ] || exit
    for tree in $trees; do find "$tree" -depth -type d -exec rmdir {} +; done
    sleep 0.2
done
"#;

/// Networks for a link between two machines, four addresses each, in the range that is set aside for tests of networks.
const LINKS: u32 = 1 << 15;

/// A running machine. All in it ends when it is dropped, and when the process of the test ends.
pub(super) struct Machine {
    // Dropped first: the groups are empty then.
    first: Guarded,
    /// The number of its first process, as this machine counts.
    inside: String,
    host: Ipv4Addr,
    address: Ipv4Addr,
    group: String,
    sweeper: Child,
}

impl Machine {
    /// Starts one that shares the files of this one, and writes into this folder.
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = process::id().wrapping_mul(8) + STARTED.fetch_add(1, Ordering::Relaxed);
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (number % LINKS) * 4;
        let (host, address) = (Ipv4Addr::from(network + 1), Ipv4Addr::from(network + 2));
        let (group, link) = (format!("fairway-{number}"), format!("fw{number:x}"));
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh", &group, &link])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C ends the test, and with it the machine.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("running sh: {error}"))?;
        make_groups(&group)?;
        let spaces = "--net --mount --pid --uts --ipc --fork --kill-child sh -c";
        let mut arguments: Vec<String> = spaces.split(' ').map(str::to_owned).collect();
        arguments.extend([
            SCRIPT.to_owned(),
            "sh".to_owned(),
            folder.display().to_string(),
            program("pause")?.display().to_string(),
        ]);
        let log = folder.join("machine.log");
        let first = Guarded::start(Path::new("unshare"), &arguments, &log)?;
        let mut machine = Self {
            first,
            inside: String::new(),
            host,
            address,
            group,
            sweeper,
        };
        machine.wait(folder, &log)?;
        machine.link(&link)?;
        Ok(machine)
    }

    /// Its address, as this machine reaches it.
    pub(super) const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The control group below which its pods are to be.
    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Starts a program in it.
    pub(super) fn spawn(&self, program: &Path, arguments: &[String], log: &Path) -> Result<Guarded, String> {
        let mut all = self.entrance();
        all.push(program.display().to_string());
        all.extend_from_slice(arguments);
        Guarded::start(Path::new("nsenter"), &all, log)
    }

    /// Runs a program in it to its end; gives what it printed, or what it complained about.
    pub(super) fn run(&self, command: &[&str]) -> Result<String, String> {
        let entrance = self.entrance();
        let all: Vec<&str> = entrance
            .iter()
            .map(String::as_str)
            .chain(command.iter().copied())
            .collect();
        run("nsenter", &all)
    }

    fn entrance(&self) -> Vec<String> {
        ["--target", &self.inside, "--all"].map(str::to_owned).to_vec()
    }

    fn wait(&mut self, folder: &Path, log: &Path) -> Result<(), String> {
        let begun = std::time::Instant::now();
        loop {
            if let Ok(number) = fs::read_to_string(folder.join("machine")) {
                number.trim().clone_into(&mut self.inside);
                return Ok(());
            }
            if self.first.ended().is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("no machine of its own; a node needs root: {log}"));
            }
            std::thread::park_timeout(STEP);
        }
    }

    /// Lays a cable between the two machines. It is gone with the other one.
    fn link(&self, name: &str) -> Result<(), String> {
        let (host, address) = (format!("{}/30", self.host), format!("{}/30", self.address));
        let ours = format!("link add {name} type veth peer name eth0 netns {}", self.inside);
        for line in [
            &ours,
            &format!("addr add {host} dev {name}"),
            &format!("link set {name} up"),
        ] {
            run("ip", &line.split(' ').collect::<Vec<_>>())?;
        }
        for line in [
            format!("ip addr add {address} dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {}", self.host),
        ] {
            self.run(&line.split(' ').collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.first.kill();
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Makes a control group for each controller, or the only one of version 2. A new group of CPUs has none of them.
fn make_groups(name: &str) -> Result<(), String> {
    let root = Path::new("/sys/fs/cgroup");
    let told = |error| {
        format!(
            "a control group below {}; a node needs root: {error}",
            root.display()
        )
    };
    if root.join("cgroup.controllers").exists() {
        return fs::create_dir(root.join(name)).map_err(told);
    }
    for entry in fs::read_dir(root).map_err(told)?.flatten() {
        let tree = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::create_dir(tree.join(name)).map_err(told)?;
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read(tree.join(file)) {
                let mut own = fs::OpenOptions::new()
                    .write(true)
                    .open(tree.join(name).join(file))
                    .map_err(told)?;
                own.write_all(&all).map_err(told)?;
            }
        }
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("running {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim_end()))
}
