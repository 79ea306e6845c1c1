//! What stays on disk, so that a session's end is known after its holder.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use chatcode_proto::pb;
use prost::Message as _;

const FILE: &str = "record.pb";
const ASIDE: &str = "record.pb.new";

/// Writes the record into `folder`, 0600, aside and then renamed: a reader
/// sees the old one or the new one. Not flushed to the disk: a machine that
/// loses power ends the session anyway.
///
/// # Errors
/// I/O errors; the old record then stands.
pub(crate) fn write(folder: &Path, session: pb::Session) -> io::Result<()> {
    let record = pb::HolderRecord { session: Some(session), pid: std::process::id() };
    let aside = folder.join(ASIDE);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(&record.encode_to_vec())?;
    fs::rename(aside, folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_last_record_stands_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["first", "second"] {
            write(folder.path(), pb::Session { name: name.into(), ..Default::default() })
                .expect("is written");
        }
        let file = folder.path().join(FILE);
        let record = pb::HolderRecord::decode(&*fs::read(&file).expect("is there")).expect("is a record");
        assert_eq!(record.session.expect("has one").name, "second");
        assert_eq!(record.pid, std::process::id());
        assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join(ASIDE).exists());
    }
}
