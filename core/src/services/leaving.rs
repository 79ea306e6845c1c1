//! A gateway that is taken off its machine revokes itself, by the durable key of
//! the machine.

use std::{net::IpAddr, sync::Arc};

use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits,
    pb::{Code, EnrollmentLeaveRequest, MemberKind},
};

use crate::{
    services::fleet,
    shared::Shared,
    store::{StoreError, audit::Entry},
};

/// Judges the proof and revokes the gateway; `act` is completed and written to
/// the audit either way, of refusals as many as anybody's `from` there.
///
/// # Errors
/// `INTERNAL` when nothing can be kept, and `BAD_TOKEN` for all else, whose
/// reason only the audit knows.
pub async fn leave(
    shared: &Arc<Shared>,
    request: &EnrollmentLeaveRequest,
    from: IpAddr,
    act: Entry,
) -> Result<(), Refusal> {
    let act = Entry { principal: "anonymous".to_owned(), ..act };
    let detail = match judge(shared, request).await? {
        Ok((_, true)) => return Ok(()),
        Ok((id, false)) => {
            let act = Entry { principal: format!("gateway/{id}"), gateway: id.to_string(), ..act };
            return fleet::revoke(Arc::clone(shared), id.into(), act).await.map(drop);
        }
        Err(detail) => detail,
    };
    let refusal = Refusal::new(Code::BadToken, "this machine is not known here, or its proof is wrong");
    if shared.rates.refusals.check(&from).is_ok() {
        shared.store.audit(&Entry { result: refusal.code, detail: detail.to_owned(), ..act }).await?;
    }
    Err(refusal)
}

/// Who leaves, and whether it is revoked already; else why nobody does.
async fn judge(
    shared: &Shared,
    request: &EnrollmentLeaveRequest,
) -> Result<Result<(MemberId, bool), &'static str>, StoreError> {
    let Ok(id) = request.member.parse::<MemberId>() else { return Ok(Err("no id")) };
    let Some(known) = shared.store.revivable(id).await? else { return Ok(Err("unknown")) };
    if known.kind != MemberKind::Gateway {
        return Ok(Err("no gateway"));
    }
    if request.proof.len() > limits::PROOF_BYTES || !known.key.has_left(&id.to_string(), &request.proof) {
        return Ok(Err("wrong proof"));
    }
    Ok(Ok((id, known.is_revoked)))
}
