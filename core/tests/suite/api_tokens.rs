//! API tokens: what they may, how long, and what they may not make.

use chatcode_proto::{
    limits,
    pb::{
        AccountsWhoAmIRequest, Code, FleetCreateTokenRequest, FleetListRequest, FleetWatchRequest,
        MemberKind, PeopleCreateApiTokenRequest, PeopleListApiTokensRequest, PeopleRemoveBindingRequest,
        PeopleRevokeApiTokenRequest, Permission, PersonRole, accounts_client::AccountsClient,
    },
};

use crate::{
    common::{Page, TestCore, code},
    people::{Town, everything, label},
    rights::{add_gateway, ended, synced},
};

#[tokio::test]
async fn an_api_token_makes_no_member_whose_certificate_would_outlive_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, _, _) = town.with_role("Ada", PersonRole::Owner, everything()).await;
    let (program, id) = town.program(&ada.id, PersonRole::Owner).await;
    let wanted = |kind: MemberKind| FleetCreateTokenRequest {
        kind: kind.into(),
        name: "later".to_owned(),
        ..Default::default()
    };
    for kind in [MemberKind::Admin, MemberKind::Edge] {
        let refused = program.fleet().create_token(program.request(wanted(kind))).await.unwrap_err();
        assert_eq!(code(&refused), Code::Forbidden, "{kind:?}");
    }
    program.fleet().create_token(program.request(wanted(MemberKind::Gateway))).await.unwrap();
    // Its own end it may make, also an owner's that is bound to less.
    let (lesser, lesser_id) = town.program(&ada.id, PersonRole::Admin).await;
    let revoke = |id: &str| PeopleRevokeApiTokenRequest { id: id.to_owned() };
    let refused = lesser.people().revoke_api_token(lesser.request(revoke(&id))).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    lesser.people().revoke_api_token(lesser.request(revoke(&lesser_id))).await.unwrap();
}

#[tokio::test]
async fn an_api_token_acts_for_its_person_within_its_bounds_until_it_is_revoked() {
    let core = TestCore::start().await;
    let attic = add_gateway(&core, 1, "attic");
    add_gateway(&core, 2, "cellar");
    let town = Town::of(&core).await;
    let (ada, page, binding) = town.with_role("Ada", PersonRole::Operator, everything()).await;
    let wanted = |role: PersonRole| PeopleCreateApiTokenRequest {
        name: "nightly".to_owned(),
        role: role.into(),
        place: Some(label("site", "attic")),
        ..Default::default()
    };
    let made = page.people().create_api_token(page.request(wanted(PersonRole::Viewer))).await;
    let made = made.unwrap().into_inner();
    assert!(made.secret.starts_with("cc_") && made.secret.len() == 52);
    let above = page.people().create_api_token(page.request(wanted(PersonRole::Admin))).await.unwrap_err();
    assert_eq!(code(&above), Code::Forbidden);

    let program = crate::people::Program { channel: core.anonymous(), token: made.secret.clone() };
    let list = async || program.fleet().list(program.request(FleetListRequest::default())).await;
    let seen = list().await.unwrap().into_inner().gateways;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].id, attic.to_string());
    let who = AccountsClient::new(program.channel.clone());
    let who = who.clone().who_am_i(program.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert!(who.principal.starts_with(&format!("person/{}/api-token/", ada.id)), "{who:?}");
    assert_eq!((who.role(), who.step_up_until_unix_ms), (PersonRole::Viewer, 0));
    let may: Vec<_> = who.permissions().collect();
    assert_eq!(may, [Permission::FleetView, Permission::SessionView]);

    // It makes nothing that outlives it, and is bound to its person's rights.
    let refused = program.people().create_api_token(program.request(wanted(PersonRole::Viewer))).await;
    assert_eq!(code(&refused.unwrap_err()), Code::Forbidden);
    town.people().remove_binding(PeopleRemoveBindingRequest { id: binding.id }).await.unwrap();
    assert_eq!(code(&list().await.unwrap_err()), Code::Forbidden);
    town.give(&ada.id, PersonRole::Viewer, everything()).await;

    let mut events = program.fleet().watch(program.request(FleetWatchRequest {})).await.unwrap().into_inner();
    synced(&mut events).await;
    let mine = page.people().list_api_tokens(page.request(PeopleListApiTokensRequest::default())).await;
    let mine = mine.unwrap().into_inner().tokens.remove(0);
    assert_eq!((mine.name.as_str(), mine.used_unix_ms > 0, mine.revoked_unix_ms), ("nightly", true, 0));
    let revoke = || PeopleRevokeApiTokenRequest { id: mine.id.clone() };
    let (_, other, _) = town.with_role("Bob", PersonRole::Operator, everything()).await;
    let refused = other.people().revoke_api_token(other.request(revoke())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid, "another's is as one that never was");
    page.people().revoke_api_token(page.request(revoke())).await.unwrap();
    assert_eq!(code(&ended(&mut events).await), Code::Unauthenticated);
    assert_eq!(code(&list().await.unwrap_err()), Code::Unauthenticated);
    let rows = core.audit().await;
    assert!(rows.iter().any(|row| row.action == "api_token.created" && row.detail.contains("viewer on label site=attic")));
    assert!(rows.iter().all(|row| !row.detail.contains(&made.secret)));
}

#[tokio::test]
async fn wrong_api_tokens_are_limited_and_the_right_one_passes() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, ..) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (program, _) = town.program(&ada.id, PersonRole::Viewer).await;
    let wrong = crate::people::Program {
        channel: program.channel.clone(),
        token: chatcode_certs::ApiToken::generate().expose().to_string(),
    };
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..=2 * limits::API_TOKENS_WRONG_PER_MINUTE {
        let refused = wrong.fleet().list(wrong.request(FleetListRequest::default())).await.unwrap_err();
        codes.insert(code(&refused).name());
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["rate_limited", "unauthenticated"]);
    program.fleet().list(program.request(FleetListRequest::default())).await.unwrap();
    // Behind an edge it is no credential.
    let behind = Page { edge: town.edge.clone(), token: program.token.clone() };
    let refused = behind.fleet().list(behind.request(FleetListRequest::default())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
}
