//! A steady stream of requests, of which none may fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Answer, Connection};

/// The pace of one worker.
const PACE: Duration = Duration::from_millis(5);

/// How many failures are told in full.
const TOLD: usize = 10;

/// Asks for pages all the time, until it is finished or dropped.
#[derive(Debug)]
pub struct Load {
    workers: JoinSet<Tally>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

/// What became of a stream of requests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many were sent.
    pub requests: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The first failures.
    pub told: Vec<String>,
}

impl Load {
    /// Starts workers that ask for the pages (host and path) in turn; `judge` says what is wrong with an answer. The
    /// first worker opens a new connection for each request, the others keep theirs.
    pub fn start(
        address: SocketAddr,
        workers: usize,
        pages: &[(String, String)],
        judge: fn(&str, &str, &Answer) -> Result<(), String>,
    ) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for number in 0..workers {
            let worker = Worker {
                address,
                keeps: number > 0,
                stop: Arc::clone(&stop),
                answered: Arc::clone(&answered),
                judge,
            };
            set.spawn(worker.run(pages.to_vec(), number));
        }
        Self {
            workers: set,
            stop,
            answered,
        }
    }

    /// How many answers have come until now.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets the requests under way end, and sums up.
    pub async fn finish(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(tally) => sum.add(tally),
                Err(error) => sum.fail(format!("a worker: {error}")),
            }
        }
        sum
    }
}

struct Worker {
    address: SocketAddr,
    keeps: bool,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    judge: fn(&str, &str, &Answer) -> Result<(), String>,
}

impl Worker {
    async fn run(self, pages: Vec<(String, String)>, first: usize) -> Tally {
        let mut tally = Tally::default();
        let mut connection = None;
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (host, path) in pages.iter().cycle().skip(first) {
            pace.tick().await;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            tally.requests += 1;
            match self.ask(connection.take(), host, path).await {
                Ok(used) => connection = Some(used).filter(|_| self.keeps),
                Err(error) => tally.fail(error),
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }

    async fn ask(
        &self,
        connection: Option<Connection>,
        host: &str,
        path: &str,
    ) -> Result<Connection, String> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let answer = connection.get(host, path).await?;
        (self.judge)(host, path, &answer)?;
        Ok(connection)
    }
}

impl Tally {
    fn fail(&mut self, why: String) {
        self.failed += 1;
        if self.told.len() < TOLD {
            self.told.push(why);
        }
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.told.extend(other.told);
    }
}
