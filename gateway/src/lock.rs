//! Only one daemon at a time on a data folder.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// The lock on a data folder; the kernel frees it when this is dropped, also
/// when the daemon is killed. Holders do not inherit it.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
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
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken(data.to_owned())),
            Err(errno) => Err(io(errno.into())),
        }
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
}
