//! The two clocks of a holder, read here only.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::ending::Time;

/// The wall clock: milliseconds since 1970 (UTC).
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that all rules count in.
#[derive(Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Time {
        self.0.elapsed()
    }
}
