//! What the data plane counts.
//!
//! Each traffic thread counts for itself, so that no two of them ever write to one place: to count is to read, add and
//! write, without a lock and without waiting for another core. Whoever asks adds up what all threads have counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets of durations, in microseconds.
const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Statuses that are counted by themselves: 100 to 599.
const STATUSES: usize = 500;

/// What all traffic threads have counted since the data plane started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Responses whose request is over, by status. Statuses that HTTP does not know are under 0.
    pub responses: BTreeMap<u16, u64>,
    /// Requests that got no response.
    pub aborted: u64,
    /// Requests under way.
    pub under_way: u64,
    /// From the end of a request's head to the end of its response.
    pub durations: Durations,
    /// From the end of a request's head, sent upstream, to the head of the response.
    pub upstream_durations: Durations,
    /// Bytes of bodies of responses.
    pub response_bytes: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open.
    pub open_connections: u64,
    /// TLS handshakes that failed.
    pub failed_handshakes: u64,
    /// Times at which accepting rested, because the process had run out of something.
    pub rests: u64,
}

/// A distribution of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durations {
    /// How many took no longer than each bound, in seconds; those that took longer than all are in `count` alone.
    pub buckets: Vec<(f64, u64)>,
    /// How many there are.
    pub count: u64,
    /// All of them together, in microseconds.
    pub micros: u64,
}

/// The counters of one thread.
#[derive(Debug)]
pub(crate) struct Counters {
    statuses: Box<[Counter]>,
    pub(crate) aborted: Counter,
    pub(crate) begun: Counter,
    pub(crate) durations: Distribution,
    pub(crate) upstream_durations: Distribution,
    pub(crate) response_bytes: Counter,
    pub(crate) panics: Counter,
    pub(crate) connections: Counter,
    pub(crate) closed: Counter,
    pub(crate) failed_handshakes: Counter,
    pub(crate) rests: Counter,
}

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// A distribution that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Distribution {
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

impl Counter {
    /// Counts one more.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub(crate) fn add(&self, number: u64) {
        // Nobody else writes, so nothing is lost between the two.
        self.0.store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Distribution {
    /// Takes note of a duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // Most are short, so the first bounds are looked at first.
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].one();
        self.micros.add(micros);
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            statuses: (0..=STATUSES).map(|_| Counter::default()).collect(),
            aborted: Counter::default(),
            begun: Counter::default(),
            durations: Distribution::default(),
            upstream_durations: Distribution::default(),
            response_bytes: Counter::default(),
            panics: Counter::default(),
            connections: Counter::default(),
            closed: Counter::default(),
            failed_handshakes: Counter::default(),
            rests: Counter::default(),
        }
    }
}

impl Counters {
    /// Counts a response.
    pub(crate) fn response(&self, status: u16) {
        let place = usize::from(status).wrapping_sub(100).min(STATUSES);
        if let Some(counter) = self.statuses.get(place) {
            counter.one();
        }
    }
}

impl Totals {
    /// Adds up what the threads have counted.
    pub(crate) fn of(threads: &[Arc<Counters>]) -> Self {
        let mut totals = Self::default();
        let (mut begun, mut closed) = (0, 0);
        for thread in threads {
            // What is over is read before what began: a gauge may be too high for a moment, but never below zero.
            closed += thread.closed.get();
            totals.aborted += thread.aborted.get();
            for (place, counter) in thread
                .statuses
                .iter()
                .enumerate()
                .filter(|(_, counter)| counter.get() > 0)
            {
                let status = if place < STATUSES { place as u16 + 100 } else { 0 };
                *totals.responses.entry(status).or_default() += counter.get();
            }
            totals.durations.add(&thread.durations);
            totals.upstream_durations.add(&thread.upstream_durations);
            totals.response_bytes += thread.response_bytes.get();
            totals.panics += thread.panics.get();
            totals.failed_handshakes += thread.failed_handshakes.get();
            totals.rests += thread.rests.get();
            totals.connections += thread.connections.get();
            begun += thread.begun.get();
        }
        let over = totals.aborted + totals.responses.values().sum::<u64>();
        totals.under_way = begun.saturating_sub(over);
        totals.open_connections = totals.connections.saturating_sub(closed);
        totals
    }
}

impl Durations {
    fn add(&mut self, counted: &Distribution) {
        self.buckets.resize(BOUNDS.len(), (0.0, 0));
        let mut so_far = 0;
        for ((total, bound), counter) in self.buckets.iter_mut().zip(BOUNDS).zip(&counted.buckets) {
            so_far += counter.get();
            *total = (bound as f64 / 1e6, total.1 + so_far);
        }
        self.count += so_far + counted.buckets.last().map_or(0, Counter::get);
        self.micros += counted.micros.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up() {
        let threads = [Arc::<Counters>::default(), Arc::default()];
        for thread in &threads {
            thread.begun.add(7);
            thread.response(200);
            thread.response(599);
            thread.aborted.one();
            thread.connections.add(2);
        }
        threads[0].closed.one();
        threads[1].response(999);
        threads[1].response(99);
        let totals = Totals::of(&threads);
        assert_eq!(totals.responses, BTreeMap::from([(0, 2), (200, 2), (599, 2)]));
        assert_eq!((totals.under_way, totals.open_connections), (6, 3));
    }

    #[track_caller]
    fn check(duration: Duration, expected: &[f64]) {
        let counters = Arc::<Counters>::default();
        counters.durations.observe(duration);
        let durations = Totals::of(&[counters]).durations;
        let holding = durations.buckets.iter().filter(|(_, count)| *count == 1);
        let holding: Vec<f64> = holding.map(|(bound, _)| *bound).collect();
        assert_eq!(holding, expected);
        assert_eq!(durations.count, 1);
    }

    #[test]
    fn durations_are_in_each_bucket_that_bounds_them() {
        check(Duration::from_secs(10), &[10.0]);
        check(Duration::from_micros(2_500_001), &[5.0, 10.0]);
        check(Duration::from_millis(10_001), &[]);
        check(Duration::MAX, &[]);
    }
}
