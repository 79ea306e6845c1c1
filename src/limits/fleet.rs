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
