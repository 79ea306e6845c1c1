//! Versions side by side in one folder: `VERSION/…`, and links that name one of
//! them: `current`, the one before it, and the one that is to come.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, FlockOperation, access, flock};
use semver::Version;
use sha2::{Digest as _, Sha256};

use crate::{
    archive::{self, ArchiveError},
    manifest::{self, Archive},
};

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
const NEXT: &str = "next";
/// What is being put together; never a version.
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The programs were not installed from a release.
    #[error(
        "{0} was not installed from a release (no folder of versions with a link named current around it), so \
         it cannot update itself; update it as it was installed"
    )]
    NotInstalled(PathBuf),
    /// Another update is under way.
    #[error("another update of {0} is under way; wait for its end")]
    Busy(PathBuf),
    /// The file has another size than the manifest says.
    #[error("{name} has {found} bytes and the manifest says {wanted}; the download was cut or changed")]
    Size {
        /// The file.
        name: String,
        /// What came, at most one more than the manifest says.
        found: u64,
        /// What the manifest says.
        wanted: u64,
    },
    /// The file has another hash than the manifest says.
    #[error("{0} is not the file that the manifest names (SHA-256); it was changed on its way")]
    Hash(String),
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is none to go back or forth to.
    #[error("there is no {0} version in {1}")]
    None(&'static str, PathBuf),
    /// The version is not the one that was made ready.
    #[error("version {0} is not the one that was made ready; nothing was changed")]
    NotReady(Version),
    /// The file system refused.
    #[error("{path} cannot be used")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A folder of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
}

/// Held while something is changed.
#[derive(Debug)]
pub struct PlaceLock {
    _file: File,
}

impl Place {
    /// The folder at `root`, which need not hold anything yet.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder that a program was started from, with all links followed.
    ///
    /// # Errors
    /// [`PlaceError::NotInstalled`].
    pub fn of_program(program: &Path) -> Result<Self, PlaceError> {
        let not = || PlaceError::NotInstalled(program.to_owned());
        let real = fs::canonicalize(program).map_err(|_| not())?;
        let folder = real.parent().ok_or_else(not)?;
        let place = Self::new(folder.parent().ok_or_else(not)?.to_owned());
        let name = folder.file_name().and_then(|name| name.to_str()).and_then(manifest::read_version);
        match (name, place.current()) {
            (Some(_), Some(_)) => Ok(place),
            _ => Err(not()),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this process may change it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        access(&self.root, Access::WRITE_OK).is_ok()
    }

    /// The version that counts.
    #[must_use]
    pub fn current(&self) -> Option<Version> {
        self.link(CURRENT)
    }

    /// The version before it.
    #[must_use]
    pub fn previous(&self) -> Option<Version> {
        self.link(PREVIOUS)
    }

    /// The version that was made ready.
    #[must_use]
    pub fn next(&self) -> Option<Version> {
        self.link(NEXT)
    }

    /// A program of a version.
    #[must_use]
    pub fn program(&self, version: &Version, name: &str) -> PathBuf {
        self.root.join(version.to_string()).join(name)
    }

    /// A program of the current version, by its link.
    #[must_use]
    pub fn current_program(&self, name: &str) -> PathBuf {
        self.root.join(CURRENT).join(name)
    }

    fn link(&self, name: &str) -> Option<Version> {
        let target = fs::read_link(self.root.join(name)).ok()?;
        // Only to a folder beside it.
        let version = target.to_str().and_then(manifest::read_version)?;
        self.root.join(&target).is_dir().then_some(version)
    }

    /// Takes the folder, makes it when it is missing (0755).
    ///
    /// # Errors
    /// [`PlaceError::Busy`], or the file system refuses.
    pub fn lock(&self) -> Result<PlaceLock, PlaceError> {
        fs::create_dir_all(&self.root).map_err(|source| self.failed("", source))?;
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(false), 0o600);
        let file = options.open(self.root.join(LOCK)).map_err(|source| self.failed(LOCK, source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(PlaceLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(PlaceError::Busy(self.root.clone())),
            Err(errno) => Err(self.failed(LOCK, errno.into())),
        }
    }

    /// Makes a version ready: copies the archive out of the sender's reach,
    /// compares size and hash of the copy, unpacks that, and names it `next`. The
    /// current version is not touched.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing of the new version is left then.
    pub fn stage(
        &self,
        _lock: &PlaceLock,
        version: &Version,
        archive: &Archive,
        bytes: impl Read,
    ) -> Result<(), PlaceError> {
        let staging = self.root.join(STAGING);
        self.remove(STAGING)?;
        let done = self.stage_into(&staging, version, archive, bytes);
        if done.is_err() {
            // The error that counts is the first.
            let _ = self.remove(STAGING);
        }
        done
    }

    fn stage_into(
        &self,
        staging: &Path,
        version: &Version,
        archive: &Archive,
        bytes: impl Read,
    ) -> Result<(), PlaceError> {
        let io = |source| self.failed(STAGING, source);
        let programs = staging.join("programs");
        fs::create_dir(staging).map_err(io)?;
        fs::create_dir(&programs).map_err(io)?;
        let copy = staging.join("archive");
        copy_exactly(archive, bytes, &copy, io)?;
        archive::unpack(File::open(&copy).map_err(io)?, &programs)?;
        let mode =
            |path: &Path| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755));
        for folder in folders(&programs).map_err(io)? {
            mode(&folder).map_err(io)?;
        }
        let name = version.to_string();
        if self.current().as_ref() == Some(version) {
            return Err(PlaceError::NotReady(version.clone()));
        }
        self.remove(&name)?;
        fs::rename(&programs, self.root.join(&name)).map_err(io)?;
        self.remove(STAGING)?;
        self.point(NEXT, version)
    }

    /// Makes the version before the current one the next.
    ///
    /// # Errors
    /// [`PlaceError::None`] when there is none.
    pub fn stage_previous(&self, _lock: &PlaceLock) -> Result<Version, PlaceError> {
        let version = self.previous().ok_or_else(|| PlaceError::None("earlier", self.root.clone()))?;
        self.point(NEXT, &version)?;
        Ok(version)
    }

    /// Makes the version current that was made ready; what was current is the
    /// one before it, and all others are removed.
    ///
    /// # Errors
    /// [`PlaceError::NotReady`] for any other version; then nothing changed.
    pub fn activate(&self, _lock: &PlaceLock, version: &Version) -> Result<(), PlaceError> {
        if self.next().as_ref() != Some(version) {
            return Err(PlaceError::NotReady(version.clone()));
        }
        let before = self.current();
        if let Some(before) = before.as_ref().filter(|before| *before != version) {
            self.point(PREVIOUS, before)?;
        }
        self.point(CURRENT, version)?;
        self.remove(NEXT)?;
        self.tidy()
    }

    /// Forgets the version that was made ready.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn forget_next(&self, _lock: &PlaceLock) -> Result<(), PlaceError> {
        self.remove(NEXT)?;
        self.tidy()
    }

    /// Removes versions that no link names. A program that still runs from one
    /// goes on: its file lives as long as it does.
    fn tidy(&self) -> Result<(), PlaceError> {
        let kept = [self.current(), self.previous(), self.next()];
        let entries = fs::read_dir(&self.root).map_err(|source| self.failed("", source))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(manifest::read_version);
            if version.is_some() && !kept.contains(&version) {
                self.remove(&name.to_string_lossy())?;
            }
        }
        Ok(())
    }

    /// Lets a link name a version, in one step.
    fn point(&self, name: &str, version: &Version) -> Result<(), PlaceError> {
        let io = |source| self.failed(name, source);
        let aside = format!(".{name}.new");
        self.remove(&aside)?;
        symlink(version.to_string(), self.root.join(&aside)).map_err(io)?;
        fs::rename(self.root.join(&aside), self.root.join(name)).map_err(io)?;
        File::open(&self.root).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// Removes a link, a file or a folder; missing is well.
    fn remove(&self, name: &str) -> Result<(), PlaceError> {
        let path = self.root.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(name, error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, name: &str, source: io::Error) -> PlaceError {
        PlaceError::Io { path: self.root.join(name), source }
    }
}

/// Copies what `archive` names, and nothing else.
fn copy_exactly(
    archive: &Archive,
    bytes: impl Read,
    to: &Path,
    io: impl Fn(io::Error) -> PlaceError,
) -> Result<(), PlaceError> {
    let (name, wanted) = (&archive.file.name, archive.file.size);
    let mut out = File::create(to).map_err(&io)?;
    let mut hash = Sha256::new();
    let (mut found, mut piece) = (0, vec![0; 64 * 1024]);
    // One byte more than there should be is enough to know.
    let mut bytes = bytes.take(wanted + 1);
    loop {
        let length = bytes.read(&mut piece).map_err(&io)?;
        if length == 0 {
            break;
        }
        found += length as u64;
        hash.update(&piece[..length]);
        out.write_all(&piece[..length]).map_err(&io)?;
    }
    if found != wanted {
        return Err(PlaceError::Size { name: name.clone(), found, wanted });
    }
    if archive.file.sha256 != *hash.finalize() {
        return Err(PlaceError::Hash(name.clone()));
    }
    Ok(())
}

/// A folder and all folders in it.
fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut all, mut next) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            }
        }
        all.push(folder);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{File as Listed, Part};

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    /// An archive with one program that holds the version.
    fn made(folder: &Path, of: &str) -> (Archive, Vec<u8>) {
        let program = folder.join("program");
        fs::write(&program, of).expect("is written");
        let mut bytes = Vec::new();
        archive::pack(&[("chatcode-gateway".to_owned(), program)], 0, &mut bytes).expect("packs");
        let sha256 = Sha256::digest(&bytes).into();
        let file = Listed { sha256, size: bytes.len() as u64, name: "archive.tar.gz".to_owned() };
        (Archive { file, part: Part::Gateway, os: "linux".to_owned(), arch: "amd64".to_owned() }, bytes)
    }

    fn install(place: &Place, folder: &Path, text: &str) {
        let (archive, bytes) = made(folder, text);
        let lock = place.lock().expect("is free");
        place.stage(&lock, &version(text), &archive, bytes.as_slice()).expect("stages");
        place.activate(&lock, &version(text)).expect("activates");
    }

    fn runs(place: &Place) -> String {
        fs::read_to_string(place.current_program("chatcode-gateway")).expect("is there")
    }

    #[test]
    fn the_next_version_becomes_current_in_one_step_and_the_one_before_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::new(folder.path().join("lib"));
        for text in ["0.1.0", "0.2.0", "0.3.0"] {
            install(&place, folder.path(), text);
            assert_eq!(runs(&place), text);
        }
        assert_eq!((place.previous(), place.next()), (Some(version("0.2.0")), None));
        assert!(!place.root().join("0.1.0").exists(), "older ones are removed");
        let lock = place.lock().expect("is free");
        assert_eq!(place.stage_previous(&lock).expect("is there"), version("0.2.0"));
        assert_eq!(runs(&place), "0.3.0", "not before it is activated");
        place.activate(&lock, &version("0.2.0")).expect("activates");
        assert_eq!((runs(&place), place.previous()), ("0.2.0".to_owned(), Some(version("0.3.0"))));
    }

    #[test]
    fn a_program_knows_its_place_only_when_it_was_installed_from_a_release() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(folder.path()).expect("is there").join("lib");
        let place = Place::new(root);
        install(&place, folder.path(), "0.1.0");
        let by_link = folder.path().join("chatcode-gateway");
        symlink(place.current_program("chatcode-gateway"), &by_link).expect("links");
        assert_eq!(Place::of_program(&by_link).expect("is installed"), place);
        let elsewhere = folder.path().join("program");
        assert!(matches!(Place::of_program(&elsewhere), Err(PlaceError::NotInstalled(_))));
    }

    #[test]
    fn a_cut_longer_or_changed_archive_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::new(folder.path().join("lib"));
        install(&place, folder.path(), "0.1.0");
        let (archive, bytes) = made(folder.path(), "0.2.0");
        let lock = place.lock().expect("is free");
        let attempt = |bytes: &[u8]| place.stage(&lock, &version("0.2.0"), &archive, bytes);
        let error = attempt(&bytes[..bytes.len() - 1]).expect_err("is cut");
        assert!(matches!(error, PlaceError::Size { .. }), "{error}");
        let error = attempt(&[&*bytes, b"x"].concat()).expect_err("is longer");
        assert!(matches!(error, PlaceError::Size { .. }), "{error}");
        let mut changed = bytes.clone();
        changed[20] ^= 1;
        let error = attempt(&changed).expect_err("is changed");
        assert!(matches!(error, PlaceError::Hash(_)), "{error}");
        assert_eq!(place.next(), None);
        assert!(!place.root().join("0.2.0").exists() && !place.root().join(STAGING).exists());
        assert_eq!(runs(&place), "0.1.0");
    }

    #[test]
    fn only_what_was_made_ready_becomes_current_and_only_one_at_a_time_changes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::new(folder.path().join("lib"));
        install(&place, folder.path(), "0.2.0");
        fs::create_dir(place.root().join("0.1.0")).expect("is made");
        let lock = place.lock().expect("is free");
        let error = place.activate(&lock, &version("0.1.0")).expect_err("was not made ready");
        assert!(matches!(error, PlaceError::NotReady(_)), "{error}");
        assert!(matches!(place.lock(), Err(PlaceError::Busy(_))));
        // A link that leads out names no version.
        symlink("../..", place.root().join(NEXT)).expect("links");
        assert_eq!(place.next(), None);
    }
}
