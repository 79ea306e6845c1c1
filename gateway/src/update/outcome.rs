//! What became of the last update, kept on the disk: the daemon that tells it
//! is not always the one that tried.

use std::path::{Path, PathBuf};

use chatcode_certs::files::{self, FilesError};
use chatcode_proto::{limits, name::display_safe, pb};
use prost::Message as _;
use semver::Version;

use crate::grant::own_unix_ms;

fn file(data: &Path) -> PathBuf {
    data.join("update.pb")
}

/// The last outcome; none when there was none, or it cannot be read.
pub(super) fn load(data: &Path) -> Option<pb::UpdateOutcome> {
    let bytes = files::read_private(file(data)).ok()??;
    pb::UpdateOutcome::decode(&**bytes).ok()
}

/// Keeps an outcome; an empty reason is success.
pub(super) fn save(data: &Path, from: &Version, to: &Version, reason: &str) -> Result<(), FilesError> {
    let outcome = pb::UpdateOutcome {
        from: from.to_string(),
        to: to.to_string(),
        done: reason.is_empty(),
        reason: display_safe(reason, limits::MESSAGE_BYTES),
        ended_unix_ms: own_unix_ms(),
    };
    files::write_private(file(data), &outcome.encode_to_vec())
}
