//! The ledger: load with a number on every request, and an account of each one.
//!
//! What it is for: showing that a change of the config loses nothing. A [`Client`] sends numbered requests over
//! kept connections of HTTP/1.1, HTTP/2, `WebSocket`s, two-way streams and slow downloads; the [`Upstream`] behind
//! the proxy notes each number and sends it back. An answer that is lost, doubled or swapped is then seen, and
//! so is a connection that ends although nobody closed it.
//!
//! Where to start reading: [`Ledger`], then `load.rs`, which keeps the rate. All tasks belong to the runtime
//! that they were started in, and end with it.

#[expect(
    clippy::missing_panics_doc,
    reason = "without a certificate there is nothing to test"
)]
mod authority;
mod body;
mod client;
mod frame;
mod load;
#[expect(
    clippy::missing_panics_doc,
    reason = "without its process there is nothing to test"
)]
mod proxy;
mod upstream;
#[expect(clippy::missing_panics_doc, reason = "the names are the test's own")]
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use authority::{Authority, Pair, put};
pub use client::{Client, Socket};
pub use load::load;
pub use proxy::{Proxy, Swap};
pub use upstream::{Seen, Upstream};
pub use wire::Door;

/// The header that carries the number.
const NUMBER: &str = "x-number";

/// How many troubles are told in full.
const TOLD: usize = 20;

/// How a request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A small GET on an HTTP/1.1 connection that is used again.
    KeepAlive,
    /// A small POST among others on an HTTP/2 connection.
    Http2,
    /// A WebSocket that is opened, echoes a few times and is closed.
    WebSocket,
    /// An HTTP/2 request whose body and answer run at the same time, message by message, with trailers.
    Stream,
    /// A large answer that the client takes slowly.
    Download,
    /// A WebSocket that stays open until the end.
    Kept,
}

impl Kind {
    /// From when on an answer is late; `None` if it may take as long as it likes.
    const fn limit(self) -> Option<Duration> {
        match self {
            Self::KeepAlive | Self::Http2 => Some(Duration::from_secs(1)),
            Self::WebSocket | Self::Stream | Self::Download => Some(Duration::from_secs(3)),
            Self::Kept => None,
        }
    }
}

/// Why a request did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// An answer came, but a wrong one, or none came in time.
    Failed(String),
    /// The connection or the stream was broken off.
    Reset(String),
}

impl Trouble {
    /// Whether the peer has said that it did not look at the request, because it ends the connection: then any client
    /// sends it again. Such an error has no name that is seen from here, but it has words.
    fn is_unprocessed(&self) -> bool {
        matches!(self, Self::Reset(why) if why.ends_with("connection error received: not a result of an error"))
    }
}

impl From<hyper::Error> for Trouble {
    fn from(error: hyper::Error) -> Self {
        let told = chain(&error);
        if error.is_parse() || error.is_user() {
            Self::Failed(told)
        } else {
            Self::Reset(told)
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Reset(chain(&error))
    }
}

/// The book of all requests; clones write into the same one.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    /// Gives the next number to a request that begins now.
    #[must_use]
    pub fn open(&self, kind: Kind) -> Entry {
        let mut book = self.book();
        book.last += 1;
        book.counts.entry(kind).or_default().opened += 1;
        Entry {
            number: book.last,
            kind,
            begun: Instant::now(),
            ledger: self.clone(),
            open: true,
        }
    }

    /// Notes that a connection ended although this side had not closed it.
    pub fn connection_lost(&self) {
        self.book().connections_lost += 1;
    }

    /// Notes that a connection did not come about, and was tried again.
    pub fn connection_refused(&self) {
        self.book().connections_refused += 1;
    }

    /// Notes over which connection a request travels, by the port at this end.
    pub fn travels(&self, number: u64, port: u16) {
        self.book().ports.insert(number, port);
    }

    /// Sums up, and compares with what the upstreams have seen.
    #[must_use]
    pub fn balance(&self, seen: &Seen) -> Balance {
        let book = self.book();
        let seen = seen.counts();
        Balance {
            counts: book.counts.clone(),
            connections_lost: book.connections_lost,
            connections_refused: book.connections_refused,
            unseen: (1..=book.last)
                .filter(|number| !seen.contains_key(number) && !book.unwell.contains(number))
                .collect(),
            doubled: seen
                .iter()
                .filter(|(_, times)| **times > 1)
                .map(|(number, _)| *number)
                .collect(),
            reset_over: book
                .reset
                .iter()
                .map(|number| book.ports.get(number).copied())
                .collect(),
            troubles: book.troubles.clone(),
            slowest: book.slowest,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0
            .lock()
            .expect("nothing panics while it writes into the book")
    }
}

/// One request under way. If it is dropped before it is closed, it counts as failed.
#[derive(Debug)]
pub struct Entry {
    number: u64,
    kind: Kind,
    begun: Instant,
    ledger: Ledger,
    open: bool,
}

impl Entry {
    /// The number that the answer must carry.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Ends the account of this request.
    pub fn close(mut self, outcome: Result<(), Trouble>) {
        self.write(outcome);
    }

    fn write(&mut self, outcome: Result<(), Trouble>) {
        self.open = false;
        let took = self.begun.elapsed();
        let mut book = self.ledger.book();
        let limit = self.kind.limit();
        if limit.is_some() {
            book.slowest = book.slowest.max(took);
        }
        let count = book.counts.entry(self.kind).or_default();
        let told = match outcome {
            Ok(()) => {
                if limit.is_some_and(|limit| took > limit) {
                    count.late += 1;
                } else {
                    count.ok += 1;
                }
                return;
            }
            Err(Trouble::Failed(why)) => {
                count.failed += 1;
                format!("failed: {why}")
            }
            Err(Trouble::Reset(why)) => {
                count.reset += 1;
                book.reset.push(self.number);
                format!("reset: {why}")
            }
        };
        book.unwell.push(self.number);
        if book.troubles.len() < TOLD {
            let line = format!("{} ({:?}, after {took:?}) {told}", self.number, self.kind);
            book.troubles.push(line);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            self.write(Err(Trouble::Failed("given up".to_owned())));
        }
    }
}

/// How many requests of one kind ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All that began.
    pub opened: u64,
    /// Answered rightly and in time.
    pub ok: u64,
    /// Answered rightly, but late.
    pub late: u64,
    /// Answered wrongly, or not at all.
    pub failed: u64,
    /// Broken off.
    pub reset: u64,
}

impl Count {
    const fn under_way(self) -> u64 {
        self.opened - self.ok - self.late - self.failed - self.reset
    }
}

/// The ledger summed up; prints as a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// The ends of the requests of each kind.
    pub counts: BTreeMap<Kind, Count>,
    /// Connections that ended although the client had not closed them.
    pub connections_lost: u64,
    /// Connections that did not come about at first.
    pub connections_refused: u64,
    /// Requests that count as well answered, but that no upstream has seen.
    pub unseen: Vec<u64>,
    /// Requests that the upstreams have seen more than once.
    pub doubled: Vec<u64>,
    /// Over which connection each request travelled that was broken off, by the port at this end.
    pub reset_over: Vec<Option<u16>>,
    /// What went wrong, the first of them.
    pub troubles: Vec<String>,
    /// The longest time that a request took, those apart that stay open.
    pub slowest: Duration,
}

impl Balance {
    /// The ends of all requests together.
    #[must_use]
    pub fn total(&self) -> Count {
        self.counts.values().fold(Count::default(), |sum, count| Count {
            opened: sum.opened + count.opened,
            ok: sum.ok + count.ok,
            late: sum.late + count.late,
            failed: sum.failed + count.failed,
            reset: sum.reset + count.reset,
        })
    }

    /// Whether each request was answered rightly, exactly once, and no connection was lost. Late answers are right.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_answered() && self.connections_lost == 0 && self.connections_refused == 0
    }

    /// Whether each request was answered rightly, exactly once, over whichever connection.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let total = self.total();
        total.opened == total.ok + total.late && self.unseen.is_empty() && self.doubled.is_empty()
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |to: &mut fmt::Formatter<'_>, name: &str, count: Count| {
            writeln!(
                to,
                "{name:10} {:7} opened {:7} ok {:5} late {:5} failed {:5} reset {:5} under way",
                count.opened,
                count.ok,
                count.late,
                count.failed,
                count.reset,
                count.under_way()
            )
        };
        for (kind, count) in &self.counts {
            row(to, &format!("{kind:?}"), *count)?;
        }
        row(to, "total", self.total())?;
        writeln!(
            to,
            "unseen {} {:?}, doubled {} {:?}, connections lost {} and refused {}, slowest {:?}",
            self.unseen.len(),
            self.unseen.iter().take(TOLD).collect::<Vec<_>>(),
            self.doubled.len(),
            self.doubled.iter().take(TOLD).collect::<Vec<_>>(),
            self.connections_lost,
            self.connections_refused,
            self.slowest
        )?;
        self.troubles
            .iter()
            .try_for_each(|trouble| writeln!(to, "  {trouble}"))
    }
}

#[derive(Debug, Default)]
struct Book {
    last: u64,
    counts: BTreeMap<Kind, Count>,
    /// The numbers of those that failed or were reset.
    unwell: Vec<u64>,
    /// The numbers of those that were reset.
    reset: Vec<u64>,
    /// Over which connection each request travelled last.
    ports: BTreeMap<u64, u16>,
    troubles: Vec<String>,
    connections_lost: u64,
    connections_refused: u64,
    slowest: Duration,
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        told = format!("{told}: {error}");
        next = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays requests 1, 2, ... with these ends, each seen so many times by the upstream.
    #[track_caller]
    fn check(ends: Vec<(Result<(), Trouble>, u32)>, clean: bool, line: &str) {
        let (ledger, seen) = (Ledger::default(), Seen::default());
        for (end, times) in ends {
            let entry = ledger.open(Kind::Http2);
            (0..times).for_each(|_| seen.note(entry.number()));
            entry.close(end);
        }
        let balance = ledger.balance(&seen);
        assert_eq!(balance.is_clean(), clean, "{balance}");
        let told = balance.to_string();
        assert!(told.contains(line), "{told}");
    }

    #[test]
    fn each_request_is_accounted_for() {
        let failed = Err(Trouble::Failed("status 502".to_owned()));
        let reset = Err(Trouble::Reset("closed".to_owned()));
        check(vec![(Ok(()), 1), (Ok(()), 1)], true, "2 opened       2 ok");
        check(vec![(Ok(()), 1), (Ok(()), 0)], false, "unseen 1 [2]");
        check(vec![(Ok(()), 2)], false, "doubled 1 [1]");
        check(vec![(failed, 0)], false, "failed: status 502");
        check(vec![(reset, 1)], false, "reset: closed");
    }

    #[test]
    fn what_is_given_up_is_a_failure_and_what_is_open_is_no_success() {
        let (ledger, seen) = (Ledger::default(), Seen::default());
        let open = ledger.open(Kind::Kept);
        assert!(!ledger.balance(&seen).is_clean());
        assert_eq!(ledger.balance(&seen).total().under_way(), 1);
        drop(open);
        assert_eq!(ledger.balance(&seen).total().failed, 1);
    }

    #[test]
    fn a_lost_connection_is_told() {
        let ledger = Ledger::default();
        ledger.connection_lost();
        assert!(!ledger.balance(&Seen::default()).is_clean());
    }
}
