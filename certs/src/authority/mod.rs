//! The CA of one installation: a root that can be kept offline and an
//! intermediate that signs, each with the one before and after it.

mod folder;
mod make;
mod rotate;
mod schedule;

use std::{
    fmt, fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use chatcode_proto::{
    limits,
    pb::{CaPart, CaState, CaUse},
};
use rcgen::{ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;

use self::folder::Folder;
pub use self::{
    folder::{CaFile, change_passphrase, export_root, import_root, sign_intermediate, snapshot},
    rotate::RotationError,
    schedule::Due,
};
use crate::{
    Identity, IdentityError, Key, KeyError, MemberName, Passphrase, SealError, Serial, Trust, TrustDomain,
    csr::{self, RequestError, RequestKey},
    files::{self, FilesError},
};

/// Signs certificates for members, and rotates. The root's key is read when it
/// is needed only: it may be moved to a safe place.
pub struct Authority {
    trust_domain: TrustDomain,
    folder: Folder,
    intermediate_life: Duration,
    now: RwLock<Arc<Now>>,
    /// One step of a rotation at a time.
    changing: Mutex<()>,
}

/// What is in use.
struct Now {
    state: CaState,
    root: Ca,
    /// The next root or the old one.
    other_root: Option<Ca>,
    intermediate: Ca,
    /// Missing where nothing is signed.
    key: Option<Key>,
}

/// A certificate of the CA.
#[derive(Clone, Debug)]
struct Ca {
    name: String,
    der: CertificateDer<'static>,
    pin: [u8; 32],
    validity: Range<u64>,
    /// The same name and key, signed by the root before it.
    bridge: Option<CertificateDer<'static>>,
}

/// How a CA is opened.
#[derive(Clone, Debug)]
pub struct CaOptions {
    /// What its keys are encrypted with; keys that are not are encrypted at once.
    /// Without it they are kept as they are.
    pub passphrase: Option<Passphrase>,
    /// Life of the intermediates that it makes.
    pub intermediate_life: Duration,
}

impl Default for CaOptions {
    fn default() -> Self {
        Self { passphrase: None, intermediate_life: limits::INTERMEDIATE_LIFE }
    }
}

/// A certificate of the CA, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// Root or intermediate.
    pub part: CaPart,
    /// What it is for now.
    pub used: CaUse,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub pin: [u8; 32],
    /// When it ends, in seconds since 1970 (UTC).
    pub not_after_unix_s: u64,
    /// Whether its private key is in the folder.
    pub has_key: bool,
    /// The certificate.
    pub der: CertificateDer<'static>,
}

/// The whole CA, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaView {
    /// Roots first, then intermediates.
    pub certificates: Vec<CaCertificate>,
    /// A request waits for its certificate.
    pub requested: bool,
    /// Keys are encrypted.
    pub encrypted: bool,
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
    /// SHA-256 of the intermediate's SubjectPublicKeyInfo.
    pub issuer: [u8; 32],
    /// The same of the root above it.
    pub root: [u8; 32],
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
        missing: String,
    },
    /// A file is there and does not hold what it should.
    #[error("{} cannot be read as what it should be; bring it back from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A key at rest cannot be opened or encrypted.
    #[error("{}: {why}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: SealError,
    },
    /// The root's key is kept elsewhere.
    #[error(
        "the root's key is not in {}; put it back with chatcode-core ca import-root, or have the next \
         intermediate signed where it is: chatcode admin ca request", .0.display()
    )]
    NoRootKey(PathBuf),
    /// A file holds the key of another root.
    #[error("{} holds the key of another root than the one in use", .0.display())]
    OtherRoot(PathBuf),
    /// A file would be overwritten.
    #[error("{} is there already; name another file", .0.display())]
    Exists(PathBuf),
    /// The intermediate has ended.
    #[error(
        "the CA's intermediate certificate has ended; the core makes the next one as soon as it has the root's key"
    )]
    Ended,
    /// The CA was opened without its keys.
    #[error("the CA was opened only to be read")]
    ReadOnly,
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
        Self::open_or_create_with(dir, CaOptions::default())
    }

    /// The same with a passphrase for its keys, or other lives.
    ///
    /// # Errors
    /// As [`Self::open_or_create`], and when the passphrase is not the right one.
    pub fn open_or_create_with(dir: &Path, options: CaOptions) -> Result<Self, AuthorityError> {
        let CaOptions { passphrase, intermediate_life } = options;
        let folder = Folder { dir: dir.to_owned(), passphrase };
        let is_new = match fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(FilesError::Io { path: dir.to_owned(), source }.into()),
        };
        if is_new {
            folder.create(intermediate_life)?;
        }
        files::private_dir(dir)?;
        let held = folder.to_change()?;
        folder.seal_all()?;
        let authority = Self::open(folder, intermediate_life, true)?;
        // Only when all that is in use was found.
        authority.folder.sweep()?;
        drop(held);
        Ok(authority)
    }

    /// Opens a CA that is there without any of its keys: it tells roots and pins,
    /// and signs nothing. Also beside a running core.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn open_to_read(dir: &Path) -> Result<Self, AuthorityError> {
        files::private_dir(dir)?;
        let folder = Folder { dir: dir.to_owned(), passphrase: None };
        let _held = folder.to_copy()?;
        Self::open(folder, limits::INTERMEDIATE_LIFE, false)
    }

    fn open(folder: Folder, intermediate_life: Duration, with_key: bool) -> Result<Self, AuthorityError> {
        let trust_domain = folder.trust_domain()?;
        let now = Now::read(&folder, folder.state()?, with_key)?;
        let (now, changing) = (RwLock::new(Arc::new(now)), Mutex::new(()));
        Ok(Self { trust_domain, folder, intermediate_life, now, changing })
    }

    /// The installation that it signs for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    fn now(&self) -> Arc<Now> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the root in use: the pin in join
    /// tokens. It holds until that root is retired.
    #[must_use]
    pub fn root_pin(&self) -> [u8; 32] {
        self.now().root.pin
    }

    /// What members trust: the root in use, and the next or the old one.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.trust().roots
    }

    /// What members are told to trust, with the proof.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let now = self.now();
        let roots = || [Some(&now.root), now.other_root.as_ref()].into_iter().flatten();
        Trust {
            roots: roots().map(|root| root.der.clone()).collect(),
            bridges: roots().filter_map(|root| root.bridge.clone()).collect(),
        }
    }

    /// The pins of [`Self::roots`].
    #[must_use]
    pub fn root_pins(&self) -> Vec<[u8; 32]> {
        let now = self.now();
        [Some(&now.root), now.other_root.as_ref()].into_iter().flatten().map(|root| root.pin).collect()
    }

    /// Signs a certificate that gives this name to this key: client
    /// authentication for all, server authentication and the core's DNS name
    /// for a core. It begins [`limits::BACKDATE`] ago, lasts `lifetime` from now
    /// and never outlives the intermediate.
    ///
    /// # Errors
    /// When the intermediate has ended or the library refuses.
    pub fn issue(
        &self,
        name: &MemberName,
        key: &RequestKey,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let by = self.now();
        let signer = by.key.as_ref().ok_or(AuthorityError::ReadOnly)?;
        let now = make::unix_s();
        let not_after_unix_s = now.saturating_add(lifetime.as_secs()).min(by.intermediate.validity.end);
        if not_after_unix_s <= now {
            return Err(AuthorityError::Ended);
        }
        let (mut params, serial) = make::params(&name.to_string(), now, not_after_unix_s);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(name.uri(&self.trust_domain).try_into()?)];
        if matches!(name, MemberName::Core(_)) {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params.subject_alt_names.push(SanType::DnsName(self.trust_domain.core_dns().try_into()?));
        }
        let issuer = Issuer::from_ca_cert_der(&by.intermediate.der, signer.pair())?;
        let leaf = params.signed_by(key.public_key(), &issuer)?;
        Ok(Issued {
            chain: vec![leaf.into(), by.intermediate.der.clone()],
            serial,
            spki_sha256: key.spki_sha256(),
            not_after_unix_s,
            issuer: by.intermediate.pin,
            root: by.root.pin,
        })
    }

    /// Makes a key and signs its certificate: the core's own identity. Its chain
    /// ends with the bridge to the root in use, so that those who trust only the
    /// root before it know the core too.
    ///
    /// # Errors
    /// As [`Self::issue`], or when no key can be made.
    pub fn identity(&self, name: &MemberName, lifetime: Duration) -> Result<Identity, AuthorityError> {
        let key = Key::generate()?;
        let request = csr::verify(&csr::create(&key)?)?;
        let mut issued = self.issue(name, &request, lifetime)?;
        let now = self.now();
        if issued.root == now.root.pin && matches!(name, MemberName::Core(_)) {
            issued.chain.extend(now.root.bridge.clone());
        }
        Ok(Identity::new(key, issued.chain, self.roots()).map_err(Box::new)?)
    }

    /// The whole CA, for people.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn view(&self) -> Result<CaView, AuthorityError> {
        let now = self.now();
        let state = &now.state;
        let mut names = vec![(CaPart::Root, CaUse::Active, &state.root)];
        names.push((CaPart::Root, CaUse::Next, &state.next_root));
        names.push((CaPart::Root, CaUse::Old, &state.old_root));
        names.push((CaPart::Intermediate, CaUse::Active, &state.intermediate));
        names.push((CaPart::Intermediate, CaUse::Next, &state.next_intermediate));
        names.push((CaPart::Intermediate, CaUse::Next, &state.next_root_intermediate));
        names.extend(state.old_intermediates.iter().map(|name| (CaPart::Intermediate, CaUse::Old, name)));
        let shown = names.into_iter().filter(|(.., name)| !name.is_empty()).map(|(part, used, name)| {
            let ca = self.folder.ca(name)?;
            let has_key = self.folder.has_key(name);
            Ok(CaCertificate {
                part,
                used,
                pin: ca.pin,
                not_after_unix_s: ca.validity.end,
                has_key,
                der: ca.der,
            })
        });
        Ok(CaView {
            certificates: shown.collect::<Result<_, AuthorityError>>()?,
            requested: !state.requested.is_empty(),
            encrypted: self.folder.passphrase.is_some(),
        })
    }
}

impl Now {
    fn read(folder: &Folder, state: CaState, with_key: bool) -> Result<Self, AuthorityError> {
        let (root, intermediate) = (folder.ca(&state.root)?, folder.ca(&state.intermediate)?);
        let other = [&state.next_root, &state.old_root].into_iter().find(|name| !name.is_empty());
        let other_root = other.map(|name| folder.ca(name)).transpose()?;
        let key = if with_key {
            let name = &state.intermediate;
            let key = folder.key(name)?.ok_or_else(|| AuthorityError::NotWhole {
                folder: folder.dir.clone(),
                missing: format!("{name}.key"),
            })?;
            if key.spki_sha256() != intermediate.pin {
                return Err(AuthorityError::Damaged { path: folder.dir.join(format!("{name}.key")) });
            }
            Some(key)
        } else {
            None
        };
        Ok(Self { state, root, other_root, intermediate, key })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
