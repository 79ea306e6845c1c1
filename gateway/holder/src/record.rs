//! What stays on disk, so that a session's end is known after its holder.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use chatcode_proto::{pb, roomy::roomy};
use prost::Message;

const FILE: &str = "record.pb";
const SPEC: &str = "spec.pb";

/// Writes the record into `folder` as [`put`] does, but does not wait for the
/// disk: the loop must not, and a machine that loses power ends the session.
///
/// # Errors
/// I/O errors; the old record then stands.
pub(crate) fn write(folder: &Path, record: &pb::HolderRecord, shared: bool) -> io::Result<()> {
    place(folder, FILE, record, shared, false)
}

/// Writes a session's first record as [`put`] does.
///
/// # Errors
/// I/O errors.
pub(crate) fn write_first(folder: &Path, record: &pb::HolderRecord, shared: bool) -> io::Result<()> {
    put(folder, FILE, record, shared)
}

/// Keeps what the session is started again with, as [`put`] does.
///
/// # Errors
/// I/O errors.
pub(crate) fn keep_spec(folder: &Path, spec: &pb::HolderSpec) -> io::Result<()> {
    put(folder, SPEC, spec, spec.daemon_uid.is_some())
}

/// Nobody starts the session again.
///
/// # Errors
/// I/O errors.
pub(crate) fn forget_spec(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join(SPEC))
}

/// Writes a message into the file `name` in `folder`, 0600, or 0640 for the
/// folder's group when it is `shared` with the daemon's, aside and then renamed:
/// a reader sees the old one or the new one, also after a loss of power. On disk
/// when this returns.
///
/// # Errors
/// I/O errors; the old file then stands.
pub(crate) fn put(folder: &Path, name: &str, message: &impl Message, shared: bool) -> io::Result<()> {
    place(folder, name, message, shared, true)
}

fn place(folder: &Path, name: &str, message: &impl Message, shared: bool, flushes: bool) -> io::Result<()> {
    let aside = folder.join(format!("{name}.new"));
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    if shared {
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    let mut bytes = roomy();
    message.encode(&mut bytes).map_err(io::Error::other)?;
    file.write_all(&bytes)?;
    if flushes {
        file.sync_all()?;
    }
    fs::rename(aside, folder.join(name))?;
    if flushes { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_stands_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        for pid in [1, 2] {
            let record = pb::HolderRecord { pid, ..Default::default() };
            write(folder.path(), &record, false).expect("is written");
        }
        let file = folder.path().join(FILE);
        let record = pb::HolderRecord::decode(&*fs::read(&file).expect("is there")).expect("is a record");
        assert_eq!(record.pid, 2);
        let mode = || fs::metadata(&file).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        write(folder.path(), &record, true).expect("is written");
        assert_eq!(mode(), 0o640, "the daemon's group reads it");
        assert!(!folder.path().join("record.pb.new").exists());
    }
}
