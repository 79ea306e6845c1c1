//! The clocks of the core: one for people, one for measuring.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970 (UTC); 0 on a machine whose clock is before that.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

/// A time of the wall clock on the clock for measuring, as both go now; a past
/// one is now.
#[must_use]
pub fn instant(unix_s: u64) -> Instant {
    let ahead = unix_s.saturating_mul(1000).saturating_sub(unix_ms());
    // No certificate lasts longer than the root.
    Instant::now() + Duration::from_millis(ahead).min(chatcode_proto::limits::ROOT_LIFE)
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole microseconds of a duration.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
