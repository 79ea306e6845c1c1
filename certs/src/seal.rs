//! Keys of the CA at rest: as they are, or encrypted by a passphrase (PKCS #8
//! with PBES2: scrypt and AES-256, which `openssl pkey` opens too).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chatcode_proto::limits;
use pkcs8::{
    EncryptedPrivateKeyInfo, EncryptedPrivateKeyInfoRef,
    der::{Encode as _, asn1::OctetStringRef},
    pkcs5::{pbes2::Parameters, scrypt::Params},
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::{
    Key, KeyError,
    files::{self, FilesError},
    pem, random,
};

const SEALED: &str = "ENCRYPTED PRIVATE KEY";

/// What the keys of the CA are encrypted with. Wiped when dropped, never
/// printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// Why a key at rest could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The passphrase's file could not be used, or is open to others.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// There is no such file.
    #[error("the file {} with the passphrase of the CA is not there; make it, or correct the setting", .0.display())]
    NoFile(PathBuf),
    /// It holds too little or too much.
    #[error(
        "the passphrase in {} has to have {} to {} bytes on one line",
        .0.display(), limits::PASSPHRASE_BYTES.start(), limits::PASSPHRASE_BYTES.end()
    )]
    Unfit(PathBuf),
    /// A key is encrypted and no passphrase is known.
    #[error(
        "the key is encrypted; name the file with its passphrase in the setting ca_passphrase_file, or give it \
         to the service as the credential ca-passphrase"
    )]
    Needed,
    /// The passphrase is another one.
    #[error("the passphrase is not the one that the key was encrypted with")]
    Wrong,
    /// The library could not encrypt.
    #[error("the key could not be encrypted")]
    Encrypt,
    /// It is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Passphrase {
    /// The only line of a private file.
    ///
    /// # Errors
    /// When the file is missing, open to others, or its line is too short or too
    /// long.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let bytes = files::read_private(path)?.ok_or_else(|| SealError::NoFile(path.to_owned()))?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if !limits::PASSPHRASE_BYTES.contains(&line.len()) || line.contains(&b'\n') {
            return Err(SealError::Unfit(path.to_owned()));
        }
        Ok(Self(Zeroizing::new(line.to_vec())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Whether a key file is encrypted.
pub(crate) fn is_sealed(text: &[u8]) -> bool {
    pem::read_section(SEALED, text).is_some()
}

/// The text of a key's file.
pub(crate) fn seal(key: &Key, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, SealError> {
    let Some(passphrase) = passphrase else { return Ok(key.to_pem()) };
    let encrypt = || {
        let cost = Params::new(limits::PASSPHRASE_LOG_N, 8, 1).ok()?;
        let (salt, iv) = (random::bytes::<16>(), random::bytes::<16>());
        let parameters = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).ok()?;
        let bytes = parameters.encrypt(&passphrase.0[..], key.der()).ok()?;
        let encrypted_data = OctetStringRef::new(&bytes).ok()?;
        EncryptedPrivateKeyInfo { encryption_algorithm: parameters.into(), encrypted_data }.to_der().ok()
    };
    encrypt().map(|der| pem::section(SEALED, &der)).ok_or(SealError::Encrypt)
}

/// The key of a file's text.
pub(crate) fn open(text: &[u8], passphrase: Option<&Passphrase>) -> Result<Key, SealError> {
    let Some(der) = pem::read_section(SEALED, text) else { return Ok(Key::from_pem(text)?) };
    let passphrase = passphrase.ok_or(SealError::Needed)?;
    let sealed = EncryptedPrivateKeyInfoRef::try_from(&der[..]).map_err(|_| KeyError::Unreadable)?;
    let opened = sealed.decrypt(&passphrase.0[..]).map_err(|_| SealError::Wrong)?;
    Ok(Key::from_der(&PrivatePkcs8KeyDer::from(opened.as_bytes()))?)
}
