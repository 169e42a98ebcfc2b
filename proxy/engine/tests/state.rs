//! What balancers and upstreams remember outlives a change of everything else, and belongs to one site or named route.

#![expect(clippy::unwrap_used, reason = "what helps tests is a test as well")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fairway_caddyfile::{Options, Origin, Source};
use fairway_engine::body::{Body, BodyError};
use fairway_engine::exchange::{Connection, Exchange};
use fairway_engine::handlers::reverse_proxy::transport::Transport;
use fairway_engine::serve::Served;
use fairway_engine::table::Table;
use fairway_engine::world::{Dial, SendError, World};
use fairway_engine::{Registry, adapt, compile, serve};
use http_body::Frame;

/// Upstreams in memory: some of them are down, and all note that they were asked.
#[derive(Default)]
struct Memory {
    down: BTreeSet<&'static str>,
    asked: RefCell<Vec<String>>,
}

impl World for Memory {
    async fn send(
        &self,
        dial: &Dial,
        _transport: &Arc<Transport>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, SendError> {
        let address = dial.address.clone();
        self.asked.borrow_mut().push(address.to_string());
        if self.down.contains(&*address) {
            return Err(SendError::Connect {
                address,
                source: "refused".into(),
                request: Box::new(request),
            });
        }
        Ok(http::Response::new(match request.uri().path() {
            "/" => Body::stream(Endless),
            _ => Body::Empty,
        }))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }

    fn file(&self, _file: File, _offset: u64, _length: u64) -> Body {
        Body::Empty
    }

    fn within(&self, body: Body, _limit: std::time::Duration) -> Body {
        body
    }

    async fn sleep(&self, _duration: Duration) {
        pending::<()>().await;
    }
}

/// A body that goes on for as long as it is held.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }
}

/// Tables one after the other, behind the same upstreams.
struct Fairway {
    registry: Registry,
    table: Table,
    memory: Memory,
}

impl Fairway {
    fn start(caddyfile: &str) -> Self {
        let registry = Registry::default();
        Self {
            table: table(caddyfile, &registry),
            registry,
            memory: Memory::default(),
        }
    }

    /// The table before is gone when this one serves.
    fn swap(&mut self, caddyfile: &str) {
        self.table = table(caddyfile, &self.registry);
    }

    /// Sends a request to a host of the last server; the response is still being read as long as it is held.
    fn ask(&self, host: &str) -> (String, http::Response<Body>) {
        let request = http::Request::builder().uri(format!("http://{host}/"));
        let (remote, local) = ("192.0.2.1:1234", "192.0.2.2:80");
        let connection = Connection::new(remote.parse().unwrap(), local.parse().unwrap(), None);
        let mut exchange = Exchange::new(request.body(Body::Empty).unwrap(), Arc::new(connection));
        let server = Arc::clone(self.table.servers.last().unwrap());
        let served = run(serve(server, &mut exchange, &self.memory));
        let Served::Response(response) = served else {
            panic!("{served:?}");
        };
        let asked = std::mem::take(&mut *self.memory.asked.borrow_mut());
        (asked.join(" "), response)
    }

    /// Which upstream each of some requests is sent to, one after the other.
    fn asks(&self, hosts: &str) -> String {
        let upstreams = hosts.split(' ').map(|host| self.ask(host).0);
        upstreams.collect::<Vec<_>>().join(" ")
    }

    fn probe(&self) {
        for check in &self.table.checks {
            run(check.probe(&self.memory));
        }
        self.memory.asked.take();
    }
}

/// Runs what never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing waits in memory"),
    }
}

fn table(caddyfile: &str, registry: &Registry) -> Table {
    let source = Source::new(Origin::operator("Caddyfile"), "Caddyfile", caddyfile.to_owned());
    let adapted = adapt(source, &Options::default());
    assert!(!adapted.has_errors(), "{caddyfile}: {:?}", adapted.diagnostics);
    compile(&adapted.config, registry).unwrap()
}

/// A site with three upstreams.
fn site(host: &str, options: &str) -> String {
    format!("http://{host} {{\n\treverse_proxy u1:80 u2:80 u3:80 {{\n{options}\n}}\n}}\n")
}

const ROBIN: &str = "lb_policy round_robin";

/// Changes that have nothing to do with the site `a`, each of them into its place among others.
fn others() -> [String; 6] {
    [
        site("b", "lb_policy first"),
        site("b", ROBIN),
        site("0", ROBIN) + &site("b", "lb_policy least_conn"),
        // Another server, before the one that is asked.
        "http://b {\n\trespond b\n}\nhttp://c:79 {\n\trespond c\n}\n".to_owned(),
        site("a/0", ROBIN) + &site("a/other", "lb_policy least_conn"),
        "http://*.b {\n\trespond b\n}\nhttp:// {\n\trespond all\n}\n".to_owned(),
    ]
}

/// Plays the same steps of a site over the same table, over others that do not change the site, and from a table in
/// which it had another config.
#[track_caller]
fn check(options: &str, changed: &str, before: impl Fn(&mut Fairway), after: &str, afresh: &str) {
    let site = |options| site("a", options);
    for other in others() {
        let mut fairway = Fairway::start(&(site(options) + &other));
        before(&mut fairway);
        for other in others() {
            fairway.swap(&(site(options) + &other));
        }
        assert_eq!(fairway.asks("a a a"), after, "after {other}");
    }
    let mut fairway = Fairway::start(&site(options));
    before(&mut fairway);
    fairway.swap(&site(changed));
    assert_eq!(fairway.asks("a a a"), afresh, "after its own change");
    fairway.swap("http://b {\n\trespond b\n}\n");
    fairway.swap(&site(options));
    let untouched = Fairway::start(&site(options));
    fairway.memory.down.clear();
    assert_eq!(
        fairway.asks("a a a"),
        untouched.asks("a a a"),
        "after it was gone"
    );
}

#[test]
fn the_round_goes_on_after_a_swap() {
    check(
        ROBIN,
        "lb_policy round_robin\nheader_up X y",
        |fairway| assert_eq!(fairway.asks("a a"), "u2:80 u3:80"),
        "u1:80 u2:80 u3:80",
        "u2:80 u3:80 u1:80",
    );
}

#[test]
fn tripped_upstreams_stay_out_after_a_swap() {
    let options = |lifetime| format!("lb_policy first\nlb_retries 1\nmax_fails 1\nfail_duration {lifetime}");
    check(
        &options("1h"),
        &options("2h"),
        |fairway| {
            fairway.memory.down.insert("u1:80");
            assert_eq!(fairway.asks("a a"), "u1:80 u2:80 u2:80");
        },
        "u2:80 u2:80 u2:80",
        "u1:80 u2:80 u2:80 u2:80",
    );
}

#[test]
fn verdicts_of_health_checks_stay_after_a_swap() {
    let options = |uri| format!("lb_policy first\nhealth_uri {uri}");
    check(
        &options("/health"),
        &options("/other"),
        |fairway| {
            fairway.memory.down.extend(["u1:80", "u2:80"]);
            fairway.probe();
            fairway.memory.down.clear();
            assert_eq!(fairway.asks("a"), "u3:80");
        },
        "u3:80 u3:80 u3:80",
        "u1:80 u1:80 u1:80",
    );
}

#[test]
fn requests_in_flight_count_after_a_swap() {
    let with = |other: &str| site("a", "lb_policy least_conn") + other;
    let mut fairway = Fairway::start(&with(&others()[0]));
    let mut held: Vec<_> = (0..2).map(|_| fairway.ask("a")).collect();
    let idle = ["u1:80", "u2:80", "u3:80"]
        .into_iter()
        .find(|upstream| held.iter().all(|(asked, _)| asked != upstream))
        .unwrap();
    for other in others() {
        fairway.swap(&with(&other));
        assert_eq!(fairway.asks("a a a"), [idle; 3].join(" "), "after {other}");
    }
    let last = fairway.ask("a");
    let (first, response) = held.remove(0);
    drop(response);
    assert_eq!(fairway.ask("a").0, first, "it ended after the table it began in");
    drop(last);
}

#[test]
fn sites_with_equal_text_share_nothing() {
    let both = |options: &str| site("a", options) + &site("b", options);
    let mut fairway = Fairway::start(&both(ROBIN));
    assert_eq!(fairway.asks("a a b a b"), "u2:80 u3:80 u2:80 u1:80 u3:80");
    // The one that stays is not taken for the one that goes.
    fairway.swap(&site("b", ROBIN));
    assert_eq!(fairway.asks("b b"), "u1:80 u2:80");

    let mut fairway = Fairway::start(&both(
        "lb_policy first\nlb_retries 1\nmax_fails 1\nfail_duration 1h",
    ));
    fairway.memory.down.insert("u1:80");
    assert_eq!(fairway.asks("a a b b"), "u1:80 u2:80 u2:80 u1:80 u2:80 u2:80");

    let fairway = Fairway::start(&both("lb_policy least_conn"));
    let held: Vec<_> = (0..3).map(|_| fairway.ask("a")).collect();
    let asked: BTreeSet<String> = (0..30).map(|_| fairway.ask("b").0).collect();
    assert_eq!(asked.len(), 3, "all are idle for the other site");
    drop(held);

    let fairway = Fairway::start(&both("health_uri /health"));
    assert_eq!(fairway.table.checks.len(), 2);
}

#[test]
fn a_named_route_is_one_thing_however_many_sites_invoke_it() {
    let text = |sites: usize| {
        let route = "lb_policy round_robin\nhealth_uri /health";
        let mut text = site("&(shared)", route).replace("http://&", "&");
        for number in 0..sites {
            let site = format!("http://s{number} {{\n\theader X {number}\n\tinvoke shared\n}}\n");
            text.push_str(&site);
        }
        text
    };
    let mut fairway = Fairway::start(&text(1000));
    assert_eq!(fairway.table.checks.len(), 1);
    assert_eq!(fairway.asks("s0 s999 s500 s1"), "u2:80 u3:80 u1:80 u2:80");
    let check = Arc::clone(&fairway.table.checks[0]);
    fairway.swap(&text(1001));
    assert!(Arc::ptr_eq(&check, &fairway.table.checks[0]), "its round goes on");
    assert_eq!(fairway.asks("s1000 s0"), "u3:80 u1:80");
}
