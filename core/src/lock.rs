//! Only one core at a time on a data folder; `token` and `verify-audit` beside
//! it need no lock, since the store has its own.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// The data folder is ours while this lives; the kernel frees it when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataLock(#[expect(dead_code, reason = "held open: the lock is on the open file")] File);

impl DataLock {
    /// Takes the folder, which exists; `None` when another core has it.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub(crate) fn take(data_dir: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(data_dir.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
