//! The config changes again and again through the API server, under load, and nothing is lost.
//!
//! The short form runs in `make test`, the full one with `make ledger-cluster`. `FAIRWAY_LEDGER_CHANGES`,
//! `FAIRWAY_LEDGER_RATE` (requests per second) and `FAIRWAY_LEDGER_SITES` choose others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fairway_tests::cluster::{Cluster, Namespace, Replica, address_of_this_machine, caddy_route};
use fairway_tests::ledger::{Authority, Client, Door, Ledger, Seen, Upstream, load};
use serde_json::{Value, json};

use crate::number;

/// The port of a Service for each version of HTTP.
const PORTS: [(&str, u16); 2] = [("h1", 81), ("h2", 82)];

/// A WebSocket is kept open across every so many changes.
const KEPT: u32 = 5;

/// The objects of the test, as they are now.
struct Config<'t> {
    space: &'t Namespace<'t>,
    authority: &'t Authority,
    upstreams: [Upstream; 2],
    host: String,
    sites: u32,
    generation: u32,
    is_longer: bool,
}

impl Config<'_> {
    /// The site under load: streams to one port, all else to another.
    fn site(&self) -> Value {
        let extra = if self.is_longer {
            "\trespond /extra more\n"
        } else {
            ""
        };
        let text = format!(
            "{} {{\n\theader X-Change {}\n{extra}\thandle /stream {{\n\t\treverse_proxy h2c://web:h2\n\t}}\n\thandle \
             {{\n\t\treverse_proxy web:h1\n\t}}\n}}\n",
            self.host, self.generation
        );
        let mut object = caddy_route("loaded", &text);
        object["spec"]["tls"] = json!([{"hosts": [self.host], "secretName": "pair"}]);
        object
    }

    /// One that tells which generation is served.
    fn told(&self) -> Value {
        let text = format!(
            "http://told.{} {{\n\trespond g{}\n}}\n",
            self.host, self.generation
        );
        caddy_route("told", &text)
    }

    fn other(&self, number: u32) -> Value {
        let text = format!(
            "http://o{number}.{} {{\n\trespond g{}\n}}\n",
            self.host, self.generation
        );
        caddy_route(&format!("o{number}"), &text)
    }

    fn secret(&self) -> Value {
        let pair = self.authority.issue(&self.host);
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem},
        })
    }

    fn service() -> Value {
        let ports = PORTS.map(|(name, port)| json!({"name": name, "port": port, "targetPort": name}));
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}})
    }

    /// The endpoints: one of the two upstreams.
    fn slice(&self) -> Value {
        let upstream = &self.upstreams[self.generation as usize % 2];
        let ports = [upstream.http1.port(), upstream.http2.port()];
        let ports: Vec<Value> = PORTS
            .iter()
            .zip(ports)
            .map(|((name, _), port)| json!({"name": name, "protocol": "TCP", "port": port}))
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}}, "ports": ports,
            "endpoints": [{"addresses": [upstream.http1.ip()], "conditions": {"ready": true}}],
        })
    }

    /// Makes the next change.
    fn change(&mut self) {
        self.generation += 1;
        let changed = match self.generation % 5 {
            0 => {
                self.is_longer = !self.is_longer;
                self.site()
            }
            1 => self.site(),
            2 => self.slice(),
            3 => self.other(self.generation % self.sites),
            _ => self.secret(),
        };
        // Last: what is told is served with all before it.
        self.apply(&[changed, self.told()]);
    }

    fn apply(&self, objects: &[Value]) {
        let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
        self.space.kubectl(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &texts.join("\n---\n"),
        );
    }
}

#[test]
fn changes_through_the_api_server_lose_nothing() {
    let cluster = Cluster::shared().prepare();
    let space = cluster.namespace("ledger");
    let (seen, authority) = (Seen::default(), Authority::default());
    let address = address_of_this_machine().unwrap_or_else(|error| panic!("{error}"));
    let (_behind, upstreams) = Upstream::start_two(&seen, address).expect("two upstreams");
    let mut config = Config {
        host: format!("{}.test", space.name()),
        space: &space,
        authority: &authority,
        upstreams,
        sites: number("FAIRWAY_LEDGER_SITES", 50),
        generation: 0,
        is_longer: false,
    };
    let mut all = vec![
        config.secret(),
        Config::service(),
        config.slice(),
        config.site(),
        config.told(),
    ];
    all.extend((0..config.sites).map(|number| config.other(number)));
    config.apply(&all);
    let replica = Replica::start(cluster);
    let told = format!("told.{}", config.host);
    replica.wait_for(&told, "/", 200, "g0");

    let ledger = Ledger::default();
    let client = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let door = Door::tls(replica.https_address(), &config.host, &authority);
    let connect = Client::connect(door, ledger.clone());
    let clients = client.block_on(connect).expect("the program accepts connections");
    let enough = Arc::new(AtomicBool::new(false));
    let rate = number("FAIRWAY_LEDGER_RATE", 100);
    let under_way = client.spawn(load(
        clients.clone(),
        vec![config.host.clone()],
        rate,
        enough.clone(),
    ));

    let (begun, changes) = (Instant::now(), number("FAIRWAY_LEDGER_CHANGES", 20));
    let mut kept = Vec::new();
    for turn in 0..changes {
        config.change();
        replica.wait_for(&told, "/", 200, &format!("g{}", config.generation));
        if turn % KEPT == 0 {
            kept.extend(client.block_on(clients.keep_open(&config.host)));
        }
    }
    let took = begun.elapsed();
    enough.store(true, Ordering::Relaxed);
    client.block_on(under_way).expect("the load does not panic");
    assert_eq!(kept.len(), changes.div_ceil(KEPT) as usize);
    for socket in kept {
        client.block_on(socket.finish());
    }
    drop(clients);
    let balance = ledger.balance(&seen);
    println!(
        "{balance}{changes} changes of {} sites through the API server in {took:?}",
        config.sites
    );
    assert!(balance.is_clean(), "{balance}");
}
