//! What a target has seen, as a number.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// The number of what was seen: the same at every run. Few things should be told
/// apart, since each new one keeps an input.
#[must_use]
pub fn sight(seen: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    hasher.finish()
}

/// A size as one of few: the power of two below it.
#[must_use]
pub const fn size(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

/// The lines of an input as text, at most 64; what is no UTF-8 becomes U+FFFD.
#[must_use]
pub fn lines(input: &[u8]) -> Vec<String> {
    let lines = input.split(|byte| *byte == b'\n').take(64);
    lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}
