//! Time, passed in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The time of day, moving with the runtime's clock: a simulation that pauses that clock pauses this one too, and a machine
/// whose time of day is set back does not move a lease.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    start_ms: u64,
}

impl Clock {
    /// The machine's time.
    #[must_use]
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::starting_at(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// A clock that shows `start_ms` now.
    #[must_use]
    pub fn starting_at(start_ms: u64) -> Self {
        Self { start: Instant::now(), start_ms }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.start_ms + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
