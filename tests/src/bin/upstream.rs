//! The upstream of the ledger as a program, to run in a pod.
//!
//! usage: `upstream HTTP1-PORT HTTP2-PORT SEEN`; the number of each request is added to the file `SEEN`, one on a line.
//! After SIGTERM it serves on for a while, until everybody has heard that it goes, and then ends.

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::time::Duration;

use fairway_tests::ledger::{Seen, Upstream};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Longer than any request of the ledger takes, and than a Service takes to forget a pod.
const DELAY: Duration = Duration::from_secs(6);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [http1, http2, seen] = &arguments[..] else {
        return Err("usage: upstream HTTP1-PORT HTTP2-PORT SEEN".into());
    };
    let (http1, http2): (u16, u16) = (http1.parse()?, http2.parse()?);
    let seen = Seen::written_to(OpenOptions::new().create(true).append(true).open(seen)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let listen = async |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        Upstream::serve(listen(http1).await?, listen(http2).await?, &seen)?;
        terminate.recv().await;
        tokio::time::sleep(DELAY).await;
        Ok(())
    })
}
