//! Ways to sign in of other people: a device was lost, a browser was left open.

use chatcode_proto::{
    code::Refusal,
    pb::{IdentitiesListOfResponse, IdentitiesRemoveOfRequest, IdentitiesSignOutOfRequest},
};

use crate::{caller::CallInfo, shared::Shared, store::sign_ins::SecretHash};

/// No session has it: none is spared.
const NONE: SecretHash = [0; 32];

/// By what a person signs in, and in which browsers they are.
///
/// # Errors
/// When the store failed.
pub(super) async fn list(shared: &Shared, person: &str) -> Result<IdentitiesListOfResponse, Refusal> {
    Ok(IdentitiesListOfResponse {
        identities: shared.store.identities_of(person).await?,
        sessions: shared.store.sessions_of(person, &NONE).await?,
    })
}

/// Removes one, and ends all sessions of its person.
///
/// # Errors
/// `INVALID` when there is none, or it is the last one of an owner; `FORBIDDEN` for
/// an owner's by one who is none.
pub(super) async fn remove(
    shared: &Shared,
    info: &CallInfo,
    IdentitiesRemoveOfRequest { person, id }: &IdentitiesRemoveOfRequest,
) -> Result<(), Refusal> {
    let by = info.changer("identity.removed");
    shared.store.check_reachable(person, &by).await?;
    let ended = shared.store.remove_identity(person, id, &NONE, &by.act).await?;
    shared.lives.end_each(&ended);
    Ok(shared.directory.refresh(&shared.store).await?)
}

/// Ends one session, or all; says how many.
///
/// # Errors
/// As [`remove`].
pub(super) async fn sign_out(
    shared: &Shared,
    info: &CallInfo,
    IdentitiesSignOutOfRequest { person, session }: &IdentitiesSignOutOfRequest,
) -> Result<u32, Refusal> {
    let by = info.changer("sessions.ended");
    shared.store.check_reachable(person, &by).await?;
    let one = Some(session.as_str()).filter(|id| !id.is_empty());
    let ended = shared.store.end_sessions(person, one, &NONE, &by.act).await?;
    shared.lives.end_each(&ended);
    Ok(u32::try_from(ended.len()).unwrap_or(u32::MAX))
}
