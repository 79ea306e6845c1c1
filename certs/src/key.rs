//! Keys: ECDSA on P-256, made where they are used.

use std::{fmt, sync::Arc};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{pem, secret};

/// A private key. It has no public way out but its own files, and prints as
/// dots.
#[derive(Clone)]
pub struct Key(Arc<KeyPair>);

/// A key could not be made or read. Says nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The library could not make a key.
    #[error("could not make a key")]
    Generate,
    /// The library could not sign with it.
    #[error("could not sign")]
    Sign,
    /// What was read is not a P-256 key in PKCS #8.
    #[error("not a P-256 private key in PKCS #8")]
    Unreadable,
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(|pair| Self(Arc::new(pair)))
            .map_err(|_| KeyError::Generate)
    }

    /// SHA-256 of its SubjectPublicKeyInfo (RFC 5280), by which pins and
    /// requests name a key.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.subject_public_key_info()).into()
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }

    pub(crate) fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        pem::section("PRIVATE KEY", self.0.serialized_der())
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.serialized_der()
    }

    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(&PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| KeyError::Unreadable)?)
    }

    pub(crate) fn from_der(der: &PrivatePkcs8KeyDer<'_>) -> Result<Self, KeyError> {
        KeyPair::from_pkcs8_der_and_sign_algo(der, &PKCS_ECDSA_P256_SHA256)
            .map(|pair| Self(Arc::new(pair)))
            .map_err(|_| KeyError::Unreadable)
    }
}

/// How a key is shown to people: SHA-256 of its SubjectPublicKeyInfo, as
/// `SHA256:` and 43 characters of base64url.
#[must_use]
pub fn fingerprint(spki_sha256: &[u8; 32]) -> String {
    format!("SHA256:{}", secret::encode(spki_sha256))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
