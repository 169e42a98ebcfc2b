//! Fifty good objects beside every kind of broken one, on a real API server: what it takes is told what is wrong with it,
//! and the good ones go on and can be changed.
//!
//! The broken ones are those of the folders of manifests. `FAIRWAY_ISOLATION=each` applies them one by one, with a change
//! of a good one after each; by default they come all together.

use std::collections::BTreeSet;

use fairway_tests::cluster::{Cluster, Namespace, Replica, caddy_route, wait};
use serde_json::{Value, json};

use crate::broken::{self, Broken, Told};
use crate::objects;

/// How many good objects there are, and the fewest kinds of broken ones that must be told an error.
const GOOD: usize = 50;
const KINDS: usize = 20;

/// How many of the good ones are changed when all the broken ones are there.
const CHANGED: usize = 10;

fn host(space: &Namespace, number: usize) -> String {
    format!("g{number}.{}.test", space.name())
}

fn good(space: &Namespace, number: usize, version: usize) -> Value {
    let text = format!("{} {{\n\trespond {version}\n}}\n", host(space, number));
    let mut object = caddy_route(&format!("g{number}"), &text);
    object["metadata"]["namespace"] = json!(space.name());
    object
}

/// The objects of a broken file that are JSON, as all are that are no broken text.
fn documents(broken: &Broken) -> Vec<Value> {
    let text = String::from_utf8_lossy(&broken.text);
    let documents = text.split("\n---\n").map(serde_json::from_str);
    documents.collect::<Result<_, _>>().unwrap_or_default()
}

/// Whether something is said against an object in its status.
fn is_told(object: &Value) -> bool {
    let status = &object["status"];
    let mut diagnostics = status["diagnostics"].as_array().into_iter().flatten();
    let mut addresses = status["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    diagnostics.any(|one| one["severity"] == "Error")
        || addresses.any(|address| !address["ports"][0]["error"].is_null())
}

/// Applies what the API server takes; gives what it takes.
fn apply(cluster: &Cluster, broken: &[Broken]) -> Vec<Value> {
    let objects: Vec<Value> = broken.iter().flat_map(documents).collect();
    let spaces: BTreeSet<&str> = objects
        .iter()
        .filter_map(|object| object["metadata"]["namespace"].as_str())
        .collect();
    let spaces = spaces
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let spaces = objects::documents(&spaces.collect::<Vec<_>>());
    // What the API server refuses is passed over.
    let _ = cluster.apply(&spaces);
    let list = objects::documents(&objects);
    let taken = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=false",
        "-f",
        "-",
        "--output=name",
    ];
    let _ = cluster.kubectl(&taken, &list);
    let there: BTreeSet<(String, String)> = ["CaddyRoute", "Ingress"]
        .iter()
        .flat_map(|kind| stored(cluster, kind))
        .map(|object| id(&object))
        .collect();
    objects
        .into_iter()
        .filter(|object| there.contains(&id(object)))
        .collect()
}

/// All objects of a kind.
fn stored(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let printed = cluster.expect(&["get", kind, "--all-namespaces", "--output=json"], "");
    let list: Value = serde_json::from_str(&printed).expect("it prints JSON");
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The kind of an object, and its namespace and name.
fn id(object: &Value) -> (String, String) {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let name = format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"));
    (text("/kind").to_owned(), name)
}

/// Changes a good object, and waits until the change is served.
fn change(space: &Namespace, replica: &Replica, number: usize, version: usize) {
    space.apply(&good(space, number, version).to_string());
    replica.wait_for(&host(space, number), "/", 200, &version.to_string());
}

#[test]
fn fifty_good_objects_are_not_hurt_by_any_kind_of_broken_one() {
    // Alone: among the broken ones are some that claim what belongs to nobody.
    let cluster = Cluster::start();
    cluster.prepare();
    let space = cluster.namespace("good");
    let all: Vec<Value> = (0..GOOD).map(|number| good(&space, number, 0)).collect();
    space.apply(&objects::documents(&all));
    let replica = Replica::start(&cluster);
    for number in 0..GOOD {
        replica.wait_for(&host(&space, number), "/", 200, "0");
    }

    let broken = broken::all();
    let mut versions = vec![0; GOOD];
    let mut taken = Vec::new();
    let each = std::env::var("FAIRWAY_ISOLATION").is_ok_and(|how| how == "each");
    if each {
        for (turn, one) in broken.chunks(1).enumerate() {
            taken.extend(apply(&cluster, one));
            let number = turn % GOOD;
            versions[number] += 1;
            change(&space, &replica, number, versions[number]);
        }
    } else {
        taken.extend(apply(&cluster, &broken));
        for (number, version) in versions.iter_mut().enumerate().take(CHANGED) {
            *version += 1;
            change(&space, &replica, number, *version);
        }
    }
    for (number, version) in versions.iter().enumerate() {
        replica.wait_for(&host(&space, number), "/", 200, &version.to_string());
    }

    // Each that was taken has a verdict, and those with a mistake carry it.
    let mut told = BTreeSet::new();
    let taken: BTreeSet<_> = taken.iter().map(id).collect();
    let judged = broken.iter().filter_map(|one| match &one.told {
        Told::Verdict(kind, object, _) => Some(((*kind).to_owned(), object.clone())),
        Told::Log(_) | Told::Nothing => None,
    });
    for (kind, name) in judged.filter(|id| taken.contains(id)) {
        let verdict = wait("a verdict", || {
            let answer = replica.ask_admin(&format!("/verdicts/{kind}/{name}"))?;
            serde_json::from_str::<Value>(&answer.body).map_err(|_| answer.body)
        });
        let mut findings = verdict["findings"].as_array().into_iter().flatten();
        if findings.any(|finding| finding["severity"] == "error") {
            told.insert((kind, name));
        }
    }
    wait("all of them to be told", || {
        let mut missing = told.clone();
        for kind in ["CaddyRoute", "Ingress"] {
            for object in stored(&cluster, kind).iter().filter(|object| is_told(object)) {
                missing.remove(&id(object));
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?}"))
        }
    });
    println!(
        "{} kinds of broken objects: {} objects taken, {} kinds told an error on the object",
        broken.len(),
        taken.len(),
        told.len()
    );
    assert!(told.len() >= KINDS, "{told:?}");
}
