//! `make demo`: the shop of examples/shop, served, changed under load, broken and repaired.
//!
//! It tells in plain words what happens, and ends with an error if anything else does. Nothing but the built `fairway`
//! is needed; all ports are free ones, all files lie in a temporary folder, and all of it goes at the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use fairway_tests::manifests::{Answer, Folder, Load, Program, get, upstream};
use fairway_tests::wait_for;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

/// The manifests that are shown.
const SHOP: &str = "examples/shop";
/// The one that is changed.
const ROUTE: &str = "caddyroute.yaml";
/// A line of it, and what it becomes: one header more.
const SAFE: &str = "X-Frame-Options DENY";
const SAFER: &str = "X-Frame-Options DENY\n        X-Shop open";
/// A directive of it, and a mistake.
const RIGHT: &str = "reverse_proxy web:http";
const WRONG: &str = "reverse_prxy web:http";
/// How many connections ask for pages at a time.
const WORKERS: usize = 8;
/// How many answers are seen before and after each change.
const SOME: u64 = 200;

/// Host, path, status and what the answer says.
const PAGES: [(&str, &str, u16, &str); 5] = [
    ("shop.localhost", "/", 200, "web sees /"),
    ("shop.localhost", "/api/cart", 200, "api sees /cart"),
    ("blog.localhost", "/", 200, "web sees /"),
    ("blog.localhost", "/api/posts", 200, "api sees /api/posts"),
    ("other.localhost", "/", 404, ""),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).map_err(|error| error.to_string())?,
            signal(SignalKind::terminate()).map_err(|error| error.to_string())?,
        );
        // Whatever ends the show, what it started ends with it.
        tokio::select! {
            ended = show() => ended,
            _ = interrupt.recv() => Err("stopped".to_owned()),
            _ = terminate.recv() => Err("stopped".to_owned()),
        }
    };
    match ended.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo ends here: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn show() -> Result<(), String> {
    let fairway = fairway_tests::fairway()?;
    println!("Fairway, shown on this machine: on free ports, with a copy of {SHOP}.\n");

    let shop = Shop::open(&fairway).await?;
    shop.pages("Pages, asked for through Fairway:").await?;

    let load = shop.load();
    shop.some_answers(&load).await?;
    shop.change().await?;
    shop.some_answers(&load).await?;
    nothing_failed(load).await?;

    let load = shop.load();
    shop.some_answers(&load).await?;
    shop.break_it().await?;
    shop.some_answers(&load).await?;
    shop.repair_it().await?;
    shop.some_answers(&load).await?;
    nothing_failed(load).await?;

    shop.program.stop().await?;
    println!("Fairway was asked to stop; it let the last requests end, and stopped.\n");
    what_next(&fairway);
    Ok(())
}

/// The shop, open for requests.
struct Shop {
    folder: Folder,
    program: Program,
}

impl Shop {
    /// Starts the two programs of the shop, and Fairway before them.
    async fn open(fairway: &std::path::Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{SHOP}: {error}");
        let folder = Folder::copy_of(&fairway_tests::repository().join(SHOP)).map_err(failed)?;
        let mut endpoints = folder.read("endpoints.yaml").map_err(failed)?;
        for (name, written) in [("web", 9101), ("api", 9102)] {
            let address = upstream(name).await.map_err(failed)?;
            let (old, new) = (
                format!("port: {written}\n"),
                format!("port: {}\n", address.port()),
            );
            endpoints = replaced(&endpoints, &old, &new)?;
            println!("A small program stands for the Service `{name}`, on {address}.");
        }
        folder.put("endpoints.yaml", &endpoints).map_err(failed)?;
        let begun = Instant::now();
        let program = Program::start(fairway, folder.path()).await?;
        println!(
            "Fairway serves the manifests on http://{}; it was ready {} after its start.",
            program.http,
            milliseconds(begun)
        );
        for (kind, name) in [("CaddyRoute", "shop"), ("Ingress", "blog")] {
            let verdict = program.verdict(kind, "shop", name).await.unwrap_or_default();
            expect("the state", text(&verdict["state"]), "Accepted")?;
            expect("the findings", &verdict["findings"].to_string(), "[]")?;
            println!("  {kind} shop/{name} is served: {}", text(&verdict["hosts"][0]));
        }
        println!();
        Ok(Self { folder, program })
    }

    fn address(&self) -> SocketAddr {
        self.program.http
    }

    async fn pages(&self, headline: &str) -> Result<(), String> {
        println!("{headline}");
        for (host, path, ..) in PAGES {
            let answer = get(self.address(), host, path).await?;
            judge(host, path, &answer)?;
            let says = match &*answer.body {
                "" => "no object has this host",
                body => body,
            };
            let url = format!("http://{host}{path}");
            println!("  {url:36} {}  {says}", answer.status);
        }
        println!();
        Ok(())
    }

    fn load(&self) -> Load {
        let pages = PAGES.map(|(host, path, ..)| (host.to_owned(), path.to_owned()));
        Load::start(self.address(), WORKERS, &pages, judge)
    }

    async fn some_answers(&self, load: &Load) -> Result<(), String> {
        let enough = load.answered() + SOME;
        wait_for("answers", async || (load.answered() >= enough).then_some(())).await
    }

    /// Writes the manifest with one thing replaced.
    fn rewrite(&self, old: &str, new: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{ROUTE}: {error}");
        let text = self.folder.read(ROUTE).map_err(failed)?;
        let text = replaced(&text, old, new)?;
        self.folder.put(ROUTE, &text).map_err(failed)
    }

    async fn change(&self) -> Result<(), String> {
        println!("While {WORKERS} connections ask for pages, {ROUTE} gets one header more: X-Shop.");
        let begun = Instant::now();
        self.rewrite(SAFE, SAFER)?;
        for host in ["shop.localhost", "blog.localhost"] {
            wait_for("the new header", async || {
                let answer = get(self.address(), host, "/").await.ok()?;
                (answer.header("x-shop") == "open").then_some(())
            })
            .await?;
        }
        println!(
            "  {} later it is on the answers of both hosts: the Ingress imports the snippet of the CaddyRoute.",
            milliseconds(begun)
        );
        Ok(())
    }

    async fn break_it(&self) -> Result<(), String> {
        println!("Now somebody writes `{WRONG}` into {ROUTE}. Fairway says:");
        self.rewrite(RIGHT, WRONG)?;
        let verdict = self.verdict_is("LastGood").await?;
        let finding = &verdict["findings"][0];
        expect("the code", text(&finding["code"]), "unknown-directive")?;
        println!(
            "  CaddyRoute shop/shop, {}, line {}, column {}: {}",
            text(&finding["field"]),
            finding["line"],
            finding["column"],
            text(&finding["message"])
        );
        println!("  {}", text(&finding["help"]));
        self.pages("The last good text goes on, and the Ingress beside it knows nothing of this:")
            .await
    }

    async fn repair_it(&self) -> Result<(), String> {
        self.rewrite(WRONG, RIGHT)?;
        self.verdict_is("Accepted").await?;
        println!("The mistake is mended; the CaddyRoute is accepted again.");
        Ok(())
    }

    /// Waits until the state of the CaddyRoute is this; gives the verdict.
    async fn verdict_is(&self, state: &str) -> Result<Value, String> {
        wait_for(&format!("the verdict {state}"), async || {
            let verdict = self.program.verdict("CaddyRoute", "shop", "shop").await?;
            (verdict["state"] == state).then_some(verdict)
        })
        .await
    }
}

/// What is wrong with the answer to one of the pages.
fn judge(host: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let page = PAGES.iter().find(|page| (page.0, page.1) == (host, path));
    let (_, _, status, body) = page.ok_or("nobody asks for other pages")?;
    let what = format!("http://{host}{path}");
    expect(&what, &answer.status.to_string(), &status.to_string())?;
    expect(&what, &answer.body, body)?;
    let safe = if *status == 200 { "nosniff" } else { "" };
    expect(&what, answer.header("x-content-type-options"), safe)
}

async fn nothing_failed(load: Load) -> Result<(), String> {
    let tally = load.finish().await;
    println!(
        "  {} requests meanwhile, {} failed.\n",
        tally.requests, tally.failed
    );
    if tally.failed == 0 {
        Ok(())
    } else {
        Err(tally.told.join("\n"))
    }
}

fn what_next(fairway: &std::path::Path) {
    let fairway = fairway.canonicalize().unwrap_or_else(|_| PathBuf::from(fairway));
    let fairway = fairway.display();
    println!(
        "What to try next, by hand:\n\
         \n  fairway={fairway}\
         \n  printf ':9101\\nrespond \"web sees {{uri}}\"\\n' | $fairway run --config - --adapter caddyfile &\
         \n  printf ':9102\\nrespond \"api sees {{uri}}\"\\n' | $fairway run --config - --adapter caddyfile &\
         \n  $fairway run --manifests {SHOP} --http-port 8080 --https-port 8443 --admin 127.0.0.1:9901\
         \n\
         \nThen open http://shop.localhost:8080/ and http://blog.localhost:8080/api/posts, edit {SHOP}/{ROUTE}\
         \nwhile it runs, and see http://127.0.0.1:9901/verdicts. What the objects become as a whole is printed by\
         \n\
         \n  $fairway render --manifests {SHOP}"
    );
}

fn replaced(text: &str, old: &str, new: &str) -> Result<String, String> {
    if text.contains(old) {
        Ok(text.replace(old, new))
    } else {
        Err(format!(
            "{SHOP} holds no `{}`, which the demo wants to change",
            old.trim_end()
        ))
    }
}

fn expect(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: `{found}`, and not `{expected}`"))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn milliseconds(begun: Instant) -> String {
    format!("{} ms", begun.elapsed().as_millis())
}
