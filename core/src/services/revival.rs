//! A gateway or edge whose certificate has ended is given a new one, by the
//! durable key of its machine.

use std::net::IpAddr;

use chatcode_certs::{MemberName, csr};
use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits,
    pb::{Code, EnrollmentReviveRequest, EnrollmentReviveResponse, MemberKind},
};

use crate::{
    caller,
    services::certify::{certify, to_bytes, trust},
    shared::Shared,
    store::{StoreError, audit::Entry},
};

/// Judges the proof and makes the certificate; `act` is completed and written to
/// the audit either way, of refusals as many as anybody's `from` there.
///
/// # Errors
/// `REVOKED` for a member that proves itself and was revoked, `RATE_LIMITED`,
/// `INTERNAL` when nothing can be kept or signed, and `BAD_TOKEN` for all
/// else, whose reason only the audit knows.
pub async fn revive(
    shared: &Shared,
    request: &EnrollmentReviveRequest,
    from: IpAddr,
    act: Entry,
) -> Result<EnrollmentReviveResponse, Refusal> {
    let act = Entry { principal: "anonymous".to_owned(), ..act };
    let refused = match judge(shared, request).await? {
        Ok((member, key)) => match make(shared, member, &key, &act).await? {
            Ok(revived) => return Ok(revived),
            Err(refused) => refused,
        },
        Err(refused) => refused,
    };
    if shared.rates.refusals.check(&from).is_ok() {
        let act = Entry { result: refused.0.code, detail: refused.1.to_owned(), ..act };
        shared.store.audit(&act).await?;
    }
    Err(refused.0)
}

/// A refusal, and its reason for the audit.
type Refused = (Refusal, &'static str);

async fn judge(
    shared: &Shared,
    request: &EnrollmentReviveRequest,
) -> Result<Result<(MemberName, csr::RequestKey), Refused>, StoreError> {
    let refused = |detail| {
        let words = "this machine is not known here, or its proof is wrong; enroll it anew";
        Ok(Err((Refusal::new(Code::BadToken, words), detail)))
    };
    let Ok(key) = csr::verify(&request.csr) else { return refused("bad request") };
    let Ok(id) = request.member.parse::<MemberId>() else { return refused("no id") };
    let Some(known) = shared.store.revivable(id).await? else { return refused("unknown") };
    if request.proof.len() > limits::PROOF_BYTES || !known.key.has_signed(&request.csr, &request.proof) {
        return refused("wrong proof");
    }
    if known.is_revoked {
        return Ok(Err((caller::revoked(), "revoked")));
    }
    let member = match known.kind {
        MemberKind::Edge => MemberName::Edge(id),
        _ => MemberName::Gateway(id),
    };
    Ok(shared.rates.revive.check(&id).map(|()| (member, key)).map_err(|refusal| (refusal, "too often")))
}

/// Signs, and writes it to allow-list and audit at once.
async fn make(
    shared: &Shared,
    member: MemberName,
    key: &csr::RequestKey,
    act: &Entry,
) -> Result<Result<EnrollmentReviveResponse, Refused>, StoreError> {
    let (issued, certificate) = match certify(shared, &member, key) {
        Ok(certified) => certified,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no certificate was made");
            let words = "the core could not make a certificate; its log says why";
            return Ok(Err((Refusal::new(Code::Internal, words), "not signed")));
        }
    };
    let (action, gateway) = match member {
        MemberName::Gateway(id) => ("gateway.revived", id.to_string()),
        _ => ("edge.revived", String::new()),
    };
    let act = Entry { principal: member.to_string(), action: action.to_owned(), gateway, ..act.clone() };
    if !shared.store.add_certificate(&certificate, &act).await? {
        return Ok(Err((caller::revoked(), "revoked")));
    }
    tracing::info!(%member, "revived");
    if let MemberName::Gateway(id) = member {
        shared.show_certificate(id.into()).await;
    }
    let trust = Some(trust(&shared.authority.trust()));
    Ok(Ok(EnrollmentReviveResponse { chain: to_bytes(&issued.chain), trust }))
}
