//! The durable key of a machine. It outlives every certificate, and asks for a
//! new one when the last has ended while the machine slept.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::SigningKey as _;

use crate::{
    IdentityError, Key, KeyError,
    csr::{self, RequestError, RequestKey},
    files,
};

const FILE: &str = "machine.key";
/// What is signed begins with this, so that no signature is good for anything
/// else.
const CONTEXT: &[u8] = b"chatcode asks for a certificate by this request\0";
/// The same for what is signed when the machine leaves.
const LEAVES: &[u8] = b"chatcode leaves for good as this member\0";

/// The key of this machine; made at its enrollment, never sent.
#[derive(Clone, Debug)]
pub struct MachineKey(Key);

impl MachineKey {
    /// A new one.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub fn generate() -> Result<Self, KeyError> {
        Key::generate().map(Self)
    }

    pub(crate) const fn of(key: Key) -> Self {
        Self(key)
    }

    pub(crate) fn to_pem(&self) -> zeroize::Zeroizing<String> {
        self.0.to_pem()
    }

    /// A signing request that proves possession of the key, DER: what enrollment
    /// tells the core of it.
    ///
    /// # Errors
    /// When the library cannot sign.
    pub fn request(&self) -> Result<Vec<u8>, RequestError> {
        csr::create(&self.0)
    }

    /// The proof that this machine asks for a certificate by `request`.
    ///
    /// # Errors
    /// When the library cannot sign.
    pub fn sign(&self, request: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.pair().sign(&signed(CONTEXT, request)).map_err(|_| KeyError::Sign)
    }

    /// The proof that this machine, the gateway of this id, leaves for good. It
    /// says the same each time, and can be used for nothing else.
    ///
    /// # Errors
    /// When the library cannot sign.
    pub fn sign_leave(&self, member: &str) -> Result<Vec<u8>, KeyError> {
        self.0.pair().sign(&signed(LEAVES, member.as_bytes())).map_err(|_| KeyError::Sign)
    }

    /// Keeps it in this folder, private.
    ///
    /// # Errors
    /// When the folder is open to others or the system refuses.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        files::private_dir(dir)?;
        Ok(files::write_private(dir.join(FILE), self.0.to_pem().as_bytes())?)
    }

    /// Reads what [`Self::save`] kept; `None` when nothing is there.
    ///
    /// # Errors
    /// When the file is open to others or holds no key.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(text) = files::read_private(dir.join(FILE))? else { return Ok(None) };
        Ok(Some(Self(Key::from_pem(&text)?)))
    }
}

/// What the core keeps of a machine's key: the public point, uncompressed (SEC
/// 1, section 2.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePublicKey(Vec<u8>);

impl MachinePublicKey {
    /// The key of a request whose signature was checked.
    #[must_use]
    pub fn of(request: &RequestKey) -> Self {
        Self(request.point().to_vec())
    }

    /// From what was kept.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// To be kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `proof` is the machine's for this request.
    #[must_use]
    pub fn has_signed(&self, request: &[u8], proof: &[u8]) -> bool {
        self.has_made(&signed(CONTEXT, request), proof)
    }

    /// Whether `proof` says that the machine leaves for good as this member.
    #[must_use]
    pub fn has_left(&self, member: &str, proof: &[u8]) -> bool {
        self.has_made(&signed(LEAVES, member.as_bytes()), proof)
    }

    fn has_made(&self, text: &[u8], proof: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(text, proof).is_ok()
    }
}

fn signed(context: &[u8], what: &[u8]) -> Vec<u8> {
    [context, what].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_signs_for_a_request_and_only_for_that_one() {
        let (mine, other) = (MachineKey::generate().unwrap(), MachineKey::generate().unwrap());
        let public = MachinePublicKey::of(&csr::verify(&mine.request().unwrap()).unwrap());
        let public = MachinePublicKey::from_bytes(public.as_bytes().to_vec());
        let request = csr::create(&Key::generate().unwrap()).unwrap();
        let proof = mine.sign(&request).unwrap();
        assert!(public.has_signed(&request, &proof));
        assert!(!public.has_signed(&request[1..], &proof));
        assert!(!public.has_signed(&request, &proof[1..]));
        assert!(!public.has_signed(&request, &[]));
        assert!(!public.has_signed(&request, &other.sign(&request).unwrap()));
        assert!(!MachinePublicKey::from_bytes(Vec::new()).has_signed(&request, &proof));
    }

    #[test]
    fn a_leave_is_the_machine_s_own_for_one_member_and_no_request() {
        let (mine, other) = (MachineKey::generate().unwrap(), MachineKey::generate().unwrap());
        let public = MachinePublicKey::of(&csr::verify(&mine.request().unwrap()).unwrap());
        let proof = mine.sign_leave("a").unwrap();
        assert!(public.has_left("a", &proof));
        assert!(!public.has_left("b", &proof));
        assert!(!public.has_left("a", &other.sign_leave("a").unwrap()));
        assert!(!public.has_signed(b"a", &proof), "a leave asks for no certificate");
        assert!(!public.has_left("a", &mine.sign(b"a").unwrap()), "a request is no leave");
    }

    #[test]
    fn the_key_is_kept_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("identity");
        assert!(MachineKey::load(&home).unwrap().is_none());
        let key = MachineKey::generate().unwrap();
        key.save(&home).unwrap();
        let back = MachineKey::load(&home).unwrap().unwrap();
        assert_eq!(back.0.spki_sha256(), key.0.spki_sha256());
    }
}
