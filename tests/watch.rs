//! `fairway run` as a process: it follows its file, survives a broken one, and drains on SIGTERM.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fairway_tests::ledger::{self, Authority, Door, put};

/// What has not happened after this time never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy; killed if the test fails.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn site(body: &str) -> String {
    format!("{{\n\tadmin off\n}}\n\nhttp://:0 {{\n\trespond \"{body}\"\n}}\n")
}

/// Waits until `ready` gives something.
#[track_caller]
fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what} in vain");
        thread::yield_now();
    }
}

fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.rsplit("\r\n\r\n").next().map(str::to_owned)
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

#[test]
fn a_changed_file_is_served_and_a_broken_one_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("Caddyfile");
    // Put into its place whole: a file that is just being written may be read while it is still empty.
    let write = |text: &str| {
        let new = folder.path().join("Caddyfile.new");
        fs::write(&new, text).expect("the config is written");
        fs::rename(new, &file).expect("it takes its place");
    };
    write(&site("first"));
    // The log lies beside the config: what is written to it must not count as a change.
    let output = File::create(folder.path().join("log")).expect("a log");
    let child = Command::new(fairway_tests::fairway().expect("`make test` builds it"))
        .args(["run", "--watch", "--config", "Caddyfile"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .expect("it starts");
    let mut proxy = Proxy(child);
    let address = wait("the listener", || {
        let log = log(folder.path());
        let (_, rest) = log.split_once("\"address\":\"")?;
        let (address, _) = rest.split_once('"')?;
        Some(address.replace("[::]", "127.0.0.1"))
    });
    wait("the first answer", || (get(&address)? == "first").then_some(()));

    write(&site("second"));
    wait("the changed answer", || {
        (get(&address)? == "second").then_some(())
    });

    write("http://:0 {\n\trespnd third\n}\n");
    wait("the report", || {
        log(folder.path()).contains("is not served").then_some(())
    });
    assert_eq!(get(&address).as_deref(), Some("second"));

    write(&site("fourth"));
    wait("the mended answer", || (get(&address)? == "fourth").then_some(()));
    assert_eq!(log(folder.path()).matches("error[unknown-directive]").count(), 1);

    let id = proxy.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill runs")
            .success()
    );
    let status = wait("the end", || proxy.0.try_wait().expect("it is our child"));
    assert!(status.success(), "{status}");
}

#[test]
fn a_renewed_certificate_is_served_and_half_of_a_pair_is_not() {
    let name = "a.test";
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = folder.path().join("pairs");
    fs::create_dir(&pairs).expect("a folder");
    let authority = Authority::default();
    let first = authority.renew(name, &pairs);
    let site = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n\
         https://{name}:0 {{\n\ttls pairs/cert.pem pairs/key.pem\n}}\n"
    );
    put(folder.path(), "Caddyfile", &site);
    let proxy = ledger::Proxy::start(folder.path());
    let address = wait("the listener", || proxy.addresses().first().copied());
    let door = Door::tls(address, name, &authority);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let shown = || runtime.block_on(door.certificate()).expect("a handshake");
    assert_eq!(shown(), Some(first.clone()));

    let second = authority.issue(name);
    put(&pairs, "cert.pem", &second.certificate_pem);
    wait("the report", || {
        proxy
            .log()
            .contains("does not belong to the certificate")
            .then_some(())
    });
    assert_eq!(shown(), Some(first));
    put(&pairs, "key.pem", &second.key_pem);
    wait("the renewed certificate", || {
        (shown().as_ref() == Some(&second.certificate)).then_some(())
    });
}
