//! Links to one session: who makes them, who comes in by them, and what ends that.

use std::{sync::Arc, time::Duration};

use chatcode_proto::{
    id::SessionId,
    limits,
    pb::{
        AccountsCreateTicketRequest, AccountsEndSessionsRequest, AccountsSignOutRequest,
        AccountsWhoAmIRequest, AdminRevokeMemberRequest, Code, FleetListRequest, FleetWatchRequest,
        MemberKind, PeopleRemoveBindingRequest, PeopleRemoveRequest, PeopleSuspendRequest, PersonRole, Role,
        ServerFrame, Share, SharesCreateRequest, SharesCreateResponse, SharesEnterRequest,
        SharesEnterResponse, SharesListRequest, SharesLookRequest, SharesRevokeRequest,
        accounts_client::AccountsClient, accounts_end_sessions_request::Which, fleet_client::FleetClient,
        fleet_watch_response::Event, shares_client::SharesClient, terminal_client::TerminalClient,
    },
};
use futures_util::future::join_all;
use tonic::{Request, Status, Streaming, transport::Channel};

use crate::{
    common::{Page, TestCore, aim, authorize, code, eventually, operator},
    gateway::{FakeGateway, Seen, hello, session},
    people::{Town, everything, gateway, label},
    rights::{ended, event},
};

/// A machine with two sessions, and those who share them.
pub(crate) struct House<'a> {
    pub(crate) town: Town<'a>,
    pub(crate) machine: FakeGateway,
    pub(crate) session: String,
    other: String,
}

impl<'a> House<'a> {
    pub(crate) async fn of(core: &'a TestCore) -> Self {
        let identity = core.enroll(MemberKind::Gateway, "machine").await;
        let seen = Arc::new(Seen::default());
        let (one, other) = (session(3, "build"), session(4, "secret"));
        *seen.sessions.lock().unwrap() = vec![one.clone(), other.clone()];
        let machine = FakeGateway::link_as(core, &identity, hello(), seen).await;
        let id = machine.id.parse().unwrap();
        eventually("the sessions are known", async || {
            let known = |session: &str| core.shared.hub.session(id, session.parse().unwrap()).is_some();
            (known(&one.id) && known(&other.id)).then_some(())
        })
        .await;
        Self { town: Town::of(core).await, machine, session: one.id, other: other.id }
    }

    pub(crate) fn wish(&self) -> SharesCreateRequest {
        SharesCreateRequest {
            gateway: self.machine.id.clone(),
            session: self.session.clone(),
            uses: 3,
            ..Default::default()
        }
    }

    pub(crate) async fn share(
        &self,
        by: &Page,
        wish: SharesCreateRequest,
    ) -> Result<SharesCreateResponse, Status> {
        shares(&by.edge).create(by.request(wish)).await.map(tonic::Response::into_inner)
    }

    /// A link of an operator of the machine: typing, for three guests.
    pub(crate) async fn link(&self) -> (Page, SharesCreateResponse) {
        let (_, ada, _) = self.town.with_role("Ada", PersonRole::Operator, gateway(&self.machine.id)).await;
        let made =
            self.share(&ada, SharesCreateRequest { role: Role::Writer.into(), ..self.wish() }).await.unwrap();
        (ada, made)
    }

    pub(crate) async fn enter(&self, wish: SharesEnterRequest) -> Result<SharesEnterResponse, Status> {
        shares(&self.town.edge).enter(wish).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn guest(&self, secret: &str) -> Guest {
        let entered = self.enter(named(secret, "Bo")).await.unwrap();
        Guest { edge: self.town.edge.clone(), token: entered.guest_token }
    }

    async fn attach(&self, guest: &Guest, session: &str) -> Result<Streaming<ServerFrame>, Status> {
        let mut request = guest.request(futures_util::stream::pending());
        aim(&mut request, &self.machine.id, session);
        TerminalClient::new(guest.edge.clone()).attach(request).await.map(tonic::Response::into_inner)
    }

    fn granted(&self) -> (String, Role) {
        let grant = self.machine.seen.grants.lock().unwrap().pop().unwrap();
        (grant.display_name.clone(), grant.role())
    }
}

pub(crate) struct Guest {
    edge: Channel,
    pub(crate) token: String,
}

impl Guest {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        authorize(&mut request, &format!("Guest {}", self.token));
        request
    }

    fn accounts(&self) -> AccountsClient<Channel> {
        AccountsClient::new(self.edge.clone())
    }
}

pub(crate) fn shares(channel: &Channel) -> SharesClient<Channel> {
    SharesClient::new(channel.clone())
}

pub(crate) fn named(secret: &str, name: &str) -> SharesEnterRequest {
    SharesEnterRequest {
        secret: secret.to_owned(),
        display_name: name.to_owned(),
        address: "192.0.2.7".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Code {
    code(&outcome.unwrap_err())
}

#[tokio::test]
async fn a_guest_is_in_the_one_session_with_the_rights_of_the_link_and_sees_nothing_else() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, made) = house.link().await;
    let look = SharesLookRequest { secret: made.secret.clone(), address: String::new() };
    let looked = shares(&house.town.edge).look(look).await.unwrap().into_inner();
    let of = looked.guest_of.unwrap();
    assert_eq!((of.session_name.as_str(), of.shared_by.as_str(), of.role()), ("build", "Ada", Role::Writer));

    let guest = house.guest(&made.secret).await;
    house.attach(&guest, &house.session).await.unwrap();
    assert_eq!(house.granted(), ("Bo (guest)".to_owned(), Role::Writer));
    assert_eq!(refused(house.attach(&guest, &house.other).await), Code::UnknownSession);
    let never = SessionId::from_random([9; 16]).to_string();
    assert_eq!(refused(house.attach(&guest, &never).await), Code::UnknownSession);

    let who = guest.accounts().who_am_i(guest.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert!(who.principal.starts_with("guest/"), "{}", who.principal);
    assert_eq!((who.display_name.as_str(), who.role()), ("Bo (guest)", PersonRole::Unspecified));
    assert_eq!(who.guest_of.unwrap().session, house.session);
    let mut fleet = FleetClient::new(guest.edge.clone());
    assert_eq!(refused(fleet.list(guest.request(FleetListRequest::default())).await), Code::Forbidden);
    let list = shares(&guest.edge).list(guest.request(SharesListRequest::default())).await;
    assert_eq!(refused(list), Code::Forbidden);
    let all = AccountsEndSessionsRequest { which: Some(Which::Others(true)) };
    assert_eq!(refused(guest.accounts().end_sessions(guest.request(all)).await), Code::Forbidden);

    let listed =
        shares(&ada.edge).list(ada.request(SharesListRequest::default())).await.unwrap().into_inner();
    let [Share { guests, used: 1, .. }] = &listed.shares[..] else { panic!("{listed:?}") };
    assert_eq!((guests[0].display_name.as_str(), guests[0].address.as_str()), ("Bo (guest)", "192.0.2.7"));
    let row = core.audited(|row| row.action == "guest.entered").await;
    assert!(row.principal.starts_with("guest/") && row.session == house.session, "{row:?}");
    assert!(core.audit().await.iter().all(|row| !row.detail.contains(&made.secret)), "no secret is written");
}

#[tokio::test]
async fn a_ticket_of_a_guest_opens_the_shared_session_and_no_other() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, made) = house.link().await;
    let guest = house.guest(&made.secret).await;
    for (session, expected) in [(&house.session, Code::Done), (&house.other, Code::UnknownSession)] {
        let wanted = AccountsCreateTicketRequest {
            method: "/chatcode.v1.Terminal/Attach".to_owned(),
            gateway: house.machine.id.clone(),
            session: session.clone(),
        };
        let ticket = guest.accounts().create_ticket(guest.request(wanted)).await.unwrap().into_inner().ticket;
        let mut request = Request::new(futures_util::stream::pending());
        authorize(&mut request, &format!("Ticket {ticket}"));
        aim(&mut request, &house.machine.id, session);
        let outcome = TerminalClient::new(guest.edge.clone()).attach(request).await;
        assert_eq!(outcome.map_or_else(|status| code(&status), |_| Code::Done), expected);
    }
}

#[tokio::test]
async fn of_many_at_once_a_link_lets_in_as_many_as_it_says_and_a_browser_comes_back_without_a_use() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, ada, _) = house.town.with_role("Ada", PersonRole::Operator, everything()).await;
    let made = house.share(&ada, SharesCreateRequest { uses: 2, ..house.wish() }).await.unwrap();
    let tries =
        join_all((0..12).map(|number| house.enter(named(&made.secret, &format!("guest {number}"))))).await;
    let entered: Vec<_> = tries.into_iter().filter_map(Result::ok).collect();
    assert_eq!(entered.len(), 2);
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);

    let before = Guest { edge: house.town.edge.clone(), token: entered[0].guest_token.clone() };
    let mut open = house.attach(&before, &house.session).await.unwrap();
    let again = SharesEnterRequest { again: before.token.clone(), ..named(&made.secret, "another name") };
    let back = house.enter(again).await.unwrap();
    assert_eq!(back.display_name, entered[0].display_name, "the same guest");
    assert_eq!(code(&ended(&mut open).await), Code::Unauthenticated, "the token before is of no use");
    let guest = Guest { edge: house.town.edge.clone(), token: back.guest_token };
    house.attach(&guest, &house.session).await.unwrap();
}

#[tokio::test]
async fn a_link_that_is_taken_back_puts_its_guests_out_within_a_second_and_others_stay() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, made) = house.link().await;
    let other = house.share(&ada, house.wish()).await.unwrap();
    let (guest, stays) = (house.guest(&made.secret).await, house.guest(&other.secret).await);
    let (mut open, _stays) = (
        house.attach(&guest, &house.session).await.unwrap(),
        house.attach(&stays, &house.session).await.unwrap(),
    );
    let id = made.share.unwrap().id;
    let (_, bob, _) = house.town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let revoke = |page: &Page| page.request(SharesRevokeRequest { id: id.clone() });
    assert_eq!(
        refused(shares(&bob.edge).revoke(revoke(&bob)).await),
        Code::Forbidden,
        "viewers do not share"
    );
    shares(&ada.edge).revoke(revoke(&ada)).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Unauthenticated);
    assert_eq!(refused(house.attach(&guest, &house.session).await), Code::Unauthenticated);
    house.attach(&stays, &house.session).await.unwrap();
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);
    let unknown = house.enter(named(&"A".repeat(43), "Bo")).await.unwrap_err();
    let gone = house.enter(named(&made.secret, "Bo")).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (gone.code(), gone.message()), "answered alike");
}

#[tokio::test]
async fn guests_may_never_more_than_who_shares_and_go_with_them() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (person, ada, operator) =
        house.town.with_role("Ada", PersonRole::Operator, gateway(&house.machine.id)).await;
    let wish = SharesCreateRequest { role: Role::Writer.into(), ..house.wish() };
    let made = house.share(&ada, wish.clone()).await.unwrap();
    let guest = house.guest(&made.secret).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    assert_eq!(house.granted().1, Role::Writer);

    let viewer = house.town.give(&person.id, PersonRole::Viewer, everything()).await;
    house.town.people().remove_binding(PeopleRemoveBindingRequest { id: operator.id }).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Draining, "it comes back as a viewer");
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    assert_eq!(house.granted().1, Role::Viewer);
    assert_eq!(
        refused(house.share(&ada, wish.clone()).await),
        Code::Forbidden,
        "who may look does not share"
    );
    house.town.people().remove_binding(PeopleRemoveBindingRequest { id: viewer.id }).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Forbidden);

    house.town.give(&person.id, PersonRole::Operator, everything()).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    let suspend = |suspended| PeopleSuspendRequest { id: person.id.clone(), suspended };
    house.town.people().suspend(suspend(true)).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Forbidden);
    assert_eq!(refused(house.attach(&guest, &house.session).await), Code::Unauthenticated);
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);
}

#[tokio::test]
async fn the_guests_of_somebody_who_is_removed_go_with_the_account() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (person, ada, _) = house.town.with_role("Ada", PersonRole::Operator, everything()).await;
    let made = house.share(&ada, house.wish()).await.unwrap();
    let guest = house.guest(&made.secret).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    house.town.people().remove(PeopleRemoveRequest { id: person.id }).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Forbidden);
    assert_eq!(refused(house.attach(&guest, &house.session).await), Code::Unauthenticated);
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);
}

#[tokio::test]
async fn at_the_end_of_a_link_its_guests_are_out() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, made) = house.link().await;
    let soon = clock_ms() + 3_000;
    sqlx::query("UPDATE shares SET expires_ms = $2 WHERE id = $1")
        .bind(made.share.unwrap().id)
        .bind(soon)
        .execute(&mut core.store().await)
        .await
        .unwrap();
    let guest = house.guest(&made.secret).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match open.message().await {
                Err(status) => break status,
                Ok(message) => assert!(message.is_some(), "ends with a status"),
            }
        }
    });
    assert_eq!(code(&status.await.unwrap()), Code::Unauthenticated);
    assert!(clock_ms() >= soon, "not before its end");
    assert_eq!(refused(house.attach(&guest, &house.session).await), Code::Unauthenticated);
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);
}

fn clock_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn the_guests_of_an_administrators_program_go_when_it_is_revoked() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let program = core.enroll(MemberKind::Admin, "script").await;
    let made = shares(&core.channel(&program)).create(house.wish()).await.unwrap().into_inner();
    let guest = house.guest(&made.secret).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    let id = program.name().id().to_string();
    operator(&house.town.admin).revoke_member(AdminRevokeMemberRequest { id, force: false }).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Unauthenticated);
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::BadToken);
}

#[tokio::test]
async fn a_passphrase_is_asked_for_and_a_wrong_one_spends_no_use_and_is_not_tried_for_ever() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, _) = house.link().await;
    let wish = SharesCreateRequest { passphrase: "short".to_owned(), ..house.wish() };
    assert_eq!(refused(house.share(&ada, wish).await), Code::Invalid);
    let wish = SharesCreateRequest { passphrase: "open the gate".to_owned(), uses: 1, ..house.wish() };
    let made = house.share(&ada, wish).await.unwrap();
    assert!(made.share.as_ref().unwrap().passphrase);
    let with = |passphrase: &str| SharesEnterRequest {
        passphrase: passphrase.to_owned(),
        ..named(&made.secret, "Bo")
    };
    assert_eq!(refused(house.enter(with("")).await), Code::BadToken);
    assert_eq!(refused(house.enter(with("open the door")).await), Code::BadToken);
    assert_eq!(refused(house.enter(with(&"x".repeat(10_000))).await), Code::BadToken);
    let entered = house.enter(with("open the gate")).await.unwrap();
    let again = SharesEnterRequest { again: entered.guest_token, ..named(&made.secret, "Bo") };
    house.enter(again).await.unwrap();
    let mut last = Code::BadToken;
    for _ in 0..limits::SHARE_PASSPHRASES_PER_ADDRESS {
        last = refused(house.enter(with("open the door")).await);
    }
    assert_eq!(last, Code::RateLimited);
}

#[tokio::test]
async fn a_link_for_people_with_an_account_lets_in_nobody_else_and_they_bring_their_name() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, _) = house.link().await;
    let made = house.share(&ada, SharesCreateRequest { accounts_only: true, ..house.wish() }).await.unwrap();
    assert_eq!(refused(house.enter(named(&made.secret, "Bo")).await), Code::Forbidden);
    let bob = house.town.person("Bob").await;
    let page = house.town.sign_in(&bob.id, None).await;
    let wish = SharesEnterRequest { account: page.token.clone(), ..named(&made.secret, "Ada") };
    let entered = house.enter(wish).await.unwrap();
    assert_eq!(entered.display_name, "Bob (guest)");
    let guest = Guest { edge: house.town.edge.clone(), token: entered.guest_token };
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    let suspend = PeopleSuspendRequest { id: bob.id.clone(), suspended: true };
    house.town.people().suspend(suspend).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_guest_leaves_and_is_not_in_any_more() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, made) = house.link().await;
    let guest = house.guest(&made.secret).await;
    let mut open = house.attach(&guest, &house.session).await.unwrap();
    guest.accounts().sign_out(guest.request(AccountsSignOutRequest {})).await.unwrap();
    assert_eq!(code(&ended(&mut open).await), Code::Unauthenticated);
    assert_eq!(refused(house.attach(&guest, &house.session).await), Code::Unauthenticated);
    let listed =
        shares(&ada.edge).list(ada.request(SharesListRequest::default())).await.unwrap().into_inner();
    assert!(listed.shares[0].guests.is_empty());
    core.audited(|row| row.action == "guest.left" && row.session == house.session).await;
}

#[tokio::test]
async fn all_who_watch_the_machine_learn_that_a_session_is_shared_and_that_it_is_not_any_more() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, made) = house.link().await;
    let (_, bob, _) = house.town.with_role("Bob", PersonRole::Viewer, everything()).await;
    let mut events = bob.fleet().watch(bob.request(FleetWatchRequest {})).await.unwrap().into_inner();
    let mut next = async || loop {
        if let Event::SharesChanged(shares) = event(&mut events).await {
            assert_eq!(shares.session, house.session);
            return shares.links;
        }
    };
    assert_eq!(next().await, 1);
    let second = house.share(&ada, house.wish()).await.unwrap();
    assert_eq!(next().await, 2);
    // One ends by itself.
    let soon = "UPDATE shares SET expires_ms = (SELECT created_ms FROM shares WHERE id = $1) WHERE id = $1";
    sqlx::query(soon).bind(second.share.unwrap().id).execute(&mut core.store().await).await.unwrap();
    shares(&ada.edge).revoke(ada.request(SharesRevokeRequest { id: made.share.unwrap().id })).await.unwrap();
    assert_eq!(next().await, 0);
}

#[tokio::test]
async fn what_a_link_may_not_be_is_refused() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (ada, _) = house.link().await;
    for (wish, expected) in [
        (SharesCreateRequest { ttl_s: 299, ..house.wish() }, Code::Invalid),
        (SharesCreateRequest { ttl_s: u32::MAX, ..house.wish() }, Code::Invalid),
        (SharesCreateRequest { uses: 101, ..house.wish() }, Code::Invalid),
        (
            SharesCreateRequest { session: SessionId::from_random([9; 16]).to_string(), ..house.wish() },
            Code::UnknownSession,
        ),
        (SharesCreateRequest { session: "../x".to_owned(), ..house.wish() }, Code::UnknownSession),
        (SharesCreateRequest { gateway: "../x".to_owned(), ..house.wish() }, Code::UnknownGateway),
    ] {
        assert_eq!(refused(house.share(&ada, wish.clone()).await), expected, "{wish:?}");
    }
    let (_, bob, _) = house.town.with_role("Bob", PersonRole::Operator, label("site", "elsewhere")).await;
    assert_eq!(refused(house.share(&bob, house.wish()).await), Code::UnknownGateway, "not for a neighbour");
    for _ in 1..limits::SHARES_OF_SESSION {
        house.share(&ada, house.wish()).await.unwrap();
    }
    assert_eq!(refused(house.share(&ada, house.wish()).await), Code::Limit);
    core.age_proofs().await;
    assert_eq!(refused(house.share(&ada, house.wish()).await), Code::StepUpRequired);
    let past = shares(&core.anonymous()).enter(named(&"A".repeat(43), "Bo")).await;
    assert_eq!(refused(past), Code::Forbidden, "guests come through an edge");
    let names = ["", " Bo", "B\u{1b}o", &"x".repeat(limits::GUEST_NAME_CHARS + 1)];
    let wish = SharesCreateRequest { session: house.other.clone(), ..house.wish() };
    let made = shares(&house.town.admin).create(wish).await.unwrap().into_inner();
    for name in names {
        assert_eq!(refused(house.enter(named(&made.secret, name)).await), Code::Invalid, "{name:?}");
    }
}

#[tokio::test]
async fn links_and_guests_outlive_the_core() {
    let core = TestCore::start().await;
    let house = House::of(&core).await;
    let (_, made) = house.link().await;
    let guest = house.guest(&made.secret).await;
    let hash = chatcode_certs::secret::Secret::from_text(&guest.token).unwrap().hash();
    let edge = core.enroll(MemberKind::Edge, "second").await;
    drop((house, guest));
    let core = TestCore::start_in(core.stop().await).await;
    assert!(core.shared.store.guest(&hash).await.unwrap().is_some());
    let look = SharesLookRequest { secret: made.secret, address: String::new() };
    shares(&core.channel(&edge)).look(look).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), async {
        eventually("the link is shown", async || {
            let id = made.share.as_ref().unwrap().gateway.parse().unwrap();
            (!core.shared.hub.links_of(id).is_empty()).then_some(())
        })
        .await;
    })
    .await
    .unwrap();
}
