//! Who may speak: keys and requests, the CA, the names in certificates, every
//! TLS config, join tokens and other secrets, and the files that hold them.
//!
//! - [`Key`], [`csr`]: a key is made where it is used and never leaves; only a
//!   request with proof of possession does.
//! - [`EnrollingKeys`]: keys that wait for their first certificate.
//! - [`Authority`]: the CA of one installation; signs names that it chose, and
//!   rotates in phases; [`Passphrase`]: its keys encrypted at rest.
//! - [`MemberName`], [`TrustDomain`], [`Peer`]: who a certificate names, read
//!   strictly and in one place.
//! - [`Identity`]: one's own certificate, key and trusted roots; [`Trust`]: what
//!   a core says of roots, with its proof; [`IdentityCell`]: the identity that a
//!   running program shows; [`Renewal`]: when it asks for the next one;
//!   [`MachineKey`]: what brings it back when it has ended.
//! - [`tls`]: all TLS configs; nobody else builds one.
//! - [`JoinToken`], [`ApiToken`], [`secret`]: what is shown once and kept as a hash.
//! - [`AuditKey`]: what vouches for the end of an audit.
//! - [`files`]: private files and folders, refused when others may read them.
//!
//! Knows nothing of links, sessions or people.

mod api_token;
mod audit_key;
mod authority;
mod cell;
pub mod csr;
mod enrolling;
pub mod files;
mod identity;
mod key;
mod machine;
mod member;
mod peer;
pub mod pem;
pub mod random;
mod renewal;
mod seal;
pub mod secret;
pub mod tls;
mod token;
mod trust;

pub use api_token::{ApiToken, InvalidApiToken};
pub use audit_key::{AuditKey, AuditPublicKey};
pub use authority::{
    Authority, AuthorityError, CaCertificate, CaFile, CaOptions, CaView, Due, Issued, RotationError,
    change_passphrase, export_root, import_root, sign_intermediate, snapshot,
};
pub use cell::IdentityCell;
pub use enrolling::EnrollingKeys;
pub use identity::{Identity, IdentityError};
pub use key::{Key, KeyError, fingerprint};
pub use machine::{MachineKey, MachinePublicKey};
pub use member::{InvalidMemberName, InvalidTrustDomain, MemberName, Serial, TrustDomain};
pub use peer::{Peer, PeerError};
pub use renewal::Renewal;
pub use seal::{Passphrase, SealError};
pub use token::{InvalidJoinToken, JoinToken};
pub use trust::{Trust, TrustError};
