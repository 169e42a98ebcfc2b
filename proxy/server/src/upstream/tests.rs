//! Requests to upstreams made by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::LocalOptions;

use super::*;
use crate::traffic::Helpers;

/// An upstream whose connections are served by `script`, with their number, each to its end.
fn upstream(script: impl Fn(usize, TcpStream) + Send + 'static) -> Dial {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string().into();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            script(number, stream.unwrap());
        }
    });
    Dial {
        address,
        network: fairway_engine::world::Network::Tcp,
    }
}

/// Reads the head of a request; nothing at the end of the connection.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

fn run<F: Future>(test: impl FnOnce(Upstreams) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    let helpers = Helpers::start(1).unwrap();
    runtime.block_on(async { test(Upstreams::new(helpers.handle.clone())).await })
}

fn request(method: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/x?y")
        .header("host", "a.example")
        .body(body)
        .unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn connections_are_used_again() {
    let dial = upstream(|number, mut stream| {
        while let Some(head) = head(&mut stream) {
            assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}").unwrap();
        }
    });
    run(async |upstreams| {
        let transport = Arc::default();
        for _ in 0..3 {
            let response = upstreams
                .send(&dial, &transport, request("GET", Body::Empty))
                .await;
            assert_eq!(text(response.unwrap()).await, "0");
            // The connection notices the end of its response.
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_request_on_a_connection_that_was_stale_is_lost_unless_fresh() {
    let dial = upstream(|number, mut stream| {
        head(&mut stream);
        stream.write_all(HELLO).unwrap();
        if number == 0 {
            head(&mut stream);
        }
    });
    run(async |upstreams| {
        let transport = Arc::default();
        let first = upstreams
            .send(&dial, &transport, request("GET", Body::Empty))
            .await;
        text(first.unwrap()).await;
        tokio::task::yield_now().await;
        let second = upstreams
            .send(&dial, &transport, request("GET", Body::Empty))
            .await;
        assert!(matches!(second, Err(SendError::Lost { .. })), "{second:?}");
        let mut third = request("GET", Body::Empty);
        third.extensions_mut().insert(Fresh);
        let third = upstreams.send(&dial, &transport, third).await;
        assert_eq!(text(third.unwrap()).await, "hello");
    });
}

#[test]
fn a_connection_closed_while_idle_costs_nothing() {
    let (closed, is_closed) = mpsc::channel();
    let dial = upstream(move |_, mut stream| {
        head(&mut stream);
        stream.write_all(HELLO).unwrap();
        drop(stream);
        let _ = closed.send(());
    });
    run(async |upstreams| {
        let transport = Arc::default();
        for _ in 0..3 {
            let response = upstreams
                .send(&dial, &transport, request("POST", Body::Empty))
                .await;
            assert_eq!(text(response.unwrap()).await, "hello");
            is_closed.recv().unwrap();
            // Lets the connection see its end.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn nobody_there_gives_the_request_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dial = Dial {
        address: listener.local_addr().unwrap().to_string().into(),
        network: fairway_engine::world::Network::Tcp,
    };
    drop(listener);
    run(async |upstreams| {
        let body = Body::from("whole".to_owned());
        let error = upstreams
            .send(&dial, &Arc::default(), request("POST", body))
            .await
            .unwrap_err();
        let SendError::Connect { request, .. } = error else {
            panic!("{error:?}");
        };
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "whole");
    });
}

#[test]
fn a_silent_upstream_is_not_waited_for() {
    let (end, ended) = mpsc::channel::<()>();
    let dial = upstream(move |_, mut stream| {
        head(&mut stream);
        let _ = ended.recv();
    });
    run(async |upstreams| {
        let transport = Arc::new(Transport {
            response_header_timeout: Some(Duration::from_millis(5)),
            ..Transport::default()
        });
        let error = upstreams
            .send(&dial, &transport, request("GET", Body::Empty))
            .await;
        assert!(matches!(error, Err(SendError::Timeout { .. })), "{error:?}");
    });
    drop(end);
}

#[test]
fn trailers_and_chunks_pass() {
    let dial = upstream(|_, mut stream| {
        head(&mut stream);
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
                        3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n";
        stream.write_all(response.as_bytes()).unwrap();
    });
    run(async |upstreams| {
        let response = upstreams
            .send(&dial, &Arc::default(), request("GET", Body::Empty))
            .await;
        let collected = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-end"], "yes");
        assert_eq!(collected.to_bytes(), "abc");
    });
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let dial = upstream(|_, mut stream| {
        head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
            .unwrap();
    });
    run(async |upstreams| {
        let response = upstreams
            .send(&dial, &Arc::default(), request("GET", Body::Empty))
            .await;
        response.unwrap().into_body().collect().await.unwrap_err();
    });
}

#[test]
fn http2_connections_are_shared() {
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    run(async |upstreams| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dial = Dial {
            address: listener.local_addr().unwrap().to_string().into(),
            network: fairway_engine::world::Network::Tcp,
        };
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                    let text = format!("{} {}", request.uri(), request.version() == Version::HTTP_2);
                    Ok::<_, std::convert::Infallible>(Response::new(Body::from(text)))
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                let builder = hyper::server::conn::http2::Builder::new(crate::traffic::LocalExecutor);
                tokio::task::spawn_local(builder.serve_connection(io, service));
            }
        });
        let transport = Arc::new(Transport {
            versions: fairway_engine::handlers::reverse_proxy::transport::Versions {
                h1: false,
                h2: false,
                h2c: true,
            },
            ..Transport::default()
        });
        for _ in 0..3 {
            let response = upstreams
                .send(&dial, &transport, request("GET", Body::Empty))
                .await;
            assert_eq!(text(response.unwrap()).await, "http://a.example/x?y true");
        }
    });
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn an_upgrade_hands_over_the_connection() {
    let dial = upstream(|_, mut stream| {
        head(&mut stream);
        let response = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(response.as_bytes()).unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    run(async |upstreams| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut request = request("GET", Body::Empty);
        request
            .headers_mut()
            .insert("connection", "upgrade".parse().unwrap());
        request.headers_mut().insert("upgrade", "echo".parse().unwrap());
        let response = upstreams.send(&dial, &Arc::default(), request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = response.extensions().get::<Switched>().unwrap().take().unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
    });
}

#[test]
fn a_read_that_waits_too_long_breaks_the_body_off() {
    let (end, ended) = mpsc::channel::<()>();
    let dial = upstream(move |_, mut stream| {
        head(&mut stream);
        stream.write_all(&HELLO[..HELLO.len() - 1]).unwrap();
        let _ = ended.recv();
    });
    run(async |upstreams| {
        let transport = Arc::new(Transport {
            read_timeout: Some(Duration::from_millis(50)),
            ..Transport::default()
        });
        let response = upstreams
            .send(&dial, &transport, request("GET", Body::Empty))
            .await;
        response.unwrap().into_body().collect().await.unwrap_err();
    });
    drop(end);
}

#[test]
fn a_body_that_an_early_answer_leaves_unread_is_let_go() {
    struct Endless(oneshot::Sender<()>);
    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            assert!(!self.0.is_closed());
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 8192])))))
        }
    }
    let (end, ended) = mpsc::channel::<()>();
    let dial = upstream(move |_, mut stream| {
        head(&mut stream);
        stream.write_all(HELLO).unwrap();
        let _ = ended.recv();
    });
    run(async |upstreams| {
        let (held, let_go) = oneshot::channel();
        let request = request("POST", Body::stream(Endless(held)));
        let response = upstreams.send(&dial, &Arc::default(), request).await;
        assert_eq!(text(response.unwrap()).await, "hello");
        let_go.await.unwrap_err();
    });
    drop(end);
}

/// Status and body, or what is wrong.
type Answer = Result<(u16, String), String>;

/// What a request gets from an upstream that answers with `answer`, and how many connections two of them take.
fn ask_twice(method: &'static str, answer: &'static str) -> (Vec<Answer>, usize) {
    let (told, numbers) = mpsc::channel();
    let dial = upstream(move |number, mut stream| {
        while head(&mut stream).is_some() {
            let _ = told.send(number);
            stream.write_all(answer.as_bytes()).unwrap();
            if answer.contains("connection: close") {
                break;
            }
        }
    });
    let answers = run(async |upstreams| {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let sent = upstreams
                .send(&dial, &Arc::default(), request(method, Body::Empty))
                .await;
            answers.push(match sent {
                Ok(response) => Ok((response.status().as_u16(), text(response).await)),
                Err(SendError::Exchange { source, .. }) => Err(source.to_string()),
                Err(_) => Err("another error".into()),
            });
        }
        answers
    });
    (answers, numbers.try_iter().max().unwrap_or_default() + 1)
}

#[track_caller]
fn check_answer(method: &'static str, answer: &'static str, expected: (u16, &str), connections: usize) {
    let (answers, used) = ask_twice(method, answer);
    for found in answers {
        let found = found.unwrap();
        assert_eq!((found.0, &*found.1), expected, "{answer:?}");
    }
    assert_eq!(used, connections, "{answer:?}");
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                  HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    check_answer("GET", answer, (200, "hi"), 1);
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    check_answer(
        "HEAD",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        (200, ""),
        1,
    );
    check_answer(
        "HEAD",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        (200, ""),
        1,
    );
    check_answer("GET", "HTTP/1.1 204 No Content\r\n\r\n", (204, ""), 1);
    check_answer(
        "GET",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        (304, ""),
        1,
    );
}

#[test]
fn a_connection_that_said_too_much_is_not_used_again() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    check_answer("GET", answer, (200, "hi"), 2);
    check_answer(
        "HEAD",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        (200, ""),
        2,
    );
}

#[test]
fn a_connection_is_closed_where_the_answer_says_so() {
    check_answer(
        "GET",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        (200, "hi"),
        2,
    );
    check_answer(
        "GET",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end",
        (200, "to the end"),
        2,
    );
}

#[test]
fn answers_that_contradict_themselves_are_refused() {
    for (answer, expected) in [
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "the upstream switched protocols without being asked to",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
            "the upstream's response is not valid: its content lengths differ",
        ),
        (
            "SSH-2.0-OpenSSH\r\n",
            "the upstream's response is not valid: its version",
        ),
    ] {
        let (answers, connections) = ask_twice("GET", answer);
        assert_eq!(answers, [Err(expected.to_owned()), Err(expected.to_owned())]);
        assert_eq!(connections, 2);
    }
}
