//! The keys of an enrollment that has not ended yet.

use std::{fs, io, path::Path};

use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

use crate::{IdentityError, Key, KeyError, MachineKey, files};

const FILE: &str = "enrolling.pem";
/// Begins the first line, which names the token.
const TOKEN: &str = "token ";

/// Made before a join token is shown and kept until its answer is there: a core
/// gives the same key the same answer, and goes on waiting for its approval,
/// also when the program was ended meanwhile.
#[derive(Clone, Debug)]
pub struct EnrollingKeys {
    /// The key of the certificate.
    pub key: Key,
    /// The durable key of the machine.
    pub machine: MachineKey,
}

impl EnrollingKeys {
    /// The keys that were kept in this folder for the token of this id; else new
    /// ones, which are kept there instead of any other.
    ///
    /// # Errors
    /// When a file is open to others, damaged, or the system refuses.
    pub fn of_token(dir: &Path, token_id: &str) -> Result<Self, IdentityError> {
        if let Some(text) = files::read_private(dir.join(FILE))?
            && let Some(keys) = Self::read(&text, token_id)?
        {
            return Ok(keys);
        }
        let keys = Self { key: Key::generate()?, machine: MachineKey::generate()? };
        let mut text = zeroize::Zeroizing::new(format!("{TOKEN}{token_id}\n"));
        text.push_str(&keys.key.to_pem());
        text.push_str(&keys.machine.to_pem());
        files::private_dir(dir)?;
        files::write_private(dir.join(FILE), text.as_bytes())?;
        Ok(keys)
    }

    /// Forgets what was kept in this folder; nothing there is fine.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn forget(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The keys in a text, when it is for this token.
    fn read(text: &[u8], token_id: &str) -> Result<Option<Self>, KeyError> {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line != format!("{TOKEN}{token_id}").as_bytes() {
            return Ok(None);
        }
        let mut sections = PrivatePkcs8KeyDer::pem_slice_iter(text);
        let mut next = || {
            let der = sections.next().and_then(Result::ok).ok_or(KeyError::Unreadable)?;
            Key::from_der(&der)
        };
        Ok(Some(Self { key: next()?, machine: MachineKey::of(next()?) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_token_finds_its_keys_again_and_another_gets_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("gateway");
        let spki = |keys: &EnrollingKeys| keys.key.spki_sha256();
        let machine = |keys: &EnrollingKeys| keys.machine.sign(b"x").is_ok();
        let first = EnrollingKeys::of_token(&home, "one").unwrap();
        let again = EnrollingKeys::of_token(&home, "one").unwrap();
        assert_eq!(spki(&again), spki(&first));
        assert!(machine(&again));
        let other = EnrollingKeys::of_token(&home, "two").unwrap();
        assert_ne!(spki(&other), spki(&first));
        EnrollingKeys::forget(&home).unwrap();
        EnrollingKeys::forget(&home).unwrap();
        assert_ne!(spki(&EnrollingKeys::of_token(&home, "two").unwrap()), spki(&other));
    }
}
