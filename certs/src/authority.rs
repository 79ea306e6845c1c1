//! The CA of one installation: a root that can be kept offline and an
//! intermediate that signs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chatcode_proto::limits;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use crate::{
    Identity, IdentityError, Key, KeyError, MemberName, Serial, TrustDomain,
    csr::{self, RequestError, RequestKey},
    files::{self, FilesError},
    peer, pem, random,
};

const ROOT_KEY: &str = "root.key";
const ROOT: &str = "root.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key";
const INTERMEDIATE: &str = "intermediate.pem";
const INSTALLATION: &str = "installation";

/// Signs certificates for members. Needs the intermediate's key only: the
/// root's may be moved to a safe place.
pub struct Authority {
    trust_domain: TrustDomain,
    root: CertificateDer<'static>,
    root_pin: [u8; 32],
    intermediate: CertificateDer<'static>,
    intermediate_not_after_unix_s: u64,
    key: Key,
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The leaf, then the intermediate.
    pub chain: Vec<CertificateDer<'static>>,
    /// The serial number of the leaf, for the allow-list.
    pub serial: Serial,
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// When the leaf ends, in seconds since 1970 (UTC).
    pub not_after_unix_s: u64,
}

/// Why the CA could not be opened or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be used, or is open to others.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The folder is there and not whole. It is never made anew over remains:
    /// that would lock out every member.
    #[error("the CA in {} is not whole: {missing} is missing; bring it back from a backup", folder.display())]
    NotWhole {
        /// The folder.
        folder: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// A file is there and does not hold what it should.
    #[error("{} cannot be read as what it should be; bring it back from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The intermediate has ended.
    #[error("the CA's intermediate certificate has ended")]
    Ended,
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A request of ours could not be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An identity of ours does not hold together.
    #[error(transparent)]
    Identity(#[from] Box<IdentityError>),
    /// The library refused to sign.
    #[error("could not sign a certificate")]
    Sign(#[from] rcgen::Error),
}

impl Authority {
    /// Opens the CA in this folder; where there is none, makes one.
    ///
    /// # Errors
    /// When a file or the folder is open to others (the message says the
    /// command that closes it), is missing or damaged, or cannot be written.
    pub fn open_or_create(dir: &Path) -> Result<Self, AuthorityError> {
        let is_new = match fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(FilesError::Io { path: dir.to_owned(), source }.into()),
        };
        if is_new {
            create(dir)?;
        }
        Self::open(dir)
    }

    fn open(dir: &Path) -> Result<Self, AuthorityError> {
        files::private_dir(dir)?;
        // May be away; if it is here, it must be private.
        files::read_private(dir.join(ROOT_KEY))?;
        let read = |name: &'static str| {
            files::read_private(dir.join(name))?
                .ok_or(AuthorityError::NotWhole { folder: dir.to_owned(), missing: name })
        };
        let damaged = |name: &str| AuthorityError::Damaged { path: dir.join(name) };
        let certificate = |name: &'static str| {
            let chain = pem::read_certificates(&read(name)?).ok_or_else(|| damaged(name))?;
            <[_; 1]>::try_from(chain).map(|[only]| only).map_err(|_| damaged(name))
        };

        let installation = read(INSTALLATION)?;
        let trust_domain = std::str::from_utf8(&installation)
            .ok()
            .and_then(|text| text.trim_end().parse().ok())
            .ok_or_else(|| damaged(INSTALLATION))?;
        let (root, intermediate) = (certificate(ROOT)?, certificate(INTERMEDIATE)?);
        let key = Key::from_pem(&read(INTERMEDIATE_KEY)?).map_err(|_| damaged(INTERMEDIATE_KEY))?;
        if peer::spki_sha256(&intermediate) != Some(key.spki_sha256()) {
            return Err(damaged(INTERMEDIATE_KEY));
        }
        Ok(Self {
            root_pin: peer::spki_sha256(&root).ok_or_else(|| damaged(ROOT))?,
            intermediate_not_after_unix_s: peer::validity_unix_s(&intermediate)
                .ok_or_else(|| damaged(INTERMEDIATE))?
                .end,
            trust_domain,
            root,
            intermediate,
            key,
        })
    }

    /// The installation that it signs for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the root: the pin in join tokens.
    #[must_use]
    pub const fn root_pin(&self) -> [u8; 32] {
        self.root_pin
    }

    /// What members trust.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        vec![self.root.clone()]
    }

    /// Signs a certificate that gives this name to this key: client
    /// authentication for all, server authentication and the core's DNS name
    /// for a core. It begins [`limits::BACKDATE`] ago, lasts `lifetime` from now
    /// (a member's: [`limits::MEMBER_CERTIFICATE`]) and never
    /// outlives the intermediate.
    ///
    /// # Errors
    /// When the intermediate has ended or the library refuses.
    pub fn issue(
        &self,
        name: &MemberName,
        key: &RequestKey,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let now = unix_s();
        let not_after_unix_s = now.saturating_add(lifetime.as_secs()).min(self.intermediate_not_after_unix_s);
        if not_after_unix_s <= now {
            return Err(AuthorityError::Ended);
        }
        let (mut params, serial) = params(&name.to_string(), now, not_after_unix_s);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(name.uri(&self.trust_domain).try_into()?)];
        if matches!(name, MemberName::Core(_)) {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params.subject_alt_names.push(SanType::DnsName(self.trust_domain.core_dns().try_into()?));
        }
        let issuer = Issuer::from_ca_cert_der(&self.intermediate, self.key.pair())?;
        let leaf = params.signed_by(key.public_key(), &issuer)?;
        Ok(Issued {
            chain: vec![leaf.into(), self.intermediate.clone()],
            serial,
            spki_sha256: key.spki_sha256(),
            not_after_unix_s,
        })
    }

    /// Makes a key and signs its certificate: the core's own identity.
    ///
    /// # Errors
    /// As [`Self::issue`], or when no key can be made.
    pub fn identity(&self, name: &MemberName, lifetime: Duration) -> Result<Identity, AuthorityError> {
        let key = Key::generate()?;
        let request = csr::verify(&csr::create(&key)?)?;
        let issued = self.issue(name, &request, lifetime)?;
        Ok(Identity::new(key, issued.chain, self.roots()).map_err(Box::new)?)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

/// Makes a CA aside and moves it into place whole.
fn create(dir: &Path) -> Result<(), AuthorityError> {
    let io = |source| FilesError::Io { path: dir.to_owned(), source };
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    match fs::remove_dir_all(&aside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e).into()),
        _ => files::private_dir(&aside)?,
    }

    let trust_domain = TrustDomain::generate();
    let now = unix_s();
    let (root_key, key) = (Key::generate()?, Key::generate()?);
    let root_params = ca_params(&trust_domain, "root", 1, now, limits::ROOT_LIFE);
    let root = root_params.self_signed(root_key.pair())?;
    let intermediate = sign_ca(
        &ca_params(&trust_domain, "intermediate", 0, now, limits::INTERMEDIATE_LIFE),
        key.pair(),
        &Issuer::from_params(&root_params, root_key.pair()),
    )?;

    files::write_private(aside.join(ROOT_KEY), root_key.to_pem().as_bytes())?;
    files::write_private(aside.join(ROOT), pem::certificates(&[root.into()]).as_bytes())?;
    files::write_private(aside.join(INTERMEDIATE_KEY), key.to_pem().as_bytes())?;
    files::write_private(aside.join(INTERMEDIATE), pem::certificates(&[intermediate.into()]).as_bytes())?;
    files::write_private(aside.join(INSTALLATION), format!("{trust_domain}\n").as_bytes())?;
    fs::rename(&aside, dir).map_err(io)?;
    Ok(())
}

fn sign_ca(
    params: &CertificateParams,
    key: &impl PublicKeyData,
    issuer: &Issuer<'_, &KeyPair>,
) -> Result<Certificate, rcgen::Error> {
    params.signed_by(key, issuer)
}

fn ca_params(
    trust_domain: &TrustDomain,
    what: &str,
    path_length: u8,
    now_unix_s: u64,
    life: Duration,
) -> CertificateParams {
    let common_name = format!("chatcode {} {what}", trust_domain.installation());
    let (mut params, _) = params(&common_name, now_unix_s, now_unix_s.saturating_add(life.as_secs()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What all certificates have in common, and the random serial number.
fn params(common_name: &str, now_unix_s: u64, not_after_unix_s: u64) -> (CertificateParams, Serial) {
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

fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
