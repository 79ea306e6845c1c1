//! Archives of programs. Packed: the same files give the same bytes. Unpacked:
//! only what a release may hold, within bounds.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use chatcode_proto::limits;
use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use tar::{Builder, EntryType, Header};

/// Why an archive was not packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It holds what no release holds.
    #[error(
        "the archive holds {0:?}, which no release holds: links, devices and paths that lead out are refused"
    )]
    Foreign(PathBuf),
    /// It would unpack to too much.
    #[error(
        "the archive holds more than {} files or {} bytes",
        limits::RELEASE_ENTRIES,
        limits::RELEASE_UNPACKED_BYTES
    )]
    TooLarge,
    /// It is cut or damaged, or the disk refused.
    #[error("the archive could not be read or written")]
    Io(#[from] io::Error),
}

/// Packs files into a gzipped tar: in the order of their names inside, all owned
/// by root, all with this time (seconds since 1970), programs 0755 and others
/// 0644. The same files give the same bytes.
///
/// # Errors
/// [`ArchiveError::Io`].
pub fn pack(files: &[(String, PathBuf)], unix_s: u64, out: impl Write) -> Result<(), ArchiveError> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort();
    let zip = GzBuilder::new().mtime(0).operating_system(255).write(out, Compression::best());
    let mut tar = Builder::new(zip);
    for (name, path) in sorted {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let runs = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(metadata.len());
        header.set_mode(if runs { 0o755 } else { 0o644 });
        header.set_mtime(unix_s);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, name, file)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Unpacks an archive into a folder that is there and empty. Programs become
/// 0755 and other files 0644, whatever the archive says.
///
/// # Errors
/// [`ArchiveError`]; what was unpacked so far is left, for the caller to remove.
pub fn unpack(archive: impl Read, into: &Path) -> Result<(), ArchiveError> {
    unpack_within(limits::RELEASE_UNPACKED_BYTES, archive, into)
}

/// The same of an archive that unpacks to at most so many bytes.
fn unpack_within(bytes: u64, archive: impl Read, into: &Path) -> Result<(), ArchiveError> {
    // Cut there it may end in any way, also as if it were whole.
    let mut bounded = GzDecoder::new(io::BufReader::new(archive)).take(bytes + 1);
    let unpacked = unpack_entries(&mut bounded, into);
    if bounded.limit() == 0 { Err(ArchiveError::TooLarge) } else { unpacked }
}

fn unpack_entries(archive: impl Read, into: &Path) -> Result<(), ArchiveError> {
    let mut tar = tar::Archive::new(archive);
    let mut count = 0;
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        count += 1;
        if count > limits::RELEASE_ENTRIES {
            return Err(ArchiveError::TooLarge);
        }
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        match entry.header().entry_type() {
            EntryType::Directory if plain => continue,
            EntryType::Regular if plain && path.file_name().is_some() => {}
            _ => return Err(ArchiveError::Foreign(path)),
        }
        let target = into.join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let mode = if entry.header().mode()? & 0o100 != 0 { 0o755 } else { 0o644 };
        // A file that is there already was in the archive before.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
        let size = entry.size();
        if io::copy(&mut entry, &mut file)? != size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // Whatever mask this process has.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, name: &str, text: &str, mode: u32) -> (String, PathBuf) {
        let path = folder.join(name);
        fs::write(&path, text).expect("is written");
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("is set");
        (name.to_owned(), path)
    }

    fn hostile(kind: EntryType, name: &str) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        // Past the checks of the library's own setter.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..4].copy_from_slice(b"/etc");
        header.set_cksum();
        let zip = GzBuilder::new().write(Vec::new(), Compression::fast());
        let mut tar = Builder::new(zip);
        tar.append(&header, io::empty()).expect("is appended");
        tar.into_inner().expect("ends").finish().expect("ends")
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_come_out_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = program(folder.path(), "chatcode", "a program", 0o700);
        let two = program(folder.path(), "unit.service", "a unit", 0o600);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        pack(&[one.clone(), two.clone()], 1_764_180_000, &mut first).expect("packs");
        // Written anew, at another time, named in another order.
        let two = program(folder.path(), &two.0, "a unit", 0o640);
        pack(&[two, one], 1_764_180_000, &mut second).expect("packs");
        assert_eq!(first, second);
        let out = tempfile::tempdir().expect("a folder");
        unpack(first.as_slice(), out.path()).expect("unpacks");
        let mode =
            |name: &str| fs::metadata(out.path().join(name)).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode("chatcode"), mode("unit.service")), (0o755, 0o644));
        assert_eq!(fs::read(out.path().join("chatcode")).expect("reads"), b"a program");
    }

    #[test]
    fn what_no_release_holds_is_refused() {
        for (kind, name) in [
            (EntryType::Symlink, "link"),
            (EntryType::Link, "link"),
            (EntryType::Fifo, "pipe"),
            (EntryType::Char, "device"),
            (EntryType::Regular, "../outside"),
            (EntryType::Regular, "/absolute"),
            (EntryType::Regular, "a/../../outside"),
        ] {
            let out = tempfile::tempdir().expect("a folder");
            let result = unpack(hostile(kind, name).as_slice(), out.path());
            assert!(matches!(result, Err(ArchiveError::Foreign(_))), "{kind:?} {name}: {result:?}");
            assert_eq!(fs::read_dir(out.path()).expect("reads").count(), 0);
        }
    }

    #[test]
    fn more_files_than_a_release_has_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |number: usize| program(folder.path(), &format!("f{number}"), "x", 0o644);
        let files: Vec<_> = (0..=limits::RELEASE_ENTRIES).map(file).collect();
        for (count, fits) in [(limits::RELEASE_ENTRIES, true), (limits::RELEASE_ENTRIES + 1, false)] {
            let mut packed = Vec::new();
            pack(&files[..count], 0, &mut packed).expect("packs");
            let out = tempfile::tempdir().expect("a folder");
            let result = unpack(packed.as_slice(), out.path());
            assert_eq!(result.is_ok(), fits, "{count}: {result:?}");
            assert!(fits || matches!(result, Err(ArchiveError::TooLarge)), "{result:?}");
        }
    }

    #[test]
    fn an_archive_that_unpacks_to_more_than_there_may_be_is_refused_wherever_it_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<_> = (0..3)
            .map(|number| program(folder.path(), &format!("f{number}"), &"x".repeat(1000), 0o644))
            .collect();
        let mut packed = Vec::new();
        pack(&files, 0, &mut packed).expect("packs");
        let mut whole = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut whole).expect("is whole");
        let size = whole.len() as u64;
        let unpacked = |bytes: u64| {
            let out = tempfile::tempdir().expect("a folder");
            unpack_within(bytes, packed.as_slice(), out.path())
        };
        // Also between two files, where what came so far is a whole archive.
        for bytes in (0..3 * (512 + 1024)).step_by(256) {
            let result = unpacked(bytes);
            assert!(matches!(result, Err(ArchiveError::TooLarge)), "{bytes} of {size}: {result:?}");
        }
        unpacked(size).expect("fits");
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let text: String = (0..20_000).map(|n| format!("{n} ")).collect();
        let mut whole = Vec::new();
        pack(&[program(folder.path(), "chatcode", &text, 0o755)], 0, &mut whole).expect("packs");
        for end in [0, 5, whole.len() / 2, whole.len() - 20] {
            let out = tempfile::tempdir().expect("a folder");
            assert!(unpack(&whole[..end], out.path()).is_err(), "cut at {end}");
        }
    }
}
