//! What a member is told to trust, and the proof of what is new in it.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::identity::ROOTS_MAX;

/// The roots that a core names, with bridges: certificates with the name and key
/// of a root that the root before it has signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Empty: nothing is said of trust.
    pub roots: Vec<CertificateDer<'static>>,
    /// The proofs.
    pub bridges: Vec<CertificateDer<'static>>,
}

/// What a core says of trust is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There may be a root and its successor.
    #[error("the core names {0} roots; there may be {ROOTS_MAX}")]
    Count(usize),
    /// No root that is trusted vouches for this one.
    #[error("the core names a root that no trusted root has signed")]
    Unproven,
}

impl Trust {
    /// The roots to trust from now on, for one who trusts these. Each is trusted
    /// already or has a bridge from one that is; one that is left out is not
    /// trusted any more.
    ///
    /// # Errors
    /// When one of them is neither; then none of it counts.
    pub fn judge(
        &self,
        trusted: &[CertificateDer<'static>],
    ) -> Result<Vec<CertificateDer<'static>>, TrustError> {
        if self.roots.is_empty() {
            return Ok(trusted.to_vec());
        }
        if self.roots.len() > ROOTS_MAX {
            return Err(TrustError::Count(self.roots.len()));
        }
        let is_proven = |root: &CertificateDer<'static>| {
            trusted.contains(root)
                || self.bridges.iter().any(|bridge| trusted.iter().any(|old| leads(old, bridge, root)))
        };
        if self.roots.iter().all(is_proven) { Ok(self.roots.clone()) } else { Err(TrustError::Unproven) }
    }
}

/// Whether `bridge` is the name and key of `root`, signed as a CA by `old`.
fn leads(old: &CertificateDer<'_>, bridge: &CertificateDer<'_>, root: &CertificateDer<'_>) -> bool {
    let (Some(old), Some(bridge), Some(root)) = (parse(old), parse(bridge), parse(root)) else {
        return false;
    };
    let (key, name) = (bridge.public_key().raw, bridge.subject().as_raw());
    let signs = |certificate: &X509Certificate<'_>| {
        certificate.is_ca()
            && matches!(certificate.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let ends = u64::try_from(bridge.validity().not_after.timestamp()).unwrap_or(0);
    key == root.public_key().raw
        && name == root.subject().as_raw()
        && bridge.issuer().as_raw() == old.subject().as_raw()
        && signs(&bridge)
        && signs(&root)
        && now < ends
        && bridge.verify_signature(Some(old.public_key())).is_ok()
        && root.verify_signature(None).is_ok()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed)
}
