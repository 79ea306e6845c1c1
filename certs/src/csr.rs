//! Signing requests (PKCS #10): a public key and the proof that its owner has
//! the private one. Names in a request are never read.

use chatcode_proto::limits;
use rcgen::{
    CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SubjectPublicKeyInfo,
};
use sha2::{Digest as _, Sha256};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

use crate::{Key, pem};

const LABEL: &str = "CERTIFICATE REQUEST";

/// The public key of a request whose signature was checked.
#[derive(Clone, Debug)]
pub struct RequestKey {
    key: SubjectPublicKeyInfo,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More than [`limits::CSR_BYTES`].
    #[error("the signing request is larger than {} bytes", limits::CSR_BYTES)]
    TooLarge,
    /// Not a PKCS #10 request in DER.
    #[error("the signing request cannot be read")]
    Unreadable,
    /// The signature is not by the key in the request.
    #[error("the signing request is not signed by its own key")]
    NotPossessed,
    /// The key is not on P-256.
    #[error("the key of the signing request is not ECDSA on P-256")]
    WrongKey,
    /// The library could not sign the request.
    #[error("could not make a signing request")]
    Create,
}

/// Makes a request for this key, DER. It names nothing.
///
/// # Errors
/// When the library cannot sign.
pub fn create(key: &Key) -> Result<Vec<u8>, RequestError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key.pair()).map_err(|_| RequestError::Create)?;
    Ok(request.der().to_vec())
}

/// Checks size, form, kind of key and proof of possession of a request.
///
/// # Errors
/// When one of them is not as it should be.
pub fn verify(der: &[u8]) -> Result<RequestKey, RequestError> {
    if der.len() > limits::CSR_BYTES {
        return Err(RequestError::TooLarge);
    }
    let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
        return Err(RequestError::Unreadable);
    };
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| RequestError::WrongKey)?;
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(RequestError::WrongKey);
    }
    request.verify_signature().map_err(|_| RequestError::NotPossessed)?;
    Ok(RequestKey { key })
}

/// A request as a file.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    pem::section(LABEL, der).to_string()
}

/// The request in a file; `None` when there is none.
#[must_use]
pub fn from_pem(text: &[u8]) -> Option<Vec<u8>> {
    pem::read_section(LABEL, text).map(|der| der.to_vec())
}

impl RequestKey {
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.key.subject_public_key_info()).into()
    }

    /// The key itself, as an uncompressed point.
    pub(crate) fn point(&self) -> &[u8] {
        self.key.der_bytes()
    }

    pub(crate) const fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_key() {
        let key = Key::generate().unwrap();
        let request = verify(&create(&key).unwrap()).unwrap();
        assert_eq!(request.spki_sha256(), key.spki_sha256());
    }

    #[test]
    fn a_request_with_a_foreign_key_or_a_changed_byte_is_refused() {
        let (mine, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let mut der = create(&mine).unwrap();
        let mut inserted = der.clone();
        let key = mine.pair().public_key_raw();
        let at = der.windows(key.len()).position(|w| w == key).unwrap();
        inserted[at..at + key.len()].copy_from_slice(other.pair().public_key_raw());
        assert_eq!(verify(&inserted).unwrap_err(), RequestError::NotPossessed);

        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(verify(&der).is_err());
    }

    #[test]
    fn what_is_too_large_cut_or_longer_is_refused() {
        let der = create(&Key::generate().unwrap()).unwrap();
        assert_eq!(verify(&vec![0x30; limits::CSR_BYTES + 1]).unwrap_err(), RequestError::TooLarge);
        assert_eq!(verify(&[]).unwrap_err(), RequestError::Unreadable);
        for cut in 0..der.len() {
            assert!(verify(&der[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(verify(&[der.as_slice(), &[0]].concat()).unwrap_err(), RequestError::Unreadable);
    }

    #[test]
    fn only_p256_keys_are_taken() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let request = CertificateParams::default().serialize_request(&pair).unwrap();
        assert_eq!(verify(request.der()).unwrap_err(), RequestError::WrongKey);
    }
}
