//! One's own certificate, key and trusted roots, in memory and in a folder.

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use chatcode_proto::limits;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    Key, KeyError, MemberName, Peer, PeerError, Serial, Trust, TrustDomain, TrustError,
    files::{self, FilesError},
    peer, pem, tls,
};

/// Key and chain stand in one file, so that they always belong together.
const FILE: &str = "identity.pem";
const ROOTS: &str = "roots.pem";
/// A root and its successor.
pub(crate) const ROOTS_MAX: usize = 2;
/// Leaf and intermediates.
const CHAIN_MAX: usize = 4;

/// Who I am: cheap to clone, prints no key.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Key,
    chain: Arc<[CertificateDer<'static>]>,
    roots: Arc<[CertificateDer<'static>]>,
    me: Peer,
}

/// Why an identity does not hold together or could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be used, or is open to others.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The certificate names nobody.
    #[error("the certificate is not a member's")]
    Peer(#[from] PeerError),
    /// The certificate is for another key.
    #[error("the certificate is not for this key")]
    ForeignKey,
    /// A renewed certificate names another member.
    #[error("the new certificate is for somebody else")]
    SomebodyElse,
    /// No or too many certificates or roots.
    #[error("the chain has 1 to {CHAIN_MAX} certificates and there are 1 or {ROOTS_MAX} roots")]
    Count,
    /// The chain does not lead to one of the roots, or has ended.
    #[error("the certificate does not lead to the roots: {0}")]
    NotTrusted(#[from] rustls::Error),
    /// A root that nobody vouches for.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The file is there and does not hold an identity.
    #[error("the identity in {path} cannot be read; remove the folder and enroll again")]
    Damaged {
        /// The folder.
        path: String,
    },
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Identity {
    /// The identity of this key with this chain (leaf first, without the root),
    /// trusting these roots. The name is the one in the leaf.
    ///
    /// # Errors
    /// When the leaf names nobody, is for another key, or the counts are wrong.
    /// An ended certificate is no error here: see [`Self::verify`].
    pub fn new(
        key: Key,
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        if !(1..=CHAIN_MAX).contains(&chain.len()) || !(1..=ROOTS_MAX).contains(&roots.len()) {
            return Err(IdentityError::Count);
        }
        let me = Peer::from_chain(&chain)?;
        if me.spki_sha256 != key.spki_sha256() {
            return Err(IdentityError::ForeignKey);
        }
        Ok(Self { key, chain: chain.into(), roots: roots.into(), me })
    }

    /// Checks that the chain leads to the roots and is valid now.
    ///
    /// # Errors
    /// When it does not or is not.
    pub fn verify(&self) -> Result<(), IdentityError> {
        Ok(tls::verify_member(&self.chain, &self.roots, UnixTime::now())?)
    }

    /// Who I am.
    #[must_use]
    pub const fn name(&self) -> &MemberName {
        &self.me.name
    }

    /// The installation that I belong to.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.me.trust_domain
    }

    /// The serial number of my certificate.
    #[must_use]
    pub const fn serial(&self) -> &Serial {
        &self.me.serial
    }

    /// When my certificate begins and ends, in seconds since 1970 (UTC).
    #[must_use]
    pub fn validity_unix_s(&self) -> Range<u64> {
        self.chain.first().and_then(peer::validity_unix_s).unwrap_or_default()
    }

    /// The same member with a new key and its certificate: a renewal, with what
    /// the core says of trust. The certificate has to lead to roots that are
    /// trusted already or proven by one that is: who signs may not choose who is
    /// trusted. It is judged at the time of its making, whatever this machine's
    /// clock says.
    ///
    /// # Errors
    /// As [`Self::new`] and [`Self::verify`], when the certificate is for
    /// somebody else, and when a root is not proven.
    pub fn renewed(
        &self,
        key: Key,
        chain: Vec<CertificateDer<'static>>,
        trust: &Trust,
    ) -> Result<Self, IdentityError> {
        let renewed = Self::new(key, chain, trust.judge(&self.roots)?)?;
        let made = Duration::from_secs(renewed.validity_unix_s().start) + limits::BACKDATE;
        tls::verify_member(&renewed.chain, &renewed.roots, UnixTime::since_unix_epoch(made))?;
        if renewed.name() != self.name() || renewed.trust_domain() != self.trust_domain() {
            return Err(IdentityError::SomebodyElse);
        }
        Ok(renewed)
    }

    /// The same certificate with what the core says of trust; `None` when that
    /// changes nothing.
    ///
    /// # Errors
    /// When a root is not proven.
    pub fn trusting(&self, trust: &Trust) -> Result<Option<Self>, IdentityError> {
        let roots = trust.judge(&self.roots)?;
        if roots[..] == self.roots[..] {
            return Ok(None);
        }
        Ok(Some(Self { roots: roots.into(), ..self.clone() }))
    }

    /// My chain, leaf first, without the root.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The roots that I trust.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// Whether one of the roots has this pin.
    #[must_use]
    pub fn trusts(&self, pin: &[u8; 32]) -> bool {
        self.roots.iter().any(|root| peer::spki_sha256(root).as_ref() == Some(pin))
    }

    /// SHA-256 of the public keys of the roots that I trust.
    #[must_use]
    pub fn pins(&self) -> Vec<[u8; 32]> {
        self.roots.iter().filter_map(|root| peer::spki_sha256(root)).collect()
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// Keeps it in this folder, private; what was there is replaced whole.
    ///
    /// # Errors
    /// When the folder is open to others or the system refuses.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        files::private_dir(dir)?;
        files::write_private(dir.join(ROOTS), pem::certificates(&self.roots).as_bytes())?;
        let mut text = self.key.to_pem();
        text.push_str(&pem::certificates(&self.chain));
        files::write_private(dir.join(FILE), text.as_bytes())?;
        Ok(())
    }

    /// Reads what [`Self::save`] kept; `None` when nothing is there.
    ///
    /// # Errors
    /// When a file or the folder is open to others (the message says the command
    /// that closes it) or does not hold an identity.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(text) = files::read_private(dir.join(FILE))? else { return Ok(None) };
        files::private_dir(dir)?;
        let damaged = || IdentityError::Damaged { path: dir.display().to_string() };
        let roots = files::read_private(dir.join(ROOTS))?.ok_or_else(damaged)?;
        let key = Key::from_pem(&text).map_err(|_| damaged())?;
        let chain = pem::read_certificates(&text).ok_or_else(damaged)?;
        let roots = pem::read_certificates(&roots).ok_or_else(damaged)?;
        Self::new(key, chain, roots).map(Some)
    }
}
