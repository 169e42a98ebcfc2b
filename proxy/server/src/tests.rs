//! The whole server over sockets, with clients made by hand.

mod tables;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::tls::{Loaded, Secrets, Tls};
use crate::{AccessLog, Ending, Entry, Options, Plan, Running, plan};

type Parts = (Arc<fairway_engine::table::Table>, Plan, Tls);

fn parts(server: &Value) -> Parts {
    parts_with(server, &fairway_engine::Registry::default())
}

fn parts_with(server: &Value, registry: &fairway_engine::Registry) -> Parts {
    let config = serde_json::from_value(json!({"apps": {"http": {"servers": {"srv0": server}}}})).unwrap();
    let table = Arc::new(fairway_engine::compile(&config, registry).unwrap());
    let tls = Tls::new(
        &config,
        Loaded::new(&config).unwrap(),
        &[],
        &Secrets::default(),
        None,
    )
    .unwrap();
    (table, plan(&config).unwrap(), tls)
}

/// Starts a server on any free port.
fn start_with(mut server: Value, access_log: Option<Arc<dyn AccessLog>>) -> (Running, SocketAddr) {
    server["listen"] = json!(["127.0.0.1:0"]);
    let (table, plan, tls) = parts(&server);
    let options = Options {
        threads: NonZeroUsize::new(2),
        access_log,
    };
    let running = Running::start(&table, &plan, &tls, &options).unwrap();
    let address = running.addresses()[0];
    (running, address)
}

fn start(server: Value) -> (Running, SocketAddr) {
    start_with(server, None)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads a head, and a body if `content-length` says so.
fn response(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ended");
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    response(stream)
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

fn end(running: Running, grace: Option<Duration>) -> Ending {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(running.shutdown(grace))
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

#[test]
fn a_connection_carries_many_requests() {
    let (running, address) = start(json!({}));
    let mut stream = connect(address);
    for _ in 0..3 {
        let answer = ask(&mut stream, GET);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nserver: Fairway\r\n"), "{answer}");
        assert!(answer.contains("\r\ndate: "), "{answer}");
    }
    assert_eq!(end(running, None), Ending::Drained);
    assert!(is_closed(&mut stream));
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn requests_and_connections_are_counted() {
    let (running, address) = start(respond("four"));
    let totals = running.totals();
    let mut streams = [connect(address), connect(address), connect(address)];
    for stream in &mut streams {
        ask(stream, GET);
    }
    assert!(ask(&mut streams[0], "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(end(running, None), Ending::Drained);
    let counted = totals();
    assert_eq!(counted.responses.get(&200), Some(&3));
    assert_eq!(counted.responses.get(&400), Some(&1));
    assert_eq!((counted.under_way, counted.aborted), (0, 0));
    assert_eq!((counted.connections, counted.open_connections), (3, 0));
    assert_eq!(
        (counted.durations.count, counted.upstream_durations.count),
        (4, 0)
    );
    assert!(counted.response_bytes >= 12 && counted.durations.micros > 0);
}

#[test]
fn aborted_requests_are_counted_apart() {
    let (running, address) =
        start(json!({"routes": [{"handle": [{"handler": "static_response", "abort": true}]}]}));
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    assert!(is_closed(&mut stream));
    let totals = running.totals();
    assert_eq!(end(running, None), Ending::Drained);
    assert_eq!((totals().aborted, totals().responses.len()), (1, 0));
}

#[test]
fn a_body_that_nobody_reads_is_read_over() {
    let (_running, address) = start(respond("ok"));
    let mut stream = connect(address);
    for body in [
        "content-length: 3\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
    ] {
        let answer = ask(&mut stream, &format!("POST / HTTP/1.1\r\nhost: a\r\n{body}"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let late = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(ask(&mut stream, late).ends_with("ok"));
    stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").unwrap();
    assert!(ask(&mut stream, GET).ends_with("ok"));
}

#[test]
fn a_body_that_nobody_reads_has_a_limit() {
    let (_running, address) = start(respond("ok"));
    let mut stream = connect(address);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        1 << 30
    );
    assert!(ask(&mut stream, &head).ends_with("ok"));
    let piece = vec![0; 64 * 1024];
    // It ends with an error long before all is sent.
    assert!((0..1 << 14).any(|_| stream.write_all(&piece).is_err()));
}

#[track_caller]
fn check_refused(request: &str, expected: &str) {
    let (_running, address) = start(json!({}));
    let mut stream = connect(address);
    let answer = ask(&mut stream, request);
    assert_eq!(answer.lines().next(), Some(expected), "{request}");
    assert!(is_closed(&mut stream), "{request}");
}

#[test]
fn malformed_requests_are_refused_and_the_connection_closed() {
    check_refused("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request");
    check_refused(
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "HTTP/1.1 400 Bad Request",
    );
    check_refused("GET foo HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400 Bad Request");
    check_refused(
        "CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        "HTTP/1.1 405 Method Not Allowed",
    );
    check_refused("GET / HTTP/1.1\r\nbad\r\n\r\n", "HTTP/1.1 400 Bad Request");
}

#[test]
fn options_of_the_server_itself_are_empty() {
    let (_running, address) = start(json!({}));
    let answer = ask(&mut connect(address), "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-length: 0"), "{answer}");
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let (_running, address) = start(json!({"max_header_bytes": 9000}));
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(9000));
    let answer = ask(&mut connect(address), &large);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let (_running, address) = start(json!({"read_header_timeout": "1ms"}));
    // Without a byte there is nothing to answer.
    assert!(is_closed(&mut connect(address)));
    let mut stream = connect(address);
    stream.write_all(b"GET / HT").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n400 Bad Request"), "{answer}");
}

#[test]
fn http2_is_spoken_without_tls_where_it_is_allowed() {
    let (_running, address) = start(json!({"protocols": ["h1", "h2c"]}));
    let answer = ask(&mut connect(address), GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let builder = hyper::client::conn::http2::Builder::new(crate::traffic::LocalExecutor);
        let (mut sender, connection) = builder.handshake(io).await.unwrap();
        tokio::task::spawn_local(connection);
        let request = http::Request::get("http://a.example/");
        let request = request.body(fairway_engine::body::Body::Empty).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), http::Version::HTTP_2);
    });
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_so() {
    let (_running, address) = start(json!({"tls_connection_policies": [{}]}));
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(
        answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"),
        "{answer}"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let (running, address) = start(json!({}));
    let (table, plan, tls) = parts(&json!({"listen": [address.to_string()]}));
    let error = Running::start(&table, &plan, &tls, &Options::default())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!("listening on {address} for server srv0")
    );
    drop(running);
}

/// Answers with `text` under its own route.
fn respond(text: &str) -> Value {
    json!({"routes": [{"handle": [{"handler": "static_response", "body": text}]}]})
}

#[test]
fn a_swap_changes_the_next_request_and_keeps_the_connection() {
    let (running, address) = start(respond("one"));
    let mut stream = connect(address);
    assert!(ask(&mut stream, GET).ends_with("one"));
    let mut next = respond("two");
    next["listen"] = json!(["127.0.0.1:0"]);
    let (table, plan, tls) = parts(&next);
    running.swap(&table, &plan, &tls).unwrap();
    assert!(ask(&mut stream, GET).ends_with("two"));
    assert_eq!(running.addresses(), [address]);
}

#[derive(Default)]
struct Kept(Mutex<Vec<(String, Entry)>>);

impl AccessLog for Kept {
    fn write(&self, logger: &str, entry: &Entry) {
        self.0.lock().unwrap().push((logger.to_owned(), entry.clone()));
    }
}

#[test]
fn requests_are_logged_once_they_are_over() {
    let kept = Arc::new(Kept::default());
    let mut server = respond("hello");
    let skip = json!({"match": [{"path": ["/health"]}], "handle": [{"handler": "vars", "log_skip": true}]});
    server["routes"].as_array_mut().unwrap().insert(0, skip);
    let routes = server["routes"].as_array_mut().unwrap();
    routes.insert(
        1,
        json!({"match": [{"path": ["/named"]}], "handle": [
            {"handler": "vars", "access_logger_names": ["one", ""], "number": 5},
        ]}),
    );
    routes.insert(
        2,
        json!({"handle": [
            {"handler": "log_append", "key": "late", "value": "{http.vars.number}"},
            {"handler": "log_append", "key": "early", "value": "number", "early": true},
            {"handler": "log_append", "key": "status", "value": "299"},
            {"handler": "log_append", "key": "level", "value": "debug"},
        ]}),
    );
    server["logs"] = json!({"default_logger_name": "log0", "skip_hosts": ["quiet.example"]});
    let (running, address) = start_with(server, Some(Arc::clone(&kept) as Arc<dyn AccessLog>));
    let mut stream = connect(address);
    ask(
        &mut stream,
        "GET /a?b HTTP/1.1\r\nhost: a.example\r\ncookie: c=d\r\n\r\n",
    );
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: quiet.example\r\n\r\n");
    ask(&mut stream, "GET /health HTTP/1.1\r\nhost: a.example\r\n\r\n");
    ask(&mut stream, "GET /named HTTP/1.1\r\nhost: a.example\r\n\r\n");
    end(running, None);
    let kept = kept.0.lock().unwrap();
    let [(logger, entry), (first, named), (second, _)] = kept.as_slice() else {
        panic!("{} entries", kept.len());
    };
    assert_eq!(logger, "log0");
    assert_eq!((entry.status, entry.size), (200, 5));
    let fields = Value::Object(entry.fields());
    assert_eq!(fields["request"]["uri"], "/a?b");
    assert_eq!(fields["request"]["proto"], "HTTP/1.1");
    assert_eq!(fields["request"]["headers"], json!({"Cookie": ["REDACTED"]}));
    assert_eq!(fields["resp_headers"]["Server"], json!(["Fairway"]));
    assert_eq!(fields["late"], Value::Null);
    assert_eq!(fields["early"], "number");
    assert_eq!((first.as_str(), second.as_str()), ("one", ""));
    let fields = Value::Object(named.fields());
    assert_eq!((&fields["late"], &fields["early"]), (&json!(5), &json!(5)));
    assert_eq!((&fields["status"], &fields["level"]), (&json!(200), &Value::Null));
}

/// Routes all requests to `upstream`.
fn proxy_to(upstream: SocketAddr) -> Value {
    let handler = json!({"handler": "reverse_proxy", "upstreams": [{"dial": upstream.to_string()}]});
    json!({"routes": [{"handle": [handler]}], "protocols": ["h1", "h2c"]})
}

/// An upstream; each of its connections is served by `script` on a thread of its own.
fn upstream(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || script(stream.unwrap()));
        }
    });
    address
}

/// Reads up to and with `end`.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end.as_bytes()) {
        let so_far = String::from_utf8_lossy(&read);
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "ended after {so_far:?}");
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn bodies_stream_both_ways_with_trailers() {
    // Each side goes on only when the other has got what came before.
    let (_running, address) = start(proxy_to(upstream(|mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        read_until(&mut stream, "one");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"3\r\nONE\r\n").unwrap();
        read_until(&mut stream, "two");
        stream.write_all(b"3\r\nTWO\r\n").unwrap();
        read_until(&mut stream, "0\r\n\r\n");
        stream.write_all(b"0\r\nx-end: yes\r\n\r\n").unwrap();
    })));
    let mut stream = connect(address);
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"3\r\none\r\n").unwrap();
    read_until(&mut stream, "ONE");
    stream.write_all(b"3\r\ntwo\r\n").unwrap();
    read_until(&mut stream, "TWO");
    stream.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut stream, "x-end: yes\r\n\r\n");
}

#[test]
fn a_response_that_breaks_off_does_not_look_whole() {
    let (_running, address) = start(proxy_to(upstream(|mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nONE\r\n";
        stream.write_all(head.as_bytes()).unwrap();
    })));
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(!String::from_utf8_lossy(&all).contains("\r\n0\r\n"));
}

/// An upstream that echoes what comes after an upgrade.
fn echo() -> SocketAddr {
    upstream(|mut stream| {
        let head = read_until(&mut stream, "\r\n\r\n").to_ascii_lowercase();
        assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
        assert!(head.contains("\r\nsec-websocket-key: "), "{head}");
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut other = stream.try_clone().unwrap();
        std::io::copy(&mut other, &mut stream).unwrap();
    })
}

const WEBSOCKET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_tunnel_outlives_a_swap_and_is_waited_for() {
    let server = proxy_to(echo());
    let (running, address) = start(server.clone());
    let mut stream = connect(address);
    let answer = ask(&mut stream, WEBSOCKET);
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    stream.write_all(b"ping").unwrap();
    read_until(&mut stream, "ping");
    let mut next = server;
    next["listen"] = json!(["127.0.0.1:0"]);
    let (table, plan, tls) = parts(&next);
    running.swap(&table, &plan, &tls).unwrap();
    let ending = std::thread::spawn(move || end(running, None));
    stream.write_all(b"pong").unwrap();
    read_until(&mut stream, "pong");
    drop(stream);
    assert_eq!(ending.join().unwrap(), Ending::Drained);
}

#[test]
fn a_tunnel_does_not_outlive_the_grace_period() {
    let (running, address) = start(proxy_to(echo()));
    let mut stream = connect(address);
    ask(&mut stream, WEBSOCKET);
    assert_eq!(end(running, Some(Duration::from_millis(10))), Ending::Cut);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_tunnel_ends_at_its_limit() {
    let mut server = proxy_to(echo());
    server["routes"][0]["handle"][0]["stream_timeout"] = json!("1ms");
    let (_running, address) = start(server);
    let mut stream = connect(address);
    ask(&mut stream, WEBSOCKET);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_tunnel_counts_as_a_request_until_it_ends() {
    let mut server = proxy_to(echo());
    server["routes"][0]["handle"][0]["upstreams"][0]["max_requests"] = json!(1);
    let (_running, address) = start(server);
    let mut first = connect(address);
    ask(&mut first, WEBSOCKET);
    let mut second = connect(address);
    let answer = ask(&mut second, WEBSOCKET);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(first);
    let start = std::time::Instant::now();
    while !ask(&mut connect(address), WEBSOCKET).starts_with("HTTP/1.1 101 ") {
        assert!(start.elapsed() < Duration::from_secs(20), "it still counts");
    }
}

#[test]
fn websockets_come_over_http2() {
    let (_running, address) = start(proxy_to(echo()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let builder = hyper::client::conn::http2::Builder::new(crate::traffic::LocalExecutor);
        let (mut sender, connection) = builder.handshake(io).await.unwrap();
        tokio::task::spawn_local(connection);
        // The server's settings come with its first answer.
        let first = http::Request::get("http://a/");
        let first = first
            .method("OPTIONS")
            .body(fairway_engine::body::Body::Empty)
            .unwrap();
        let _ = sender.send_request(first).await;
        let request = http::Request::connect("http://a/chat")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .body(fairway_engine::body::Body::Empty)
            .unwrap();
        let mut answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
        stream.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
    });
}

#[test]
fn the_length_of_a_response_to_head_stays() {
    let (_running, address) = start(proxy_to(upstream(|mut stream| {
        loop {
            read_until(&mut stream, "\r\n\r\n");
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").unwrap();
        }
    })));
    let mut stream = connect(address);
    for _ in 0..3 {
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.contains("\r\ncontent-length: 10\r\n"), "{head}");
    }
}

#[test]
fn a_request_under_way_at_the_end_is_answered() {
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let (running, address) = start(proxy_to(upstream(move |mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        arrived.send(()).unwrap();
        let () = may_go_on.lock().unwrap().recv().unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
            .unwrap();
    })));
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    has_arrived.recv().unwrap();
    let ending = std::thread::spawn(move || end(running, None));
    // The end has begun when nobody listens any more.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    go_on.send(()).unwrap();
    let answer = response(&mut stream);
    assert!(answer.ends_with("late"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(ending.join().unwrap(), Ending::Drained);
}

#[test]
fn an_upstream_is_told_when_the_client_goes() {
    let (gone, is_gone) = std::sync::mpsc::channel();
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    let (_running, address) = start(proxy_to(upstream(move |mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        arrived.send(()).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        while stream.write_all(&[0; 4096]).is_ok() {}
        gone.send(()).unwrap();
    })));
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    has_arrived.recv().unwrap();
    drop(stream);
    is_gone.recv_timeout(Duration::from_secs(20)).unwrap();
}
