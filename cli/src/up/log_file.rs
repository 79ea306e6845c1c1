//! The log of a program that `up` keeps running: 0600, and never larger than
//! two times its bound.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Lines of a log's end that an error shows.
const TAIL_LINES: usize = 12;
/// Bytes of a log's end that are read for it.
const TAIL_BYTES: u64 = 16 * 1024;

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    bound: u64,
}

impl LogFile {
    /// Opens the log at `path` and goes on at its end; beyond `bound` bytes it
    /// is set aside as `<path>.1`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(path: &Path, bound: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length, bound })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// When the disk refuses; the bytes are lost then.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + bytes.len() as u64 > self.bound {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            std::fs::rename(&self.path, aside)?;
            *self = Self::open(&self.path, self.bound)?;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// The last lines of the log at `path`, harmless to print; empty when there are
/// none.
pub(super) fn tail(path: &Path) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};

    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&end);
    let lines: Vec<String> = text.lines().map(crate::print::shown).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_log_stays_within_its_bound_and_keeps_the_newest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("core.log");
        let mut log = LogFile::open(&path, 100).expect("opens");
        for number in 0..100 {
            log.write(format!("line {number}\n").as_bytes()).expect("is written");
        }
        let now = std::fs::read_to_string(&path).expect("is there");
        let before = std::fs::read_to_string(folder.path().join("core.log.1")).expect("is there");
        assert!(now.len() <= 100 && before.len() <= 100);
        assert!(now.ends_with("line 99\n"));
        assert!(tail(&path).ends_with("line 99"));
    }

    #[test]
    fn a_log_is_ours_alone_and_goes_on_at_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("edge.log");
        LogFile::open(&path, 100).expect("opens").write(b"a\n").expect("is written");
        LogFile::open(&path, 100).expect("opens").write(b"b\x1b[2J\n").expect("is written");
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert!(tail(&path).starts_with("a\nb\u{fffd}[2J"), "{:?}", tail(&path));
        assert_eq!(tail(Path::new("/nowhere")), "");
    }
}
