//! Secrets that an operator gives by files: one private line each.

use std::path::{Path, PathBuf};

use chatcode_certs::files::{self, FilesError};
use zeroize::Zeroizing;

/// The only line of a private file; `None` when there is no file or no such line.
///
/// # Errors
/// When the file is open to others or cannot be read.
pub fn line(file: &Path) -> Result<Option<Zeroizing<String>>, FilesError> {
    let Some(bytes) = files::read_private(file)? else { return Ok(None) };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let is_one = !line.is_empty() && line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    Ok(std::str::from_utf8(line).ok().filter(|_| is_one).map(|line| Zeroizing::new(line.to_owned())))
}

/// The file of the credential that systemd gives under this name, if it does.
#[must_use]
pub fn credential(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_secret_is_the_only_line_of_a_private_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        assert!(line(&file).expect("is no error").is_none());
        for (content, expected) in [
            ("s3cret\n", Some("s3cret")),
            ("s3cret", Some("s3cret")),
            ("", None),
            ("\n", None),
            ("a\nb\n", None),
        ] {
            fs::write(&file, content).expect("is written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("is private");
            assert_eq!(line(&file).expect("is read").as_deref().map(String::as_str), expected, "{content:?}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("is open");
        assert!(line(&file).is_err());
    }
}
