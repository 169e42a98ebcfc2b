//! How long is waited after a failure: longer each time, never longer than freshness allows, and not in step with
//! other replicas.

use std::time::{Duration, Instant};

/// The first wait, and the longest. With what a request may take, a server that is back is noticed within 35 s.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// The longest that a server may ask for.
const ASKED: Duration = Duration::from_secs(30);

/// Failures that are further apart than this have nothing to do with each other.
const APART: Duration = Duration::from_mins(1);

/// The waits of one watch.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// The wait after a failure that happened now. `asked` is what the server asks for.
    pub(super) fn next(&mut self, now: Instant, asked: Option<Duration>) -> Duration {
        let step = match self.last {
            Some((then, step)) if now.duration_since(then) < APART => (step * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((now, step));
        let wait = step.mul_f64(rand::random_range(0.5..1.0));
        wait.max(asked.unwrap_or_default().min(ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_begin_anew() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let steps = (0..8).map(|power| (FIRST * (1 << power)).min(LONGEST));
        for step in steps {
            let wait = backoff.next(now, None);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} for {step:?}");
            now += wait;
        }
        assert!(backoff.next(now + APART, None) <= FIRST);
    }

    #[test]
    fn a_server_is_heard_within_reason() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let asked = Duration::from_secs(7);
        assert_eq!(backoff.next(now, Some(asked)), asked);
        assert_eq!(backoff.next(now, Some(Duration::from_hours(24))), ASKED);
        assert!(backoff.next(now, Some(Duration::ZERO)) >= FIRST);
    }
}
