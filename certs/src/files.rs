//! Private files and folders: 0600 and 0700, written whole or not at all, and
//! refused when anybody else may read them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use chatcode_proto::limits;
use zeroize::Zeroizing;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// What group and others may do with it.
const OTHERS: u32 = 0o077;
/// The same for a credential of systemd. It is root's and gives its service's user
/// the right to read it by an ACL, whose mask stands where the group's rights do.
const OTHERS_OF_CREDENTIAL: u32 = 0o037;
/// The variable that names the folder of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Why a private file or folder was not used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Group or others have rights on it. Says the command that takes them.
    #[error(
        "{} has mode {mode:04o}, so others may use it; make it private with: chmod {wanted:o} {}",
        path.display(), quoted(path)
    )]
    Loose {
        /// The file or folder.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It is there and is not a plain file or a folder, as it should be.
    #[error("{} is not a {wanted}; move it away", path.display())]
    WrongKind {
        /// What is there.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// The file is larger than [`limits::PRIVATE_FILE_BYTES`].
    #[error("{} is larger than {} bytes, so it is not one of ours; move it away", path.display(), limits::PRIVATE_FILE_BYTES)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn io_error(path: &Path, source: io::Error) -> FilesError {
    FilesError::Io { path: path.to_owned(), source }
}

/// The path as one word of a shell command.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn check_mode(path: &Path, metadata: &fs::Metadata, wanted: u32, others: u32) -> Result<(), FilesError> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & others == 0 { Ok(()) } else { Err(FilesError::Loose { path: path.to_owned(), mode, wanted }) }
}

/// What others may not do with a file: less is asked of one that lies in the folder
/// of this service's credentials, which only its user and root can enter.
fn others_of(path: &Path, credentials: Option<&Path>) -> u32 {
    let is_credential = credentials.is_some_and(|folder| path.parent() == Some(folder));
    if is_credential { OTHERS_OF_CREDENTIAL } else { OTHERS }
}

/// Makes sure that the folder is there and private. A missing one is made with
/// mode 0700, its missing parents too.
///
/// # Errors
/// When it is open to others, is not a folder, or the system refuses.
pub fn private_dir(path: impl AsRef<Path>) -> Result<(), FilesError> {
    let path = path.as_ref();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => FilesError::WrongKind { path: path.to_owned(), wanted: "folder" },
        _ => io_error(path, e),
    })?;
    let metadata = fs::metadata(path).map_err(|e| io_error(path, e))?;
    check_mode(path, &metadata, FOLDER_MODE, OTHERS)
}

/// Whether a folder that is there is private; one that is missing is no error, and is
/// not made.
///
/// # Errors
/// When it is open to others, or is not a folder.
pub fn look_at_dir(path: impl AsRef<Path>) -> Result<(), FilesError> {
    let path = path.as_ref();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => check_mode(path, &metadata, FOLDER_MODE, OTHERS),
        Ok(_) => Err(FilesError::WrongKind { path: path.to_owned(), wanted: "folder" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(path, error)),
    }
}

/// Writes a private file: aside, flushed to the disk, then renamed over the
/// old one. A reader sees the old content or the new one, also after a crash.
///
/// # Errors
/// When the system refuses; the old content stands then.
pub fn write_private(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FilesError> {
    let path = path.as_ref();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.new", crate::random::text_id()));
    let aside = PathBuf::from(aside);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|e| {
        // The first error is the one to tell; the leftover is harmless.
        let _ = fs::remove_file(&aside);
        io_error(path, e)
    })
}

/// Reads a private file; `None` when there is none. The bytes are wiped when
/// dropped. A credential that systemd gives to this service counts as private.
///
/// # Errors
/// When it is open to others, is not a plain file, is too large, or the system
/// refuses.
pub fn read_private(path: impl AsRef<Path>) -> Result<Option<Zeroizing<Vec<u8>>>, FilesError> {
    let path = path.as_ref();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(path, e)),
    };
    let metadata = file.metadata().map_err(|e| io_error(path, e))?;
    if !metadata.is_file() {
        return Err(FilesError::WrongKind { path: path.to_owned(), wanted: "plain file" });
    }
    let credentials = std::env::var_os(CREDENTIALS).map(PathBuf::from);
    check_mode(path, &metadata, FILE_MODE, others_of(path, credentials.as_deref()))?;
    // Reserved at once, so that no smaller copy is left behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::PRIVATE_FILE_BYTES as usize + 1));
    file.take(limits::PRIVATE_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| io_error(path, e))?;
    if bytes.len() as u64 > limits::PRIVATE_FILE_BYTES {
        return Err(FilesError::TooLarge { path: path.to_owned() });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_written_is_private_and_read_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("a/b");
        private_dir(&home).unwrap();
        let file = home.join("key");
        assert!(read_private(&file).unwrap().is_none());
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(read_private(&file).unwrap().unwrap().as_slice(), b"two");
        assert_eq!((mode(&file), mode(&home), mode(home.parent().unwrap())), (0o600, 0o700, 0o700));
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn only_in_the_folder_of_credentials_a_group_may_seem_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca-passphrase");
        fs::write(&file, "words").unwrap();
        let is_taken = |mode, credentials: Option<&Path>| {
            chmod(&file, mode);
            let metadata = fs::metadata(&file).unwrap();
            check_mode(&file, &metadata, FILE_MODE, others_of(&file, credentials)).is_ok()
        };
        let here = Some(folder.path());
        assert!(is_taken(0o440, here) && is_taken(0o400, here));
        assert!(!is_taken(0o444, here) && !is_taken(0o460, here));
        assert!(!is_taken(0o440, None) && !is_taken(0o440, folder.path().parent()));
    }

    #[test]
    fn looser_modes_are_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("my home");
        private_dir(&home).unwrap();
        let file = home.join("it's a key");
        write_private(&file, b"x").unwrap();
        for open in [0o640, 0o604, 0o610, 0o601] {
            chmod(&file, open);
            let said = read_private(&file).unwrap_err().to_string();
            let command = said.split_once("with: ").unwrap().1;
            let done = std::process::Command::new("sh").arg("-c").arg(command).status().unwrap();
            assert!(done.success(), "{command}");
            assert_eq!(mode(&file), 0o600, "{command}");
        }
        chmod(&home, 0o750);
        let said = private_dir(&home).unwrap_err().to_string();
        assert!(said.ends_with(&format!("chmod 700 '{}'", home.display())), "{said}");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        write_private(&file, &vec![0; limits::PRIVATE_FILE_BYTES as usize + 1]).unwrap();
        assert!(matches!(read_private(&file), Err(FilesError::TooLarge { .. })));
        assert!(matches!(private_dir(&file), Err(FilesError::WrongKind { .. })));
        assert!(matches!(read_private(folder.path()), Err(FilesError::WrongKind { .. })));
    }
}
