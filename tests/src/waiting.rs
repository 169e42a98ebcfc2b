//! Waiting for what a program does by itself: looked at again and again, with an end.

use std::time::{Duration, Instant};

use tokio::time::interval;

/// What has not happened after this time never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(4);

/// Looks until `look` gives something. An error says what was waited for in vain.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, String> {
    let begun = Instant::now();
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("waited for {what} in vain"));
        }
    }
}
