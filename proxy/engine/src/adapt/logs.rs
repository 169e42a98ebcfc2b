//! What `log` directives and the global option `log` mean: the loggers.

mod encoder;
mod read;
mod writer;

use std::collections::BTreeSet;

use super::GlobalOptions;
use super::scope::{SiteLog, SiteValue};
use super::servers::SiteFacts;
use crate::config::{Log, Logging};

pub(crate) use read::{read_global, read_site};

/// The logger of everything that has no other.
const DEFAULT: &str = "default";

/// Makes `logging` of the global options and the sites of all servers. None if nothing is said about it.
pub(crate) fn logging(sites: &[SiteFacts], options: &GlobalOptions) -> Option<Logging> {
    let globals = options.logs.iter().map(|(name, log)| (name.as_str(), log));
    let own = sites
        .iter()
        .flat_map(site_logs)
        .filter_map(|log| Some((log.name.as_deref()?, &log.log)));
    let mut all: Vec<(&str, Log)> = globals
        .chain(own)
        .map(|(name, log)| (name, log.clone()))
        .collect();
    all.retain(|(name, _)| !name.is_empty());
    let has_default = all.iter().any(|(name, _)| *name == DEFAULT);
    if options.debug {
        let debug = |log: &mut Log| log.level = Some("DEBUG".to_owned());
        let levelless = all
            .iter_mut()
            .filter(|(_, log)| *log != Log::default() && log.level.is_none());
        levelless.for_each(|(_, log)| debug(log));
        if !has_default {
            let mut log = Log::default();
            debug(&mut log);
            all.push((DEFAULT, log));
        }
    }
    all.retain(|(_, log)| *log != Log::default());
    let mut logging = Logging::default();
    if let Some((_, log)) = all.iter().find(|(name, _)| *name == DEFAULT) {
        logging.logs.insert(DEFAULT.to_owned(), log.clone());
    }
    // What has a logger of its own is not said twice.
    let mut excluded = BTreeSet::new();
    for (name, log) in all.into_iter().filter(|(name, _)| *name != DEFAULT) {
        excluded.extend(log.include.iter().flatten().cloned());
        logging.logs.insert(name.to_owned(), log);
    }
    if !excluded.is_empty() {
        let default = logging.logs.entry(DEFAULT.to_owned()).or_default();
        excluded.extend(default.exclude.take().into_iter().flatten());
        default.exclude = Some(excluded.into_iter().collect());
    }
    Some(logging).filter(|logging| !logging.logs.is_empty())
}

fn site_logs(site: &SiteFacts) -> impl Iterator<Item = &SiteLog> {
    site.values.iter().filter_map(|(_, value)| match value {
        SiteValue::Log(log) => Some(log),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::adapt::tests::adapt;

    /// What becomes of a file with one server: its `logs`, and `logging.logs`.
    #[track_caller]
    fn check(text: &str, server_logs_expected: Json, logging_expected: Json) {
        let config = adapt(text);
        let logs = &config["apps"]["http"]["servers"]["srv0"]["logs"];
        assert_eq!((logs.clone(), text), (server_logs_expected, text));
        assert_eq!(
            (config["logging"]["logs"].clone(), text),
            (logging_expected, text)
        );
    }

    #[track_caller]
    fn refuse(lines: &str, expected: &str) {
        let mistakes = crate::adapt::tests::mistakes(&format!(
            "a.test
{lines}
"
        ));
        assert_eq!(mistakes, [expected], "{lines}");
    }

    #[test]
    fn log_alone_is_the_default_access_log() {
        check(
            "a.test\nlog",
            json!({"logger_names": {"a.test": [""]}}),
            json!(null),
        );
        check(":443\nlog", json!({}), json!(null));
        check("a.test\n", json!(null), json!(null));
    }

    #[test]
    fn loggers_get_numbers_and_leave_the_default_log() {
        check(
            "a.test, a.test:443 {\nlog {\noutput stdout\n}\n}\nb.test {\nlog named {\nlevel ERROR\n}\nlog {\nformat console\n}\n}",
            json!({"logger_names": {"a.test": ["log0"], "b.test": ["named", "log1"]}}),
            json!({
                "default": {"exclude": ["http.log.access.log0", "http.log.access.log1", "http.log.access.named"]},
                "log0": {"writer": {"output": "stdout"}, "include": ["http.log.access.log0"]},
                "named": {"level": "ERROR", "include": ["http.log.access.named"]},
                "log1": {"encoder": {"format": "console"}, "include": ["http.log.access.log1"]}
            }),
        );
    }

    #[test]
    fn hosts_without_a_log_are_skipped() {
        check(
            "a.test {\nlog\n}\nc.test, b.test {\n}\n:443 {\n}",
            json!({"logger_names": {"a.test": [""]}, "skip_hosts": ["b.test", "c.test"], "skip_unmapped_hosts": true}),
            json!(null),
        );
        check(
            ":443 {\nlog all {\nlevel INFO\n}\nlog other {\nhostnames x.test\nlevel INFO\n}\nlog none {\nno_hostname\nlevel INFO\n}\n}",
            json!({"default_logger_name": "all", "logger_names": {"x.test": ["other"]}}),
            json!({
                "default": {"exclude": ["http.log.access.all", "http.log.access.none", "http.log.access.other"]},
                "all": {"level": "INFO", "include": ["http.log.access.all"]},
                "other": {"level": "INFO", "include": ["http.log.access.other"]},
                "none": {"level": "INFO", "include": ["http.log.access.none"]}
            }),
        );
    }

    #[test]
    fn global_loggers() {
        check(
            "{\ndebug\n}\n:443\n",
            json!(null),
            json!({"default": {"level": "DEBUG"}}),
        );
        check("{\ndebug\nlog {\n}\n}\n:443\n", json!(null), json!(null));
        check(
            "{\ndebug\nlog {\noutput discard\nexclude b\n}\nlog x {\ninclude a b\nlevel WARN\n}\n}\n:443\n",
            json!(null),
            json!({
                "default": {"writer": {"output": "discard"}, "level": "DEBUG", "exclude": ["a", "b"]},
                "x": {"level": "WARN", "include": ["a", "b"]}
            }),
        );
    }

    #[test]
    fn every_line_of_a_block() {
        let log = |lines: &str, mut log: Json| {
            log["include"] = json!(["http.log.access.x"]);
            check(
                &format!("a.test\nlog x {{\n{lines}\n}}"),
                json!({"logger_names": {"a.test": ["x"]}}),
                json!({"default": {"exclude": ["http.log.access.x"]}, "x": log}),
            );
        };
        log(
            "output file /f {\nmode 644\nroll_size 1gb\nroll_uncompressed\nroll_local_time\nroll_keep 5\nroll_keep_for 90d\nroll_minutes 0,30 45\n}",
            json!({"writer": {
                "output": "file", "filename": "/f", "mode": "0644", "roll_size_mb": 954, "roll_gzip": false,
                "roll_local_time": true, "roll_keep": 5, "roll_keep_days": 90, "roll_minutes": [0, 30, 45]
            }}),
        );
        log(
            "output net udp/h:5 {\ndial_timeout 5s\nsoft_start\n}\ncore mock",
            json!({
                "writer": {"output": "net", "address": "udp/h:5", "dial_timeout": 5_000_000_000_i64, "soft_start": true},
                "core": {"module": "mock"}
            }),
        );
        log(
            "sampling {\ninterval 300ns\nfirst 50\nthereafter 40\n}",
            json!({"sampling": {"interval": 300, "first": 50, "thereafter": 40}}),
        );
        log(
            "format json {\ntime_local\nmessage_key \"\"\ntime_format iso8601\n}",
            json!({"encoder": {"format": "json", "time_local": true, "message_key": "", "time_format": "iso8601"}}),
        );
        log(
            "format append {\nwrap json\nfields {\na 1\n}\nb 1.5\nc true\nd \"true\"\ne {env.X}\n}",
            json!({"encoder": {
                "format": "append", "wrap": {"format": "json"},
                "fields": {"a": 1, "b": 1.5, "c": true, "d": "true", "e": "{env.X}"}
            }}),
        );
        log(
            "format filter {\na delete\nb ip_mask 16 {\nipv6 32\n}\nc regexp x y\nc regexp z w\nd regexp q\ne query {\nreplace k v\ndelete n\n}\nf cookie {\nhash s\n}\ng rename h\n}",
            json!({"encoder": {"format": "filter", "fields": {
                "a": {"filter": "delete"}, "b": {"filter": "ip_mask", "ipv4_cidr": 16, "ipv6_cidr": 32},
                "c": {"filter": "multi_regexp", "operations": [
                    {"regexp": "x", "value": "y"}, {"regexp": "z", "value": "w"}
                ]},
                "d": {"filter": "regexp", "regexp": "q"},
                "e": {"filter": "query", "actions": [
                    {"type": "replace", "parameter": "k", "value": "v"}, {"type": "delete", "parameter": "n"}
                ]},
                "f": {"filter": "cookie", "actions": [{"type": "hash", "name": "s"}]},
                "g": {"filter": "rename", "name": "h"}
            }}}),
        );
    }

    #[test]
    fn mistakes_are_told() {
        refuse(
            "log a b",
            "Caddyfile:2:7: `log` takes no further argument, but `b` follows",
        );
        refuse(
            "log {\noutptu stdout\n}",
            "Caddyfile:3:1: `log` has no subdirective `outptu`; did you mean `output`?",
        );
        refuse(
            "log {\noutput stdot\n}",
            "Caddyfile:3:8: `stdot` is not known here; did you mean `stdout`?",
        );
        refuse(
            "log {\ninclude a\n}",
            "Caddyfile:3:1: `include` is for the `log` of the global options",
        );
        refuse("log {\nhostnames\n}", "Caddyfile:3:1: `hostnames` needs hosts");
        refuse(
            "log {\noutput file f {\nroll_keep_for -1d\n}\n}",
            "Caddyfile:4:15: `-1d` is less than nothing",
        );
        refuse(
            "log {\noutput file f {\nmode 9\n}\n}",
            "Caddyfile:4:6: `9` is no mode like 0644",
        );
        refuse(
            "log {\nformat filter {\na delete\na hash\n}\n}",
            "Caddyfile:5:1: the field `a` already has a filter",
        );
        refuse(
            "log {\nformat filter {\na regexp x\na hash\n}\n}",
            "Caddyfile:5:1: the field `a` already has a filter",
        );
    }
}
