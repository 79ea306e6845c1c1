//! The audit: how much of it is read, sent and kept at once.

use std::time::Duration;

/// Rows of one answer of a list, unless asked otherwise.
pub const AUDIT_ROWS: u32 = 100;
/// The same at most; more is `INVALID`.
pub const AUDIT_ROWS_MOST: u32 = 1000;
/// Rows of one message of an export.
pub const AUDIT_EXPORT_ROWS: u32 = 500;
/// Exports and watches of the audit at once; one more is `LIMIT`.
pub const AUDIT_STREAMS: usize = 32;
/// Rows that a search looks at before it answers with what it has found; the next
/// page goes on from there. At most 0.2 s on a small machine.
pub const AUDIT_SCAN: u64 = 100_000;
/// Small writes that share one transaction when they wait at the same time: rows of the
/// audit, links that come and go. More wait for the next one.
pub const WRITES_TOGETHER: usize = 64;
/// Rows that are read from the store at once.
pub const AUDIT_READ_ROWS: u32 = 1000;
/// Bytes of an action's beginning, in a filter; more is `INVALID`.
pub const AUDIT_ACTION_BYTES: usize = 128;
/// Bytes of an id in a filter; more is `INVALID`.
pub const AUDIT_ID_BYTES: usize = 64;
/// Heads that are compared in one check; more is `INVALID`.
pub const AUDIT_HEADS: usize = 64;
/// How long a caller waits for a check of the whole chain; then it asks again.
pub const AUDIT_CHECK: Duration = Duration::from_secs(600);
/// A watch without news says after this time that it is alive, and looks whether
/// another process has written.
pub const AUDIT_ALIVE: Duration = Duration::from_secs(10);
/// How often the core looks for rows that are old enough for an archive.
pub const AUDIT_ARCHIVE_LOOK: Duration = Duration::from_secs(3600);
/// Rows of one archive file; more go into the next one.
pub const AUDIT_ARCHIVE_ROWS: u64 = 50_000;
/// Days that rows may be kept before they are archived; 0 (not in the range): for
/// ever. Others stop the start.
pub const AUDIT_KEEP_DAYS: std::ops::RangeInclusive<u32> = 1..=36_500;
/// Bytes of one line of an export; a longer one is none of ours.
pub const AUDIT_LINE_BYTES: u64 = 64 * 1024;
