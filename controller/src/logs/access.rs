//! Access logs: entries of the data plane, written where the config says, by a thread of their own.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use fairway_engine::config::{Config, Log, Logging};
use fairway_server::{AccessLog, Entry};
use serde_json::{Map, Value as Json, json};

use super::output::Output;

/// How many lines may wait to be written; those beyond are dropped, and counted.
const WAITING: usize = 16 << 10;

/// A line, and the number of the output that it is for.
type Line = (usize, Vec<u8>);

/// Access logs while they are written. Dropping it writes what waits.
pub(crate) struct AccessLogs {
    sinks: Vec<Sink>,
    /// None only while it ends.
    lines: Option<SyncSender<Line>>,
    dropped: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

/// One logger of the config: what it takes, and how a line of it looks.
struct Sink {
    include: Vec<String>,
    exclude: Vec<String>,
    /// Only entries of failed requests, those with a status of 500 or more.
    only_errors: bool,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Console,
}

impl AccessLogs {
    /// Writes all entries to standard output as JSON.
    pub(crate) fn to_stdout() -> anyhow::Result<Self> {
        let log = Log {
            writer: Some(json!({"output": "stdout"})),
            ..Log::default()
        };
        let logs = [("default".to_owned(), log)].into_iter().collect();
        Self::start(&Config {
            logging: Some(Logging { logs }),
            ..Config::default()
        })
    }

    /// Opens the outputs of a config's loggers.
    pub(crate) fn start(config: &Config) -> anyhow::Result<Self> {
        let mut logs: Vec<(&str, Log)> = config
            .logging
            .iter()
            .flat_map(|logging| &logging.logs)
            .map(|(name, log)| (name.as_str(), log.clone()))
            .collect();
        if !logs.iter().any(|(name, _)| *name == "default") {
            logs.push(("default", Log::default()));
        }
        let (mut sinks, mut outputs) = (Vec::new(), Vec::new());
        for (name, log) in logs {
            outputs.push(Output::open(&log).with_context(|| format!("log `{name}`"))?);
            sinks.push(Sink::new(&log).with_context(|| format!("log `{name}`"))?);
        }
        let (sender, receiver) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&receiver, outputs))
            .context("starting the access log")?;
        Ok(Self {
            sinks,
            lines: Some(sender),
            dropped: AtomicU64::new(0),
            writer: Some(writer),
        })
    }
}

impl AccessLog for AccessLogs {
    fn write(&self, logger: &str, entry: &Entry) {
        let name = if logger.is_empty() {
            "http.log.access".to_owned()
        } else {
            format!("http.log.access.{logger}")
        };
        for (index, sink) in self
            .sinks
            .iter()
            .enumerate()
            .filter(|(_, sink)| sink.takes(&name, entry))
        {
            let line = (index, sink.format.line(&name, entry));
            if let Some(Err(TrySendError::Full(_))) = self.lines.as_ref().map(|lines| lines.try_send(line)) {
                // Said at the first and then ever more rarely, or the log of drops would flood in turn.
                let dropped = self.dropped.fetch_add(1, Relaxed) + 1;
                if dropped.is_power_of_two() {
                    tracing::warn!(dropped, "access log entries are dropped: the output is too slow");
                }
            }
        }
    }
}

impl Drop for AccessLogs {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes lines until there are none to come.
fn write(lines: &Receiver<Line>, mut outputs: Vec<Output>) {
    while let Ok((index, line)) = lines.recv() {
        if let Some(output) = outputs.get_mut(index)
            && let Err(error) = output.write(&line)
        {
            tracing::warn!(%error, "writing the access log");
        }
    }
}

impl Sink {
    fn new(log: &Log) -> anyhow::Result<Self> {
        let format = log
            .encoder
            .as_ref()
            .and_then(|encoder| encoder.get("format")?.as_str());
        let format = match format {
            None | Some("json") => Format::Json,
            Some("console") => Format::Console,
            Some(other) => bail!("Fairway has no log format `{other}` yet"),
        };
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let only_errors = matches!(log.level.as_deref(), Some("ERROR" | "PANIC" | "FATAL"));
        Ok(Self {
            include: list(&log.include),
            exclude: list(&log.exclude),
            only_errors,
            format,
        })
    }

    /// Whether entries of a logger belong here: names include what lies below them.
    fn takes(&self, name: &str, entry: &Entry) -> bool {
        let below = |of: &String| {
            name.strip_prefix(of.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (!self.only_errors || entry.status >= 500)
            && (self.include.is_empty() || self.include.iter().any(below))
            && !self.exclude.iter().any(below)
    }
}

impl Format {
    fn line(self, name: &str, entry: &Entry) -> Vec<u8> {
        let level = if entry.status >= 500 { "error" } else { "info" };
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let mut line = match self {
            Self::Json => {
                let mut fields = Map::new();
                fields.insert("level".to_owned(), level.into());
                fields.insert("ts".to_owned(), seconds.into());
                fields.insert("logger".to_owned(), name.into());
                fields.insert("msg".to_owned(), "handled request".into());
                fields.extend(entry.fields());
                Json::Object(fields).to_string()
            }
            Self::Console => {
                let level = level.to_ascii_uppercase();
                format!(
                    "{seconds:.3}\t{level}\t{name}\thandled request\t{}",
                    Json::Object(entry.fields())
                )
            }
        };
        line.push('\n');
        line.into_bytes()
    }
}

/// The error of an output whose kind is not known.
pub(super) fn not_yet(kind: &str) -> io::Error {
    io::Error::other(format!("Fairway has no log output `{kind}` yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(log: serde_json::Value) -> anyhow::Result<Sink> {
        Sink::new(&serde_json::from_value(log).unwrap())
    }

    #[track_caller]
    fn check(log: serde_json::Value, name: &str, status: u16, expected: bool) {
        let entry = Entry {
            status,
            ..Entry::default()
        };
        assert_eq!(sink(log).unwrap().takes(name, &entry), expected);
    }

    #[test]
    fn a_logger_takes_what_it_includes_and_nothing_that_it_excludes() {
        check(serde_json::json!({}), "http.log.access", 200, true);
        check(
            serde_json::json!({ "include": ["http.log.access.log0"] }),
            "http.log.access.log0",
            200,
            true,
        );
        check(
            serde_json::json!({ "include": ["http.log.access.log0"] }),
            "http.log.access.log01",
            200,
            false,
        );
        check(
            serde_json::json!({ "exclude": ["http.log.access"] }),
            "http.log.access.log0",
            200,
            false,
        );
        check(
            serde_json::json!({ "level": "ERROR" }),
            "http.log.access",
            499,
            false,
        );
        check(
            serde_json::json!({ "level": "ERROR" }),
            "http.log.access",
            500,
            true,
        );
        assert!(sink(serde_json::json!({ "encoder": { "format": "filter" } })).is_err());
    }

    #[test]
    fn what_is_written_is_there_when_the_log_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logs/access.log");
        let config = serde_json::json!({ "logging": { "logs": {
            "default": { "writer": { "output": "discard" } },
            "log0": { "writer": { "output": "file", "filename": file }, "include": ["http.log.access.log0"] },
        } } });
        let logs = AccessLogs::start(&serde_json::from_value(config).unwrap()).unwrap();
        for _ in 0..100 {
            logs.write(
                "log0",
                &Entry {
                    status: 204,
                    ..Entry::default()
                },
            );
        }
        drop(logs);
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.lines().count(), 100);
        let line: Json = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&line["status"], &line["logger"]),
            (&204.into(), &"http.log.access.log0".into())
        );
    }
}
