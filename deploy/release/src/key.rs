//! The key that vouches for releases.

use std::{fmt, path::Path};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64.
    #[error("a release key is one line of 44 base64 characters (32 bytes); this is not one")]
    NotAKey,
    /// The private key is not Ed25519 in PKCS #8.
    #[error("{0} is not an Ed25519 key in PEM (PKCS #8); make one with: openssl genpkey -algorithm ed25519")]
    NotPrivate(String),
}

/// The public half: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key that this program was built with.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`] when it was built with something else.
    pub fn built_in() -> Result<Self, KeyError> {
        Self::parse(include_str!(concat!(env!("OUT_DIR"), "/release.pub")))
    }

    /// Reads a key: one line of base64; lines that begin with `#` are remarks.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(KeyError::NotAKey) };
        let bytes = STANDARD.decode(line).map_err(|_| KeyError::NotAKey)?;
        Ok(Self(bytes.try_into().map_err(|_| KeyError::NotAKey)?))
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn vouches(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// The bytes of the key.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The private half; lives where releases are made, never on a machine that
/// installs them.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Makes a new key; also gives it as PKCS #8 (DER).
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<(Self, Vec<u8>), KeyError> {
        let failed = || KeyError::NotPrivate("what the system made".to_owned());
        let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
        let der = pair.to_pkcs8v1().map_err(|_| failed())?.as_ref().to_vec();
        Ok((Self(pair), der))
    }

    /// Reads a key from a PEM file.
    ///
    /// # Errors
    /// [`KeyError::NotPrivate`].
    pub fn load(file: &Path) -> Result<Self, KeyError> {
        let failed = || KeyError::NotPrivate(file.display().to_string());
        let der = PrivatePkcs8KeyDer::from_pem_file(file).map_err(|_| failed())?;
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| failed())?;
        Ok(Self(pair))
    }

    /// The public half.
    ///
    /// # Errors
    /// Never, for a key of this kind.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        Ok(PublicKey(self.0.public_key().as_ref().try_into().map_err(|_| KeyError::NotAKey)?))
    }

    /// The signature over `message`: 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_vouches_for_what_it_signed_and_for_nothing_else() {
        let (key, _) = SigningKey::generate().expect("a key");
        let public =
            PublicKey::parse(&format!("# a remark\n{}\n", key.public().expect("is one"))).expect("reads");
        let signature = key.sign(b"this");
        assert!(public.vouches(b"this", &signature));
        assert!(!public.vouches(b"that", &signature));
        assert!(!public.vouches(b"this", &signature[..63]));
        let (other, _) = SigningKey::generate().expect("a key");
        assert!(!public.vouches(b"this", &other.sign(b"this")));
        let mut turned = signature;
        turned[10] ^= 1;
        assert!(!public.vouches(b"this", &turned));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "# only a remark", "AAAA", "not base64!", "AAAA\nAAAA"] {
            assert!(PublicKey::parse(text).is_err(), "{text:?}");
        }
        PublicKey::built_in().expect("the build has a key");
    }
}
