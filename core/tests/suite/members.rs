//! Edges and administrators' programs: listed, and thrown out.

use std::time::Duration;

use chatcode_certs::Identity;
use chatcode_proto::pb::{
    AdminListMembersRequest, AdminMember, AdminRevokeMemberRequest, Code, FleetCreateTokenRequest,
    FleetListRequest, FleetRevokeTokenRequest, FleetWatchRequest, MemberKind, PersonRole,
    admin_client::AdminClient,
};
use tonic::{Status, transport::Channel};

use crate::{
    common::{TestCore, code, fleet, operator},
    people::{Town, everything},
    rights::synced,
};

async fn members(channel: &Channel) -> Vec<AdminMember> {
    operator(channel).list_members(AdminListMembersRequest::default()).await.unwrap().into_inner().members
}

async fn revoke(channel: &Channel, id: &str, force: bool) -> Result<AdminMember, Status> {
    let request = AdminRevokeMemberRequest { id: id.to_owned(), force };
    let answer = operator(channel).revoke_member(request).await?;
    Ok(answer.into_inner().member.unwrap())
}

fn id(identity: &Identity) -> String {
    identity.name().id().to_string()
}

#[tokio::test]
async fn a_revoked_administrator_is_cut_off_within_a_second_and_does_not_come_back() {
    let core = TestCore::start().await;
    let (owner, lost) =
        (core.enroll(MemberKind::Admin, "desk").await, core.enroll(MemberKind::Admin, "lost laptop").await);
    let (owner, channel) = (core.channel(&owner), core.channel(&lost));
    let mut events = fleet(&channel).watch(FleetWatchRequest {}).await.unwrap().into_inner();
    synced(&mut events).await;
    let all = members(&owner).await;
    let shown = all.iter().find(|one| one.id == id(&lost)).unwrap();
    assert_eq!(
        (shown.name.as_str(), shown.kind(), shown.created_by.as_str()),
        ("lost laptop", MemberKind::Admin, "test")
    );
    assert!(shown.connections > 0 && shown.not_after_unix_ms > 0 && !shown.own, "{shown:?}");
    assert_eq!(all.iter().filter(|one| one.own).map(|one| one.name.as_str()).collect::<Vec<_>>(), ["desk"]);

    let member = revoke(&owner, &id(&lost), false).await.unwrap();
    assert!(member.revoked_unix_ms > 0);
    let over = async { while let Ok(Some(_)) = events.message().await {} };
    tokio::time::timeout(Duration::from_secs(1), over).await.expect("its stream has ended");
    let refused = fleet(&core.channel(&lost)).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Revoked);
    let row = core.audited(|row| row.action == "member.revoked").await;
    assert!(row.detail.contains(&id(&lost)) && row.detail.contains("lost laptop"), "{row:?}");
    assert_eq!(revoke(&owner, &id(&lost), false).await.unwrap().revoked_unix_ms, member.revoked_unix_ms);
}

#[tokio::test]
async fn with_a_revoked_edge_the_pages_behind_it_are_cut_off() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let mut events = page.fleet().watch(page.request(FleetWatchRequest {})).await.unwrap().into_inner();
    synced(&mut events).await;
    let admin = core.admin().await;
    let edge = members(&admin).await.into_iter().find(|one| one.kind() == MemberKind::Edge).unwrap();
    revoke(&admin, &edge.id, false).await.unwrap();
    let over = async { while let Ok(Some(_)) = events.message().await {} };
    tokio::time::timeout(Duration::from_secs(1), over).await.expect("the page's stream has ended");
    let refused = page.fleet().list(page.request(FleetListRequest::default())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Revoked);
}

#[tokio::test]
async fn ones_own_certificate_and_the_last_administrator_go_only_when_that_is_meant() {
    let core = TestCore::start().await;
    let (first, second) =
        (core.enroll(MemberKind::Admin, "first").await, core.enroll(MemberKind::Admin, "second").await);
    let channel = core.channel(&first);
    let own = revoke(&channel, &id(&first), false).await.unwrap_err();
    assert_eq!(code(&own), Code::Invalid);
    assert!(own.message().contains("force"), "{}", own.message());
    revoke(&channel, &id(&second), false).await.unwrap();
    let town_owner = {
        // A person who owns the installation revokes the last program of one.
        let edge = core.channel(&core.enroll(MemberKind::Edge, "edge").await);
        let town = Town { core: &core, edge, admin: channel.clone() };
        town.with_role("Olga", PersonRole::Owner, everything()).await.1
    };
    let request = |force| town_owner.request(AdminRevokeMemberRequest { id: id(&first), force });
    let mut admin = AdminClient::new(town_owner.edge.clone());
    let last = admin.revoke_member(request(false)).await.unwrap_err();
    assert_eq!(code(&last), Code::Invalid);
    assert!(last.message().contains("last administrator"), "{}", last.message());
    admin.revoke_member(request(true)).await.unwrap();
    let refused = fleet(&core.channel(&first)).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Revoked);
}

#[tokio::test]
async fn who_revokes_itself_hears_that_it_was_done() {
    let core = TestCore::start().await;
    let (one, other) =
        (core.enroll(MemberKind::Admin, "one").await, core.enroll(MemberKind::Admin, "other").await);
    let channel = core.channel(&one);
    let mut events = fleet(&channel).watch(FleetWatchRequest {}).await.unwrap().into_inner();
    synced(&mut events).await;
    assert!(revoke(&channel, &id(&one), true).await.unwrap().own);
    let over = async { while let Ok(Some(_)) = events.message().await {} };
    tokio::time::timeout(Duration::from_secs(1), over).await.expect("its stream has ended");
    assert_eq!(members(&core.channel(&other)).await.len(), 2, "those that are revoked are shown");
}

#[tokio::test]
async fn a_person_of_role_admin_revokes_edges_and_neither_administrators_nor_their_join_tokens() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Admin, everything()).await;
    let spare = core.enroll(MemberKind::Edge, "spare edge").await;
    let admin = core.enroll(MemberKind::Admin, "program").await;
    let mut operating = AdminClient::new(page.edge.clone());
    let request = |member: &Identity| page.request(AdminRevokeMemberRequest { id: id(member), force: true });
    let refused = operating.revoke_member(request(&admin)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    operating.revoke_member(request(&spare)).await.unwrap();
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let refused = operating.revoke_member(request(&machine)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "machines are the fleet's");

    let wanted = |kind: MemberKind| FleetCreateTokenRequest { kind: kind.into(), ..Default::default() };
    let mut owner = fleet(&town.admin);
    let of_admin = owner.create_token(wanted(MemberKind::Admin)).await.unwrap().into_inner().id;
    let of_machine = owner.create_token(wanted(MemberKind::Gateway)).await.unwrap().into_inner().id;
    let take_back = |id: &str| FleetRevokeTokenRequest { id: id.to_owned() };
    let refused = page.fleet().revoke_token(page.request(take_back(&of_admin))).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    page.fleet().revoke_token(page.request(take_back(&of_machine))).await.unwrap();
    owner.revoke_token(take_back(&of_admin)).await.expect("nothing was done before");
}
