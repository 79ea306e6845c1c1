//! The key by which a core vouches for the end of its audit. It signs nothing
//! else, and does not change with the core's certificates: who keeps a signed head
//! for years has one key to remember.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{PublicKeyData as _, SigningKey as _};
use sha2::{Digest as _, Sha256};

use crate::{IdentityError, Key, KeyError, files};

/// What is signed begins with this, so that no signature is good for anything
/// else.
const CONTEXT: &[u8] = b"chatcode signs the head of an audit\0";
/// The beginning of every SubjectPublicKeyInfo of a P-256 key, before the
/// uncompressed point (RFC 5480, section 2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of an uncompressed point (SEC 1, section 2.3.3).
const POINT: usize = 65;

/// The private key. It stays in its file.
#[derive(Clone, Debug)]
pub struct AuditKey(Key);

impl AuditKey {
    /// Reads the key in this file, or makes one and keeps it there (0600). Also says
    /// whether it is new.
    ///
    /// # Errors
    /// When the file is open to others, holds no key, or cannot be written.
    pub fn open_or_create(path: &Path) -> Result<(Self, bool), IdentityError> {
        if let Some(key) = Self::open(path)? {
            return Ok((key, false));
        }
        let key = Key::generate()?;
        files::write_private(path, key.to_pem().as_bytes())?;
        Ok((Self(key), true))
    }

    /// Reads the key in this file; `None` when there is none.
    ///
    /// # Errors
    /// When the file is open to others or holds no key.
    pub fn open(path: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(text) = files::read_private(path)? else { return Ok(None) };
        Ok(Some(Self(Key::from_pem(&text)?)))
    }

    /// Signs a head.
    ///
    /// # Errors
    /// When the library cannot sign.
    pub fn sign(&self, head: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.pair().sign(&[CONTEXT, head].concat()).map_err(|_| KeyError::Sign)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AuditPublicKey {
        AuditPublicKey(self.0.pair().subject_public_key_info())
    }
}

/// The public half, by which anybody checks a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPublicKey(Vec<u8>);

impl AuditPublicKey {
    /// Of a SubjectPublicKeyInfo, DER (RFC 5280); `None` when it is that of no
    /// P-256 key.
    #[must_use]
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let is_one = spki.len() == P256.len() + POINT && spki.starts_with(&P256);
        is_one.then(|| Self(spki.to_vec()))
    }

    /// Its SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn as_spki(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of its SubjectPublicKeyInfo: what people pin.
    #[must_use]
    pub fn pin(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// Whether the private half has signed this head.
    #[must_use]
    pub fn has_signed(&self, head: &[u8], signature: &[u8]) -> bool {
        let Some(point) = self.0.get(P256.len()..) else { return false };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        key.verify(&[CONTEXT, head].concat(), signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_signed_by_the_key_of_the_file_and_by_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.key");
        let (key, is_new) = AuditKey::open_or_create(&path).unwrap();
        assert!(is_new);
        let signature = key.sign(b"row 7").unwrap();
        let public = AuditPublicKey::from_spki(key.public().as_spki()).unwrap();
        assert!(public.has_signed(b"row 7", &signature));
        assert!(!public.has_signed(b"row 8", &signature));
        assert!(!public.has_signed(b"row 7", &signature[1..]));
        assert!(!public.has_signed(b"row 7", &[]));

        let (again, is_new) = AuditKey::open_or_create(&path).unwrap();
        assert_eq!((again.public().pin(), is_new), (public.pin(), false));
        let (other, _) = AuditKey::open_or_create(&folder.path().join("other.key")).unwrap();
        assert!(!public.has_signed(b"row 7", &other.sign(b"row 7").unwrap()));
        assert_ne!(other.public().pin(), public.pin());
    }

    #[test]
    fn what_is_no_key_of_ours_is_none() {
        let (key, _) = AuditKey::open_or_create(&tempfile::tempdir().unwrap().path().join("k")).unwrap();
        let spki = key.public().as_spki().to_vec();
        assert!(AuditPublicKey::from_spki(&[]).is_none());
        assert!(AuditPublicKey::from_spki(&spki[1..]).is_none());
        assert!(AuditPublicKey::from_spki(&spki[..spki.len() - 1]).is_none());
    }
}
