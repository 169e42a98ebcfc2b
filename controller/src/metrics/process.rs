//! What the system says of the process, under the names that all of Prometheus's clients use.

use std::fs;

use super::text::{Kind, Page};

/// Ticks of the clock in a second as the kernel tells them to programs, whatever its own clock does.
const TICKS: f64 = 100.0;

/// What could be read; what could not is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: f64,
    /// Seconds since the machine started.
    started: f64,
    threads: u64,
    resident: u64,
    virtual_bytes: u64,
}

/// Writes the process's own metrics.
pub(super) fn write(page: &mut Page) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let process = parse(&read("/proc/self/stat"), &read("/proc/self/status")).unwrap_or_default();
    let booted = field(&read("/proc/stat"), "btime ").unwrap_or_default() as f64;
    let open = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
    let limits = read("/proc/self/limits");
    page.one(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Time on a CPU, in the program and in the kernel for it.",
        process.cpu_seconds,
    );
    page.one(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since 1970.",
        booted + process.started,
    );
    page.one(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory that is resident.",
        process.resident,
    );
    page.one(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Addresses that are taken.",
        process.virtual_bytes,
    );
    page.one("process_threads", Kind::Gauge, "Threads.", process.threads);
    page.one("process_open_fds", Kind::Gauge, "Open file descriptors.", open);
    page.one(
        "process_max_fds",
        Kind::Gauge,
        "How many file descriptors may be open.",
        field(&limits, "Max open files").unwrap_or_default(),
    );
}

/// From `/proc/self/stat` and `/proc/self/status`.
fn parse(stat: &str, status: &str) -> Option<Process> {
    // The name of the program stands in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Counted as in proc(5), where the field after the name is the third.
    let ticks = |place: usize| Some(fields.get(place - 3)?.parse::<u64>().ok()? as f64 / TICKS);
    Some(Process {
        cpu_seconds: ticks(14)? + ticks(15)?,
        started: ticks(22)?,
        threads: field(status, "Threads:")?,
        resident: field(status, "VmRSS:")? * 1024,
        virtual_bytes: field(status, "VmSize:")? * 1024,
    })
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1234 1000 250 0";
        let status = "Name:\ta\nVmSize:\t   2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n";
        let expected = Process {
            cpu_seconds: 2.0,
            started: 12.34,
            threads: 9,
            resident: 1 << 20,
            virtual_bytes: 2 << 20,
        };
        assert_eq!(parse(stat, status), Some(expected));
        assert_eq!(parse("7 (a) S 1", status), None);
        assert_eq!(parse("", ""), None);
    }

    #[test]
    fn this_process_is_read() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.into_text();
        let value = |name: &str| field(&text.replace("\n# ", "\n#"), &format!("{name} "));
        for name in [
            "process_threads",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            assert!(value(name) > Some(0), "{name} in\n{text}");
        }
    }
}
