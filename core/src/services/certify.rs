//! Certificates for members: at enrollment, renewal and revival alike.

use chatcode_certs::{AuthorityError, Issued, MemberName, csr::RequestKey};
use chatcode_proto::limits;

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
    let life = match member {
        MemberName::Gateway(_) => shared.gateway_certificate,
        _ => limits::MEMBER_CERTIFICATE,
    };
    let issued = shared.authority.issue(member, key, life)?;
    let certificate = NewCertificate {
        member: member.id(),
        serial: issued.serial.clone(),
        spki: issued.spki_sha256,
        not_after_ms: issued.not_after_unix_s.saturating_mul(1000),
    };
    Ok((issued, certificate))
}

/// Certificates as they travel.
#[must_use]
pub fn to_bytes(certificates: &[impl AsRef<[u8]>]) -> Vec<bytes::Bytes> {
    certificates.iter().map(|der| bytes::Bytes::copy_from_slice(der.as_ref())).collect()
}
