//! `/metrics` of the admin endpoint, in the text format of Prometheus.
//!
//! Nothing here is on the way of a request: the data plane counts for itself, and is asked when somebody asks for this
//! page. Names and meanings are told to users in `docs/metrics.md`; a test holds the two together.

mod process;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fairway_engine::handlers::reverse_proxy::Registry;
use fairway_server::{Running, Totals};
use jiff::Timestamp;

use crate::control::Report;
use crate::verdict::State;
use text::{Kind, Page};

/// What the control side counts, and whom it asks for the rest. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Arc<Numbers>);

#[derive(Default)]
struct Numbers {
    swaps: AtomicU64,
    refused_swaps: AtomicU64,
    applied: AtomicU64,
    /// Microseconds of all changes that were applied.
    applying: AtomicU64,
    /// Microseconds since 1970; 0 if there was none yet.
    last_swap: AtomicU64,
    is_leader: AtomicBool,
    written: AtomicU64,
    unwritten: AtomicU64,
    /// Known once there is a data plane.
    asked: OnceLock<Asked>,
}

/// Who is asked when the page is.
struct Asked {
    totals: Box<dyn Fn() -> Totals + Send + Sync>,
    registry: Registry,
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Asks this data plane from now on.
    pub(crate) fn ask(&self, running: &Running, registry: &Registry) {
        let asked = Asked {
            totals: Box::new(running.totals()),
            registry: registry.clone(),
        };
        // There is one in the life of a process.
        let _ = self.0.asked.set(asked);
        self.swapped();
    }

    /// A change of the objects was applied: it took so long, and was served by a swap or without one.
    pub(crate) fn applied(&self, took: Duration, with_swap: bool) {
        self.0.applied.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.applying.fetch_add(micros, Relaxed);
        if with_swap {
            self.swapped();
        }
    }

    /// A config could not be served.
    pub(crate) fn refused(&self) {
        self.0.refused_swaps.fetch_add(1, Relaxed);
    }

    /// Whether this replica writes to the API server.
    pub(crate) fn set_leader(&self, is_leader: bool) {
        self.0.is_leader.store(is_leader, Relaxed);
    }

    /// A snapshot was written to disk, or could not be.
    pub(crate) fn kept(&self, is_written: bool) {
        let counter = if is_written {
            &self.0.written
        } else {
            &self.0.unwritten
        };
        counter.fetch_add(1, Relaxed);
    }

    fn swapped(&self) {
        self.0.swaps.fetch_add(1, Relaxed);
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        self.0.last_swap.store(now, Relaxed);
    }

    /// The page.
    pub(crate) fn page(&self, report: &Report) -> String {
        let mut page = Page::default();
        let asked = self.0.asked.get();
        traffic(
            &mut page,
            &asked.map(|asked| (asked.totals)()).unwrap_or_default(),
        );
        self.control(
            &mut page,
            report,
            asked.map_or(0, |asked| asked.registry.tables_alive()),
        );
        process::write(&mut page);
        page.into_text()
    }

    fn control(&self, page: &mut Page, report: &Report, tables: usize) {
        let numbers = &*self.0;
        let load = |number: &AtomicU64| number.load(Relaxed);
        page.family(
            "fairway_swaps_total",
            Kind::Counter,
            "Configs that were swapped in, the first one too, and those that could not be served.",
        );
        page.sample("", &[("outcome", "swapped")], load(&numbers.swaps));
        page.sample("", &[("outcome", "refused")], load(&numbers.refused_swaps));
        page.one(
            "fairway_last_swap_timestamp_seconds",
            Kind::Gauge,
            "When a config was swapped in last; 0 if none was.",
            load(&numbers.last_swap) as f64 / 1e6,
        );
        page.family(
            "fairway_apply_duration_seconds",
            Kind::Summary,
            "Changes of the objects that were applied: rendered, compiled if need be, and swapped in.",
        );
        page.sample("_sum", &[], load(&numbers.applying) as f64 / 1e6);
        page.sample("_count", &[], load(&numbers.applied));
        page.one(
            "fairway_tables_alive",
            Kind::Gauge,
            "Tables that are held, by the data plane or by requests under way.",
            tables as u64,
        );
        page.family(
            "fairway_objects",
            Kind::Gauge,
            "Objects by their kind and by what is served of them.",
        );
        let mut objects = BTreeMap::<(&str, State), u64>::new();
        for verdict in &report.verdicts {
            *objects.entry((verdict.kind, verdict.state)).or_default() += 1;
        }
        for ((kind, state), count) in objects {
            page.sample("", &[("kind", kind), ("state", &format!("{state:?}"))], count);
        }
        page.one(
            "fairway_ready",
            Kind::Gauge,
            "1 as soon as a complete config is served.",
            u64::from(report.is_ready),
        );
        page.one(
            "fairway_serving_from_disk",
            Kind::Gauge,
            "1 while the snapshot on disk is served, because the API server has not answered yet.",
            u64::from(report.stale.is_some()),
        );
        page.family(
            "fairway_snapshot_writes_total",
            Kind::Counter,
            "Snapshots that were written to disk, and those that could not be.",
        );
        page.sample("", &[("outcome", "written")], load(&numbers.written));
        page.sample("", &[("outcome", "failed")], load(&numbers.unwritten));
        page.one(
            "fairway_leader",
            Kind::Gauge,
            "1 while this replica writes to the API server for all.",
            u64::from(numbers.is_leader.load(Relaxed)),
        );
    }
}

/// What the data plane counts.
fn traffic(page: &mut Page, totals: &Totals) {
    page.family(
        "fairway_requests_total",
        Kind::Counter,
        "Requests that were answered, by the status of the response; 0 for one that HTTP does not know.",
    );
    for (status, count) in &totals.responses {
        page.sample("", &[("code", &status.to_string())], *count);
    }
    page.one(
        "fairway_requests_aborted_total",
        Kind::Counter,
        "Requests that got no response: the client went away, or a handler cut the connection.",
        totals.aborted,
    );
    page.one(
        "fairway_requests_under_way",
        Kind::Gauge,
        "Requests under way.",
        totals.under_way,
    );
    page.durations(
        "fairway_request_duration_seconds",
        "From the end of a request's head to the end of its response.",
        &totals.durations,
    );
    page.durations(
        "fairway_upstream_duration_seconds",
        "From sending a request upstream to the head of the response, for the upstream that answered.",
        &totals.upstream_durations,
    );
    page.one(
        "fairway_response_bytes_total",
        Kind::Counter,
        "Bytes of bodies of responses.",
        totals.response_bytes,
    );
    page.one(
        "fairway_panics_total",
        Kind::Counter,
        "Handlers that panicked; each answered 500 to its own request.",
        totals.panics,
    );
    page.one(
        "fairway_connections_total",
        Kind::Counter,
        "Connections of clients that were accepted.",
        totals.connections,
    );
    page.one(
        "fairway_connections_open",
        Kind::Gauge,
        "Connections of clients that are open.",
        totals.open_connections,
    );
    page.one(
        "fairway_tls_handshakes_failed_total",
        Kind::Counter,
        "TLS handshakes with clients that failed.",
        totals.failed_handshakes,
    );
    page.one(
        "fairway_accept_rests_total",
        Kind::Counter,
        "Times at which accepting rested for 100 ms, because the process had run out of file descriptors or the like.",
        totals.rests,
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What users are told.
    const DOCS: &str = include_str!("../../docs/metrics.md");

    /// Name, kind and help of each family.
    fn written(page: &str) -> BTreeSet<(String, String, String)> {
        let mut helps = BTreeMap::new();
        let mut families = BTreeSet::new();
        for line in page.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                helps.insert(name, help);
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                families.insert((name.to_owned(), kind.to_owned(), helps[name].to_owned()));
            }
        }
        families
    }

    fn documented() -> BTreeSet<(String, String, String)> {
        let rows = DOCS.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| {
            row.trim_matches('|')
                .split(" | ")
                .map(str::trim)
                .collect::<Vec<_>>()
        });
        cells
            .map(|cells| {
                let name = cells[0].trim_matches('`').split('{').next().unwrap_or_default();
                (name.to_owned(), cells[1].to_owned(), cells[2].to_owned())
            })
            .collect()
    }

    #[test]
    fn the_page_and_its_documentation_agree() {
        let page = Metrics::default().page(&Report::default());
        assert_eq!(written(&page), documented());
    }

    #[test]
    fn the_control_side_counts() {
        let metrics = Metrics::default();
        metrics.applied(Duration::from_millis(1500), true);
        metrics.applied(Duration::from_millis(500), false);
        metrics.refused();
        metrics.set_leader(true);
        metrics.kept(true);
        let report = Report {
            stale: Some(Timestamp::UNIX_EPOCH),
            ..Report::default()
        };
        let page = metrics.page(&report);
        for line in [
            "fairway_swaps_total{outcome=\"swapped\"} 1",
            "fairway_swaps_total{outcome=\"refused\"} 1",
            "fairway_apply_duration_seconds_sum 2",
            "fairway_apply_duration_seconds_count 2",
            "fairway_leader 1",
            "fairway_serving_from_disk 1",
            "fairway_ready 0",
            "fairway_snapshot_writes_total{outcome=\"written\"} 1",
        ] {
            assert!(
                page.lines().any(|written| written == line),
                "{line} is not in\n{page}"
            );
        }
    }
}
