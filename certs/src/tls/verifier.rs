//! Verifiers: webpki for the chain, then the member's URI, which webpki does
//! not look at.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{IdentityCell, MemberName, Peer, TrustDomain, peer, secret};

/// The kinds of members, without their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Core,
    Gateway,
    Edge,
    Admin,
}

impl From<&MemberName> for Kind {
    fn from(name: &MemberName) -> Self {
        match name {
            MemberName::Core(_) => Self::Core,
            MemberName::Gateway(_) => Self::Gateway,
            MemberName::Edge(_) => Self::Edge,
            MemberName::Admin(_) => Self::Admin,
        }
    }
}

/// The peer's certificate is genuine and not one that may be here.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Name(#[from] crate::PeerError),
    #[error("the peer belongs to another installation")]
    ForeignInstallation,
    #[error("the peer is a {0}, which may not be here")]
    WrongKind(&'static str),
}

/// The server does not show the root key that the join token names: it is not
/// the core that made the token, or somebody is in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the core that made the join token: it does not show the root key that the token names")]
pub struct PinMismatch;

fn refuse(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

fn check_name(leaf: &CertificateDer<'_>, domain: &TrustDomain, kinds: &[Kind]) -> Result<(), Error> {
    let peer = Peer::from_chain(std::slice::from_ref(leaf)).map_err(|e| refuse(Refused::from(e)))?;
    if peer.trust_domain != *domain {
        return Err(refuse(Refused::ForeignInstallation));
    }
    if !kinds.contains(&Kind::from(&peer.name)) {
        return Err(refuse(Refused::WrongKind(peer.name.kind())));
    }
    Ok(())
}

/// Listeners: the client is a member of this installation and of these kinds.
pub(super) struct MemberVerifier {
    cell: Arc<IdentityCell>,
    mandatory: bool,
    kinds: &'static [Kind],
    algorithms: WebPkiSupportedAlgorithms,
}

impl MemberVerifier {
    pub(super) fn new(
        cell: Arc<IdentityCell>,
        mandatory: bool,
        kinds: &'static [Kind],
        provider: &CryptoProvider,
    ) -> Self {
        Self { cell, mandatory, kinds, algorithms: provider.signature_verification_algorithms }
    }
}

impl fmt::Debug for MemberVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberVerifier").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: a member has one certificate, and the roots change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let current = self.cell.current();
        let verified = current.members.verify_client_cert(leaf, intermediates, now)?;
        check_name(leaf, current.identity.trust_domain(), self.kinds)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Members that dial: the server is a core of this installation.
#[derive(Debug)]
pub(super) struct CoreVerifier {
    cell: Arc<IdentityCell>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl CoreVerifier {
    pub(super) fn new(cell: Arc<IdentityCell>, provider: &CryptoProvider) -> Self {
        Self { cell, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for CoreVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let current = self.cell.current();
        let verified =
            current.core.verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)?;
        check_name(leaf, current.identity.trust_domain(), &[Kind::Core])?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Programs without a certificate: the server is a core of this installation.
#[derive(Debug)]
pub(super) struct RootsVerifier {
    core: Arc<WebPkiServerVerifier>,
    domain: TrustDomain,
}

impl RootsVerifier {
    pub(super) const fn new(core: Arc<WebPkiServerVerifier>, domain: TrustDomain) -> Self {
        Self { core, domain }
    }
}

impl ServerCertVerifier for RootsVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.core.verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)?;
        check_name(leaf, &self.domain, &[Kind::Core])?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.core.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.core.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.core.supported_verify_schemes()
    }
}

/// One who enrolls: the server's chain ends in the pinned root, and its leaf is
/// a core of whatever installation it names.
#[derive(Debug)]
pub(super) struct PinVerifier {
    pin: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    pub(super) fn new(pin: [u8; 32], provider: &CryptoProvider) -> Self {
        Self { pin, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_pinned = |der: &&CertificateDer<'_>| {
            peer::spki_sha256(der).is_some_and(|spki| secret::equal(&spki, &self.pin))
        };
        let root = intermediates.iter().find(is_pinned).ok_or_else(|| refuse(PinMismatch))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;

        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, self.algorithms.all)?;
        let peer = Peer::from_chain(std::slice::from_ref(leaf)).map_err(|e| refuse(Refused::from(e)))?;
        let domain = peer.trust_domain;
        check_name(leaf, &domain, &[Kind::Core])?;
        let dns = ServerName::try_from(domain.core_dns())
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        verify_server_name(&parsed, &dns)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
