//! Recorded conversations: a Caddyfile, requests, and what real Caddy answered.
//!
//! A case is a text file `NAME.case` with its record `NAME.golden.json` beside it. Where Fairway departs from
//! Caddy on purpose, `NAME.fairway.json` holds what is expected instead, and docs/compatibility.md says why.
//! tests/serve/README.md describes the format.
//!
//! Where to start reading: [`play`], which runs one case; [`case`](self::case) parses the file, `process.rs`
//! holds the server, `upstream.rs` what stands behind it, `wire.rs` and `http2.rs` send one request,
//! `record.rs` is what is kept of an answer.

pub mod case;
mod http2;
mod ports;
mod process;
mod record;
mod rule;
pub(crate) mod tls;
mod upstream;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use case::{Case, Request};
use ports::Ports;
pub(crate) use ports::free as free_port;
use process::Server;
use record::Recorder;
use upstream::Upstreams;
use wire::{Answer, Connection, Refusal};

/// How long a server may take until its ports answer, and how long one that must not start may take to say so.
const START: Duration = Duration::from_secs(20);

/// All files of a case are dated 2024-01-02 03:04:05 UTC.
const DATE: Duration = Duration::from_secs(1_704_164_645);

/// Put into every Caddyfile in place of `@GLOBAL@`: everything stays on this machine and below this case.
const PREAMBLE: &str = "\tadmin off
\tpersist_config off
\tskip_install_trust
\thttp_port @HTTP@
\thttps_port @HTTPS@
\tdefault_bind 127.0.0.1
\tgrace_period 100ms";

/// Starts `program` with the case's Caddyfile, plays its requests and returns the record.
///
/// Everything that was started is stopped when this returns or panics. An error is a fault of the case or of
/// this machine, not of the server: what a server does wrong is part of the record.
pub fn play(case: &Case, program: &Path) -> Result<Value, String> {
    // Ports are chosen below those the system gives to clients, but another program may still take one first.
    for _ in 0..2 {
        let (record, log) = play_once(case, program)?;
        if !log.contains("address already in use") && !log.contains("Address already in use") {
            return Ok(record);
        }
    }
    play_once(case, program).map(|(record, _)| record)
}

fn play_once(case: &Case, program: &Path) -> Result<(Value, String), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("making a folder: {error}"))?;
    let upstreams = Upstreams::start(case).map_err(|error| format!("starting upstreams: {error}"))?;
    let ports = Ports::take(upstreams.ports());
    let stage = Stage::set(case, folder.path(), ports)?;
    let mut server = Server::start(program, &stage, case)?;
    if case.start_fails {
        let start = match server.wait_for_end(START) {
            None => "runs",
            Some(true) => "exits zero",
            Some(false) => "exits non-zero",
        };
        return Ok((json!({ "start": start }), server.log()));
    }
    if let Err(start) = wait_until_ready(case, &stage, &mut server) {
        let log = server.log();
        return Ok((
            json!({ "start": start, "log": log.lines().last().unwrap_or_default() }),
            log,
        ));
    }
    let requests = Player {
        stage: &stage,
        upstreams: &upstreams,
        open: BTreeMap::new(),
        answers: Vec::new(),
    }
    .play(&case.requests)?;
    Ok((json!({ "start": "ok", "requests": requests }), server.log()))
}

/// The folders and names a case plays with.
struct Stage {
    ports: Ports,
    root: PathBuf,
    config: PathBuf,
    home: PathBuf,
    caddyfile: PathBuf,
}

impl Stage {
    fn set(case: &Case, folder: &Path, ports: Ports) -> Result<Self, String> {
        let stage = Self {
            ports,
            root: folder.join("root"),
            config: folder.join("config"),
            home: folder.join("home"),
            caddyfile: folder.join("config/Caddyfile"),
        };
        stage
            .write(case)
            .map_err(|error| format!("writing the files of the case: {error}"))?;
        Ok(stage)
    }

    fn write(&self, case: &Case) -> std::io::Result<()> {
        for folder in [&self.root, &self.config, &self.home] {
            std::fs::create_dir_all(folder)?;
        }
        for file in &case.files {
            let path = if file.beside_config {
                self.config.join(&file.name)
            } else {
                self.root.join(&file.name)
            };
            std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let text = if file.beside_config {
                self.fill_in(&file.text)
            } else {
                file.text.clone()
            };
            std::fs::write(path, text)?;
        }
        date(&self.root)?;
        let first = case
            .caddyfile
            .lines()
            .find(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
        let mut text = case.caddyfile.clone();
        if !text.contains("@GLOBAL@") && first.is_some_and(|line| line.trim() != "{") {
            text = format!("{{\n@GLOBAL@\n}}\n{text}");
        }
        let text = self.fill_in(
            &text
                .replace("\t@GLOBAL@", "@GLOBAL@")
                .replace("@GLOBAL@", PREAMBLE),
        );
        std::fs::write(&self.caddyfile, text)
    }

    /// Puts ports and folders in place of `@NAMES@`.
    fn fill_in(&self, text: &str) -> String {
        self.ports
            .fill_in(text)
            .replace("@ROOT@", &self.root.to_string_lossy())
    }

    /// The other way round, so that records are the same on every machine.
    fn abstracted(&self, text: &str) -> String {
        let text = text.replace(&*self.root.to_string_lossy(), "@ROOT@");
        self.ports
            .abstracted(&text.replace(&*self.config.to_string_lossy(), "@CONFIG@"))
    }
}

/// Dates everything below a folder, and the folder.
fn date(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            date(&path)?;
        } else {
            std::fs::File::options()
                .append(true)
                .open(&path)?
                .set_modified(SystemTime::UNIX_EPOCH + DATE)?;
        }
    }
    std::fs::File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH + DATE)
}

/// Waits until every port that the requests use answers, with its certificate where there is one.
fn wait_until_ready(case: &Case, stage: &Stage, server: &mut Server) -> Result<(), String> {
    let deadline = std::time::Instant::now() + START;
    for request in case.requests.iter().filter(|request| !request.is_refused) {
        loop {
            let refusal = match Connection::open(request, stage) {
                Ok(_) | Err(Refusal::Tls) if request.tls_fails => break,
                Ok(_) => break,
                Err(refusal) => refusal,
            };
            if let Some(status) = server.ended() {
                return Err(format!("exits {}", if status { "zero" } else { "non-zero" }));
            }
            if std::time::Instant::now() > deadline {
                return Err(format!("never ready for {}: {}", request.line, refusal.name()));
            }
            server.listen_for(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Plays the requests of one case in their order.
struct Player<'a> {
    stage: &'a Stage,
    upstreams: &'a Upstreams,
    /// Connections that requests share by name.
    open: BTreeMap<String, Connection>,
    /// The headers answered so far, for `{{N.name}}`.
    answers: Vec<Vec<(String, String)>>,
}

impl Player<'_> {
    fn play(mut self, requests: &[Request]) -> Result<Vec<Value>, String> {
        requests.iter().map(|request| self.step(request)).collect()
    }

    fn step(&mut self, written: &Request) -> Result<Value, String> {
        let mut request = written.clone();
        request.target = self.fill_back(&request.target)?;
        for (_, value) in &mut request.headers {
            *value = self.fill_back(value)?;
        }
        let recorder = Recorder {
            stage: self.stage,
            keep: &request.keep,
        };
        let mut record = Map::from_iter([("request".to_owned(), json!(written.line))]);
        match self.send(&request) {
            Ok(answer) => {
                recorder.answer(&request, &answer, &mut record)?;
                self.answers.push(answer.headers);
            }
            Err(refusal) => {
                record.insert("result".to_owned(), json!(refusal.name()));
                self.answers.push(Vec::new());
            }
        }
        let received = self.upstreams.take();
        if !received.is_empty() {
            record.insert("upstream".to_owned(), recorder.received(&request, &received));
        }
        Ok(Value::Object(record))
    }

    fn send(&mut self, request: &Request) -> Result<Answer, Refusal> {
        if request.version.is_multiplexed() {
            return http2::send(request, self.stage);
        }
        let Some(name) = &request.connection else {
            return Connection::open(request, self.stage)?.send(request, self.stage);
        };
        let mut connection = match self.open.remove(name) {
            Some(connection) => connection,
            None => Connection::open(request, self.stage)?,
        };
        let answer = connection.send(request, self.stage)?;
        self.open.insert(name.clone(), connection);
        Ok(answer)
    }

    /// Replaces `@NAMES@`, and `{{N.name}}` by a header of an earlier answer.
    fn fill_back(&self, text: &str) -> Result<String, String> {
        let mut text = self.stage.fill_in(text);
        while let Some(start) = text.find("{{") {
            let Some(length) = text[start..].find("}}") else {
                break;
            };
            let inside = &text[start + 2..start + length];
            let (number, name) = inside
                .split_once('.')
                .ok_or_else(|| format!("`{inside}`: expected N.name"))?;
            let number: usize = number
                .parse()
                .map_err(|_| format!("`{inside}`: expected N.name"))?;
            let headers = number.checked_sub(1).and_then(|index| self.answers.get(index));
            let value = headers
                .and_then(|headers| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)))
                .map_or("<missing>", |(_, value)| value.as_str());
            let value = if name.eq_ignore_ascii_case("set-cookie") {
                value.split(';').next().unwrap_or_default()
            } else {
                value
            };
            text = format!("{}{value}{}", &text[..start], &text[start + length + 2..]);
        }
        Ok(text)
    }
}
