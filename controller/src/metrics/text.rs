//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

use fairway_server::Durations;

/// What a family measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family; the samples that follow are its.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
    }

    /// A sample of the family that was begun last. Names of labels and their values are our own, and hold nothing that
    /// would have to be escaped.
    pub(super) fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut list = String::new();
        for (name, value) in labels {
            let comma = if list.is_empty() { '{' } else { ',' };
            // Writing to text cannot fail.
            let _ = write!(list, "{comma}{name}=\"{value}\"");
        }
        let end = if list.is_empty() { "" } else { "}" };
        let family = self.family;
        self.line(format_args!("{family}{suffix}{list}{end} {value}"));
    }

    /// A family with one sample.
    pub(super) fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample("", &[], value);
    }

    /// A family with a distribution of durations.
    pub(super) fn durations(&mut self, name: &'static str, help: &str, durations: &Durations) {
        self.family(name, Kind::Histogram, help);
        for (bound, count) in &durations.buckets {
            self.sample("_bucket", &[("le", &bound.to_string())], *count);
        }
        self.sample("_bucket", &[("le", "+Inf")], durations.count);
        self.sample("_sum", &[], durations.micros as f64 / 1e6);
        self.sample("_count", &[], durations.count);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to text cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fill: impl FnOnce(&mut Page), expected: &str) {
        let mut page = Page::default();
        fill(&mut page);
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn samples_have_their_family_and_labels() {
        check(
            |page| {
                page.family("a_total", Kind::Counter, "As.");
                page.sample("", &[("b", "c"), ("d", "e")], 1);
                page.one("f", Kind::Gauge, "Fs.", 0.5);
            },
            "# HELP a_total As.\n# TYPE a_total counter\na_total{b=\"c\",d=\"e\"} 1\n\
             # HELP f Fs.\n# TYPE f gauge\nf 0.5\n",
        );
    }

    #[test]
    fn durations_are_cumulative_and_end_with_all() {
        let durations = Durations {
            buckets: vec![(0.5, 1), (2.5, 3)],
            count: 4,
            micros: 7_500_000,
        };
        check(
            |page| page.durations("a_seconds", "As.", &durations),
            "# HELP a_seconds As.\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"0.5\"} 1\n\
             a_seconds_bucket{le=\"2.5\"} 3\na_seconds_bucket{le=\"+Inf\"} 4\na_seconds_sum 7.5\na_seconds_count 4\n",
        );
    }
}
