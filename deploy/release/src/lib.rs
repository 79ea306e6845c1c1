//! Releases of chatcode: what one consists of, who vouches for it, which may
//! follow which, and how it lies on a machine.
//!
//! - [`manifest`]: the list of a release's files, read strictly.
//! - [`key`]: the Ed25519 key that vouches for the list.
//! - [`rules`]: whether a release may follow the one that is installed.
//! - [`archive`]: archives, packed to the same bytes each time and unpacked
//!   with suspicion.
//! - [`place`]: versions side by side in a folder, one of them current.

pub mod archive;
pub mod key;
pub mod manifest;
pub mod place;
pub mod rules;
pub mod sshsig;

pub use self::{
    key::{KeyError, PublicKey},
    manifest::{Manifest, ManifestError, Part},
    place::{Place, PlaceError},
    rules::{Pin, Refused, Verdict, Wish},
};

/// The name of the list of a release's files.
pub const MANIFEST: &str = "manifest";
/// The name of its raw signature.
pub const SIGNATURE: &str = "manifest.sig";
/// The name of the same key's signature for `ssh-keygen`.
pub const SSH_SIGNATURE: &str = "manifest.sshsig";

/// Why a release is not taken on: not what the key vouches for, or nothing that
/// can be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signature is not the key's, or not over these bytes.
    #[error(
        "the release is not signed by the key that this program trusts; nothing of it was used. If you build \
         releases of your own, name their key"
    )]
    Signature,
    /// It is signed, and still not a manifest.
    #[error("the manifest of the release cannot be read; it needs a newer program, or its maker erred")]
    Manifest(#[from] ManifestError),
}

/// Reads a manifest that `key` vouches for. Nothing is read of one that it does
/// not vouch for.
///
/// # Errors
/// [`OpenError`].
pub fn open(key: &PublicKey, manifest: &[u8], signature: &[u8]) -> Result<Manifest, OpenError> {
    if !key.vouches(manifest, signature) {
        return Err(OpenError::Signature);
    }
    Ok(Manifest::parse(manifest)?)
}

/// The operating system of this build as releases name it.
#[must_use]
pub const fn this_os() -> &'static str {
    std::env::consts::OS
}

/// The architecture of this build as releases name it.
#[must_use]
pub fn this_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
