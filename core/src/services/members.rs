//! Edges and administrators' programs: who there is, and who is revoked.

use std::sync::Arc;

use chatcode_proto::{
    code::Refusal,
    id::MemberId,
    limits,
    pb::{AdminListMembersResponse, AdminMember, AdminRevokeMemberRequest, Code},
};

use crate::{
    caller::{CallInfo, Caller},
    shared::Shared,
};

/// A page of the members.
///
/// # Errors
/// `INVALID` for a page after nobody.
pub async fn list(
    shared: &Shared,
    info: &CallInfo,
    after: &str,
) -> Result<AdminListMembersResponse, Refusal> {
    let (mut members, more) = shared.store.members_page(after).await?;
    members.iter_mut().for_each(|member| complete(shared, info, member));
    let next = members.last().filter(|_| more).map(|last| last.id.clone()).unwrap_or_default();
    Ok(AdminListMembersResponse { members, next })
}

/// Revokes a member, then ends its connections.
///
/// # Errors
/// `FORBIDDEN` for an administrator by one who manages no owners, `INVALID` for one
/// that is not there, and for the caller's own and the last administrator unless
/// that is meant.
pub async fn revoke(
    shared: &Arc<Shared>,
    info: &CallInfo,
    wanted: &AdminRevokeMemberRequest,
) -> Result<AdminMember, Refusal> {
    let none = || Refusal::new(Code::Invalid, "there is no member with this id; list them to see theirs");
    let id: MemberId = wanted.id.parse().map_err(|_| none())?;
    let (own, force, by) = (own(info), wanted.force, info.changer("member.revoked"));
    let (all, is_own) = (Arc::clone(shared), own == Some(id));
    // Carried through also when the caller goes away half-way.
    let work = shared.tasks.spawn(async move {
        let member = all.store.revoke_member(id, own, force, &by).await?;
        tracing::warn!(member = %id, "revoked");
        if !is_own {
            all.connections.end(id);
        }
        // Guests of an administrator go with it.
        all.lives.judge_once(&all.store, &all.directory).await?;
        all.shares_changed.notify_one();
        Ok::<_, Refusal>(member)
    });
    let mut member = work.await.map_err(|_| Refusal::new(Code::Internal, "the revocation broke off"))??;
    if is_own {
        let all = Arc::clone(shared);
        shared.tasks.spawn(async move {
            tokio::time::sleep(limits::OWN_REVOCATION).await;
            all.connections.end(id);
        });
    }
    complete(shared, info, &mut member);
    Ok(member)
}

/// The member that calls.
fn own(info: &CallInfo) -> Option<MemberId> {
    match &info.caller {
        Caller::Admin { id, .. } => Some(*id),
        _ => None,
    }
}

/// Adds what only the running core knows.
fn complete(shared: &Shared, info: &CallInfo, member: &mut AdminMember) {
    if let Ok(id) = member.id.parse() {
        member.own = own(info) == Some(id);
        member.connections = shared.connections.of(id);
        member.version = shared.connections.version(id);
    }
}
