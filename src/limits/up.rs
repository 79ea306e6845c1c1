//! Programs that `chatcode up` keeps running.

use std::time::Duration;

/// Bytes of one program's log; beyond it the log becomes `<role>.log.1` and
/// the one before is lost.
pub const ROLE_LOG_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a ready line; a program that prints a longer one is not ours.
pub const READY_LINE_BYTES: usize = 4 * 1024;
/// How long a program may take at its first start until it is ready; then `up`
/// fails with the end of its log.
pub const ROLE_START: Duration = Duration::from_secs(30);
/// The first and the longest pause before a program that ended is started
/// again; full jitter.
pub const ROLE_RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A program that ran this long begins its pauses anew.
pub const ROLE_STEADY: Duration = Duration::from_secs(10);
