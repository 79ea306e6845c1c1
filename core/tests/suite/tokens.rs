//! What join tokens may do: uses, labels, networks, approval, taken back.

use std::time::{Duration, Instant};

use chatcode_certs::{JoinToken, Key, csr, fingerprint};
use chatcode_core::{
    services::tokens::{TokenWish, create_token},
    store::audit::Entry,
};
use chatcode_proto::{
    label::Labels,
    limits,
    pb::{
        self, Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, FleetCreateTokenRequest,
        FleetDecidePendingRequest, FleetListPendingRequest, FleetListRequest, FleetListTokensRequest,
        FleetRevokeTokenRequest, HostFacts, MemberKind, PendingGateway, enrollment_client::EnrollmentClient,
        fleet_client::FleetClient,
    },
};
use sqlx::Connection as _;
use tonic::{Status, transport::Channel};

use crate::common::{TestCore, code, eventually, fleet};

const ENROLL: &str = "/chatcode.v1.Enrollment/Enroll";

fn labels() -> Labels {
    [("site", "attic"), ("team", "kites")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

async fn token(core: &TestCore, wish: TokenWish) -> JoinToken {
    let act = Entry::new("test", "token.created");
    create_token(&core.shared.store, &core.shared.authority, &wish, &act).await.unwrap().0
}

/// A machine with a key of its own that shows a token.
struct Machine(EnrollmentEnrollRequest, Key);

impl Machine {
    fn new(token: &JoinToken) -> Self {
        let key = Key::generate().unwrap();
        let host = HostFacts {
            hostname: "attic-pi\u{1b}[2J".to_owned(),
            kernel: "6.1.0".to_owned(),
            ..Default::default()
        };
        let request = EnrollmentEnrollRequest {
            token_id: token.id().to_owned(),
            token_secret: token.secret().expose_bytes().to_vec().into(),
            csr: csr::create(&key).unwrap().into(),
            name: "wished".to_owned(),
            host: Some(host),
            wait: true,
            ..Default::default()
        };
        Self(request, key)
    }

    async fn ask(&self, core: &TestCore) -> Result<EnrollmentEnrollResponse, Status> {
        let mut client = EnrollmentClient::new(core.anonymous());
        Ok(client.enroll(self.0.clone()).await?.into_inner())
    }

    /// It is refused, and the audit says why.
    async fn is_refused(&self, core: &TestCore, reason: &str) {
        let status = self.ask(core).await.unwrap_err();
        assert_eq!(code(&status), Code::BadToken, "{reason}");
        let row = core.audited(|row| row.action == ENROLL && row.detail == reason).await;
        assert_eq!((row.result(), row.principal.as_str()), (Code::BadToken, "anonymous"));
    }
}

async fn the_pending(fleet: &mut FleetClient<Channel>) -> PendingGateway {
    let all = fleet.list_pending(FleetListPendingRequest {}).await.unwrap().into_inner().pending;
    assert_eq!(all.len(), 1);
    all.into_iter().next().unwrap()
}

async fn decide(
    fleet: &mut FleetClient<Channel>,
    pending: &PendingGateway,
    approve: bool,
) -> Result<(), Status> {
    let (id, fingerprint) = (pending.id.clone(), pending.fingerprint.clone());
    fleet.decide_pending(FleetDecidePendingRequest { id, approve, fingerprint }).await.map(|_| ())
}

#[tokio::test]
async fn a_token_of_three_uses_enrolls_three_machines_with_its_labels_and_no_fourth() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let request = FleetCreateTokenRequest { uses: 3, labels: labels(), ..Default::default() };
    let made = fleet.create_token(request).await.unwrap().into_inner();
    let token: JoinToken = made.token.parse().unwrap();
    assert_eq!(made.id, token.id());
    let machines = [(); 4].map(|()| Machine::new(&token));
    for machine in &machines[..3] {
        machine.ask(&core).await.unwrap();
        let told = fleet.list_tokens(FleetListTokensRequest {}).await.unwrap().into_inner().tokens;
        assert!(told.iter().all(|told| told.uses == 3 && told.used < 3), "{told:?}");
    }
    machines[3].is_refused(&core, "used up").await;
    let told = fleet.list_tokens(FleetListTokensRequest {}).await.unwrap().into_inner().tokens;
    assert_eq!(told, [], "used up, it is not outstanding");
    let all = fleet.list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|gateway| gateway.labels == labels()), "{all:?}");
    let folder = core.stop().await;
    let core = TestCore::start_in(folder).await;
    assert!(core.shared.hub.watch().0.gateways.iter().all(|gateway| gateway.labels == labels()));
}

#[tokio::test]
async fn a_token_tells_all_of_itself_but_its_secret() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let request = FleetCreateTokenRequest {
        uses: 2,
        ttl_s: 60,
        labels: labels(),
        approval: true,
        network: "127.0.0.0/8".to_owned(),
        ..Default::default()
    };
    let made = fleet.create_token(request).await.unwrap().into_inner();
    let told = fleet.list_tokens(FleetListTokensRequest {}).await.unwrap().into_inner().tokens.remove(0);
    assert!(told.created_unix_ms > 0 && told.created_by.starts_with("admin/"), "{told:?}");
    let secret = made.token.split('.').nth(2).unwrap().to_owned();
    let row = core.audited(|row| row.action == "token.created" && row.detail.contains(&made.id)).await;
    let said = "2 uses, with approval, from 127.0.0.0/8, site=attic team=kites";
    assert!(row.detail.ends_with(said), "{}", row.detail);
    assert!(!format!("{told:?}{row:?}").contains(&secret));
    let expected = pb::TokenInfo {
        id: made.id,
        kind: MemberKind::Gateway.into(),
        expires_unix_ms: made.expires_unix_ms,
        uses: 2,
        labels: labels(),
        approval: true,
        network: "127.0.0.0/8".to_owned(),
        created_unix_ms: told.created_unix_ms,
        created_by: told.created_by.clone(),
        ..Default::default()
    };
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_wish_out_of_bounds_makes_no_token() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let wish = FleetCreateTokenRequest::default;
    let bad_label: Labels = [("Site".to_owned(), String::new())].into();
    for (request, word) in [
        (FleetCreateTokenRequest { uses: 1001, ..wish() }, "1000 machines"),
        (FleetCreateTokenRequest { uses: 2, name: "one".to_owned(), ..wish() }, "name"),
        (FleetCreateTokenRequest { labels: bad_label, ..wish() }, "label"),
        (FleetCreateTokenRequest { network: "10.0.0.1/8".to_owned(), ..wish() }, "network"),
        (FleetCreateTokenRequest { kind: MemberKind::Edge.into(), approval: true, ..wish() }, "gateways"),
        (FleetCreateTokenRequest { kind: MemberKind::Admin.into(), labels: labels(), ..wish() }, "gateways"),
    ] {
        let refused = fleet.create_token(request).await.unwrap_err();
        assert_eq!(code(&refused), Code::Invalid, "{word}");
        assert!(refused.message().contains(word), "{}", refused.message());
    }
}

#[tokio::test]
async fn several_tokens_are_good_at_once_up_to_the_limit() {
    let core = TestCore::start().await;
    let first = token(&core, TokenWish::default()).await;
    for _ in 1..limits::JOIN_TOKENS {
        token(&core, TokenWish::default()).await;
    }
    let act = Entry::new("test", "token.created");
    let wish = TokenWish::default();
    let refused = create_token(&core.shared.store, &core.shared.authority, &wish, &act).await.unwrap_err();
    assert_eq!(refused.code, Code::Limit);
    Machine::new(&first).ask(&core).await.expect("the first one was not invalidated by the others");
    token(&core, TokenWish::default()).await;
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_refused() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let token = token(&core, TokenWish { uses: 2, ..TokenWish::default() }).await;
    let before = Machine::new(&token);
    let answer = before.ask(&core).await.unwrap();
    let revoke = FleetRevokeTokenRequest { id: token.id().to_owned() };
    fleet.revoke_token(revoke.clone()).await.unwrap();
    Machine::new(&token).is_refused(&core, "revoked").await;
    assert_eq!(before.ask(&core).await.unwrap(), answer, "what was enrolled stays");
    assert_eq!(code(&fleet.revoke_token(revoke).await.unwrap_err()), Code::Invalid);
    core.audited(|row| row.action == "token.revoked" && row.detail == token.id()).await;
}

#[tokio::test]
async fn a_token_is_refused_from_beyond_its_network() {
    let core = TestCore::start().await;
    let near = token(&core, TokenWish { network: "127.0.0.0/8".to_owned(), ..TokenWish::default() }).await;
    let far = token(&core, TokenWish { network: "192.0.2.0/24".to_owned(), ..TokenWish::default() }).await;
    Machine::new(&near).ask(&core).await.unwrap();
    Machine::new(&far).is_refused(&core, "address").await;
}

#[tokio::test]
async fn a_used_token_shown_by_another_key_names_the_machine_that_used_it() {
    let core = TestCore::start().await;
    let token = token(&core, TokenWish::default()).await;
    let member = Machine::new(&token).ask(&core).await.unwrap().member;
    Machine::new(&token).is_refused(&core, "other key").await;
    let row = core.audited(|row| row.detail == "other key").await;
    assert_eq!(row.gateway, member);
}

#[tokio::test]
async fn a_machine_waits_for_a_person_can_do_nothing_meanwhile_and_is_let_in() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let mut fleet = fleet(&admin);
    let token = token(&core, TokenWish { approval: true, labels: labels(), ..TokenWish::default() }).await;
    let machine = Machine::new(&token);
    let waits = machine.ask(&core).await.unwrap();
    assert!(waits.pending.is_some() && waits.chain.is_empty() && waits.member.is_empty(), "{waits:?}");
    Machine::new(&token).is_refused(&core, "other key").await;

    let pending = the_pending(&mut fleet).await;
    assert_eq!(pending.fingerprint, fingerprint(&machine.1.spki_sha256()), "the same as on the machine");
    let host = pending.host.clone().unwrap();
    assert_eq!((host.hostname.as_str(), host.kernel.as_str()), ("attic-pi\u{fffd}[2J", "6.1.0"));
    assert_eq!((pending.name.as_str(), pending.address.as_str()), ("wished", "127.0.0.1"));
    assert_eq!(pending.labels, labels());
    let all = fleet.list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!(all, [], "it is no member");

    // Without the wish to wait it is answered at once.
    let begun = Instant::now();
    let at_once = EnrollmentEnrollRequest { wait: false, ..machine.0.clone() };
    assert!(Machine(at_once, machine.1.clone()).ask(&core).await.unwrap().pending.is_some());
    assert!(begun.elapsed() < limits::PENDING_CALL);
    // It asks again and is held until somebody decides.
    let begun = Instant::now();
    let (asked, decided) = tokio::join!(machine.ask(&core), async {
        let wrong = FleetDecidePendingRequest { id: pending.id.clone(), approve: true, ..Default::default() };
        assert_eq!(code(&fleet.decide_pending(wrong).await.unwrap_err()), Code::Invalid, "no fingerprint");
        decide(&mut fleet, &pending, true).await
    });
    decided.unwrap();
    let answer = asked.unwrap();
    assert!(begun.elapsed() < limits::PENDING_CALL, "it was told at once");
    assert_eq!((answer.name.as_str(), answer.chain.is_empty()), ("wished", false));
    assert_eq!(machine.ask(&core).await.unwrap(), answer, "the same answer for the same key");
    let all = fleet.list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!((all.len(), all[0].labels.clone()), (1, labels()));
    let again = decide(&mut fleet, &pending, false).await.unwrap_err();
    assert_eq!(code(&again), Code::Invalid, "it is decided");
    let row = core.audited(|row| row.action == "pending.approved").await;
    assert!(row.detail.contains(&pending.fingerprint) && row.principal.starts_with("admin/"), "{row:?}");
}

#[tokio::test]
async fn a_machine_that_is_refused_is_told_so_for_good() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let by_person = token(&core, TokenWish { approval: true, ..TokenWish::default() }).await;
    let machine = Machine::new(&by_person);
    machine.ask(&core).await.unwrap();
    decide(&mut fleet.clone(), &the_pending(&mut fleet).await, false).await.unwrap();
    for _ in 0..2 {
        let refused = machine.ask(&core).await.unwrap_err();
        assert_eq!(code(&refused), Code::Forbidden);
        assert!(refused.message().contains("a person refused"), "{}", refused.message());
    }
    core.audited(|row| row.action == "pending.refused").await;

    let with_token = token(&core, TokenWish { approval: true, uses: 2, ..TokenWish::default() }).await;
    let machine = Machine::new(&with_token);
    machine.ask(&core).await.unwrap();
    fleet.revoke_token(FleetRevokeTokenRequest { id: with_token.id().to_owned() }).await.unwrap();
    assert_eq!(code(&machine.ask(&core).await.unwrap_err()), Code::Forbidden, "with its token");
    let none = fleet.list_pending(FleetListPendingRequest {}).await.unwrap().into_inner().pending;
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_machine_that_nobody_approves_in_time_is_told_so() {
    let core = TestCore::start().await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let token = token(&core, TokenWish { approval: true, ..TokenWish::default() }).await;
    let machine = Machine::new(&token);
    machine.ask(&core).await.unwrap();
    let folder = core.stop().await;
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("core/core.db"));
    let mut store = sqlx::SqliteConnection::connect_with(&file).await.unwrap();
    let soon = i64::try_from(chatcode_core::clock::unix_ms() + 2000).unwrap();
    sqlx::query("UPDATE pending SET expires_ms = $1").bind(soon).execute(&mut store).await.unwrap();
    store.close().await.unwrap();

    let core = TestCore::start_in(folder).await;
    let mut fleet = fleet(&core.channel(&admin));
    let pending = the_pending(&mut fleet).await;
    // It is held until the time is over, and told at once then.
    let late = machine.ask(&core).await.unwrap_err();
    assert_eq!(code(&late), Code::Forbidden);
    assert!(late.message().contains("nobody approved"), "{}", late.message());
    assert_eq!(code(&decide(&mut fleet, &pending, true).await.unwrap_err()), Code::Invalid);
    core.audited(|row| row.action == ENROLL && row.detail == "not approved in time").await;
}

#[tokio::test]
async fn a_machine_that_was_approved_and_does_not_come_in_time_is_not_let_in() {
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let token = token(&core, TokenWish { approval: true, uses: 2, ..TokenWish::default() }).await;
    let (late, in_time) = (Machine::new(&token), Machine::new(&token));
    let approved = i64::try_from(limits::APPROVED.as_millis()).unwrap();
    for (machine, passed) in [(&late, approved), (&in_time, approved - 60_000)] {
        let wait = EnrollmentEnrollRequest { wait: false, ..machine.0.clone() };
        assert!(Machine(wait, machine.1.clone()).ask(&core).await.unwrap().pending.is_some());
        let pending = the_pending(&mut fleet).await;
        decide(&mut fleet, &pending, true).await.unwrap();
        sqlx::query("UPDATE pending SET expires_ms = expires_ms - $2 WHERE id = $1")
            .bind(&pending.id)
            .bind(passed)
            .execute(&mut core.store().await)
            .await
            .unwrap();
    }
    assert_eq!(code(&late.ask(&core).await.unwrap_err()), Code::Forbidden);
    assert!(!in_time.ask(&core).await.unwrap().chain.is_empty());
}

#[tokio::test]
async fn a_machine_that_waits_still_waits_after_a_restart_of_the_core() {
    let core = TestCore::start().await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let token = token(&core, TokenWish { approval: true, ..TokenWish::default() }).await;
    let machine = Machine::new(&token);
    machine.ask(&core).await.unwrap();
    // A core that stops lets go of those who wait.
    let held = async { machine.ask(&core).await.unwrap() };
    let stop = async { core.shared.stop.cancel() };
    assert!(tokio::join!(held, stop).0.pending.is_some());
    let folder = core.stop().await;
    let core = TestCore::start_in(folder).await;
    let mut fleet = fleet(&core.channel(&admin));
    let pending = the_pending(&mut fleet).await;
    decide(&mut fleet, &pending, true).await.unwrap();
    assert!(!machine.ask(&core).await.unwrap().chain.is_empty());
}

#[tokio::test]
async fn only_so_many_machines_wait_and_the_token_of_one_more_stays_good() {
    let core = TestCore::start().await;
    let many = token(&core, TokenWish { approval: true, uses: 1000, ..TokenWish::default() }).await;
    for _ in 0..limits::PENDING_GATEWAYS {
        Machine::new(&many).ask(&core).await.unwrap();
    }
    let one = token(&core, TokenWish { approval: true, ..TokenWish::default() }).await;
    let machine = Machine::new(&one);
    assert_eq!(code(&machine.ask(&core).await.unwrap_err()), Code::Limit);
    let mut fleet = fleet(&core.admin().await);
    let pending = core.shared.hub.all_pending().remove(0);
    decide(&mut fleet, &pending, false).await.unwrap();
    assert!(machine.ask(&core).await.unwrap().pending.is_some());
}

#[tokio::test]
async fn who_asks_again_is_not_counted_among_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(folder.path());
    config.enroll_per_minute = 2;
    let core = TestCore::start_as(folder, config).await;
    let token = token(&core, TokenWish { uses: 9, ..TokenWish::default() }).await;
    let machine = Machine::new(&token);
    let answer = machine.ask(&core).await.unwrap();
    for _ in 0..10 {
        assert_eq!(machine.ask(&core).await.unwrap(), answer);
    }
    Machine::new(&token).ask(&core).await.unwrap();
    assert_eq!(code(&Machine::new(&token).ask(&core).await.unwrap_err()), Code::RateLimited);
    core.audited(|row| row.action == ENROLL && row.result() == Code::RateLimited).await;
}

#[tokio::test]
async fn all_addresses_together_may_enroll_only_so_often() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(folder.path());
    config.enroll_whole_per_minute = 1;
    let core = TestCore::start_as(folder, config).await;
    let token = token(&core, TokenWish { uses: 9, ..TokenWish::default() }).await;
    Machine::new(&token).ask(&core).await.unwrap();
    assert_eq!(code(&Machine::new(&token).ask(&core).await.unwrap_err()), Code::RateLimited);
}

#[tokio::test]
async fn watchers_see_a_machine_that_waits_and_that_it_waits_no_more() {
    use pb::fleet_watch_response::Event;
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let token = token(&core, TokenWish { approval: true, ..TokenWish::default() }).await;
    let mut events = fleet.watch(pb::FleetWatchRequest {}).await.unwrap().into_inner();
    let machine = Machine::new(&token);
    machine.ask(&core).await.unwrap();
    let mut next = async || {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), events.message()).await.unwrap();
            match event.unwrap().unwrap().event.unwrap() {
                Event::Synced(_) | Event::AliveUnixMs(_) | Event::TokensChanged(_) => {}
                other => return other,
            }
        }
    };
    let Event::PendingAdded(pending) = next().await else { panic!("not added") };
    decide(&mut fleet, &pending, true).await.unwrap();
    assert_eq!(next().await, Event::PendingRemoved(pending.id));
    eventually("it is let in", async || machine.ask(&core).await.ok()).await;
    assert!(matches!(next().await, Event::GatewayChanged(_)));
}

#[tokio::test]
async fn watchers_hear_that_a_token_was_made_used_or_taken_back() {
    use pb::fleet_watch_response::Event;
    let core = TestCore::start().await;
    let mut fleet = fleet(&core.admin().await);
    let mut events = fleet.watch(pb::FleetWatchRequest {}).await.unwrap().into_inner();
    let mut heard = async || {
        let until = async {
            while events.message().await.unwrap().unwrap().event != Some(Event::TokensChanged(true)) {}
        };
        tokio::time::timeout(Duration::from_secs(20), until).await.expect("in time");
    };
    let request = FleetCreateTokenRequest { uses: 2, ..Default::default() };
    let made = fleet.create_token(request).await.unwrap().into_inner();
    heard().await;
    Machine::new(&made.token.parse().unwrap()).ask(&core).await.unwrap();
    heard().await;
    fleet.revoke_token(FleetRevokeTokenRequest { id: made.id }).await.unwrap();
    heard().await;
}
