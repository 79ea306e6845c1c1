//! The holder's log file: plain lines, bounded, never a terminal byte.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use chatcode_proto::{limits, name};

use crate::clock::unix_ms;

/// The file `holder.log` in the session's folder; the process's standard error
/// goes to it too.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens the file to append, 0600.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("holder.log");
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Writes one line with the time; what steers a terminal is taken out.
    /// Failures are ignored: a full disk must not end a session.
    pub(crate) fn line(&mut self, text: &str) {
        if self.bytes > limits::HOLDER_LOG_FILE_BYTES {
            self.bytes = 0;
            let _ = self.file.set_len(0);
        }
        let now = unix_ms();
        let text = name::display_safe(text, 1024);
        let line = format!("{}.{:03} {text}\n", now / 1000, now % 1000);
        self.bytes += line.len() as u64;
        let _ = self.file.write_all(line.as_bytes());
    }

    /// The open file.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stays_bounded_however_much_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::open(folder.path()).expect("opens");
        for _ in 0..5000 {
            log.line("a line that is about as long as such lines are, and then some\u{1b}[2J");
        }
        let text = std::fs::read_to_string(folder.path().join("holder.log")).expect("is there");
        assert!((text.len() as u64) < limits::HOLDER_LOG_FILE_BYTES + 4096, "{}", text.len());
        assert!(!text.contains('\u{1b}'));
    }
}
