//! Who may speak: keys and requests, the CA, the names in certificates, every
//! TLS config, join tokens and other secrets, and the files that hold them.
//!
//! - [`Key`], [`csr`]: a key is made where it is used and never leaves; only a
//!   request with proof of possession does.
//! - [`EnrollingKeys`]: keys that wait for their first certificate.
//! - [`Authority`]: the CA of one installation; signs names that it chose.
//! - [`MemberName`], [`TrustDomain`], [`Peer`]: who a certificate names, read
//!   strictly and in one place.
//! - [`Identity`]: one's own certificate, key and trusted roots; [`MachineKey`]: what brings it back
//!   when it has ended.
//! - [`tls`]: all TLS configs; nobody else builds one.
//! - [`JoinToken`], [`secret`]: what is shown once and kept as a hash.
//! - [`files`]: private files and folders, refused when others may read them.
//!
//! Knows nothing of links, sessions or people.

mod authority;
pub mod csr;
mod enrolling;
pub mod files;
mod identity;
mod key;
mod machine;
mod member;
mod peer;
mod pem;
pub mod random;
pub mod secret;
pub mod tls;
mod token;

pub use authority::{Authority, AuthorityError, Issued};
pub use enrolling::EnrollingKeys;
pub use identity::{Identity, IdentityError};
pub use key::{Key, KeyError, fingerprint};
pub use machine::{MachineKey, MachinePublicKey};
pub use member::{InvalidMemberName, InvalidTrustDomain, MemberName, Serial, TrustDomain};
pub use peer::{Peer, PeerError};
pub use token::{InvalidJoinToken, JoinToken};
