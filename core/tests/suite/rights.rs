//! People, roles, teams and API tokens: given, taken away, and what ends then.

use std::{sync::atomic::Ordering, time::Duration};

use chatcode_proto::{
    id::{GatewayId, SessionId},
    label::Labels,
    pb::{
        self, AccountsCreateSignInRequest, AccountsEndSessionsRequest, AccountsListSessionsRequest,
        AccountsWhoAmIRequest, ClientFrame, Code, FleetCreateTokenRequest, FleetListRequest,
        FleetRevokeRequest, FleetWatchRequest, FleetWatchResponse, Gateway, MemberKind,
        PeopleCreateApiTokenRequest, PeopleCreateBindingRequest, PeopleCreateRequest,
        PeopleCreateTeamRequest, PeopleListRequest, PeopleListTeamsRequest, PeopleRemoveBindingRequest,
        PeopleRemoveRequest, PeopleSetTeamMemberRequest, PeopleSuspendRequest, PeopleUpdateRequest,
        PersonRole, Role, accounts_client::AccountsClient, accounts_end_sessions_request::Which,
        client_frame, fleet_watch_response::Event, people_create_binding_request::Holder,
        terminal_client::TerminalClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    common::{Page, TestCore, aim, code, eventually, fleet},
    gateway::FakeGateway,
    people::{Town, everything, gateway, label},
};

pub(crate) type Events = Streaming<FleetWatchResponse>;

pub(crate) fn add_gateway(core: &TestCore, number: u8, site: &str) -> GatewayId {
    let id = GatewayId::from_random([number; 16]);
    let labels = Labels::from([("site".to_owned(), site.to_owned())]);
    core.shared.hub.add_gateway(id, Gateway { id: id.to_string(), labels, ..Default::default() });
    id
}

pub(crate) async fn event(events: &mut Events) -> Event {
    events.message().await.unwrap().unwrap().event.unwrap()
}

/// The ids of the gateways of a watch until it is synced.
pub(crate) async fn synced(events: &mut Events) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        match event(events).await {
            Event::GatewayChanged(gateway) => ids.push(gateway.id),
            Event::Synced(_) => return ids,
            other => panic!("not expected: {other:?}"),
        }
    }
}

/// How a stream ends; fails unless that is within a second.
pub(crate) async fn ended<T>(stream: &mut Streaming<T>) -> Status {
    let end = async {
        loop {
            match stream.message().await {
                Err(status) => return status,
                Ok(message) => assert!(message.is_some(), "ends with a status"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), end)
        .await
        .unwrap_or_else(|_| panic!("goes on after a second"))
}

async fn watch(page: &Page) -> Events {
    page.fleet().watch(page.request(FleetWatchRequest {})).await.unwrap().into_inner()
}

#[tokio::test]
async fn one_sees_only_the_machines_of_ones_own_roles() {
    let core = TestCore::start().await;
    let (attic, cellar) = (add_gateway(&core, 1, "attic"), add_gateway(&core, 2, "cellar"));
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Admin, label("site", "attic")).await;
    let list = page.fleet().list(page.request(FleetListRequest::default())).await.unwrap().into_inner();
    let ids: Vec<_> = list.gateways.into_iter().map(|gateway| gateway.id).collect();
    assert_eq!(ids, [attic.to_string()]);
    let hidden = FleetListRequest { after: cellar.to_string() };
    assert_eq!(code(&page.fleet().list(page.request(hidden)).await.unwrap_err()), Code::UnknownGateway);
    let revoke = |id: GatewayId| FleetRevokeRequest { gateway: id.to_string() };
    let refused = page.fleet().revoke(page.request(revoke(cellar))).await.unwrap_err();
    assert_eq!(code(&refused), Code::UnknownGateway);

    // One that may look at a machine, and administers another one.
    let person = town.person("Bob").await;
    town.give(&person.id, PersonRole::Viewer, gateway(&attic.to_string())).await;
    town.give(&person.id, PersonRole::Admin, gateway(&cellar.to_string())).await;
    let page = town.sign_in(&person.id, None).await;
    let refused = page.fleet().revoke(page.request(revoke(attic))).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
}

#[tokio::test]
async fn a_role_that_is_given_or_taken_away_shows_at_once_in_a_running_watch() {
    let core = TestCore::start().await;
    let (attic, cellar) = (add_gateway(&core, 1, "attic"), add_gateway(&core, 2, "cellar"));
    let town = Town::of(&core).await;
    let (ada, page, first) = town.with_role("Ada", PersonRole::Viewer, label("site", "attic")).await;
    let mut events = watch(&page).await;
    assert_eq!(synced(&mut events).await, [attic.to_string()]);

    let second = town.give(&ada.id, PersonRole::Operator, label("site", "cellar")).await;
    assert_eq!(synced(&mut events).await, [attic.to_string(), cellar.to_string()]);

    town.people().remove_binding(PeopleRemoveBindingRequest { id: second.id }).await.unwrap();
    assert_eq!(event(&mut events).await, Event::GatewayRemoved(cellar.to_string()));
    assert_eq!(synced(&mut events).await, [attic.to_string()]);

    town.people().remove_binding(PeopleRemoveBindingRequest { id: first.id }).await.unwrap();
    assert_eq!(code(&ended(&mut events).await), Code::Forbidden, "nothing is left to see");
    let refused = page.fleet().list(page.request(FleetListRequest::default())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
}

#[tokio::test]
async fn a_terminal_ends_with_the_right_to_it_and_comes_back_as_a_viewer_when_only_that_is_left() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let machine = FakeGateway::link(&core, &machine).await;
    let town = Town::of(&core).await;
    let (ada, page, binding) = town.with_role("Ada", PersonRole::Operator, gateway(&machine.id)).await;
    let attach = async || {
        let mut request = page.request(futures_util::stream::pending());
        aim(&mut request, &machine.id, &SessionId::from_random([3; 16]).to_string());
        TerminalClient::new(page.edge.clone()).attach(request).await.map(tonic::Response::into_inner)
    };
    let granted = || machine.seen.grants.lock().unwrap().pop().unwrap().role();
    let mut terminal = attach().await.unwrap();
    assert_eq!(granted(), Role::Writer);

    let viewer = town.give(&ada.id, PersonRole::Viewer, everything()).await;
    town.people().remove_binding(PeopleRemoveBindingRequest { id: binding.id }).await.unwrap();
    assert_eq!(code(&ended(&mut terminal).await), Code::Draining, "it comes back");
    let mut terminal = attach().await.unwrap();
    assert_eq!(granted(), Role::Viewer);

    town.people().remove_binding(PeopleRemoveBindingRequest { id: viewer.id }).await.unwrap();
    assert_eq!(code(&ended(&mut terminal).await), Code::Forbidden);
    assert_eq!(code(&attach().await.unwrap_err()), Code::Forbidden);
}

#[tokio::test]
async fn what_is_typed_after_the_right_is_gone_reaches_no_machine_though_nobody_reads_the_end() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let machine = FakeGateway::link(&core, &machine).await;
    let town = Town::of(&core).await;
    let (_, page, binding) = town.with_role("Ada", PersonRole::Operator, gateway(&machine.id)).await;
    let (typed, keys) = mpsc::unbounded_channel();
    let mut request = page.request(UnboundedReceiverStream::new(keys));
    aim(&mut request, &machine.id, &SessionId::from_random([3; 16]).to_string());
    let _unread = TerminalClient::new(page.edge.clone()).attach(request).await.unwrap();
    let key = || ClientFrame { kind: Some(client_frame::Kind::Ping(pb::Ping { stamp: 1 })) };
    let pings = || machine.seen.pings.load(Ordering::SeqCst);
    typed.send(key()).unwrap();
    eventually("the first key is there", async || (pings() == 1).then_some(())).await;

    town.people().remove_binding(PeopleRemoveBindingRequest { id: binding.id }).await.unwrap();
    let _ = typed.send(key());
    let attached = || machine.seen.attached.load(Ordering::SeqCst);
    eventually("the machine hears that nobody types any more", async || (attached() == 0).then_some(()))
        .await;
    assert_eq!(pings(), 1, "the key of one who may no more");
}

#[tokio::test]
async fn who_becomes_owner_signs_in_anew_so_that_nobody_waits_in_their_name() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, planted, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    town.give(&ada.id, PersonRole::Owner, everything()).await;
    let refused = planted.fleet().list(planted.request(FleetListRequest::default())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
    let own = town.sign_in(&ada.id, None).await;
    own.fleet().list(own.request(FleetListRequest::default())).await.unwrap();
    town.give(&ada.id, PersonRole::Owner, everything()).await;
    own.fleet().list(own.request(FleetListRequest::default())).await.expect("nothing was new");
}

#[tokio::test]
async fn a_team_gives_its_members_what_it_was_given_and_no_longer() {
    let core = TestCore::start().await;
    let attic = add_gateway(&core, 1, "attic");
    let town = Town::of(&core).await;
    let mut people = town.people();
    let request =
        PeopleCreateTeamRequest { name: "night shift".to_owned(), external_group: "works:ops".to_owned() };
    let team = people.create_team(request.clone()).await.unwrap().into_inner().team.unwrap();
    assert_eq!(code(&people.create_team(request).await.unwrap_err()), Code::Invalid, "the name is taken");
    let holder = Some(Holder::Team(team.id.clone()));
    let give = |role: PersonRole| PeopleCreateBindingRequest {
        holder: holder.clone(),
        role: role.into(),
        place: Some(everything()),
    };
    let first = people.create_binding(give(PersonRole::Operator)).await.unwrap().into_inner();
    let again = people.create_binding(give(PersonRole::Operator)).await.unwrap().into_inner();
    assert_eq!(first, again, "one is enough");
    assert_eq!(code(&people.create_binding(give(PersonRole::Owner)).await.unwrap_err()), Code::Invalid);

    let ada = town.person("Ada").await;
    let page = town.sign_in(&ada.id, None).await;
    let list = async || page.fleet().list(page.request(FleetListRequest::default())).await;
    assert_eq!(code(&list().await.unwrap_err()), Code::Forbidden);
    let member =
        |member| PeopleSetTeamMemberRequest { team: team.id.clone(), person: ada.id.clone(), member };
    people.set_team_member(member(true)).await.unwrap();
    assert_eq!(list().await.unwrap().into_inner().gateways[0].id, attic.to_string());
    let teams = people.list_teams(PeopleListTeamsRequest::default()).await.unwrap().into_inner().teams;
    assert_eq!(
        (teams[0].members.as_slice(), teams[0].external_group.as_str()),
        ([ada.id.clone()].as_slice(), "works:ops")
    );
    let mut events = watch(&page).await;
    synced(&mut events).await;
    people.set_team_member(member(false)).await.unwrap();
    assert_eq!(code(&ended(&mut events).await), Code::Forbidden);
}

#[tokio::test]
async fn the_last_owner_can_neither_be_removed_suspended_nor_lowered() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let mut people = town.people();
    let all = people.list(PeopleListRequest::default()).await.unwrap().into_inner().people;
    let [owner] = all.as_slice() else { panic!("{all:?}") };
    let id = owner.id.clone();
    let suspend = |id: &str| PeopleSuspendRequest { id: id.to_owned(), suspended: true };
    let remove = |id: &str| PeopleRemoveRequest { id: id.to_owned() };
    let bindings = people.list_bindings(pb::PeopleListBindingsRequest::default()).await;
    let binding = bindings.unwrap().into_inner().bindings.remove(0);
    let lower = PeopleRemoveBindingRequest { id: binding.id };
    assert_eq!(code(&people.suspend(suspend(&id)).await.unwrap_err()), Code::LastOwner);
    assert_eq!(code(&people.remove(remove(&id)).await.unwrap_err()), Code::LastOwner);
    assert_eq!(code(&people.remove_binding(lower.clone()).await.unwrap_err()), Code::LastOwner);

    // A suspended owner is none.
    let (second, ..) = town.with_role("Second", PersonRole::Owner, everything()).await;
    people.suspend(suspend(&second.id)).await.unwrap();
    assert_eq!(code(&people.suspend(suspend(&id)).await.unwrap_err()), Code::LastOwner);
    people.suspend(PeopleSuspendRequest { id: second.id.clone(), suspended: false }).await.unwrap();
    people.remove_binding(lower).await.unwrap();
    people.remove(remove(&id)).await.unwrap();
    assert_eq!(code(&people.remove(remove(&second.id)).await.unwrap_err()), Code::LastOwner);
}

#[tokio::test]
async fn an_admin_manages_people_and_never_owners() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Admin, everything()).await;
    let (owner, ..) = town.with_role("Olga", PersonRole::Owner, everything()).await;
    let bob = town.person("Bob").await;
    let mut people = page.people();
    let give = |role: PersonRole| PeopleCreateBindingRequest {
        holder: Some(Holder::Person(bob.id.clone())),
        role: role.into(),
        place: Some(everything()),
    };
    people.create_binding(page.request(give(PersonRole::Admin))).await.unwrap();
    let sign_in = |id: &str| AccountsCreateSignInRequest { person: id.to_owned() };
    page.accounts().create_sign_in(page.request(sign_in(&bob.id))).await.unwrap();

    let token = PeopleCreateApiTokenRequest {
        person: owner.id.clone(),
        name: "x".to_owned(),
        role: PersonRole::Viewer.into(),
        ..Default::default()
    };
    let kind = |kind: MemberKind| FleetCreateTokenRequest { kind: kind.into(), ..Default::default() };
    let update =
        PeopleUpdateRequest { id: owner.id.clone(), display_name: "x".to_owned(), ..Default::default() };
    let suspend = PeopleSuspendRequest { id: owner.id.clone(), suspended: true };
    for (what, refused) in [
        ("an owner", people.create_binding(page.request(give(PersonRole::Owner))).await.map(drop)),
        ("another's name", people.update(page.request(update)).await.map(drop)),
        ("suspended", people.suspend(page.request(suspend)).await.map(drop)),
        (
            "removed",
            people.remove(page.request(PeopleRemoveRequest { id: owner.id.clone() })).await.map(drop),
        ),
        ("signed in", page.accounts().create_sign_in(page.request(sign_in(&owner.id))).await.map(drop)),
        ("the first owner", page.accounts().create_sign_in(page.request(sign_in(""))).await.map(drop)),
        ("an owner's token", people.create_api_token(page.request(token)).await.map(drop)),
        (
            "a program like an owner",
            page.fleet().create_token(page.request(kind(MemberKind::Admin))).await.map(drop),
        ),
    ] {
        assert_eq!(code(&refused.unwrap_err()), Code::Forbidden, "{what}");
    }
    page.fleet().create_token(page.request(kind(MemberKind::Edge))).await.unwrap();
}

#[tokio::test]
async fn an_address_is_one_persons_in_any_case() {
    let core = TestCore::start().await;
    let mut people = Town::of(&core).await.people();
    let with = |email: &str| PeopleCreateRequest { display_name: "Ada".to_owned(), email: email.to_owned() };
    let ada = people.create(with("Ada@Example.org")).await.unwrap().into_inner().person.unwrap();
    assert_eq!(ada.email, "ada@example.org");
    assert_eq!(code(&people.create(with("aDa@example.ORG")).await.unwrap_err()), Code::Invalid);
    assert_eq!(code(&people.create(with("nonsense")).await.unwrap_err()), Code::Invalid);
    people.create(with("")).await.unwrap();
    let bob = people.create(with("")).await.unwrap().into_inner().person.unwrap();
    let update = PeopleUpdateRequest { id: bob.id, display_name: "Bob".to_owned(), email: ada.email };
    assert_eq!(code(&people.update(update).await.unwrap_err()), Code::Invalid);
}

#[tokio::test]
async fn a_suspended_person_is_out_at_once_and_a_removed_one_for_good() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (program, _) = town.program(&ada.id, PersonRole::Viewer).await;
    let mut at_page = watch(&page).await;
    let mut by_token =
        program.fleet().watch(program.request(FleetWatchRequest {})).await.unwrap().into_inner();
    synced(&mut at_page).await;
    synced(&mut by_token).await;
    let mut people = town.people();
    people.suspend(PeopleSuspendRequest { id: ada.id.clone(), suspended: true }).await.unwrap();
    // Whichever is seen first: the session is over, and there is no right any more.
    for stream in [&mut at_page, &mut by_token] {
        assert!(matches!(code(&ended(stream).await), Code::Unauthenticated | Code::Forbidden));
    }
    let list = async || program.fleet().list(program.request(FleetListRequest::default())).await;
    assert_eq!(code(&list().await.unwrap_err()), Code::Unauthenticated);
    let mut accounts = AccountsClient::new(town.admin.clone());
    let sign_in = AccountsCreateSignInRequest { person: ada.id.clone() };
    assert_eq!(code(&accounts.create_sign_in(sign_in.clone()).await.unwrap_err()), Code::Invalid);

    people.suspend(PeopleSuspendRequest { id: ada.id.clone(), suspended: false }).await.unwrap();
    list().await.unwrap();
    let who = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&who), Code::Unauthenticated, "what was ended stays so");
    people.remove(PeopleRemoveRequest { id: ada.id.clone() }).await.unwrap();
    assert_eq!(code(&list().await.unwrap_err()), Code::Unauthenticated);
    assert_eq!(code(&accounts.create_sign_in(sign_in).await.unwrap_err()), Code::Invalid);
}

#[tokio::test]
async fn a_dangerous_act_at_a_page_needs_a_fresh_proof_and_gets_another_token_by_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Owner, everything()).await;
    core.age_proofs().await;
    let make =
        async |page: &Page| page.fleet().create_token(page.request(FleetCreateTokenRequest::default())).await;
    assert_eq!(code(&make(&page).await.unwrap_err()), Code::StepUpRequired);
    // What is not dangerous needs none; programs show their proof each time.
    page.fleet().list(page.request(FleetListRequest::default())).await.unwrap();
    let (program, _) = town.program(&ada.id, PersonRole::Admin).await;
    program.fleet().create_token(program.request(FleetCreateTokenRequest::default())).await.unwrap();

    let mut before = watch(&page).await;
    synced(&mut before).await;
    let fresh = town.sign_in(&ada.id, Some(&page)).await;
    make(&fresh).await.unwrap();
    assert_eq!(code(&ended(&mut before).await), Code::Unauthenticated, "the token before is of no use");
    let who = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&who), Code::Unauthenticated);
}

#[tokio::test]
async fn a_person_lists_and_ends_the_own_sessions() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, here, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (there, third) = (town.sign_in(&ada.id, None).await, town.sign_in(&ada.id, None).await);
    let (_, other, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let list = async |page: &Page| {
        let answer = page.accounts().list_sessions(page.request(AccountsListSessionsRequest {})).await;
        answer.unwrap().into_inner().sessions
    };
    let all = list(&here).await;
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|one| one.device == "Firefox on Linux" && one.address == "192.0.2.7"), "{all:?}");
    assert_eq!(all.iter().filter(|one| one.current).count(), 1);

    let mut events = watch(&there).await;
    synced(&mut events).await;
    let id = list(&there).await.into_iter().find(|one| one.current).unwrap().id;
    let end = |page: &Page, which| page.request(AccountsEndSessionsRequest { which: Some(which) });
    let not_mine = other.accounts().end_sessions(end(&other, Which::Id(id.clone()))).await.unwrap_err();
    assert_eq!(code(&not_mine), Code::Invalid, "as one that never was");
    let one = here.accounts().end_sessions(end(&here, Which::Id(id))).await.unwrap().into_inner();
    assert_eq!(one.ended, 1);
    assert_eq!(code(&ended(&mut events).await), Code::Unauthenticated);

    let mut events = watch(&third).await;
    synced(&mut events).await;
    let rest = here.accounts().end_sessions(end(&here, Which::Others(true))).await.unwrap().into_inner();
    assert_eq!(rest.ended, 1);
    assert_eq!(code(&ended(&mut events).await), Code::Unauthenticated);
    assert_eq!(list(&here).await.len(), 1);
    other.accounts().who_am_i(other.request(AccountsWhoAmIRequest {})).await.unwrap();
}

#[tokio::test]
async fn the_audit_says_who_gave_whom_which_role_where() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (olga, page, _) = town.with_role("Olga", PersonRole::Owner, everything()).await;
    let bob = town.person("Bob").await;
    let request = PeopleCreateBindingRequest {
        holder: Some(Holder::Person(bob.id.clone())),
        role: PersonRole::Operator.into(),
        place: Some(label("site", "attic")),
    };
    let made =
        page.people().create_binding(page.request(request)).await.unwrap().into_inner().binding.unwrap();
    page.people().remove_binding(page.request(PeopleRemoveBindingRequest { id: made.id })).await.unwrap();
    let by = format!("person/{}", olga.id);
    let to = format!("operator on label site=attic to person/{} Bob", bob.id);
    core.audited(|row| row.action == "role.given" && row.principal == by && row.detail == to).await;
    let from = format!("operator on label site=attic from person/{} Bob", bob.id);
    core.audited(|row| row.action == "role.taken" && row.principal == by && row.detail == from).await;
}

#[tokio::test]
async fn what_was_given_lasts_over_a_restart() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, ..) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let folder = core.stop().await;
    let core = TestCore::start_in(folder).await;
    let given = core.shared.directory.now();
    assert_eq!(given.get(&ada.id).map(Vec::len), Some(1), "{given:?}");
    fleet(&core.admin().await).list(FleetListRequest::default()).await.unwrap();
}
