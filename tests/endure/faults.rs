//! The API server as it is on a bad day: what was served goes on, and what changed meanwhile comes as soon as it is over.
//!
//! `FAIRWAY_FAULT_SECONDS` says how long each fault lasts: 3 by default.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fairway_tests::cluster::{Cluster, Fault, Faults, Namespace, Replica, caddy_route, wait};

use crate::number;

/// How soon after a fault everything must be as it should.
const FRESH: Duration = Duration::from_secs(35);

/// How soon a change is served while nothing is wrong with its kind. Far less, but for a machine that is busy.
const PROMPT: Duration = Duration::from_secs(10);

/// How many kinds are watched.
const KINDS: usize = 8;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<&Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::shared().prepare())
}

fn lasts() -> Duration {
    Duration::from_secs(number("FAIRWAY_FAULT_SECONDS", 3).into())
}

/// A site that says one thing, and then another.
struct Site<'t> {
    space: Namespace<'t>,
    replica: &'t Replica,
}

impl<'t> Site<'t> {
    fn new(word: &str, replica: &'t Replica) -> Self {
        let site = Self {
            space: cluster().namespace(word),
            replica,
        };
        site.say("one");
        site.is_served("one", PROMPT);
        site
    }

    fn say(&self, body: &str) {
        let text = format!("{}.test {{\n\trespond {body}\n}}\n", self.space.name());
        self.space.apply(&caddy_route("shop", &text).to_string());
    }

    fn ask(&self) -> String {
        let answer = self.replica.http(&format!("{}.test", self.space.name()), "/");
        answer.expect("it always answers").body
    }

    #[track_caller]
    fn is_served(&self, body: &str, within: Duration) {
        let begun = Instant::now();
        wait(&format!("{body} from {}", self.space.name()), || {
            let found = self.ask();
            if found == body { Ok(()) } else { Err(found) }
        });
        let took = begun.elapsed();
        println!("{}: {body} after {took:?}", self.space.name());
        assert!(took <= within, "{body} came after {took:?}");
    }

    /// For some time nothing changes.
    #[track_caller]
    fn stays(&self, body: &str, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            assert_eq!(self.ask(), body);
        }
    }
}

#[track_caller]
fn readiness(replica: &Replica, is_so: impl Fn(&str) -> bool) {
    wait("the readiness", || {
        let answer = replica.ask_admin("/readyz")?;
        assert_eq!(answer.status, 200, "what is served stays ready: {}", answer.body);
        if is_so(&answer.body) {
            return Ok(());
        }
        Err(answer.body)
    });
}

/// Whether a fault is to be seen in the readiness while it lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    AtOnce,
    /// Only when nothing has come for a while.
    Later,
}

/// Lets one thing go wrong for everything that the program asks.
#[track_caller]
fn check(word: &str, fault: Fault, seen: Seen) {
    let faults = Faults::start(cluster());
    let replica = Replica::start_at(cluster(), &faults.kubeconfig());
    let site = Site::new(word, &replica);
    let begun = Instant::now();
    let _ = faults.take_asked();
    faults.set("", fault);
    site.say("two");
    if seen == Seen::AtOnce {
        readiness(&replica, |told| told.contains("caddyroutes are not watched: "));
        assert!(replica.log().contains("watching; trying again"));
    }
    // What changed must not come yet, and what was there must not go.
    site.stays("one", lasts());
    let asked = faults.take_asked().len();
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a short time") + 1;
    faults.clear();
    // Two for each second and kind, and those of who writes.
    let most = 2 * seconds * (KINDS + 2);
    println!("{word}: {asked} requests in {seconds} s");
    assert!(asked <= most, "{asked} requests in {seconds} s");
    site.is_served("two", FRESH);
    readiness(&replica, |told| told == "ok\n");
}

#[test]
fn a_version_that_is_gone_is_listed_anew() {
    check("gone", Fault::Refuse(410, None), Seen::AtOnce);
}

#[test]
fn a_busy_server_is_waited_for() {
    check("busy", Fault::Refuse(429, Some(2)), Seen::AtOnce);
}

/// Both take their time, and no work.
#[test]
fn silence_is_noticed_and_a_server_that_asks_for_a_day_is_not_obeyed() {
    std::thread::scope(|scope| {
        scope.spawn(|| check("silent", Fault::Hang, Seen::Later));
        scope.spawn(|| check("day", Fault::Refuse(503, Some(86_400)), Seen::AtOnce));
    });
}

#[test]
fn an_error_of_the_server_changes_nothing() {
    check("error", Fault::Refuse(500, None), Seen::AtOnce);
}

#[test]
fn answers_that_break_off_change_nothing() {
    check("broken", Fault::BreakOff(60), Seen::Later);
}

#[test]
fn answers_that_are_cut_change_nothing() {
    check("cut", Fault::Cut(60), Seen::Later);
}

#[test]
fn watches_that_end_at_once_are_paced() {
    check("short", Fault::Cut(0), Seen::Later);
}

#[test]
fn a_server_that_is_gone_changes_nothing() {
    check("down", Fault::Drop, Seen::AtOnce);
}

#[test]
fn an_empty_list_is_doubted() {
    let faults = Faults::start(cluster());
    let replica = Replica::start_at(cluster(), &faults.kubeconfig());
    let site = Site::new("emptied", &replica);
    faults.set("caddyroutes", Fault::EmptyList);
    wait("the doubt", || match replica.log() {
        log if log.contains("a list is suddenly empty") => Ok(()),
        _ => Err(site.ask()),
    });
    site.stays("one", lasts());
    site.say("two");
    site.is_served("two", FRESH);
}

#[test]
fn a_right_that_is_withdrawn_stops_its_kind_alone() {
    let faults = Faults::start_as(cluster(), "limited");
    let role = cluster().grant("limited");
    let replica = Replica::start_at(cluster(), &faults.kubeconfig());
    let site = Site::new("rights", &replica);
    let may_read = |services: &str| {
        let path = "/rules/0/resources";
        let patch =
            format!(r#"[{{"op":"replace","path":"{path}","value":[{services}"secrets","namespaces"]}}]"#);
        cluster().expect(&["patch", "clusterrole", &role, "--type=json", "-p", &patch], "");
    };
    may_read("");
    // A watch that stands is not looked at again; a new one is refused.
    faults.set("services", Fault::Drop);
    readiness(&replica, |told| told.contains("services are not watched: "));
    faults.clear();
    readiness(&replica, |told| {
        told.contains("forbidden") && told.lines().count() == 2
    });
    site.say("two");
    site.is_served("two", PROMPT);
    assert!(replica.log().contains("forbidden"));
    may_read(r#""services","#);
    let begun = Instant::now();
    readiness(&replica, |told| told == "ok\n");
    assert!(begun.elapsed() <= FRESH, "{:?}", begun.elapsed());
}

#[test]
fn a_token_that_was_renewed_is_taken() {
    let faults = Faults::start(cluster());
    let (kubeconfig, file) = faults.kubeconfig_with_token("first");
    let replica = Replica::start_at(cluster(), &kubeconfig);
    let site = Site::new("token", &replica);
    // The one before is no longer good, and watches with it end.
    fs::write(&file, "second").expect("the file is written");
    faults.renew_token("second");
    faults.set("", Fault::Drop);
    site.say("two");
    readiness(&replica, |told| told.contains("caddyroutes are not watched: "));
    faults.clear();
    site.is_served("two", FRESH);
    readiness(&replica, |told| told == "ok\n");
    // One that comes too late is looked for again.
    faults.renew_token("third");
    faults.set("caddyroutes", Fault::Drop);
    readiness(&replica, |told| told.contains("caddyroutes are not watched: "));
    faults.clear();
    site.say("three");
    readiness(&replica, |told| {
        told.contains("401") || told.contains("Injected") || told.contains("wants")
    });
    site.stays("two", Duration::from_secs(1));
    fs::write(&file, "third").expect("the file is written");
    site.is_served("three", FRESH);
}
