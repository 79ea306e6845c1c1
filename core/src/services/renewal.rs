//! An edge or administrator that shows its certificate is given the next one, and
//! is told what to trust.

use chatcode_certs::{MachinePublicKey, MemberName, csr};
use chatcode_proto::{
    code::Refusal,
    pb::{self, Code, EnrollmentRenewRequest, EnrollmentRenewResponse},
};

use crate::{
    caller::{self, CallInfo, Standing},
    clock,
    services::certify::{certify, to_bytes, trust},
    shared::Shared,
    store::certificates::Pin,
};

/// Judges the request and makes the certificate; counts those that come to
/// nothing.
///
/// # Errors
/// `UNAUTHENTICATED` when the certificate of the connection has ended, `REVOKED`,
/// `RATE_LIMITED`, `INVALID`, or `INTERNAL` when nothing can be kept or signed.
pub async fn renew(
    shared: &Shared,
    request: &EnrollmentRenewRequest,
    info: &CallInfo,
) -> Result<EnrollmentRenewResponse, Refusal> {
    let member = caller_of(info)?;
    let made = make(shared, request, &member, info).await;
    // One that asks again and again costs no write.
    if made.as_ref().is_err_and(|refusal| refusal.code != Code::RateLimited) {
        shared.store.note_failed_renewal(member.id()).await?;
    }
    made
}

async fn make(
    shared: &Shared,
    request: &EnrollmentRenewRequest,
    member: &MemberName,
    info: &CallInfo,
) -> Result<EnrollmentRenewResponse, Refusal> {
    if info.peer.certificate_ends_unix_s <= clock::unix_ms() / 1000 {
        return Err(caller::not_listed());
    }
    shared.rates.renew.check(&member.id())?;
    let invalid = |error: csr::RequestError| Refusal::new(Code::Invalid, error.to_string());
    let key = csr::verify(&request.csr).map_err(invalid)?;
    let machine = Some(&request.machine_csr).filter(|csr| !csr.is_empty());
    let machine = machine.map(|csr| csr::verify(csr)).transpose().map_err(invalid)?;
    let (issued, certificate) = certify(shared, member, &key).map_err(|error| not_signed(&error))?;
    if !shared.store.add_certificate(&certificate, &info.act("certificate.renewed")).await? {
        return Err(caller::revoked());
    }
    // An administrator's certificate is not for ever: no key brings it back.
    if let (MemberName::Edge(id), Some(machine)) = (member, machine) {
        shared.store.learn_machine_key(*id, MachinePublicKey::of(&machine).as_bytes()).await?;
    }
    note(shared, member, &request.trusts).await?;
    let trust = Some(trust(&shared.authority.trust()));
    Ok(EnrollmentRenewResponse { chain: to_bytes(&issued.chain), trust })
}

/// Notes what the caller trusts, and says what it shall.
///
/// # Errors
/// `INVALID` for a caller that asks elsewhere, `INTERNAL` when the store fails.
pub async fn tell(shared: &Shared, trusts: &[bytes::Bytes], info: &CallInfo) -> Result<pb::Trust, Refusal> {
    let member = caller_of(info)?;
    note(shared, &member, trusts).await?;
    Ok(trust(&shared.authority.trust()))
}

/// Notes what a member says it trusts.
///
/// # Errors
/// `INTERNAL` when the store fails.
pub async fn note(shared: &Shared, member: &MemberName, trusts: &[bytes::Bytes]) -> Result<(), Refusal> {
    // Of what is too much or no pin nothing is noted.
    let pins: Vec<Pin> = trusts.iter().take(2).filter_map(|pin| Pin::try_from(&pin[..]).ok()).collect();
    Ok(shared.store.note_trust(member.id(), &pins).await?)
}

/// The refusal when the CA did not sign; the log says why.
#[must_use]
pub fn not_signed(error: &chatcode_certs::AuthorityError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "no certificate was made");
    Refusal::new(Code::Internal, "the core could not make a certificate; its log says why")
}

fn caller_of(info: &CallInfo) -> Result<MemberName, Refusal> {
    match &info.peer.who {
        Standing::Member(name @ (MemberName::Edge(_) | MemberName::Admin(_)), _) => Ok(*name),
        _ => Err(Refusal::new(Code::Invalid, "gateways ask on their links; others enroll")),
    }
}
