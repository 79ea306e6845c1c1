//! Who a verified certificate names, read strictly.

use std::ops::Range;

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer as _,
    time::ASN1Time,
};

use crate::{MemberName, Serial, TrustDomain};

/// The other end of a connection, as its certificate names it. Only worth
/// something after the chain was verified, which every config of
/// [`crate::tls`] does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who it is.
    pub name: MemberName,
    /// The serial number of its certificate, for the allow-list.
    pub serial: Serial,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// The installation that it belongs to.
    pub trust_domain: TrustDomain,
    /// When its certificate ends, in seconds since 1970 (UTC).
    pub not_after_unix_s: u64,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The chain is empty.
    #[error("the peer showed no certificate")]
    Missing,
    /// Not an X.509 certificate in DER.
    #[error("the peer's certificate cannot be read")]
    Unreadable,
    /// Not exactly one URI in it, or other names that do not belong there.
    #[error("the peer's certificate does not carry exactly one name")]
    NotOneName,
    /// The URI is not a member's.
    #[error("the peer's certificate names no member of an installation")]
    NoMember,
}

impl Peer {
    /// Reads the first certificate of a chain. It must carry exactly one
    /// subject alternative name, a member's URI; a core's also carries the
    /// core's DNS name and nothing else.
    ///
    /// # Errors
    /// When it does not.
    pub fn from_chain(chain: &[CertificateDer<'_>]) -> Result<Self, PeerError> {
        let leaf = chain.first().ok_or(PeerError::Missing)?;
        let Ok(([], certificate)) = X509Certificate::from_der(leaf) else {
            return Err(PeerError::Unreadable);
        };
        let (uri, dns) = names(&certificate)?;
        let (trust_domain, name) = MemberName::from_uri(uri).map_err(|_| PeerError::NoMember)?;
        let expected = matches!(name, MemberName::Core(_)).then(|| trust_domain.core_dns());
        if dns != expected.as_deref() {
            return Err(PeerError::NotOneName);
        }
        Ok(Self {
            name,
            serial: Serial::from_bytes(certificate.tbs_certificate.raw_serial()),
            spki_sha256: Sha256::digest(certificate.tbs_certificate.subject_pki.raw).into(),
            trust_domain,
            not_after_unix_s: unix_s(certificate.validity().not_after),
        })
    }
}

/// The one URI and at most one DNS name of a certificate.
fn names<'a>(certificate: &'a X509Certificate<'_>) -> Result<(&'a str, Option<&'a str>), PeerError> {
    let mut lists = certificate.extensions().iter().filter(|e| e.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    let (Some(list), None) = (lists.next(), lists.next()) else { return Err(PeerError::NotOneName) };
    let ParsedExtension::SubjectAlternativeName(list) = list.parsed_extension() else {
        return Err(PeerError::Unreadable);
    };
    let (mut uri, mut dns) = (None, None);
    for name in &list.general_names {
        let before = match name {
            GeneralName::URI(text) => uri.replace(*text),
            GeneralName::DNSName(text) => dns.replace(*text),
            _ => return Err(PeerError::NotOneName),
        };
        if before.is_some() {
            return Err(PeerError::NotOneName);
        }
    }
    Ok((uri.ok_or(PeerError::NotOneName)?, dns))
}

/// SHA-256 of the SubjectPublicKeyInfo of a certificate; `None` when it cannot
/// be read.
pub(crate) fn spki_sha256(der: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then(|| Sha256::digest(certificate.tbs_certificate.subject_pki.raw).into())
}

/// When a certificate begins and ends, in seconds since 1970; `None` when it
/// cannot be read.
pub(crate) fn validity_unix_s(der: &CertificateDer<'_>) -> Option<Range<u64>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(unix_s(validity.not_before)..unix_s(validity.not_after))
}

/// Whether `issuer` has signed this certificate.
pub(crate) fn is_signed_by(der: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

/// Whether it may sign members' certificates and no CA's.
pub(crate) fn is_intermediate(der: &CertificateDer<'_>) -> bool {
    let Ok(([], certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(basic)) = certificate.basic_constraints() else { return false };
    let Ok(Some(usage)) = certificate.key_usage() else { return false };
    basic.value.ca && basic.value.path_len_constraint == Some(0) && usage.value.key_cert_sign()
}

/// The installation in the name of a root of ours.
pub(crate) fn installation_of_root(der: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    let mut words = name.split(' ');
    let (Some("chatcode"), Some(installation), Some("root")) = (words.next(), words.next(), words.next())
    else {
        return None;
    };
    Some(installation.to_owned())
}

/// A time before 1970 is taken for that.
fn unix_s(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}
