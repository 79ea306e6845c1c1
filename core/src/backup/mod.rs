//! The whole installation in one sealed file: the store as it is at one moment,
//! the CA, and the core's own keys. Whoever has the file and its passphrase is
//! the installation.

mod seal;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use chatcode_certs::{
    AuthorityError,
    files::{self, FilesError},
};
use tar::{Builder, EntryType, Header};

pub use self::seal::SealError;
use self::seal::{Opener, Sealer};
use crate::store::{StoreError, schema};

/// The store in the core's folder, and in a backup.
const STORE: &str = "core.db";
/// The CA.
const CA: &str = "ca";
/// The folders that are kept whole.
const FOLDERS: &[&str] = &[CA, "identity", "link.keys", "audit"];
/// How a file ends that is being written.
const UNFINISHED: &str = "new";

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there.
    #[error("{0} is there already and is not overwritten; name another file")]
    FileExists(PathBuf),
    /// The folder is there.
    #[error(
        "{0} is there and not empty; a backup is only restored where there is nothing: move it away first"
    )]
    FolderExists(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder cannot be private.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The CA cannot be copied.
    #[error("the CA cannot be copied")]
    Ca(#[from] AuthorityError),
    /// The file holds what no backup holds.
    #[error("the backup holds {0:?}, which no backup holds; nothing was restored")]
    Foreign(PathBuf),
    /// The file lacks something.
    #[error("the backup holds no {0}; nothing was restored")]
    Missing(&'static str),
    /// Reading, writing, sealing or opening failed.
    #[error("{path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

/// Writes a backup of the core in `data` into the new file `to` (0600); the core
/// may run meanwhile.
///
/// # Errors
/// [`BackupError`]; no file is left then.
pub async fn back_up(data: &Path, to: &Path, passphrase: &[u8]) -> Result<(), BackupError> {
    if to.exists() {
        return Err(BackupError::FileExists(to.to_owned()));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = Leftover(PathBuf::from(part));
    let mut new = OpenOptions::new();
    let new = new.write(true).create(true).truncate(true).mode(0o600);
    let out = new.open(&part.0).map_err(failed(to))?;
    let out = back_up_into(data, out, passphrase).await?;
    out.sync_all().and_then(|()| fs::rename(&part.0, to)).map_err(failed(to))
}

/// The same to where the caller says; what it was written to comes back.
///
/// # Errors
/// [`BackupError`]; what was written is not whole then, and is never opened.
pub async fn back_up_into<W: io::Write>(data: &Path, out: W, passphrase: &[u8]) -> Result<W, BackupError> {
    // Beside the store: as private as it is, and gone when this ends.
    let copy = Leftover(data.join(format!(".backup-{}.db", chatcode_certs::random::text_id())));
    schema::copy(&data.join(STORE), &copy.0).await?;
    write(data, &copy.0, out, passphrase)
}

/// A file that is not left behind.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        // It is gone already when all went well.
        let _ = fs::remove_file(&self.0);
    }
}

fn write<W: io::Write>(data: &Path, store: &Path, out: W, passphrase: &[u8]) -> Result<W, BackupError> {
    let io = failed(Path::new("the backup"));
    let mut tar = Builder::new(Sealer::new(passphrase, out).map_err(&io)?);
    append(&mut tar, store, Path::new(STORE))?;
    // After the store: it may lack a row of the last step, but names no certificate
    // that the CA lacks.
    for (name, bytes) in chatcode_certs::snapshot(&data.join(CA))? {
        append_bytes(&mut tar, &bytes, &Path::new(CA).join(name)).map_err(&io)?;
    }
    for folder in FOLDERS.iter().filter(|&&folder| folder != CA) {
        for file in files_in(&data.join(folder))? {
            let name = file.strip_prefix(data).unwrap_or(&file).to_owned();
            append(&mut tar, &file, &name)?;
        }
    }
    tar.into_inner().and_then(Sealer::finish).map_err(io)
}

fn append(tar: &mut Builder<impl io::Write>, file: &Path, name: &Path) -> Result<(), BackupError> {
    let io = failed(file);
    let opened = File::open(file).map_err(&io)?;
    let mut header = header(opened.metadata().map_err(&io)?.len());
    tar.append_data(&mut header, name, opened).map_err(io)
}

fn append_bytes(tar: &mut Builder<impl io::Write>, bytes: &[u8], name: &Path) -> io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), name, bytes)
}

/// Of a private file with so many bytes.
fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header
}

/// All finished files in a folder and its folders, in order; none where there is
/// no such folder.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(folder))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed(folder))?;
        let kind = entry.file_type().map_err(failed(folder))?;
        if kind.is_dir() {
            all.extend(files_in(&entry.path())?);
        } else if kind.is_file() && entry.path().extension().is_none_or(|end| end != UNFINISHED) {
            all.push(entry.path());
        }
    }
    all.sort();
    Ok(all)
}

/// Restores a backup into the folder `data`, which is not there or empty.
///
/// # Errors
/// [`BackupError`]; the folder is as it was then.
pub fn restore(from: impl Read, data: &Path, passphrase: &[u8]) -> Result<(), BackupError> {
    let io = failed(data);
    let data = std::path::absolute(data).map_err(&io)?;
    let is_there = match fs::read_dir(&data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::FolderExists(data));
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(_) => return Err(BackupError::FolderExists(data)),
    };
    let name = format!(".{}.restoring", chatcode_certs::random::text_id());
    // Whose the folder is need not be whose the one around it is.
    let aside = if is_there {
        data.join(name)
    } else {
        let mut beside = data.as_os_str().to_owned();
        beside.push(name);
        PathBuf::from(beside)
    };
    files::private_dir(&aside)?;
    let restored = read(from, &aside, passphrase).and_then(|()| {
        if is_there { move_up(&aside, &data) } else { fs::rename(&aside, &data).map_err(&io) }
    });
    if restored.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_dir_all(&aside);
    }
    restored
}

/// Moves all of a folder into the one around it, and what makes it a core's last.
fn move_up(aside: &Path, data: &Path) -> Result<(), BackupError> {
    let names = FOLDERS.iter().copied().chain([STORE]).filter(|name| aside.join(name).exists());
    let mut moved = Vec::new();
    for name in names {
        if let Err(error) = fs::rename(aside.join(name), data.join(name)) {
            for name in moved {
                // The error that counts is the first.
                let _ = fs::rename(data.join(name), aside.join(name));
            }
            return Err(failed(data)(error));
        }
        moved.push(name);
    }
    fs::remove_dir(aside).map_err(failed(aside))
}

fn read(from: impl Read, into: &Path, passphrase: &[u8]) -> Result<(), BackupError> {
    let io = failed(Path::new("the backup"));
    let opened = Opener::new(passphrase, from).map_err(&io)?;
    let mut tar = tar::Archive::new(opened);
    for entry in tar.entries().map_err(&io)? {
        let mut entry = entry.map_err(&io)?;
        let name = entry.path().map_err(&io)?.into_owned();
        if !belongs(&name) || entry.header().entry_type() != EntryType::Regular {
            return Err(BackupError::Foreign(name));
        }
        let target = into.join(&name);
        if let Some(folder) = target.parent() {
            files::private_dir(folder)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)
            .map_err(failed(&target))?;
        io::copy(&mut entry, &mut file).map_err(&io)?;
        file.flush().and_then(|()| file.sync_all()).map_err(failed(&target))?;
    }
    // Past the end of the archive: that the last piece is the last one counts.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(&io)?;
    for (name, what) in [(STORE, "store"), (CA, "CA")] {
        if !into.join(name).exists() {
            return Err(BackupError::Missing(what));
        }
    }
    Ok(())
}

/// Whether a backup may hold this.
fn belongs(name: &Path) -> bool {
    let mut parts = name.components();
    let Some(Component::Normal(first)) = parts.next() else { return false };
    let is_plain = parts.clone().all(|part| matches!(part, Component::Normal(_)));
    let is_file = parts.next().is_none();
    is_plain && if is_file { first == STORE } else { FOLDERS.iter().any(|folder| first == *folder) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_core_keeps_belongs_into_a_backup() {
        for name in ["core.db", "ca/root.key", "identity/identity.pem", "link.keys/reset", "ca/next/root.pem"]
        {
            assert!(belongs(Path::new(name)), "{name}");
        }
        for name in
            ["", "ca", "core.db/x", "lock", "/ca/root.key", "ca/../../root.key", "../ca/x", "./core.db"]
        {
            assert!(!belongs(Path::new(name)), "{name}");
        }
    }
}
