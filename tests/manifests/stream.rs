//! Objects come, change and go under load, and no request is lost.

use fairway_tests::manifests::{Answer, Load, upstream};
use fairway_tests::wait_for;
use serde_json::{Value, json};

use crate::Cluster;
use crate::objects::{ingress, path, route, rule, serving};

/// How often something changes.
const CHANGES: usize = 100;
/// How many connections ask meanwhile.
const WORKERS: usize = 6;

/// What is wrong with an answer.
fn judge(host: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let expected = match host {
        "ingress.test" | "proxy.test" => format!("web sees {path}"),
        // Changes all the time, but is always there.
        "changing.test" if answer.body.starts_with("change ") => answer.body.clone(),
        _ => "fixed".to_owned(),
    };
    if answer.status == 200 && answer.body == expected {
        Ok(())
    } else {
        Err(format!("{host}{path}: {} {}", answer.status, answer.body))
    }
}

/// The object that comes, changes and goes in its turn, one of both kinds.
fn passing(number: usize, change: usize) -> Value {
    let host = format!("passing-{number}.test");
    if number.is_multiple_of(2) {
        let text = format!("http://{host} {{\n\theader X-Change {change}\n\treverse_proxy web:http\n}}");
        route(&format!("shop/passing-{number}"), &text)
    } else {
        let place = format!("/{change}");
        let rules = json!({"rules": [rule(&host, &[path("Prefix", &place, "web:80")])]});
        ingress(&format!("shop/passing-{number}"), &rules)
    }
}

#[tokio::test]
async fn a_hundred_changes_lose_no_request() {
    let services = serving("shop/web", upstream("web").await.unwrap());
    let rules = json!({"rules": [rule("ingress.test", &[path("Prefix", "/", "web:80")])]});
    let changing = |change: usize| {
        let text = format!("http://changing.test {{\n\trespond \"change {change}\"\n}}");
        route("shop/changing", &text)
    };
    let cluster = Cluster::start(&[
        ("services.yaml", &services),
        (
            "fixed.yaml",
            &[
                ingress("shop/ingress", &rules),
                route("shop/proxy", "http://proxy.test {\n\treverse_proxy web:http\n}"),
                route("shop/fixed", "http://fixed.test {\n\trespond fixed\n}"),
            ],
        ),
        ("changing.yaml", &[changing(0)]),
    ])
    .await;
    let pages = ["ingress.test", "proxy.test", "fixed.test", "changing.test"]
        .map(|host| (host.to_owned(), "/page".to_owned()));
    let load = Load::start(cluster.program.http, WORKERS, &pages, judge);
    for change in 1..=CHANGES {
        let number = change / 3;
        let file = format!("passing-{number}.yaml");
        match change % 3 {
            0 | 1 => cluster.put(&file, &[passing(number, change)]),
            _ => cluster.folder.remove(&file).unwrap(),
        }
        cluster.put("changing.yaml", &[changing(change)]);
        cluster
            .becomes("changing.test", "/", &format!("200 change {change}"))
            .await;
        // Requests go on between the changes.
        let enough = load.answered() + 1;
        wait_for("answers", async || (load.answered() >= enough).then_some(()))
            .await
            .unwrap();
    }
    let tally = load.finish().await;
    assert_eq!((tally.failed, tally.told), (0, Vec::new()));
    assert!(tally.requests >= CHANGES as u64, "{}", tally.requests);
    cluster.program.stop().await.unwrap();
}
