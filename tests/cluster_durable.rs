//! What outlives the API server: a process that is killed while nobody answers comes back from the snapshot on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fairway_tests::cluster::{Cluster, Namespace, Replica, Upstream, wait};
use serde_json::{Value, json};

/// The promise is a second, on a machine that does nothing else. This one may be busy; the figure is printed.
const START: Duration = Duration::from_secs(20);
/// From the return of the API server to what is new there.
const FRESH: Duration = Duration::from_secs(35);

fn prepare(cluster: &Cluster) {
    cluster.teach_kinds();
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "fairway"},
        "spec": {"controller": "fairway.dev/ingress-controller"},
    });
    cluster.apply(&class.to_string()).expect("it is taken");
}

/// An Ingress for a host with a certificate, to the Service `web`.
fn secure_ingress(host: &str) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": "fairway", "tls": [{"hosts": [host], "secretName": "shop-tls"}], "rules": [
            {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
        ]},
    })
}

fn caddy_route(name: &str, caddyfile: &str) -> Value {
    json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "CaddyRoute", "metadata": {"name": name},
        "spec": {"ingressClassName": "fairway", "caddyfile": caddyfile},
    })
}

/// A folder for snapshots that is not there yet.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept");
    (folder, path)
}

fn keeps(folder: &Path) -> [String; 1] {
    [format!("--snapshot-dir={}", folder.display())]
}

/// Waits until the snapshot on disk tells of something.
fn wait_until_kept(folder: &Path, what: &str) {
    wait(&format!("{what} on disk"), || {
        let kept = fs::read_to_string(folder.join("snapshot")).map_err(|error| error.to_string())?;
        if kept.contains(what) {
            Ok(())
        } else {
            Err("it is not there yet".to_owned())
        }
    });
}

/// Kills the replica; when the next one answered over HTTPS, it tells how long that took.
fn kill_and_wait(replica: &mut Replica, host: &str, trusted: &Path, when: &str) {
    let begun = Instant::now();
    replica.kill_and_restart();
    replica.wait_for_https(host, "/cart", trusted, 200, "blue /cart");
    let took = begun.elapsed();
    eprintln!("killed {when}: the first answer over TLS after {took:.2?}");
    assert!(took < START, "{took:?}");
}

/// Whether the metrics have this line.
fn measures(replica: &Replica, line: &str) -> bool {
    let page = replica.ask_admin("/metrics").expect("an answer").body;
    page.lines().any(|written| written == line)
}

fn readiness(replica: &Replica) -> String {
    replica.ask_admin("/readyz").expect("an answer").body
}

fn wait_until_fresh(space: &Namespace, replica: &Replica, text: &str, begun: Instant) {
    let host = format!("new.{}.test", space.name());
    space.apply(&caddy_route("new", &format!("{host} {{\n\trespond {text}\n}}\n")).to_string());
    replica.wait_for(&host, "/", 200, text);
    let took = begun.elapsed();
    eprintln!("the API server is back: what is new there is served after {took:.2?}");
    assert!(took < FRESH, "{took:?}");
    assert_eq!(readiness(replica), "ok\n");
}

#[test]
fn a_kill_while_nobody_answers_costs_a_moment() {
    let mut cluster = Cluster::start();
    prepare(&cluster);
    let name = cluster.namespace("kept").name().to_owned();
    let host = format!("{name}.test");
    let (blue, (_guard, kept)) = (Upstream::start("blue"), folder());
    let (trusted, plain) = {
        let space = Namespace::of(&cluster, &name);
        space.serve("web", &blue);
        let trusted = space.certify("shop-tls", &host);
        let stranger = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "stranger"},
            "stringData": {"password": "Nobody names it"}});
        space.apply(&stranger.to_string());
        space.apply(&secure_ingress(&host).to_string());
        let plain = format!("plain.{host}");
        space
            .apply(&caddy_route("plain", &format!("{plain} {{\n\treverse_proxy web:http\n}}\n")).to_string());
        (trusted, plain)
    };
    let mut replica = Replica::start_with(&cluster, &keeps(&kept));
    replica.wait_for_https(&host, "/cart", &trusted, 200, "blue /cart");
    replica.wait_for(&plain, "/", 200, "blue /");
    assert_eq!(readiness(&replica), "ok\n");
    wait_until_kept(&kept, &plain);
    let mode = fs::metadata(kept.join("snapshot"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(kept.join("snapshot")).expect("it is text");
    assert!(
        text.contains("shop-tls") && !text.contains("stranger"),
        "only Secrets that are named are kept"
    );

    // Connections are taken, and nothing is said.
    cluster.freeze_api();
    kill_and_wait(&mut replica, &host, &trusted, "while the API server hangs");
    let said = readiness(&replica);
    assert!(said.starts_with("ok, from the snapshot on disk of "), "{said}");
    assert!(measures(&replica, "fairway_serving_from_disk 1"));
    assert!(measures(&replica, "fairway_ready 1"));
    cluster.thaw_api();
    let space = Namespace::of(&cluster, &name);
    wait_until_fresh(&space, &replica, "thawed", Instant::now());
    wait_until_kept(&kept, "thawed");
    assert!(measures(&replica, "fairway_serving_from_disk 0"));
    assert!(measures(
        &replica,
        "fairway_snapshot_writes_total{outcome=\"failed\"} 0"
    ));
    assert!(measures(
        &replica,
        "fairway_objects{kind=\"Ingress\",state=\"Accepted\"} 1"
    ));

    // Nobody is there at all.
    cluster.stop_api();
    kill_and_wait(&mut replica, &host, &trusted, "while the API server is down");
    replica.wait_for(&plain, "/", 200, "blue /");
    replica.wait_for(&format!("new.{host}"), "/", 200, "thawed");
    assert!(readiness(&replica).starts_with("ok, from"));

    // From here to what is new, nothing that was served blinks.
    let is_over = AtomicBool::new(false);
    let (asked, failed) = thread::scope(|scope| {
        let steady = scope.spawn(|| {
            let (mut asked, mut failed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let answers = [
                    replica.http(&plain, "/"),
                    replica.https(&host, "/", &trusted),
                    replica.http(&format!("new.{host}"), "/no-blink"),
                ];
                asked += answers.len();
                failed.extend(
                    answers
                        .into_iter()
                        .filter(|answer| answer.as_ref().map(|answer| answer.status) != Ok(200)),
                );
            }
            (asked, failed)
        });
        // Whatever fails in between, the thread comes to its end.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cluster.restart_api();
            wait_until_fresh(&Namespace::of(&cluster, &name), &replica, "back", Instant::now());
        }));
        is_over.store(true, Ordering::Relaxed);
        let counts = steady.join().expect("it does not panic");
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
        counts
    });
    eprintln!("{asked} requests meanwhile, {} failed", failed.len());
    assert!(asked > 0 && failed.is_empty(), "{failed:?}");
}

/// Starts a replica that has something wrong with its folder; it serves all the same, and tells once.
#[track_caller]
fn check_ignored(word: &str, spoil: impl FnOnce(&Path), told: &str) {
    let cluster = Cluster::shared();
    prepare(cluster);
    let space = cluster.namespace(word);
    let host = format!("{}.test", space.name());
    let (_guard, kept) = folder();
    spoil(&kept);
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond one\n}}\n")).to_string());
    let replica = Replica::start_with(cluster, &keeps(&kept));
    replica.wait_for(&host, "/", 200, "one");
    space.apply(&caddy_route("shop", &format!("{host} {{\n\trespond two\n}}\n")).to_string());
    replica.wait_for(&host, "/", 200, "two");
    wait(told, || {
        let log = replica.log();
        match log.lines().filter(|line| line.contains(told)).count() {
            0 => Err(log),
            1 => Ok(()),
            more => panic!("told {more} times"),
        }
    });
}

#[test]
fn a_broken_snapshot_is_ignored() {
    let spoil = |kept: &Path| {
        fs::create_dir(kept).expect("a folder");
        fs::write(kept.join("snapshot"), "no snapshot at all\n{}").expect("a file");
    };
    check_ignored("corrupt", spoil, "the snapshot on disk is of no use");
}

#[test]
fn a_folder_that_cannot_be_written_is_ignored() {
    // Not even root makes a folder of a file.
    let spoil = |kept: &Path| fs::write(kept, "a file").expect("a file");
    check_ignored("unwritable", spoil, "the snapshot cannot be kept on disk");
}
