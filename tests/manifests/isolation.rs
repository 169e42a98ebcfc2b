//! No object is hurt by another: fifty good ones beside each kind of broken one, and beside all of them.

use std::fs;
use std::process::{Command, Stdio};

use fairway_tests::manifests::{Folder, upstream};
use fairway_tests::wait_for;
use serde_json::Value;

use crate::Cluster;
use crate::broken::{self, Broken, Told};
use crate::good::{self, Good};
use crate::objects::{class, documents};
use crate::tls::Pair;

/// The fewest kinds that are held.
const KINDS: usize = 20;

/// The good objects, served, and once more in a folder where they never change.
struct Neighbours {
    cluster: Cluster,
    good: Vec<Good>,
    pair: Pair,
    versions: Vec<usize>,
    still: Folder,
    /// Their part of the config, when nothing is broken.
    part: Vec<(String, String)>,
    wrong: Vec<String>,
}

impl Neighbours {
    async fn new() -> Self {
        let services = good::services(upstream("web").await.unwrap());
        let good = good::all();
        let pair = Pair::new("team.test");
        let secure: Vec<Value> = good::secure().into_iter().map(|(_, object)| object).collect();
        let shared = [services, good::secrets(&pair), secure].concat();
        let cluster = Cluster::start(&[("shared.yaml", &shared)]).await;
        let still = Folder::new().unwrap();
        still.put("class.yaml", &documents(&[class()])).unwrap();
        still.put("shared.yaml", &documents(&shared)).unwrap();
        for one in &good {
            let text = documents(&[one.object(0)]);
            cluster.folder.put(&one.file(), &text).unwrap();
            still.put(&one.file(), &text).unwrap();
        }
        for one in &good {
            let (page, answer) = one.page();
            cluster.becomes(&one.host, page, &answer).await;
        }
        let part = part_of_teams(&rendered(&still));
        assert!(part.len() >= good.len(), "{part:?}");
        Self {
            cluster,
            pair,
            versions: vec![0; good.len()],
            good,
            still,
            part,
            wrong: Vec::new(),
        }
    }

    /// Holds that a broken object is told what is wrong with it.
    async fn told(&mut self, broken: &Broken) {
        eprintln!(
            "TOLD {} wrong {:?} {:?}",
            broken.name,
            self.wrong.len(),
            self.wrong.last()
        );
        let program = &self.cluster.program;
        let (expected, found) = match &broken.told {
            Told::Verdict(kind, object, expected) => {
                let (namespace, name) = object.split_once('/').unwrap();
                let verdict = async || {
                    let verdict = program.verdict(kind, namespace, name).await;
                    crate::objects::judgement(verdict.as_ref())
                };
                let told = wait_for("the verdict", async || {
                    (verdict().await == *expected).then_some(())
                });
                let found = match told.await {
                    Ok(()) => (*expected).to_owned(),
                    Err(_) => verdict().await,
                };
                ((*expected).to_owned(), found)
            }
            Told::Log(part) => {
                let told = wait_for("the log", async || program.log().contains(part).then_some(()));
                let found = if told.await.is_ok() {
                    *part
                } else {
                    "nothing in the log"
                };
                ((*part).to_owned(), found.to_owned())
            }
            Told::Nothing => return,
        };
        if found != expected {
            self.wrong
                .push(format!("{}: `{found}`, and not `{expected}`", broken.name));
        }
    }

    /// Holds that the good objects answer as ever, and that one of them can change.
    async fn serve(&mut self, what: &str, turn: usize) {
        let turn = turn % self.good.len();
        self.versions[turn] += 1;
        let (one, version) = (&self.good[turn], self.versions[turn]);
        self.cluster.put(&one.file(), &[one.object(version)]);
        let (page, answer) = one.version(version);
        let host = &one.host;
        let cluster = &self.cluster;
        let changed = wait_for("the change", async || {
            (cluster.ask(host, &page).await == answer).then_some(())
        });
        if changed.await.is_err() {
            self.wrong.push(format!("{what}: {host} does not change"));
        }
        let hosts = good::secure();
        let (host, _) = &hosts[turn % hosts.len()];
        let mut secure = self.cluster.shows(host, &self.pair).await;
        let answer = secure.get(host, "/").await.unwrap();
        if answer.body != "web sees /" {
            self.wrong
                .push(format!("{what}: {host}: {} {}", answer.status, answer.body));
        }
        let mut connection = self.cluster.program.connect().await.unwrap();
        for one in &self.good {
            let (page, expected) = one.page();
            let found = match connection.get(&one.host, page).await {
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => error,
            };
            if found != expected {
                let host = &one.host;
                self.wrong
                    .push(format!("{what}: {host}: `{found}`, and not `{expected}`"));
            }
        }
    }

    /// Holds that the good objects' part of the rendered config is the same as ever.
    fn render(&mut self, what: &str) {
        let part = part_of_teams(&rendered(&self.still));
        for (now, ever) in part.iter().zip(&self.part) {
            if now != ever {
                self.wrong
                    .push(format!("{what}: rendered {now:?}, and not {ever:?}"));
            }
        }
        if part.len() != self.part.len() {
            self.wrong.push(format!("{what}: rendered {} routes", part.len()));
        }
    }

    fn add(&self, broken: &Broken) {
        for folder in [&self.cluster.folder, &self.still] {
            let file = folder.path().join(broken.file());
            // Whole and at once, as `put` does, but for bytes that are no text.
            let new = folder.path().join(".broken");
            fs::write(&new, &broken.text).unwrap();
            fs::rename(new, file).unwrap();
        }
    }

    fn remove(&self, broken: &Broken) {
        self.cluster.folder.remove(&broken.file()).unwrap();
        self.still.remove(&broken.file()).unwrap();
    }
}

#[tokio::test]
async fn fifty_good_objects_are_not_hurt_by_any_kind_of_broken_one() {
    let mut neighbours = Neighbours::new().await;
    assert_eq!(neighbours.good.len(), 50);
    let all = broken::all();
    assert!(all.len() >= KINDS, "{}", all.len());
    for (turn, broken) in all.iter().enumerate() {
        neighbours.add(broken);
        neighbours.told(broken).await;
        neighbours.serve(broken.name, turn).await;
        neighbours.render(broken.name);
        neighbours.remove(broken);
    }
    assert!(neighbours.wrong.is_empty(), "{}", neighbours.wrong.join("\n"));

    for broken in &all {
        neighbours.add(broken);
    }
    // What is said about them differs now, because they are in each other's way; but all are told something.
    for broken in &all {
        if let Told::Verdict(kind, object, _) = &broken.told {
            let (namespace, name) = object.split_once('/').unwrap();
            let program = &neighbours.cluster.program;
            let told = wait_for("a verdict", async || program.verdict(kind, namespace, name).await);
            assert!(told.await.is_ok(), "{}", broken.name);
        }
    }
    for turn in 0..neighbours.good.len() {
        neighbours.serve("all", turn).await;
    }
    neighbours.render("all");
    assert!(neighbours.wrong.is_empty(), "{}", neighbours.wrong.join("\n"));
    neighbours.cluster.program.stop().await.unwrap();
}

/// What `fairway render` prints for a folder.
fn rendered(folder: &Folder) -> Value {
    let output = Command::new(fairway_tests::fairway().unwrap())
        .args(["render", "--manifests"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether an id is that of a good object: `Ingress/team-1/web#…`, `team-1/api`. Broken ones that live beside them are
/// named `zz-…`. Where a host ends for want of a path is no part of an object: it is said only where a more general
/// host would answer otherwise.
fn is_good(id: &str) -> bool {
    id.contains("team-") && !id.contains("/zz-") && !id.starts_with("end of ")
}

/// The routes and named routes of the good objects, by server and name, as text.
fn part_of_teams(config: &Value) -> Vec<(String, String)> {
    let mut part = Vec::new();
    let servers = config["apps"]["http"]["servers"].as_object().unwrap();
    for (name, server) in servers {
        for route in server["routes"].as_array().unwrap() {
            let id = route["@id"].as_str().unwrap_or_default();
            if is_good(id) {
                part.push((format!("{name} {id}"), route.to_string()));
            }
        }
        for route in server["errors"]["routes"].as_array().into_iter().flatten() {
            let text = route.to_string();
            if text.contains(".team-") {
                part.push((format!("{name} error"), text));
            }
        }
        for (id, route) in server["named_routes"].as_object().into_iter().flatten() {
            if is_good(id) {
                part.push((format!("{name} {id}"), route.to_string()));
            }
        }
    }
    part
}
