//! A program behind a Service.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client may take to say what it wants.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A server that answers each request with its own name and the path that it saw: `blue /cart`.
pub struct Upstream {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts one on an address that Kubernetes takes for that of a pod.
    #[must_use]
    pub fn start(name: &'static str) -> Self {
        let host = address_of_this_machine().unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind((host, 0)).expect("an address of this machine can be bound");
        let address = listener.local_addr().expect("it is bound");
        let is_over = Arc::<AtomicBool>::default();
        let ending = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                thread::spawn(move || answer(&stream, name));
            }
        });
        Self {
            address,
            is_over,
            thread: Some(thread),
        }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It waits for a client, so it gets one.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// The address by which this machine would reach others. An API server refuses endpoints on a loopback address, and so
/// does the program.
pub fn address_of_this_machine() -> Result<IpAddr, String> {
    // Nothing is sent: connecting only chooses a route, to an address that is there for documentation.
    let chosen = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    match chosen {
        Ok(address) if !address.ip().is_loopback() && !address.ip().is_unspecified() => Ok(address.ip()),
        _ => Err(
            "this machine has no address but loopback, and a cluster takes none of these for a pod"
                .to_owned(),
        ),
    }
}

/// One request for each connection.
fn answer(stream: &TcpStream, name: &str) {
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    // The headers are read to their end, or closing would cut the answer off.
    if !lines.any(|line| line.is_empty()) {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let body = format!("{name} {path}");
    let length = body.len();
    let mut stream = stream;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
