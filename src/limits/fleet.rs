//! The fleet and those who watch it.

use std::time::Duration;

/// Events that wait for one watcher; a watcher that falls behind starts anew.
pub const WATCH_EVENTS: usize = 1024;
/// A watch without news says that it is alive.
pub const WATCH_ALIVE: Duration = Duration::from_secs(10);
/// Gateways of one installation; one more is not enrolled (`LIMIT`).
pub const GATEWAYS: usize = 10_000;
/// Bytes of one gateway as it is told at most, encoded.
pub const GATEWAY_BYTES: usize = 5120;
/// Gateways in one answer of `Fleet.List`; more are on the next page.
pub const FLEET_PAGE: usize = 200;
/// Sessions of one gateway that the core keeps in its directory: all of a
/// gateway at its limits, and some; more are not shown.
pub const DIRECTORY_SESSIONS: usize = 340;
/// Sessions of all gateways in the directory, so that the first picture of a
/// watch stays below half a GiB; more are not shown.
pub const DIRECTORY_SESSIONS_ALL: usize = 100_000;
/// From telling a gateway that it is revoked to closing its link.
pub const REVOKED_FAREWELL: Duration = Duration::from_millis(500);
/// Characters of the version that a member tells of its program; more is cut.
pub const VERSION_CHARS: usize = 64;
/// From so many percent of a limit on it is shown as near.
pub const NEAR_PERCENT: u64 = 80;
/// A certificate whose life is not known is shown as near its end when less than
/// this is left, milliseconds.
pub const CERTIFICATE_NEAR_MS: u64 = 4 * 3600 * 1000;
/// How much longer than the time that machines were told `admin drain --wait` waits
/// for them to come back.
pub const DRAIN_BACK: Duration = Duration::from_secs(60);
/// The first and the longest pause before a command that follows something comes
/// back to a core that went away.
pub const FOLLOW_FIRST: Duration = Duration::from_millis(500);
/// See [`FOLLOW_FIRST`].
pub const FOLLOW_LONGEST: Duration = Duration::from_secs(15);
