//! What is kept of an answer: all that the product promises, and nothing that differs from run to run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Map, Value, json};

use super::Stage;
use super::case::Request;
use super::upstream::Received;
use super::wire::{Answer, find};

/// Left out unless a case keeps them: they differ from run to run, or say how a body was framed.
const QUIET: [&str; 6] = [
    "date",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "alt-svc",
];

/// Names of products, so that one record serves both.
const PRODUCTS: [&str; 4] = ["Caddy", "Fairway", "caddy", "fairway"];

pub(super) struct Recorder<'a> {
    pub(super) stage: &'a Stage,
    /// Headers kept although they are quiet; `reuse`: whether the connection stays open; `alpn`.
    pub(super) keep: &'a [String],
}

impl Recorder<'_> {
    pub(super) fn answer(
        &self,
        request: &Request,
        answer: &Answer,
        record: &mut Map<String, Value>,
    ) -> Result<(), String> {
        let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
        if let Some(alpn) = answer.alpn.as_ref().filter(|_| !request.alpn.is_empty()) {
            put("alpn", json!(alpn));
        }
        if !answer.informational.is_empty() {
            let all: Vec<_> = answer
                .informational
                .iter()
                .map(|(status, headers)| json!({ "status": status, "headers": self.headers(headers) }))
                .collect();
            put("informational", json!(all));
        }
        put("status", json!(answer.status));
        put("headers", self.headers(&answer.headers));
        if let Some(frame) = &answer.frame {
            put("frame", json!(frame));
            return Ok(());
        }
        if !answer.trailers.is_empty() {
            put("trailers", self.headers(&answer.trailers));
        }
        if answer.truncated {
            put("truncated", json!(true));
        }
        if self.keeps("reuse") {
            put("stays_open", json!(answer.stays_open));
        }
        // How much of a broken body arrives is left to buffers on the way.
        if !request.drops_body && !answer.truncated && !answer.body.is_empty() {
            put("body", json!(self.body(answer)?));
        }
        Ok(())
    }

    pub(super) fn received(&self, request: &Request, all: &[Received]) -> Value {
        let one = |received: &Received| {
            let mut headers = received.headers.clone();
            headers.retain(|(name, value)| {
                let ours =
                    name.eq_ignore_ascii_case("accept-encoding") && find(&request.headers, name).is_none();
                let framing = name.eq_ignore_ascii_case("connection") && value != "Upgrade";
                !ours && !framing
            });
            let mut record = json!({
                "to": received.upstream,
                "method": received.method,
                "target": self.stage.abstracted(&received.target),
                "headers": self.sorted(&headers),
            });
            if !received.body.is_empty() {
                record["body"] = json!(self.text(&received.body));
            }
            record
        };
        Value::Array(all.iter().map(one).collect())
    }

    fn keeps(&self, name: &str) -> bool {
        self.keep.iter().any(|kept| kept == name)
    }

    fn headers(&self, headers: &[(String, String)]) -> Value {
        let kept: Vec<_> = headers
            .iter()
            .filter(|(name, _)| {
                let name = name.to_ascii_lowercase();
                self.keeps(&name) || !QUIET.contains(&name.as_str())
            })
            .cloned()
            .collect();
        self.sorted(&kept)
    }

    fn sorted(&self, headers: &[(String, String)]) -> Value {
        let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let value = self.value(&name, value);
            sorted.entry(name).or_default().push(value);
        }
        json!(sorted)
    }

    fn value(&self, name: &str, value: &str) -> String {
        let value = self.stage.abstracted(value);
        match name {
            "server" | "via" => PRODUCTS
                .iter()
                .fold(value, |value, product| value.replace(product, "<product>")),
            "etag" | "if-none-match" if !self.keeps("etag") => hide_tag(&value),
            _ => value,
        }
    }

    fn body(&self, answer: &Answer) -> Result<String, String> {
        let body = match find(&answer.headers, "content-encoding") {
            Some("gzip") => unzip(&answer.body)?,
            Some("zstd") if answer.body.starts_with(b"\x28\xb5\x2f\xfd") => b"<zstd frame>".to_vec(),
            _ => answer.body.clone(),
        };
        if body.starts_with(b"{\"echo\":\"up") {
            // What it holds is recorded at the upstream, too.
            return Ok(format!("<echo {}>", String::from_utf8_lossy(&body[9..12])));
        }
        Ok(self.text(&body))
    }

    fn text(&self, bytes: &[u8]) -> String {
        self.stage.abstracted(&String::from_utf8_lossy(bytes))
    }
}

/// An opaque tag means nothing; its weakness and the suffix of its encoding do.
fn hide_tag(value: &str) -> String {
    let Some((before, rest)) = value.split_once('"') else {
        return value.to_owned();
    };
    let Some((tag, after)) = rest.rsplit_once('"') else {
        return value.to_owned();
    };
    let suffix = ["-gzip", "-zstd"]
        .into_iter()
        .find(|suffix| tag.ends_with(suffix))
        .unwrap_or_default();
    format!("{before}\"<etag>{suffix}\"{after}")
}

fn unzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("starting gzip: {error}"))?;
    let mut input = gzip.stdin.take().ok_or("gzip has no input")?;
    thread::scope(|scope| {
        scope.spawn(move || input.write_all(body));
        let output = gzip
            .wait_with_output()
            .map_err(|error| format!("reading from gzip: {error}"))?;
        Ok(if output.status.success() {
            output.stdout
        } else {
            b"<broken gzip>".to_vec()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_weakness_and_suffix() {
        assert_eq!(hide_tag("\"abc\""), "\"<etag>\"");
        assert_eq!(hide_tag("W/\"abc-gzip\""), "W/\"<etag>-gzip\"");
        assert_eq!(hide_tag("none"), "none");
    }
}
