//! An identity is several files, and takes the place of another one whole: what
//! fails half-way leaves the old one as it was, its durable key included.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::EnrollmentError;

/// The folder beside `home` in which the next one is made.
fn fresh(home: &Path) -> PathBuf {
    home.with_extension("new")
}

/// Where the old one is for a moment, on file systems that cannot exchange two
/// folders.
fn old(home: &Path) -> PathBuf {
    home.with_extension("old")
}

/// Makes the folder `home` hold exactly what `write` puts into the folder that
/// it is given.
///
/// # Errors
/// What `write` fails with, and [`EnrollmentError::Place`]; the old folder is as
/// it was then.
pub(super) fn replace(
    home: &Path,
    write: impl FnOnce(&Path) -> Result<(), EnrollmentError>,
) -> Result<(), EnrollmentError> {
    let fresh = fresh(home);
    remove(&fresh).map_err(EnrollmentError::Place)?;
    write(&fresh)?;
    exchange(&fresh, home).map_err(EnrollmentError::Place)
}

/// Whether `home` is missing only because the machine lost its power while it
/// was replaced.
pub(crate) fn can_be_mended(home: &Path) -> bool {
    !home.exists() && old(home).exists()
}

/// Puts the old folder back in that case. Only under the lock of the data folder.
///
/// # Errors
/// When the system refuses.
pub(crate) fn mend(home: &Path) -> io::Result<()> {
    if can_be_mended(home) {
        fs::rename(old(home), home)?;
        sync_parent(home)?;
    }
    Ok(())
}

fn exchange(fresh: &Path, home: &Path) -> io::Result<()> {
    if !home.exists() {
        fs::rename(fresh, home)?;
        return sync_parent(home);
    }
    if renameat_with(CWD, fresh, CWD, home, RenameFlags::EXCHANGE).is_ok() {
        sync_parent(home)?;
        return remove(fresh);
    }
    one_after_the_other(fresh, home)
}

/// The same where the file system knows no exchange; see [`mend`].
fn one_after_the_other(fresh: &Path, home: &Path) -> io::Result<()> {
    let old = old(home);
    remove(&old)?;
    fs::rename(home, &old)?;
    if let Err(error) = fs::rename(fresh, home) {
        fs::rename(&old, home)?;
        return Err(error);
    }
    sync_parent(home)?;
    remove(&old)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use chatcode_certs::files;

    use super::*;

    /// Two files that belong together.
    fn write(folder: &Path, text: &str) -> Result<(), EnrollmentError> {
        files::private_dir(folder)?;
        for name in ["machine.key", "identity.pem"] {
            files::write_private(folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    fn read(home: &Path) -> [String; 2] {
        ["machine.key", "identity.pem"].map(|name| fs::read_to_string(home.join(name)).expect("is there"))
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).expect("a folder").count()
    }

    #[test]
    fn a_new_identity_takes_the_place_of_the_old_one_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("identity");
        for text in ["one", "two", "three"] {
            replace(&home, |aside| write(aside, text)).expect("is replaced");
            assert_eq!((read(&home), entries(folder.path())), ([text, text].map(str::to_owned), 1));
        }
    }

    #[test]
    fn a_disk_that_fails_half_way_leaves_the_old_identity_with_its_durable_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("identity");
        replace(&home, |aside| write(aside, "old")).expect("is kept");
        let failed = replace(&home, |aside| {
            files::private_dir(aside)?;
            files::write_private(aside.join("machine.key"), b"new")?;
            Err(EnrollmentError::Place(io::ErrorKind::StorageFull.into()))
        });
        assert!(failed.is_err());
        assert_eq!(read(&home), ["old", "old"].map(str::to_owned));
        replace(&home, |aside| write(aside, "new")).expect("what was left aside is no hindrance");
        assert_eq!(read(&home), ["new", "new"].map(str::to_owned));
    }

    #[test]
    fn without_an_exchange_a_power_cut_at_any_moment_leaves_a_whole_identity() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("identity");
        write(&home, "old").expect("is kept");
        write(&fresh(&home), "new").expect("is kept");
        fs::rename(&home, old(&home)).expect("the moment in between");
        assert!(can_be_mended(&home));
        mend(&home).expect("is mended");
        assert_eq!(read(&home), ["old", "old"].map(str::to_owned));
        one_after_the_other(&fresh(&home), &home).expect("is replaced");
        mend(&home).expect("nothing to mend");
        assert_eq!((read(&home), entries(folder.path())), (["new", "new"].map(str::to_owned), 1));
    }
}
