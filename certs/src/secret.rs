//! Secrets that are shown once and kept as a hash: one-time secrets, session
//! tokens, tickets.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Bytes of a secret: 256 bit.
const BYTES: usize = 32;
/// Characters of its text: base64url without padding.
pub const TEXT_CHARS: usize = 43;

/// 32 random bytes. Compared in constant time, wiped when dropped, never
/// printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Secret([u8; BYTES]);

/// The text is not a secret: 43 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret: it has 43 characters of A-Z, a-z, 0-9, - and _")]
pub struct InvalidSecret;

impl Secret {
    /// A new secret.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = crate::random::bytes();
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }

    /// The secret of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The secret of its text; one spelling only.
    ///
    /// # Errors
    /// When it is not the text of a secret. The error does not repeat it.
    pub fn from_text(text: &str) -> Result<Self, InvalidSecret> {
        decode(text).map(|bytes| Self(*bytes)).ok_or(InvalidSecret)
    }

    /// What is kept at rest: SHA-256. A plain hash will do, since 256 random
    /// bits cannot be searched.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The text, to be given to its owner and nobody else.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&self.0))
    }

    /// The bytes, to be given to its owner and nobody else.
    #[must_use]
    pub const fn expose_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Compares two hashes or secrets in a time that says nothing about where they
/// differ. Lengths are not secret.
#[must_use]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// SHA-256 of bytes that came as a secret, for looking them up.
#[must_use]
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Zeroizing<[u8; BYTES]>> {
    if text.len() != TEXT_CHARS {
        return None;
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_text() {
        let secret = Secret::generate();
        let text = secret.expose();
        assert_eq!(text.len(), TEXT_CHARS);
        assert_eq!(Secret::from_text(&text), Ok(secret.clone()));
        assert_eq!(Secret::from_text(&text).unwrap().hash(), secret.hash());
        assert_ne!(Secret::generate(), secret);
    }

    #[test]
    fn only_one_spelling_is_a_secret() {
        let text = Secret::generate().expose();
        for other in
            [format!("{}=", *text), format!("{} ", &text[..42]), text[..42].to_owned(), String::new()]
        {
            assert_eq!(Secret::from_text(&other), Err(InvalidSecret));
        }
        // The last character of 43 carries two bits that must be zero.
        assert_eq!(Secret::from_text(&format!("{}B", "A".repeat(42))), Err(InvalidSecret));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let secret = Secret::generate();
        let shown = format!("{secret:?}");
        assert_eq!(shown, "Secret(..)");
    }
}
