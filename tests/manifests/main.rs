//! `fairway run --manifests` from outside: what Ingress and CaddyRoute objects serve, and that no object is hurt by
//! another.
//!
//! Objects are written as JSON, which is YAML as well. Each test has a folder and a program of its own, on free ports.

#[allow(clippy::unwrap_used)] // tests
mod access_log;
#[allow(clippy::unwrap_used)] // tests
mod annotations;
#[allow(clippy::unwrap_used)] // tests
mod broken;
#[allow(clippy::unwrap_used)] // tests
mod caddyroute;
#[allow(clippy::unwrap_used)] // tests
mod endpoints;
#[allow(clippy::unwrap_used)] // tests
mod good;
#[allow(clippy::unwrap_used)] // tests
mod ingress;
#[allow(clippy::unwrap_used)] // tests
mod isolation;
#[allow(clippy::unwrap_used)] // tests
mod objects;
#[allow(clippy::unwrap_used)] // tests
mod stream;
#[allow(clippy::unwrap_used)] // tests
mod tls;

use fairway_tests::manifests::{Folder, Program, get};
use fairway_tests::wait_for;
use serde_json::Value;

/// A folder of manifests and the program that serves it.
struct Cluster {
    folder: Folder,
    program: Program,
}

impl Cluster {
    /// Starts with the class `fairway`, and some files.
    async fn start(files: &[(&str, &[Value])]) -> Self {
        Self::start_with(files, &[]).await
    }

    /// The same with more arguments than usual.
    async fn start_with(files: &[(&str, &[Value])], more: &[&str]) -> Self {
        let folder = Folder::new().expect("a folder");
        folder
            .put("class.yaml", &objects::documents(&[objects::class()]))
            .expect("a file");
        for (name, objects) in files {
            folder.put(name, &objects::documents(objects)).expect("a file");
        }
        let fairway = fairway_tests::fairway().expect("`make test` builds it");
        let program = Program::start_with(&fairway, folder.path(), more)
            .await
            .expect("it starts");
        Self { folder, program }
    }

    /// Writes a file of objects.
    fn put(&self, name: &str, objects: &[Value]) {
        self.folder
            .put(name, &objects::documents(objects))
            .expect("a file");
    }

    /// What a page is, as `200 its body`.
    async fn ask(&self, host: &str, path: &str) -> String {
        match get(self.program.http, host, path).await {
            Ok(answer) => format!("{} {}", answer.status, answer.body).trim_end().to_owned(),
            Err(error) => error,
        }
    }

    /// Holds what pages are at once: host, path, and the answer.
    async fn check(&self, pages: &[(&str, &str, &str)]) {
        let mut wrong = Vec::new();
        for (host, path, expected) in pages {
            let answer = self.ask(host, path).await;
            if answer != *expected {
                wrong.push(format!("{host}{path}: `{answer}`, and not `{expected}`"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Waits until a page is as expected.
    async fn becomes(&self, host: &str, path: &str, expected: &str) {
        let waited = wait_for(expected, async || {
            (self.ask(host, path).await == expected).then_some(())
        });
        if waited.await.is_err() {
            let answer = self.ask(host, path).await;
            panic!(
                "{host}{path}: `{answer}`, and not `{expected}`\n{}",
                self.program.log()
            );
        }
    }

    /// Waits until the verdict on an object is as expected: `LastGood: unknown-directive`.
    async fn judged(&self, kind: &str, object: &str, expected: &str) {
        let (namespace, name) = object.split_once('/').expect("namespace/name");
        let verdict = async || objects::judgement(self.program.verdict(kind, namespace, name).await.as_ref());
        let waited = wait_for(expected, async || (verdict().await == expected).then_some(()));
        let found = match waited.await {
            Ok(()) => expected.to_owned(),
            Err(_) => verdict().await,
        };
        assert_eq!(found, expected, "{kind} {object}");
    }
}
