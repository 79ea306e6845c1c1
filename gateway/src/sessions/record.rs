//! What lies on disk of sessions: read with care, since shells run as the same
//! user and may have written anything.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use chatcode_proto::{id::SessionId, limits, pb};
use prost::Message as _;
use rustix::fs::OFlags;

use crate::config::Places;

/// The sessions that have a folder.
pub(super) fn scan(sessions: &Path) -> io::Result<Vec<SessionId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(sessions)? {
        let entry = entry?;
        // The type of the entry itself: a link is no folder of ours.
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        match id {
            Some(id) if entry.file_type()?.is_dir() => found.push(id),
            _ => tracing::debug!("something in the sessions' folder is no session"),
        }
    }
    Ok(found)
}

/// What a holder kept of the session `id`; `None` when there is nothing that
/// can be read as such.
pub(super) fn read(path: &Path, id: &SessionId) -> Option<pb::Session> {
    read_whole(path, id)?.session
}

/// The same with the holder's process; `session` is set.
pub(super) fn read_whole(path: &Path, id: &SessionId) -> Option<pb::HolderRecord> {
    let bytes = read_file(path, limits::HOLDER_MESSAGE_BYTES)?;
    let record = pb::HolderRecord::decode(bytes.as_slice()).ok()?;
    (record.session.as_ref()?.id == id.to_string()).then_some(record)
}

/// The screen that a holder saved; `None` when there is nothing that can be
/// read as such.
pub(super) fn read_screen(path: &Path) -> Option<pb::HolderScreen> {
    let bytes = Bytes::from(read_file(path, limits::SCREEN_FILE_BYTES)?);
    let screen = pb::HolderScreen::decode(bytes).ok()?;
    (screen.epoch != 0 && screen.winsize.is_some()).then_some(screen)
}

/// What a session is started again with; `None` when it is not.
pub(super) fn read_spec(path: &Path, id: &SessionId) -> Option<pb::HolderSpec> {
    let spec = pb::HolderSpec::decode(read_file(path, limits::HOLDER_MESSAGE_BYTES)?.as_slice()).ok()?;
    (spec.session == id.to_string()).then_some(spec)
}

/// What the other files of a session say whose record cannot be read, and when
/// the newest of all was written; `None` when it has none. `state` is not set.
pub(super) fn salvage(places: &Places, id: &SessionId) -> Option<(pb::Session, SystemTime)> {
    let files = [places.record(id), places.spec(id), places.screen(id)];
    let changed = files.iter().filter_map(|file| fs::symlink_metadata(file).ok()?.modified().ok()).max()?;
    let since_1970 = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let screen = read_screen(&places.screen(id));
    let spec = read_spec(&places.spec(id), id).unwrap_or_else(|| pb::HolderSpec {
        created_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        ..Default::default()
    });
    let id = id.to_string();
    let name = if spec.name.is_empty() { format!("session {}", &id[..8]) } else { spec.name.clone() };
    let session = pb::Session {
        id,
        name,
        created_unix_ms: spec.created_unix_ms,
        epoch: screen.as_ref().map_or(spec.epoch, |screen| screen.epoch),
        winsize: screen.and_then(|screen| screen.winsize).or(spec.winsize),
        restart: spec.restart,
        command: spec.shown_command,
        folder: spec.folder,
        resume_command: spec.shown_resume_command,
        restarts: spec.restarts,
        ..Default::default()
    };
    Some((session, changed))
}

/// A file of at most so many bytes; a larger one is none of ours.
fn read_file(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // Neither a link nor a pipe that nobody writes to, in the record's place.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let one_more = u64::try_from(limit).map_or(u64::MAX, |limit| limit.saturating_add(1));
    if file.metadata().ok()?.len() >= one_more {
        return None;
    }
    // It may have grown since.
    file.take(one_more).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

/// Makes the folder of a new session, 0700; its parent exists. On disk when this
/// returns: what the holder keeps in it is, too.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    folder.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

/// Removes the folder of a session that is forgotten, and says so in the log,
/// as it does of a failure: the folder is found again at the next start.
pub(super) fn remove_folder(folder: &Path) {
    let shown = folder.display();
    match fs::remove_dir_all(folder) {
        Ok(()) => tracing::info!(folder = %shown, "the folder of a forgotten session was removed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(folder = %shown, %error, "the folder of a forgotten session was not removed");
        }
    }
}

/// How long ago a folder was changed; zero when that is not known.
pub(super) fn age(folder: &Path) -> Duration {
    let changed = fs::metadata(folder).and_then(|meta| meta.modified());
    changed.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_named_by_an_id_are_sessions() {
        let folder = tempfile::tempdir().expect("a folder");
        let id = SessionId::from_random([3; 16]);
        make_folder(&folder.path().join(id.to_string())).expect("is made");
        make_folder(&folder.path().join("lost+found")).expect("is made");
        let other = SessionId::from_random([4; 16]).to_string();
        std::os::unix::fs::symlink("/tmp", folder.path().join(other)).expect("is made");
        assert_eq!(scan(folder.path()).expect("is read"), [id]);
    }

    #[test]
    fn a_record_that_is_garbage_or_of_another_session_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, id) = (folder.path().join("record.pb"), SessionId::from_random([3; 16]));
        assert_eq!(read(&file, &id), None);
        let session = pb::Session { id: id.to_string(), ..Default::default() };
        let record = pb::HolderRecord { session: Some(session.clone()), pid: 1, ..Default::default() };
        fs::write(&file, record.encode_to_vec()).expect("is written");
        assert_eq!(read(&file, &id), Some(session));
        assert_eq!(read(&file, &SessionId::from_random([4; 16])), None);
        fs::write(&file, b"\xff\xff\xff\xff").expect("is written");
        assert_eq!(read(&file, &id), None);
        fs::remove_file(&file).expect("is removed");
        let status = std::process::Command::new("mkfifo").arg(&file).status().expect("runs");
        assert!(status.success());
        assert_eq!(read(&file, &id), None, "a pipe that nobody writes to holds nobody up");
    }

    #[test]
    fn a_saved_screen_that_is_larger_than_any_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("screen.pb");
        let winsize = Some(pb::Winsize { rows: 24, cols: 80 });
        let screen = pb::HolderScreen { winsize, epoch: 7, ..Default::default() };
        // A field that a later version may have, as long as there is room: nothing is
        // written of it, so it takes none on the disk.
        let mut bytes = screen.encode_to_vec();
        bytes.extend([0xfa, 0x7f]);
        let left = limits::SCREEN_FILE_BYTES - bytes.len() - 4;
        prost::encoding::encode_varint(left as u64, &mut bytes);
        assert_eq!(bytes.len() + left, limits::SCREEN_FILE_BYTES, "the length of its length");
        fs::write(&file, bytes).expect("is written");
        let largest = OpenOptions::new().write(true).open(&file).expect("is there");
        largest.set_len(limits::SCREEN_FILE_BYTES as u64).expect("grows");
        assert_eq!(read_screen(&file), Some(screen));
        largest.set_len(limits::SCREEN_FILE_BYTES as u64 + 1).expect("grows");
        assert_eq!(read_screen(&file), None, "not even the part of it that is one");
    }
}
