//! Certificates for members: at enrollment, renewal and revival alike.

use chatcode_certs::{AuthorityError, Issued, MemberName, Trust, csr::RequestKey};
use chatcode_proto::pb;

use crate::{shared::Shared, store::members::NewCertificate};

/// Signs a certificate that gives this name to this key, for as long as its
/// kind lasts, and says what the allow-list has to know of it.
///
/// # Errors
/// [`AuthorityError`].
pub fn certify(
    shared: &Shared,
    member: &MemberName,
    key: &RequestKey,
) -> Result<(Issued, NewCertificate), AuthorityError> {
    let issued = shared.authority.issue(member, key, shared.certificates().of(member))?;
    let certificate = NewCertificate {
        member: member.id(),
        serial: issued.serial.clone(),
        spki: issued.spki_sha256,
        not_after_ms: issued.not_after_unix_s.saturating_mul(1000),
        issuer: issued.issuer,
        root: issued.root,
    };
    Ok((issued, certificate))
}

/// What to trust, as it travels.
#[must_use]
pub fn trust(trust: &Trust) -> pb::Trust {
    pb::Trust { roots: to_bytes(&trust.roots), bridges: to_bytes(&trust.bridges) }
}

/// Certificates as they travel.
#[must_use]
pub fn to_bytes(certificates: &[impl AsRef<[u8]>]) -> Vec<bytes::Bytes> {
    certificates.iter().map(|der| bytes::Bytes::copy_from_slice(der.as_ref())).collect()
}
