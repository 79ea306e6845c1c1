//! Words that people and programs give.

/// Characters of a session's name; more is `INVALID`.
pub const SESSION_NAME_CHARS: usize = 128;
/// Characters of a member's or a person's name; more is `INVALID`.
pub const NAME_CHARS: usize = 64;
/// Bytes of a grant's principal; more is `INVALID`.
pub const PRINCIPAL_BYTES: usize = 160;
/// Bytes of a message for people; more is cut.
pub const MESSAGE_BYTES: usize = 256;
/// Versions or features in one first message; more is `INVALID`.
pub const VERSIONS: usize = 8;
/// Features in one first message; more is `INVALID`.
pub const FEATURES: usize = 32;
/// Bytes of a feature's name; longer is `INVALID`.
pub const FEATURE_BYTES: usize = 64;
