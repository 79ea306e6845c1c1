//! A gateway whose certificate has ended is given a new one, by the durable key
//! of its machine.

use chatcode_certs::{MemberName, csr};
use chatcode_proto::{
    code::Refusal,
    id::{GatewayId, MemberId},
    limits,
    pb::{Code, EnrollmentReviveRequest, EnrollmentReviveResponse},
};

use crate::{
    caller,
    services::certify::{certify, to_bytes},
    shared::Shared,
    store::audit::Entry,
};

/// Judges the proof and makes the certificate; `act` is completed and written to
/// the audit either way.
///
/// # Errors
/// `REVOKED` for a gateway that proves itself and was revoked, `RATE_LIMITED`,
/// `INTERNAL` when nothing can be kept or signed, and `BAD_TOKEN` for all
/// else, whose reason only the audit knows.
pub async fn revive(
    shared: &Shared,
    request: &EnrollmentReviveRequest,
    act: Entry,
) -> Result<EnrollmentReviveResponse, Refusal> {
    let act = Entry { principal: "anonymous".to_owned(), ..act };
    match judge(shared, request).await? {
        Err((refusal, detail)) => {
            let act = Entry { result: refusal.code, detail: detail.to_owned(), ..act };
            shared.store.audit(&act).await?;
            Err(refusal)
        }
        Ok((id, key)) => {
            let gateway = GatewayId::from(id);
            shared.rates.revive.check(&gateway)?;
            let (issued, certificate) = certify(shared, &MemberName::Gateway(id), &key).map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "no certificate was made");
                Refusal::new(Code::Internal, "the core could not make a certificate; its log says why")
            })?;
            let act = Entry { principal: format!("gateway/{id}"), gateway: gateway.to_string(), ..act };
            if !shared.store.add_certificate(&certificate, &act).await? {
                return Err(caller::revoked());
            }
            tracing::info!(%gateway, "revived");
            let roots = to_bytes(&shared.authority.roots());
            Ok(EnrollmentReviveResponse { chain: to_bytes(&issued.chain), roots })
        }
    }
}

type Judged = Result<(MemberId, csr::RequestKey), (Refusal, &'static str)>;

async fn judge(shared: &Shared, request: &EnrollmentReviveRequest) -> Result<Judged, Refusal> {
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
    Ok(Ok((id, key)))
}
