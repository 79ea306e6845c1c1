//! The identity that a running program shows: it may change while connections
//! stand, and the next handshake shows the new one.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, SignatureScheme,
    client::{ResolvesClientCert, WebPkiServerVerifier},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

use crate::{
    Identity,
    tls::{self, TlsError},
};

/// One's own identity, for every listener and client of a program. Every
/// handshake asks it anew for what to show and whom to trust; connections that
/// stand are not touched.
pub struct IdentityCell {
    current: RwLock<Arc<Current>>,
}

/// All that handshakes need of one identity, made once.
pub(crate) struct Current {
    pub(crate) identity: Identity,
    /// The chain without roots.
    shown: Arc<CertifiedKey>,
    /// The chain with the roots behind it, for those who know only a pin.
    shown_with_roots: Arc<CertifiedKey>,
    /// Judges a core.
    pub(crate) core: Arc<WebPkiServerVerifier>,
    /// Judges a member that dials.
    pub(crate) members: Arc<dyn ClientCertVerifier>,
}

impl IdentityCell {
    /// A cell that holds this identity.
    ///
    /// # Errors
    /// When no TLS can be made of it.
    pub fn new(identity: Identity) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { current: RwLock::new(Arc::new(Current::of(identity)?)) }))
    }

    /// The identity that counts now.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.current().identity.clone()
    }

    /// From the next handshake on this identity counts.
    ///
    /// # Errors
    /// When no TLS can be made of it; the old one stays.
    pub fn put(&self, identity: Identity) -> Result<(), TlsError> {
        let current = Arc::new(Current::of(identity)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for IdentityCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdentityCell").field(self.current().identity.name()).finish()
    }
}

impl Current {
    fn of(identity: Identity) -> Result<Self, TlsError> {
        let provider = tls::provider();
        let roots = root_store(identity.roots())?;
        let shown = |chain: Vec<CertificateDer<'static>>| {
            CertifiedKey::from_der(chain, identity.key().to_rustls(), &provider).map(Arc::new)
        };
        let core = tls::core_verifier(Arc::clone(&roots))?;
        let members = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|e| TlsError::Verifier(e.to_string()))?;
        Ok(Self {
            shown: shown(identity.chain().to_vec())?,
            shown_with_roots: shown([identity.chain(), identity.roots()].concat())?,
            core,
            members,
            identity,
        })
    }
}

pub(crate) fn root_store(roots: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    Ok(Arc::new(store))
}

/// What a handshake shows of a cell.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) cell: Arc<IdentityCell>,
    pub(crate) with_roots: bool,
}

impl Shown {
    fn now(&self) -> Arc<CertifiedKey> {
        let current = self.cell.current();
        Arc::clone(if self.with_roots { &current.shown_with_roots } else { &current.shown })
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
