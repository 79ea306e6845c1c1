//! The text form of certificates and keys (RFC 7468).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use zeroize::Zeroizing;

const LINE_CHARS: usize = 64;

/// One certificate after the other.
#[must_use]
pub fn certificates(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|der| section("CERTIFICATE", der).to_string()).collect()
}

/// SHA-256 of the public key of each of these certificates.
#[must_use]
pub fn pins(certificates: &[CertificateDer<'_>]) -> Vec<[u8; 32]> {
    certificates.iter().filter_map(|der| crate::peer::spki_sha256(der)).collect()
}

/// One section, wiped when dropped.
pub(crate) fn section(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / LINE_CHARS + 64));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The bytes of the first section with this label; `None` when there is none or
/// it is damaged.
pub(crate) fn read_section(label: &str, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let mut packed = Zeroizing::new(String::with_capacity(body.len()));
    packed.extend(body.split_ascii_whitespace());
    STANDARD.decode(packed.as_bytes()).ok().map(Zeroizing::new)
}

/// All certificates of a text, in order; `None` when there is none or one is
/// damaged.
#[must_use]
pub fn read_certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}
