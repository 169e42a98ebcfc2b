//! What clients leave open across a swap holds no table.

use fairway_engine::Registry;

use super::*;

/// Less than a handshake may take, so that nothing is let go of only because it took too long.
const SOON: Duration = Duration::from_secs(5);

/// A server whose first route is another one in each generation; it is never reached.
fn generation(mut server: Value, number: u32) -> Value {
    let more = json!({"match": [{"path": ["/generation"]}], "handle": [
        {"handler": "static_response", "body": number.to_string()}]});
    server["routes"].as_array_mut().unwrap().insert(0, more);
    server["listen"] = json!(["127.0.0.1:0"]);
    server
}

/// Starts a server, lets a client open something, and swaps: the first table must go although the client stays.
#[track_caller]
fn check<T>(server: &Value, open: impl FnOnce(SocketAddr) -> T) {
    let registry = Registry::default();
    let parts = |number| parts_with(&generation(server.clone(), number), &registry);
    let (table, plan, tls) = parts(0);
    let options = Options {
        threads: NonZeroUsize::new(1),
        access_log: None,
    };
    let running = Running::start(&table, &plan, &tls, &options).unwrap();
    drop((table, tls));
    let opened = open(running.addresses()[0]);
    let (table, plan, tls) = parts(1);
    running.swap(&table, &plan, &tls).unwrap();
    drop((table, tls));
    let begun = std::time::Instant::now();
    while registry.tables_alive() > 1 {
        assert!(begun.elapsed() < SOON, "the first table is still held");
        std::thread::yield_now();
    }
    drop(opened);
}

/// An upstream that sends `head` and then nothing, and a client that has got it there.
fn waiting(server: impl Fn(SocketAddr) -> Value, request: &'static str, head: &'static str) {
    let (arrived, arrives) = std::sync::mpsc::channel();
    let upstream = upstream(move |mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        arrived.send(()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    check(&server(upstream), |address| {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        arrives.recv_timeout(SOON).unwrap();
        if !head.is_empty() {
            read_until(&mut stream, "\r\n\r\n");
        }
        stream
    });
}

/// A site with a host: its route is the last that runs.
fn site_with_host(upstream: SocketAddr) -> Value {
    let mut server = proxy_to(upstream);
    server["routes"][0]["match"] = json!([{"host": ["a"]}]);
    server["routes"][0]["terminal"] = json!(true);
    server
}

/// A site without a host becomes one route after the other, none of which is the last.
fn site_without_host(upstream: SocketAddr) -> Value {
    let mut server = proxy_to(upstream);
    let header = json!({"handle": [{"handler": "headers", "response": {"set": {"X": ["y"]}}}]});
    server["routes"].as_array_mut().unwrap().insert(0, header);
    server
}

const PLAIN: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nfirst";

#[test]
fn connections_that_do_not_come_to_http_hold_no_table() {
    let h2c = json!({"routes": [], "protocols": ["h1", "h2c"]});
    let tls = json!({"routes": [], "tls_connection_policies": [{}]});
    for (server, beginning) in [
        (&h2c, &b""[..]),
        (&h2c, b"PRI * HT"),
        (&tls, b""),
        (&tls, b"\x16\x03\x01"),
    ] {
        check(server, |address| {
            let mut stream = connect(address);
            stream.write_all(beginning).unwrap();
            // Once the next connection is served, this one has been accepted.
            assert!(ask(&mut connect(address), PLAIN).starts_with("HTTP/1."));
            stream
        });
    }
}

#[test]
fn requests_that_wait_for_their_upstream_hold_no_table() {
    for site in [site_with_host, site_without_host] {
        waiting(site, PLAIN, "");
        waiting(site, UPLOAD, "");
    }
}

#[test]
fn answers_and_tunnels_under_way_hold_no_table() {
    for site in [site_with_host, site_without_host] {
        waiting(site, PLAIN, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        waiting(
            site,
            WEBSOCKET,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        );
    }
}
