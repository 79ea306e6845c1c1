//! Releases, updates and backups.

use std::time::Duration;

/// Bytes of a release's manifest; a longer one is none.
pub const RELEASE_MANIFEST_BYTES: usize = 64 * 1024;
/// Bytes of one file of a release; a manifest that names a larger one is none, and
/// an edge gives none out.
pub const RELEASE_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes that an archive of a release unpacks to; a larger one is refused.
pub const RELEASE_UNPACKED_BYTES: u64 = 1024 * 1024 * 1024;
/// Files in an archive of a release; one with more is refused.
pub const RELEASE_ENTRIES: usize = 256;
/// Bytes of a version's text, of a channel's name, of a file's name; a manifest
/// with a longer one is none.
pub const RELEASE_VERSION_BYTES: usize = 64;
/// See [`RELEASE_VERSION_BYTES`].
pub const RELEASE_CHANNEL_BYTES: usize = 32;
/// See [`RELEASE_VERSION_BYTES`].
pub const RELEASE_NAME_BYTES: usize = 128;
/// How long a server of releases may be silent; then the download fails.
pub const RELEASE_SILENCE: Duration = Duration::from_secs(30);
/// How long a whole download may take; then it fails.
pub const RELEASE_DOWNLOAD: Duration = Duration::from_secs(30 * 60);
/// How long a new program may take to say its version; then it is not used.
pub const UPDATE_VERSION: Duration = Duration::from_secs(10);
/// How long a new daemon may take until the core has welcomed it, seconds; then
/// the one before goes on. The setting `update_trial_s` is within the range.
pub const UPDATE_TRIAL_S: u32 = 60;
/// See [`UPDATE_TRIAL_S`].
pub const UPDATE_TRIAL_RANGE: std::ops::RangeInclusive<u32> = 2..=600;
/// How long a daemon on trial may take to end when it is told to; then it is
/// killed.
pub const UPDATE_END: Duration = Duration::from_secs(10);
/// Between two looks for a newer release, seconds; each is later by up to as much
/// again. The setting `update.look_s` is within the range.
pub const UPDATE_LOOK_S: u32 = 6 * 3600;
/// See [`UPDATE_LOOK_S`]; a week at most, since nobody hears of a release before.
pub const UPDATE_LOOK_RANGE: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 3600;
/// The first look after the start of a daemon comes within this.
pub const UPDATE_FIRST_LOOK: Duration = Duration::from_secs(10 * 60);
/// How often a gateway that updates by itself looks at the clock; each is later by
/// up to as much again, and never rarer than for its looks.
pub const UPDATE_TICK: Duration = Duration::from_secs(10 * 60);
/// Bytes of a file of the service manager; a longer one is none of ours.
pub const UNIT_FILE_BYTES: u64 = 64 * 1024;
/// How long the helper that installs releases may take for one order.
pub const UPDATE_HELPER: Duration = Duration::from_secs(120);
/// Bytes of one sealed piece of a backup.
pub const BACKUP_PIECE_BYTES: usize = 64 * 1024;
/// Bytes of a backup's passphrase; a shorter or longer one is refused.
pub const BACKUP_PASSPHRASE_RANGE: std::ops::RangeInclusive<usize> = 8..=1024;
