//! The config changes again and again under load, and nothing is lost.
//!
//! The short form runs in `make test`. `FAIRWAY_LEDGER_SECONDS`, `FAIRWAY_LEDGER_RATE` (requests per second),
//! `FAIRWAY_LEDGER_CHANGES` and `FAIRWAY_LEDGER_SITES` make it longer and harder.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fairway_tests::ledger::{Client, Ledger, Seen, Upstream, load};
use tokio::time::interval;

/// What has not happened after this time never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The proxy's `grace_period`.
const GRACE: Duration = Duration::from_secs(10);

/// A running proxy; killed if the test fails.
struct Proxy {
    child: Child,
    folder: PathBuf,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", tail(&self.log()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// Starts it in a folder that holds its Caddyfile.
    fn start(folder: &Path) -> Self {
        let output = File::create(folder.join("log")).expect("a log");
        let child = Command::new(fairway_tests::fairway().expect("`make test` builds it"))
            .args(["run", "--watch", "--config", "Caddyfile"])
            .current_dir(folder)
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("it starts");
        Self {
            child,
            folder: folder.to_owned(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn address(&self) -> Option<std::net::SocketAddr> {
        let log = self.log();
        let (_, rest) = log.split_once("\"address\":\"")?;
        let (address, _) = rest.split_once('"')?;
        address.replace("[::]", "127.0.0.1").parse().ok()
    }

    /// Its resident memory in KiB, where the system tells it.
    fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    fn ask_to_end(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status();
        assert!(status.expect("kill runs").success());
    }
}

/// How much is asked for.
struct Form {
    seconds: u32,
    rate: u32,
    changes: u32,
    sites: usize,
}

impl Form {
    fn from_environment() -> Self {
        Self {
            seconds: number("FAIRWAY_LEDGER_SECONDS", 8),
            rate: number("FAIRWAY_LEDGER_RATE", 200),
            changes: number("FAIRWAY_LEDGER_CHANGES", 30),
            sites: number("FAIRWAY_LEDGER_SITES", 200) as usize,
        }
    }
}

/// What changes in a site.
#[derive(Clone, Copy, Default)]
struct Site {
    header: u32,
    extra: bool,
    upstream: usize,
}

/// The config: every site sends streams and all else to one of two upstreams, and one more tells the generation.
fn caddyfile(sites: &[Site], upstreams: &[Upstream; 2], generation: u32) -> String {
    let mut text = format!(
        "{{\n\tadmin off\n\tgrace_period {}s\n\tservers {{\n\t\tprotocols h1 h2c\n\t}}\n}}\n\
         http://generation.test:0 {{\n\trespond \"generation {generation}\"\n}}\n",
        GRACE.as_secs()
    );
    for (index, site) in sites.iter().enumerate() {
        let upstream = &upstreams[site.upstream];
        let extra = if site.extra { "\trespond /extra more\n" } else { "" };
        write!(
            text,
            "http://{} {{\n\theader X-Change {}\n{extra}\thandle /stream {{\n\t\treverse_proxy h2c://{}\n\t}}\n\
             \thandle {{\n\t\treverse_proxy {}\n\t}}\n}}\n",
            host(index) + ":0",
            site.header,
            upstream.http2,
            upstream.http1
        )
        .expect("a string takes everything");
    }
    text
}

fn host(index: usize) -> String {
    format!("s{index}.test")
}

/// Puts a new file into the place of the old one, so that no half of one is ever read.
fn put(folder: &Path, text: &str) {
    let new = folder.join("Caddyfile.new");
    fs::write(&new, text).expect("the config is written");
    fs::rename(new, folder.join("Caddyfile")).expect("it takes its place");
}

#[test]
fn changes_under_load_lose_nothing() {
    let form = Form::from_environment();
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(play(&form, folder.path()));
}

async fn play(form: &Form, folder: &Path) {
    let (ledger, seen) = (Ledger::default(), Seen::default());
    let upstreams = [
        Upstream::start(&seen).await.expect("an upstream"),
        Upstream::start(&seen).await.expect("an upstream"),
    ];
    let mut sites = vec![Site::default(); form.sites];
    put(folder, &caddyfile(&sites, &upstreams, 0));
    let mut proxy = Proxy::start(folder);
    let address = wait("the listener", async || proxy.address()).await;
    let client = Client::connect(address, ledger.clone())
        .await
        .expect("the proxy accepts connections");

    let before = proxy.resident();
    let begun = Instant::now();
    let enough = Arc::new(AtomicBool::new(false));
    let hosts = (0..form.sites).map(host).collect();
    let load = tokio::spawn(load(client.clone(), hosts, form.rate, enough.clone()));
    let mut pace = interval(Duration::from_secs(form.seconds.into()) / (form.changes + 1));
    pace.tick().await;
    let mut kept = Vec::new();
    for generation in 1..=form.changes {
        pace.tick().await;
        let index = generation as usize % sites.len();
        let site = &mut sites[index];
        match generation % 3 {
            0 => site.extra = !site.extra,
            1 => site.header = generation,
            _ => site.upstream = 1 - site.upstream,
        }
        put(folder, &caddyfile(&sites, &upstreams, generation));
        let right = format!("generation {generation}");
        wait("the change", async || {
            let told = client.ask("generation.test").await;
            let told = told.unwrap_or_else(|trouble| panic!("{trouble:?}\n{}", ledger.balance(&seen)));
            (told == right).then_some(())
        })
        .await;
        kept.extend(client.keep_open(&host(index)).await);
    }
    pace.tick().await;
    enough.store(true, Ordering::Relaxed);
    load.await.expect("the load does not panic");
    let took = begun.elapsed();
    let after = proxy.resident();

    let still_open = kept.len();
    for socket in kept {
        socket.finish().await;
    }
    drop(client);
    let asked = Instant::now();
    proxy.ask_to_end();
    let status: ExitStatus = wait("the end", async || {
        proxy.child.try_wait().expect("it is our child")
    })
    .await;
    let ended = asked.elapsed();

    let (balance, log) = (ledger.balance(&seen), proxy.log());
    println!(
        "{balance}{} changes, {} swaps, {still_open} WebSockets kept, in {took:?}; resident {before:?} to {after:?} KiB; \
         ended after {ended:?}",
        form.changes,
        log.matches("\"swapped\"").count(),
    );
    let sent = u64::from(form.seconds) * u64::from(form.rate);
    assert!(balance.is_clean(), "{balance}{}", tail(&log));
    assert!(
        balance.total().opened >= sent * 9 / 10,
        "the rate was not kept: {balance}"
    );
    assert_eq!(still_open, form.changes as usize);
    assert!(
        status.success() && ended < GRACE,
        "{status} after {ended:?}\n{}",
        tail(&log)
    );
    assert!(!log.contains("cut off"), "{}", tail(&log));
}

/// Waits until `ready` gives something.
async fn wait<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if let Some(value) = ready().await {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what} in vain");
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |text| {
        text.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| {
            panic!("{name} takes a positive number, not `{text}`");
        })
    })
}
