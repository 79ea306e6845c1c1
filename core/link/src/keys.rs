//! The two keys by which a core that was restarted tells gateways at once that
//! their old connection is gone.

use std::{fmt, path::Path};

use chatcode_certs::{
    files::{self, FilesError},
    random,
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

const RESET: &str = "reset.key";
const CONNECTION_ID: &str = "connection-id.key";

/// The stateless-reset key and the connection-id key of one core. Both must be
/// those of the run before: a packet with an unknown connection id is dropped
/// unanswered, and a reset by another key is not believed (RFC 9000, section
/// 10.3). Never shared between cores.
#[derive(Clone, ZeroizeOnDrop)]
pub struct LinkKeys {
    pub(crate) reset: [u8; 32],
    pub(crate) connection_id: u64,
}

/// Why the keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeysError {
    /// A file could not be used, or is open to others.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A file has not the length of its key.
    #[error("{0} is not a key of links; remove it, and gateways come back more slowly once")]
    Damaged(String),
}

impl LinkKeys {
    /// Reads the keys from this folder; missing ones are made and kept.
    ///
    /// # Errors
    /// When the folder or a file is open to others, damaged, or cannot be
    /// written.
    pub fn open_or_create(dir: &Path) -> Result<Self, LinkKeysError> {
        files::private_dir(dir)?;
        Ok(Self {
            reset: *key(&dir.join(RESET))?,
            connection_id: u64::from_be_bytes(*key(&dir.join(CONNECTION_ID))?),
        })
    }
}

fn key<const N: usize>(path: &Path) -> Result<Zeroizing<[u8; N]>, LinkKeysError> {
    if let Some(bytes) = files::read_private(path)? {
        let key = bytes.as_slice().try_into();
        return key.map(Zeroizing::new).map_err(|_| LinkKeysError::Damaged(path.display().to_string()));
    }
    let key = Zeroizing::new(random::bytes::<N>());
    files::write_private(path, key.as_slice())?;
    Ok(key)
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_folder_stay_the_same_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("link.keys");
        let first = LinkKeys::open_or_create(&home).unwrap();
        let again = LinkKeys::open_or_create(&home).unwrap();
        assert_eq!((first.reset, first.connection_id), (again.reset, again.connection_id));
        assert_eq!(format!("{first:?}"), "LinkKeys(..)");
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("link.keys");
        LinkKeys::open_or_create(&home).unwrap();
        files::write_private(home.join(RESET), b"short").unwrap();
        assert!(matches!(LinkKeys::open_or_create(&home), Err(LinkKeysError::Damaged(_))));
    }
}
