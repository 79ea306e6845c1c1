//! Random bytes, from the same source as the keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// `N` bytes that nobody can guess.
///
/// # Panics
/// When the system has no randomness: then no key and no handshake of this
/// process could be trusted either.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the system gives random bytes");
    bytes
}

/// 16 random bytes as 22 characters of base64url: a public id, unguessable.
#[must_use]
pub fn text_id() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>())
}
