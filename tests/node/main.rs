//! The whole way on a real node: an image, a chart, pods; and what is promised of rollouts, with every request counted.
//!
//! It needs root, and what `tests/cluster/build node` builds and installs: `make test-node`. One test takes the whole way,
//! because each part of it begins where the one before has ended, and a cluster is not to be had for nothing.
//! `FAIRWAY_IMAGE` names the image to take; without it, one is made of the program under test. `FAIRWAY_LEDGER_RATE`
//! chooses how many requests per second are sent.

mod backend;
mod release;

use std::collections::BTreeSet;
use std::time::Duration;

use backend::{Backend, HOST, SITE};
use fairway_tests::cluster::{Node, wait};
use fairway_tests::ledger::Balance;
use release::{helm, kill_one, settle, timed};

/// From nothing to a served page on the slowest machine, images and programs apart, which are built before. The figure that
/// counts is printed: a minute is promised, and half of that is usual.
const TO_A_PAGE: Duration = Duration::from_mins(4);

#[test]
fn from_nothing_to_a_served_page_through_rollouts_to_nothing() {
    let begun = std::time::Instant::now();
    let mut node = Node::start();
    println!("the node is ready: {:.1?}", node.took());
    backend::import(&mut node);
    release::import(&mut node);
    let node = node;
    // Nothing that the chart makes needs more than the strictest standard allows.
    let strict = "pod-security.kubernetes.io/enforce=restricted";
    node.expect(&["create", "namespace", release::NAME], "");
    node.expect(&["label", "namespace", release::NAME, strict], "");
    timed("helm install", || helm(&node, "install", &[]));
    let backend = Backend::apply(&node);
    backend.wait_until_served("http", HOST);
    backend.wait_until_served("https", SITE);
    let took = begun.elapsed();
    println!("from nothing to a served page: {took:.1?}");
    assert!(took < TO_A_PAGE, "{took:?}");
    node.expect(
        &["wait", "--for=condition=Ready", "cdr/shop", "--timeout=60s"],
        "",
    );
    settle(&node);
    release::check_restrictions(&node);
    wait("the cluster's DNS", || {
        let available = [
            "wait",
            "--for=condition=Available",
            "deploy/coredns",
            "--timeout=1s",
        ];
        node.kubectl(&[&["--namespace", "kube-system"], &available[..]].concat(), "")
    });

    is_answered(&backend.under_load("backend scaled from 2 to 4 and to 1", || {
        backend.scale(4);
        backend.scale(1);
    }));
    is_answered(&backend.under_load("backend scaled to 2 and rolled", || {
        backend.scale(2);
        backend.roll(2);
    }));
    is_answered(&backend.under_load("Fairway rolled", || {
        node.expect(
            &[
                "rollout",
                "restart",
                "deploy/fairway",
                "--namespace",
                release::NAME,
            ],
            "",
        );
        let status = [
            "rollout",
            "status",
            "deploy/fairway",
            "--namespace",
            release::NAME,
        ];
        node.expect(&[&status[..], &["--timeout=120s"]].concat(), "");
        settle(&node);
    }));
    is_answered(&backend.under_load("Fairway upgraded", || {
        helm(&node, "upgrade", &["--set", "threads=1"]);
        settle(&node);
    }));
    is_answered(&backend.under_load("Fairway rolled back", || {
        let back = ["rollback", release::NAME, "1", "--namespace", release::NAME];
        node.helm(&[&back[..], &["--wait", "--timeout=120s"]].concat())
            .expect("it goes back");
        settle(&node);
    }));
    release::check_restrictions(&node);
    let mut connections = BTreeSet::new();
    let balance = backend.under_load("one pod of Fairway killed", || {
        backend.wait_for_requests();
        connections = kill_one(&node);
        settle(&node);
    });
    let total = balance.total();
    assert_eq!(total.failed, 0, "{balance}");
    assert!(
        balance.unseen.is_empty() && balance.doubled.is_empty(),
        "{balance}"
    );
    let is_of_killed = |port: &Option<u16>| port.is_some_and(|port| connections.contains(&port));
    let over = &balance.reset_over;
    assert!(
        over.iter().all(is_of_killed),
        "{over:?} are not all of {connections:?}\n{balance}"
    );
    println!(
        "{} requests ended with the {} connections of the killed process",
        total.reset,
        connections.len()
    );

    timed("helm uninstall", || {
        let uninstall = ["uninstall", release::NAME, "--namespace", release::NAME, "--wait"];
        node.helm(&uninstall).expect("it goes")
    });
    node.expect(&["get", "crd", "caddyroutes.fairway.dev"], "");
    node.expect(&["get", "cdr/shop", "ingress/web"], "");
    wait("the pods to be gone", || match release::pods(&node).len() {
        0 => Ok(()),
        left => Err(format!("{left} pods")),
    });
}

/// Nothing is lost, whatever becomes of connections.
#[track_caller]
fn is_answered(balance: &Balance) {
    assert!(balance.is_answered(), "{balance}");
}
