//! The config changes again and again under load, and nothing is lost.
//!
//! The short form runs in `make test`, the full one with `make ledger`. `FAIRWAY_LEDGER_SECONDS`,
//! `FAIRWAY_LEDGER_RATE` (requests per second), `FAIRWAY_LEDGER_CHANGES` and `FAIRWAY_LEDGER_SITES` choose others.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fairway_tests::ledger::{
    Authority, Client, Door, Ledger, Proxy, Seen, Socket, Swap, Upstream, load, put,
};
use tokio::time::{Interval, interval};

/// The proxy's `grace_period`.
const GRACE: Duration = Duration::from_secs(10);

/// How many tables may be in memory after a swap: the new one, and the one that it replaced.
const TABLES: u64 = 2;

/// How much a stream that stays open may add to the resident memory, in KiB.
const PER_STREAM: u64 = 64;

/// How much the resident memory swings under load and changes without any such stream, in KiB: nothing below it is
/// told from nothing.
const SWING: u64 = 32 * 1024;

/// How many streams are opened before the load, when the memory still tells what they take.
const EARLY: usize = 100;

/// How many more are opened before those: they come with what is made only once.
const FIRST: usize = 10;

/// The site that is served with TLS.
const SECURE: &str = "secure.test";

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
            seconds: number("FAIRWAY_LEDGER_SECONDS", 10),
            rate: number("FAIRWAY_LEDGER_RATE", 300),
            changes: number("FAIRWAY_LEDGER_CHANGES", 60),
            sites: number("FAIRWAY_LEDGER_SITES", 200) as usize,
        }
    }

    /// Changes before the first stream is kept open. They show what memory load and swaps need without it.
    fn warming(&self) -> u32 {
        self.changes.div_ceil(3)
    }
}

/// What changes in a site.
#[derive(Clone, Copy, Default)]
struct Site {
    header: u32,
    has_extra_route: bool,
    upstream: usize,
}

/// The config, in its folder.
struct Config<'t> {
    folder: &'t Path,
    upstreams: &'t [Upstream; 2],
    authority: &'t Authority,
    sites: Vec<Site>,
    has_extra_site: bool,
    generation: u32,
}

impl Config<'_> {
    /// Every site sends streams and all else to one of two upstreams, one of them with TLS; one more tells the
    /// generation.
    fn write(&self) {
        let mut text = format!(
            "{{\n\tadmin off\n\tauto_https disable_redirects\n\tgrace_period {}s\n\tservers {{\n\t\tprotocols h1 h2 \
             h2c\n\t}}\n}}\nhttp://generation.test:0 {{\n\trespond \"generation {}\"\n}}\n",
            GRACE.as_secs(),
            self.generation
        );
        if self.has_extra_site {
            text.push_str("http://0.test:0 {\n\trespond more\n}\n");
        }
        let secure = format!("https://{SECURE}:0");
        self.write_site(&mut text, &secure, "bind 127.0.0.1\n\ttls cert.pem key.pem", 0);
        for index in 0..self.sites.len() {
            self.write_site(&mut text, &format!("http://{}:0", host(index)), "", index);
        }
        put(self.folder, "Caddyfile", &text);
    }

    fn write_site(&self, text: &mut String, address: &str, first: &str, index: usize) {
        let site = &self.sites[index];
        let upstream = &self.upstreams[site.upstream];
        let extra = if site.has_extra_route {
            "respond /extra more"
        } else {
            ""
        };
        write!(
            text,
            "{address} {{\n\t{first}\n\theader X-Change {}\n\t{extra}\n\thandle /stream {{\n\t\treverse_proxy h2c://{}\n\
             \t}}\n\thandle {{\n\t\treverse_proxy {}\n\t}}\n}}\n",
            site.header, upstream.http2, upstream.http1
        )
        .expect("a string takes everything");
    }
}

fn host(index: usize) -> String {
    format!("s{index}.test")
}

/// The clients, and the way in for new connections with TLS.
struct Clients {
    plain: Client,
    secure: Client,
    door: Door,
}

#[test]
fn changes_under_load_lose_nothing() {
    let form = Form::from_environment();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = Seen::default();
    let (_behind, upstreams) = Upstream::start_two(&seen, Ipv4Addr::LOCALHOST.into()).expect("two upstreams");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(play(&form, folder.path(), &upstreams, &seen));
}

async fn play(form: &Form, folder: &Path, upstreams: &[Upstream; 2], seen: &Seen) {
    let (ledger, authority) = (Ledger::default(), Authority::default());
    let mut config = Config {
        folder,
        upstreams,
        authority: &authority,
        sites: vec![Site::default(); form.sites],
        has_extra_site: false,
        generation: 0,
    };
    authority.renew(SECURE, folder);
    config.write();
    let mut proxy = Proxy::start(folder);
    let clients = connect(&proxy, &ledger, &authority).await;
    let mut kept = open_early(&config, &clients, &proxy).await;

    let enough = Arc::new(AtomicBool::new(false));
    let hosts = (0..form.sites).map(host).collect();
    let share = form.rate / 5;
    let plain = load(clients.plain.clone(), hosts, form.rate - share, enough.clone());
    let secure = load(
        clients.secure.clone(),
        vec![SECURE.to_owned()],
        share,
        enough.clone(),
    );
    let loads = [tokio::spawn(plain), tokio::spawn(secure)];

    let started = Instant::now();
    let mut pace = interval(Duration::from_secs(form.seconds.into()) / form.changes);
    let mut before = proxy.resident();
    for _ in 0..form.warming() {
        change(&mut config, &clients, &mut pace).await;
        before = before.max(proxy.resident());
    }
    let begun = Instant::now();
    for _ in 0..form.changes {
        change(&mut config, &clients, &mut pace).await;
        kept.extend(keep_open(config.generation as usize, config.sites.len(), &clients).await);
    }
    let took = begun.elapsed();
    let after = proxy.resident();
    enough.store(true, Ordering::Relaxed);
    let loaded = started.elapsed();
    for load in loads {
        load.await.expect("the load does not panic");
    }

    let still_open = kept.len();
    for socket in kept {
        socket.finish().await;
    }
    drop(clients);
    let asked = Instant::now();
    proxy.ask_to_end();
    let status = wait("the end", async || proxy.ended()).await;
    let ended = asked.elapsed();

    let (balance, swaps) = (ledger.balance(seen), proxy.swaps());
    println!(
        "{balance}{} changes, {still_open} WebSockets kept, in {took:?}; resident at most {before:?}, then {after:?} \
         KiB; {}; ended after {ended:?}",
        form.changes,
        told(&swaps),
    );
    assert!(balance.is_clean(), "{balance}{}", proxy.tail());
    let due = f64::from(form.rate) * loaded.as_secs_f64();
    assert!(
        balance.total().opened as f64 >= due * 0.9,
        "the rate was not kept: {balance}"
    );
    assert_eq!(still_open, form.changes as usize + EARLY + FIRST);
    assert!(swaps.len() >= (form.changes + form.warming()) as usize);
    assert!(swaps.iter().all(|swap| swap.tables <= TABLES), "{}", told(&swaps));
    let may_grow = SWING.max(PER_STREAM * u64::from(form.changes));
    check_growth("the changes", before, after, may_grow);
    assert!(
        status.success() && ended < GRACE,
        "{status} after {ended:?}\n{}",
        proxy.tail()
    );
    assert!(!proxy.log().contains("cut off"), "{}", proxy.tail());
}

/// Checks how much the resident memory grew, where the system tells it.
#[track_caller]
fn check_growth(by: &str, before: Option<u64>, after: Option<u64>, most: u64) {
    let grown = after
        .unwrap_or_default()
        .saturating_sub(before.unwrap_or_default());
    assert!(grown <= most, "{by} took {grown} KiB, more than {most}");
}

async fn connect(proxy: &Proxy, ledger: &Ledger, authority: &Authority) -> Clients {
    let addresses = wait("the listeners", async || {
        let addresses = proxy.addresses();
        (addresses.len() == 2).then_some(addresses)
    })
    .await;
    // The site with TLS is bound to one address, which comes first in the order of addresses.
    let door = Door::tls(addresses[0], SECURE, authority);
    let connect = async |door| Client::connect(door, ledger.clone()).await;
    Clients {
        plain: connect(Door::plain(addresses[1]))
            .await
            .expect("the proxy accepts connections"),
        secure: connect(door.clone())
            .await
            .expect("the proxy accepts connections with TLS"),
        door,
    }
}

/// Makes the next change when its time has come, and waits until it is served.
async fn change(config: &mut Config<'_>, clients: &Clients, pace: &mut Interval) {
    pace.tick().await;
    config.generation += 1;
    let generation = config.generation;
    let index = generation as usize % config.sites.len();
    let site = &mut config.sites[index];
    match generation % 5 {
        0 => site.has_extra_route = !site.has_extra_route,
        1 => site.header = generation,
        2 => site.upstream = 1 - site.upstream,
        3 => config.has_extra_site = !config.has_extra_site,
        _ => {
            // Only the files of the pair change.
            let right = config.authority.renew(SECURE, config.folder);
            wait("the certificate", async || {
                let shown = clients.door.certificate().await;
                (shown.expect("the handshake succeeds").as_ref() == Some(&right)).then_some(())
            })
            .await;
            return;
        }
    }
    config.write();
    let right = format!("generation {generation}");
    wait("the change", async || {
        let told = clients.plain.ask("generation.test").await;
        (told.expect("the proxy answers") == right).then_some(())
    })
    .await;
}

/// Opens streams that stay open, and checks what they take.
async fn open_early(config: &Config<'_>, clients: &Clients, proxy: &Proxy) -> Vec<Socket> {
    let mut kept = Vec::new();
    let mut before = None;
    for number in 0..EARLY + FIRST {
        if number == FIRST {
            before = proxy.resident();
        }
        kept.extend(keep_open(number, config.sites.len(), clients).await);
    }
    let after = proxy.resident();
    println!("{EARLY} WebSockets without load: resident {before:?}, then {after:?} KiB");
    check_growth("early streams", before, after, PER_STREAM * EARLY as u64);
    kept
}

/// Opens a WebSocket that stays open, every fifth of them with TLS.
async fn keep_open(number: usize, sites: usize, clients: &Clients) -> Option<Socket> {
    match number % 5 {
        4 => clients.secure.keep_open(SECURE).await,
        _ => clients.plain.keep_open(&host(number % sites)).await,
    }
}

/// The swaps in a line: how many, how long they took, and the most tables.
fn told(swaps: &[Swap]) -> String {
    let mut durations: Vec<f64> = swaps.iter().map(|swap| swap.duration * 1000.0).collect();
    durations.sort_by(f64::total_cmp);
    let at = |share: usize| durations.get(durations.len() * share / 100).unwrap_or(&0.0);
    format!(
        "{} swaps, half of them within {:.1} ms, 99 of 100 within {:.1} ms, at most {:?} tables",
        swaps.len(),
        at(50),
        at(99),
        swaps.iter().map(|swap| swap.tables).max().unwrap_or_default()
    )
}

/// Waits until `ready` gives something.
async fn wait<T>(what: &str, ready: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = fairway_tests::wait_for(what, ready).await;
    waited.unwrap_or_else(|error| panic!("{error}"))
}

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |text| {
        text.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| {
            panic!("{name} takes a positive number, not `{text}`");
        })
    })
}
