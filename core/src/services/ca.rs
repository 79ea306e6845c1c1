//! The CA as operators see it.

use std::sync::Arc;

use chatcode_certs::{CaCertificate, RotationError};
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{self, AdminCaStatusResponse, CaMember},
};
use rustls_pki_types::CertificateDer;

use crate::{
    shared::Shared,
    store::audit::Entry,
    upkeep::{self, UpkeepError},
};

/// The CA, and who a rotation waits for.
///
/// # Errors
/// `INTERNAL` when a file or the store cannot be read.
pub async fn status(shared: &Shared) -> Result<AdminCaStatusResponse, Refusal> {
    let view = shared.authority.view().map_err(UpkeepError::from)?;
    let followers = shared.store.followers(&shared.authority.root_pins()).await?;
    let depending = match shared.authority.old_root() {
        Some(old) => shared.store.depending(&old).await?,
        None => Vec::new(),
    };
    let waiting = u32::try_from(followers.waiting.len()).unwrap_or(u32::MAX);
    Ok(AdminCaStatusResponse {
        certificates: view.certificates.into_iter().map(certificate).collect(),
        members: followers.members,
        confirmed: followers.members.saturating_sub(waiting),
        waiting: first(followers.waiting),
        depending: first(depending),
        tokens_until_unix_ms: upkeep::tokens_until(shared).await?,
        requested: view.requested,
        encrypted: view.encrypted,
    })
}

fn first(mut members: Vec<CaMember>) -> Vec<CaMember> {
    members.truncate(limits::MEMBERS_NAMED);
    members
}

fn certificate(one: CaCertificate) -> pb::CaCertificate {
    pb::CaCertificate {
        part: one.part.into(),
        r#use: one.used.into(),
        fingerprint: one.pin.iter().map(|byte| format!("{byte:02x}")).collect(),
        not_after_unix_ms: one.not_after_unix_s.saturating_mul(1000),
        has_key: one.has_key,
        der: bytes::Bytes::copy_from_slice(&one.der),
    }
}

/// A signing request for the next intermediate.
///
/// # Errors
/// `INVALID` when one is prepared already.
pub async fn request(shared: &Arc<Shared>) -> Result<bytes::Bytes, Refusal> {
    let csr = blocking(shared, |shared| shared.authority.request_intermediate()).await?;
    Ok(csr.into())
}

/// Takes the certificate for that request.
///
/// # Errors
/// `INVALID` when it is not the one that was asked for.
pub async fn import(shared: &Arc<Shared>, der: &[u8], act: Entry) -> Result<(), Refusal> {
    let der = CertificateDer::from(der.to_vec());
    blocking(shared, move |shared| shared.authority.import_intermediate(&der)).await?;
    let detail = "intermediate imported".to_owned();
    Ok(shared.store.audit(&Entry { detail, ..act }).await.map_err(UpkeepError::from)?)
}

/// Keys are read and written there, and with a passphrase that takes its time.
async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, RotationError> + Send + 'static,
) -> Result<T, Refusal> {
    let shared = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    Ok(done.map_err(|_| UpkeepError::BrokeOff)?.map_err(UpkeepError::from)?)
}
