//! One `up` per data folder.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use crate::home::typed;

/// The data folder is ours while this lives; the kernel lets go of it when the
/// process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held open: the lock is on the open file")] File);

impl Lock {
    /// Takes the folder.
    ///
    /// # Errors
    /// When another `up` has it (the error names its process), or the file
    /// cannot be made.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("up").join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            anyhow::bail!(
                "chatcode runs already with the data folder {} (process {}); \
                 `{}` prints a new link, `--data-dir` names another folder",
                data_dir.display(),
                pid.trim(),
                typed("login-url", data_dir)
            );
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_after() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("up")).expect("is made");
        let first = Lock::take(folder.path()).expect("is free");
        let error = Lock::take(folder.path()).expect_err("is taken").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains(&format!("login-url --data-dir {}", folder.path().display())), "{error}");
        drop(first);
        Lock::take(folder.path()).expect("is free again");
    }
}
