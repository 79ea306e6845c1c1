//! The certificates of a CA, as they are made.

use std::time::{Duration, SystemTime};

use chatcode_proto::limits;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    PublicKeyData, SerialNumber, SubjectPublicKeyInfo, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::AuthorityError;
use crate::{Key, Serial, peer, random};

/// What is above a leaf: bridge and intermediate, so that a root may still sign
/// its successor.
const ROOT_PATH: u8 = 2;

/// A root, signed by itself.
pub(super) fn root(installation: &str, key: &Key) -> Result<CertificateDer<'static>, AuthorityError> {
    let params = ca_params(installation, "root", key.pair(), ROOT_PATH, unix_s(), end(limits::ROOT_LIFE));
    Ok(params.self_signed(key.pair())?.into())
}

/// The name and key of the root `to`, signed by the root before it.
pub(super) fn bridge(
    installation: &str,
    (from, from_key): (&CertificateDer<'_>, &Key),
    (to, to_key): (&CertificateDer<'_>, &Key),
) -> Result<CertificateDer<'static>, AuthorityError> {
    let ends = [from, to].into_iter().filter_map(peer::validity_unix_s).map(|validity| validity.end);
    let ends = ends.min().unwrap_or(0);
    let params = ca_params(installation, "root", to_key.pair(), ROOT_PATH - 1, unix_s(), ends);
    let issuer = Issuer::from_ca_cert_der(from, from_key.pair())?;
    Ok(params.signed_by(to_key.pair(), &issuer)?.into())
}

/// An intermediate; it never outlives its root.
pub(super) fn intermediate(
    installation: &str,
    (root, root_key): (&CertificateDer<'_>, &Key),
    key: &impl IntermediateKey,
    life: Duration,
) -> Result<CertificateDer<'static>, AuthorityError> {
    let now = unix_s();
    let ends = end(life).min(peer::validity_unix_s(root).unwrap_or_default().end);
    if ends <= now {
        return Err(AuthorityError::Ended);
    }
    let params = ca_params(installation, "intermediate", key.public(), 0, now, ends);
    let issuer = Issuer::from_ca_cert_der(root, root_key.pair())?;
    Ok(params.signed_by(key.public(), &issuer)?.into())
}

/// The key of an intermediate: one's own, or that of a request.
pub(super) trait IntermediateKey {
    type Public: PublicKeyData;
    fn public(&self) -> &Self::Public;
}

impl IntermediateKey for Key {
    type Public = rcgen::KeyPair;
    fn public(&self) -> &rcgen::KeyPair {
        self.pair()
    }
}

impl IntermediateKey for SubjectPublicKeyInfo {
    type Public = Self;
    fn public(&self) -> &Self {
        self
    }
}

/// Each has a name of its own, by its key, so that no path is looked for twice.
fn ca_params(
    installation: &str,
    what: &str,
    key: &impl PublicKeyData,
    path_length: u8,
    now_unix_s: u64,
    not_after_unix_s: u64,
) -> CertificateParams {
    let pin = Sha256::digest(key.subject_public_key_info());
    let short: String = pin[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let (mut params, _) =
        params(&format!("chatcode {installation} {what} {short}"), now_unix_s, not_after_unix_s);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What all certificates have in common, and the random serial number.
pub(super) fn params(
    common_name: &str,
    now_unix_s: u64,
    not_after_unix_s: u64,
) -> (CertificateParams, Serial) {
    let mut serial = random::bytes::<16>();
    // Positive and of one length (RFC 5280, section 4.1.2.2); 126 random bits.
    serial[0] = (serial[0] & 0x3f) | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now_unix_s.saturating_sub(limits::BACKDATE.as_secs()));
    params.not_after = epoch + Duration::from_secs(not_after_unix_s);
    params.use_authority_key_identifier_extension = true;
    (params, Serial::from_bytes(&serial))
}

pub(super) fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn end(life: Duration) -> u64 {
    unix_s().saturating_add(life.as_secs())
}
