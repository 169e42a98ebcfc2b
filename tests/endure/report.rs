//! What many objects cost who writes about them: a new leader writes nothing, and whoever edits waits for no backfill.
//!
//! `FAIRWAY_REPORT_OBJECTS` says how many: 200 by default.

use std::time::{Duration, Instant};

use fairway_tests::cluster::{Asked, Cluster, Fault, Faults, HOME, Namespace, Replica, caddy_route, wait};
use serde_json::{Value, json};

use crate::number;

/// How long each status takes to be written in the middle of a backfill, so that it lasts.
const SLOW: Duration = Duration::from_millis(50);

/// How many others may be told after an edit was applied and before it is its turn: two batches, for one is under way.
const BEFORE: usize = 80;

fn route(number: usize, space: &Namespace, body: &str) -> Value {
    let host = format!("s{number}.{}.test", space.name());
    // Some of them are broken: they have an Event as well.
    let directive = if number % 10 == 3 { "respnd" } else { "respond" };
    let mut object = caddy_route(
        &format!("s{number:05}"),
        &format!("{host} {{\n\t{directive} {body}\n}}\n"),
    );
    object["metadata"]["namespace"] = json!(space.name());
    object
}

/// The statuses that a replica has written, by the name of the object.
fn told(asked: &[Asked]) -> Vec<String> {
    let statuses = asked.iter().filter(|asked| asked.path.ends_with("/status"));
    let name = |asked: &Asked| asked.path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    statuses.map(name).collect()
}

fn is_told(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

fn holder(cluster: &Cluster) -> String {
    let path = "--output=jsonpath={.items[*].spec.holderIdentity}";
    let found = cluster.expect(&["get", "leases", "--namespace", HOME, path], "");
    found.trim().to_owned()
}

#[test]
fn a_new_leader_writes_nothing_and_an_edit_waits_for_no_backfill() {
    // Alone: every write counts.
    let cluster = Cluster::start();
    cluster.prepare();
    let space = cluster.namespace("many");
    let count = number("FAIRWAY_REPORT_OBJECTS", 200) as usize;
    let all: Vec<Value> = (0..count).map(|number| route(number, &space, "one")).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": all});
    space.apply(&list.to_string());

    // All of them wait to be told, and one is edited.
    let faults = Faults::start(&cluster);
    faults.set("status", Fault::Delay(SLOW));
    let mut first = Replica::start_at(&cluster, &faults.kubeconfig());
    let mut asked = Vec::new();
    wait("the first of them", || {
        asked.extend(faults.take_asked());
        if told(&asked).is_empty() {
            Err(String::new())
        } else {
            Ok(())
        }
    });
    let edited = format!("s{:05}", count - 1);
    space.apply(&route(count - 1, &space, "two").to_string());
    let applied = Instant::now();
    asked.extend(faults.take_asked());
    let before = told(&asked).len();
    space.wait_until(&format!("cdr/{edited}"), |object| {
        object["metadata"]["generation"] == 2 && is_told(object)
    });
    let took = applied.elapsed();
    asked.extend(faults.take_asked());
    let place = told(&asked).iter().position(|name| *name == edited);
    let place = place.expect("it was told");
    println!("{count} objects: edited after {before} were told, told as number {place}, after {took:?}");
    assert!(place < count - 1, "it waited for all {count}");
    assert!(
        place <= before + BEFORE,
        "told as number {place}, edited after {before}"
    );
    faults.clear();
    wait("all to be told", || {
        let list = space.get("cdr");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let missing = items.iter().filter(|object| !is_told(object)).count();
        if missing == 0 {
            Ok(())
        } else {
            Err(format!("{missing} of {}", items.len()))
        }
    });

    // Another leads, and has nothing to say but to whoever edits.
    let leader = holder(&cluster);
    let behind = Faults::start(&cluster);
    let _second = Replica::start_at(&cluster, &behind.kubeconfig());
    first.ask_to_end();
    assert!(first.wait_for_end().success());
    wait("another leader", || match holder(&cluster) {
        now if !now.is_empty() && now != leader => Ok(()),
        now => Err(now),
    });
    space.apply(&route(0, &space, "three").to_string());
    space.wait_until("cdr/s00000", |object| {
        object["metadata"]["generation"] == 2 && is_told(object)
    });
    let asked = behind.take_asked();
    assert_eq!(told(&asked), ["s00000"]);
    let events = asked.iter().filter(|asked| asked.path.contains("/events"));
    assert_eq!(events.count(), 0, "what was told as an Event is not told again");
}
