//! Only one daemon at a time on a data folder.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::Pid,
};

/// The lock on a data folder; the kernel frees it when this is dropped, also
/// when the daemon is killed. Holders do not inherit it.
#[derive(Debug)]
pub(crate) struct DataLock {
    file: File,
}

/// Why the folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon lives.
    #[error("another chatcode-gateway runs on {0}; stop it first, or choose another --data-dir")]
    Taken(PathBuf),
    /// The file system refused.
    #[error("the lock file {path} could not be opened")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DataLock {
    /// Takes the lock of `data`, which exists.
    pub(crate) fn take(data: &Path) -> Result<Self, LockError> {
        let path = data.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // What the one before said of itself is no longer true.
                file.set_len(0).map_err(io)?;
                Ok(Self { file })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken(data.to_owned())),
            Err(errno) => Err(io(errno.into())),
        }
    }

    /// Writes the number of this process into the file, for those who tell a
    /// running daemon something. An enrollment does not: it listens to nobody.
    pub(crate) fn sign(&mut self) -> std::io::Result<()> {
        self.file.write_all(std::process::id().to_string().as_bytes())
    }

    /// The daemon that holds the lock of `data`; none when nobody does, or one who
    /// did not sign.
    pub(crate) fn holder(data: &Path) -> Result<Option<Pid>, LockError> {
        if !data.join("lock").exists() {
            return Ok(None);
        }
        match Self::take(data) {
            Ok(_) => return Ok(None),
            Err(LockError::Taken(_)) => {}
            Err(error) => return Err(error),
        }
        let path = data.join("lock");
        let text = fs::read_to_string(&path).map_err(|source| LockError::Io { path, source })?;
        Ok(text.parse().ok().and_then(Pid::from_raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataLock::take(folder.path()).expect("is free");
        assert!(matches!(DataLock::take(folder.path()), Err(LockError::Taken(_))));
        drop(first);
        DataLock::take(folder.path()).expect("is free again");
    }

    #[test]
    fn only_a_holder_that_signed_is_told_anything() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(DataLock::holder(folder.path()).expect("reads"), None);
        let mut lock = DataLock::take(folder.path()).expect("is free");
        assert_eq!(DataLock::holder(folder.path()).expect("reads"), None);
        lock.sign().expect("writes");
        let own = Pid::from_raw(i32::try_from(std::process::id()).expect("fits"));
        assert_eq!(DataLock::holder(folder.path()).expect("reads"), own);
        drop(lock);
        assert_eq!(DataLock::holder(folder.path()).expect("reads"), None);
    }
}
