//! The log of the process: for people on a terminal, one JSON object a line elsewhere.

mod access;
mod output;

use std::io::IsTerminal;

use fairway_engine::config::Config;
use tracing::level_filters::LevelFilter;

pub(crate) use access::AccessLogs;

/// Starts the log, as the config's `default` logger says: its level, `INFO` without one, and its format.
pub(crate) fn start(config: &Config) {
    let default = config
        .logging
        .as_ref()
        .and_then(|logging| logging.logs.get("default"));
    let level = match default.and_then(|log| log.level.as_deref()).unwrap_or_default() {
        "DEBUG" => LevelFilter::DEBUG,
        "WARN" => LevelFilter::WARN,
        "ERROR" | "PANIC" | "FATAL" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let format = default.and_then(|log| log.encoder.as_ref()?.get("format")?.as_str());
    let is_for_people = format.map_or_else(|| std::io::stderr().is_terminal(), |format| format == "console");
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    if is_for_people {
        log.with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init();
    } else {
        log.json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init();
    }
}
