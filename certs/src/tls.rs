//! Every TLS config of chatcode: TLS 1.3 only, aws-lc-rs only, the
//! post-quantum group first.
//!
//! Listeners that read client certificates never resume: a resumed handshake
//! takes the certificate out of the ticket and asks no verifier, and so lets a
//! revoked member back in.

mod verifier;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    client::{Resumption, WantsClientCert, WebPkiServerVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _};

use self::verifier::{CoreVerifier, Kind, MemberVerifier, PinVerifier, RootsVerifier};
use crate::{
    Identity, IdentityCell, TrustDomain,
    cell::{Shown, root_store},
    files, pem,
};

pub use self::verifier::PinMismatch;

/// ALPN of links, over QUIC and over TCP.
pub const LINK_ALPN: &[u8] = b"chatcode-link/1";
/// ALPN of HTTP/2.
pub const H2_ALPN: &[u8] = b"h2";
/// ALPN of HTTP/1.1, for browsers' WebSockets.
pub const HTTP1_ALPN: &[u8] = b"http/1.1";
/// What an enrolling client dials the core by, before it knows the
/// installation.
pub const UNKNOWN_CORE: &str = "core.chatcode.internal";

/// Why a config could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate, the key or the roots are not usable.
    #[error("the certificate cannot be used for TLS")]
    Rustls(#[from] rustls::Error),
    /// The roots make no verifier.
    #[error("the roots cannot be used to verify a peer")]
    Verifier(String),
    /// A file could not be read, or the key is open to others.
    #[error(transparent)]
    Files(#[from] files::FilesError),
    /// A PEM file does not hold what it should.
    #[error("{} holds no {wanted} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
}

/// Makes aws-lc-rs the provider of this process. First in every `main` and
/// test; more than once does no harm.
pub fn install_provider() {
    // An error means that one is installed already, and there is only this one.
    let _ = provider_value().install_default();
}

fn provider_value() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(provider_value())
}

/// The core's listener for edge, CLI and grpcurl, and for links over TCP: a client
/// certificate is optional and must be a member's of this installation. It shows the roots
/// as well, so that [`pinned_client`] finds the one it knows. Certificate and
/// trust are those of the cell at each handshake.
///
/// # Errors
/// When the provider does not speak TLS 1.3.
pub fn core_listener(identity: &Arc<IdentityCell>) -> Result<Arc<ServerConfig>, TlsError> {
    let kinds = &[Kind::Gateway, Kind::Edge, Kind::Admin, Kind::Core];
    member_listener(identity, true, &[H2_ALPN, LINK_ALPN], false, kinds)
}

/// The core's listener for links: a client certificate is mandatory and must be
/// a gateway's of this installation. Certificate and trust are those of the cell
/// at each handshake.
///
/// # Errors
/// When the provider does not speak TLS 1.3.
pub fn link_listener(identity: &Arc<IdentityCell>) -> Result<Arc<ServerConfig>, TlsError> {
    member_listener(identity, false, &[LINK_ALPN], true, &[Kind::Gateway])
}

fn member_listener(
    identity: &Arc<IdentityCell>,
    with_roots: bool,
    alpn: &[&[u8]],
    mandatory: bool,
    kinds: &'static [Kind],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let verifier = MemberVerifier::new(Arc::clone(identity), mandatory, kinds, &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(Shown { cell: Arc::clone(identity), with_roots }));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// A member that dials the core, at any address, with the server name
/// `core.<trust domain>`: shows its certificate, takes only a core of its own
/// installation, never resumes.
///
/// # Errors
/// When the identity cannot be used.
pub fn core_client(identity: &Identity, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    living_client(&IdentityCell::new(identity.clone())?, alpn)
}

/// The same for a program whose identity changes: certificate and trust are
/// those of the cell at each handshake.
///
/// # Errors
/// When the provider does not speak TLS 1.3.
pub fn living_client(identity: &Arc<IdentityCell>, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let shown = Shown { cell: Arc::clone(identity), with_roots: false };
    let mut config = core_client_builder(identity)?.with_client_cert_resolver(Arc::new(shown));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A member whose certificate has ended: shows none, and takes only a core of
/// its own installation, by the name `core.<trust domain>`. HTTP/2, never
/// resumes.
///
/// # Errors
/// When the roots cannot be used.
pub fn nameless_client(identity: &Identity) -> Result<Arc<ClientConfig>, TlsError> {
    let cell = IdentityCell::new(identity.clone())?;
    let mut config = core_client_builder(&cell)?.with_no_client_auth();
    config.alpn_protocols = vec![H2_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Takes only a core of the identity's installation.
fn core_client_builder(
    identity: &Arc<IdentityCell>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let provider = provider();
    let verifier = CoreVerifier::new(Arc::clone(identity), &provider);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

/// A program without a certificate that knows an installation and its roots: takes
/// only a core of it, by the name `core.<trust domain>`. HTTP/2, never resumes.
///
/// # Errors
/// When the roots cannot be used.
pub fn rooted_client(
    roots: &[CertificateDer<'static>],
    domain: &TrustDomain,
) -> Result<Arc<ClientConfig>, TlsError> {
    let core = core_verifier(root_store(roots)?)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(RootsVerifier::new(core, domain.clone())))
        .with_no_client_auth();
    config.alpn_protocols = vec![H2_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What judges whether a chain is a core's, by these roots.
pub(crate) fn core_verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|e| TlsError::Verifier(e.to_string()))
}

/// One who knows only the pin of a join token: takes only a core whose chain
/// ends in the root with this pin, whatever installation it names, and fails
/// before a byte of its own is sent. HTTP/2, no certificate, never resumes.
/// Dial with [`UNKNOWN_CORE`].
#[must_use]
pub fn pinned_client(pin: [u8; 32]) -> Arc<ClientConfig> {
    let provider = provider();
    #[expect(clippy::expect_used, reason = "the provider is ours and speaks TLS 1.3")]
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites and groups of TLS 1.3");
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier::new(pin, &provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![H2_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// One who fetches from any web server: takes what the roots of this machine's
/// system vouch for, under its own name. HTTP/1.1, no certificate, never resumes.
///
/// # Errors
/// When the system has no roots.
pub fn web_client() -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // Single ones that cannot be read are no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let words = "this machine has no list of trusted roots; install its package ca-certificates";
        return Err(TlsError::Verifier(words.to_owned()));
    }
    web_client_of(roots)
}

/// The same, taking what the certificates of this PEM file vouch for and nothing
/// else.
///
/// # Errors
/// When the file holds none that can be used.
pub fn web_client_by(ca_pem: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let text =
        std::fs::read(ca_pem).map_err(|source| files::FilesError::Io { path: ca_pem.to_owned(), source })?;
    let missing = || TlsError::Pem { path: ca_pem.to_owned(), wanted: "certificate" };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::read_certificates(&text).ok_or_else(missing)?);
    if roots.is_empty() { Err(missing()) } else { web_client_of(roots) }
}

fn web_client_of(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP1_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The edge's listener for browsers: a certificate that the user brings (PEM
/// files, the key private), HTTP/2 and HTTP/1.1. Reads no client certificates.
///
/// # Errors
/// When a file cannot be used or the key is open to others.
pub fn browser_listener(cert_pem: &Path, key_pem: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = (browser_chain(cert_pem)?, browser_key(key_pem)?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![H2_ALPN.to_vec(), HTTP1_ALPN.to_vec()];
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The certificate chain of [`browser_listener`].
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn browser_chain(cert_pem: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = std::fs::read(cert_pem)
        .map_err(|source| files::FilesError::Io { path: cert_pem.to_owned(), source })?;
    pem::read_certificates(&chain)
        .ok_or_else(|| TlsError::Pem { path: cert_pem.to_owned(), wanted: "certificate" })
}

/// The private key of [`browser_listener`].
///
/// # Errors
/// When the file is open to others, is not there or holds no key.
pub fn browser_key(key_pem: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let missing = || TlsError::Pem { path: key_pem.to_owned(), wanted: "private key" };
    let key = files::read_private(key_pem)?.ok_or_else(missing)?;
    PrivateKeyDer::from_pem_slice(&key).map_err(|_| missing())
}

/// The pin of the listener's key by which `curl --pinnedpubkey` knows it: SHA-256
/// of the SubjectPublicKeyInfo, in base64.
///
/// # Errors
/// When the file holds no certificate.
pub fn browser_pin(cert_pem: &Path) -> Result<String, TlsError> {
    let missing = || TlsError::Pem { path: cert_pem.to_owned(), wanted: "certificate" };
    let chain = browser_chain(cert_pem)?;
    let leaf = chain.first().ok_or_else(missing)?;
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|_| missing())?;
    Ok(STANDARD.encode(crate::secret::hash(leaf.public_key().raw)))
}

/// Checks that a chain leads to the roots as a member's does.
pub(crate) fn verify_member(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let general = |e: &dyn std::fmt::Display| rustls::Error::General(e.to_string());
    let store = root_store(roots).map_err(|e| general(&e))?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(store, provider()).build().map_err(|e| general(&e))?;
    let (leaf, intermediates) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    verifier.verify_client_cert(leaf, intermediates, now).map(|_| ())
}
