//! The life of a link, from Hello to its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chatcode_certs::{Key, csr};
use chatcode_proto::{
    limits,
    pb::{
        AdminDrainRequest, Code, FleetAcknowledgeDuplicateRequest, FleetListRequest, FleetRevokeRequest,
        FleetWatchRequest, FleetWatchResponse, Gateway, GatewayCertificate, GatewayControl, Goodbye, Hello,
        LinkState, MemberKind, RenewRequest, SessionsListRequest, core_control, fleet_watch_response::Event,
        gateway_control, sessions_client::SessionsClient,
    },
};
use tonic::{Streaming, transport::Channel};

use crate::{
    common::{TestCore, aimed, code, eventually, fleet, operator},
    gateway::{FakeGateway, Seen, dial, greet, hello, session, welcomed},
};

async fn the_gateway(channel: &Channel) -> Gateway {
    let all = fleet(channel).list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!(all.len(), 1);
    all.into_iter().next().unwrap()
}

pub(crate) async fn watch(channel: &Channel) -> Streaming<FleetWatchResponse> {
    fleet(channel).watch(FleetWatchRequest {}).await.unwrap().into_inner()
}

/// The next event that fits.
pub(crate) async fn event<T>(
    events: &mut Streaming<FleetWatchResponse>,
    fits: impl Fn(&Event) -> Option<T>,
) -> T {
    loop {
        let event = events.message().await.unwrap().unwrap().event.unwrap();
        if let Some(found) = fits(&event) {
            return found;
        }
    }
}

fn in_state(state: LinkState) -> impl Fn(&Event) -> Option<Gateway> {
    move |event| match event {
        Event::GatewayChanged(gateway) if gateway.link_state() == state => Some(gateway.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_link_is_live_from_welcome_to_its_end_and_watchers_see_it() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut events = watch(&admin).await;
    event(&mut events, in_state(LinkState::Never)).await;

    let gateway = FakeGateway::link(&core, &machine).await;
    assert_eq!((gateway.welcome.version, gateway.welcome.name.as_str()), (1, "machine"));
    let shown = event(&mut events, in_state(LinkState::Online)).await;
    let told = format!("{shown:?}");
    assert!(!told.contains("\\u{1b}") && !shown.program_version.contains('\u{1b}'), "{told}");
    let measured = |event: &Event| match event {
        Event::GatewayChanged(gateway) if gateway.link_rtt_us > 0 => Some(gateway.holder_rtt_us),
        _ => None,
    };
    assert_eq!(event(&mut events, measured).await, 40);

    let kind = Some(gateway_control::Kind::Goodbye(Goodbye { code: Code::Draining.into() }));
    gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    let offline = event(&mut events, in_state(LinkState::Offline)).await;
    assert_eq!(offline.link_ended(), Code::Draining);
    core.audited(|row| row.action == "link.down" && row.gateway == gateway.id).await;
}

#[tokio::test]
async fn sessions_of_a_machine_are_mirrored_and_stay_shown_when_it_is_away() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut events = watch(&admin).await;
    let seen = Arc::new(Seen::default());
    seen.sessions.lock().unwrap().extend([session(1, "one"), session(2, "evil\u{1b}[2J")]);
    let gateway = FakeGateway::link_as(&core, &machine, hello(), seen.clone()).await;
    let named = |wanted: &'static str| {
        move |event: &Event| match event {
            Event::SessionChanged(session) => {
                session.session.clone().filter(|session| session.name.starts_with(wanted))
            }
            _ => None,
        }
    };
    event(&mut events, named("one")).await;
    let evil = event(&mut events, named("evil")).await;
    assert!(!evil.name.contains('\u{1b}'), "{evil:?}");

    gateway.link.close(Code::Done, "gone");
    event(&mut events, in_state(LinkState::Offline)).await;
    let mut later = watch(&admin).await;
    event(&mut later, named("one")).await;

    // A session that is gone when the machine comes back is forgotten.
    seen.sessions.lock().unwrap().remove(0);
    let _again = FakeGateway::link_as(&core, &machine, hello(), seen).await;
    let removed = |event: &Event| match event {
        Event::SessionRemoved(session) => Some(session.session.clone()),
        _ => None,
    };
    assert_eq!(event(&mut later, removed).await, session(1, "one").id);
}

#[tokio::test]
async fn a_newer_link_fences_the_older_whose_end_leaves_it_alone() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let older = FakeGateway::link(&core, &machine).await;
    // The same run of the daemon, which has lost that link.
    let hello = Hello { epoch: older.welcome.epoch, ..hello() };
    let newer = FakeGateway::link_as(&core, &machine, hello, Arc::default()).await;
    assert!(newer.welcome.epoch > older.welcome.epoch);
    let end = older.ended().await;
    assert_eq!((end.code, end.by_peer), (Some(Code::Fenced), true));
    core.audited(|row| row.action == "link.down" && row.result() == Code::Fenced).await;

    let shown = the_gateway(&admin).await;
    assert_eq!((shown.link_state(), shown.link_epoch), (LinkState::Online, newer.welcome.epoch));
    let list = SessionsClient::new(admin).list(aimed(SessionsListRequest {}, &newer.id, "")).await;
    assert!(list.is_ok(), "{list:?}");
}

#[tokio::test]
async fn a_copied_identity_is_refused_while_the_first_lives_and_raises_an_alarm() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let first = FakeGateway::link(&core, &machine).await;
    let copies = [
        Hello { instance: vec![9; 16].into(), ..hello() },
        // A machine that was cloned while it ran is the same run of the daemon.
        hello(),
    ];
    for copy in copies {
        let (_dialer, link) = dial(&core, &machine).await;
        assert_eq!(code(&greet(&link, copy).await.unwrap_err()), Code::DuplicateIdentity);
        assert_eq!(link.closed().await.code, Some(Code::DuplicateIdentity));
    }
    let alarm = core.audited(|row| row.action == "link.duplicate").await;
    assert_eq!((alarm.result(), alarm.gateway.as_str()), (Code::DuplicateIdentity, first.id.as_str()));
    assert!(alarm.detail.starts_with("also used by host"), "{}", alarm.detail);
    let shown = the_gateway(&admin).await;
    assert_eq!((shown.link_state(), shown.link_epoch), (LinkState::Online, first.welcome.epoch));
    assert!(shown.duplicate_unix_ms > 0, "people see it");
    let list = SessionsClient::new(admin).list(aimed(SessionsListRequest {}, &first.id, "")).await;
    assert!(list.is_ok(), "the first was not cut off: {list:?}");
    let kept = core.shared.store.gateways().await.unwrap();
    assert_eq!(kept[0].1.duplicate_unix_ms, shown.duplicate_unix_ms, "also after a restart");
    let who = |gateway: &Gateway| (gateway.duplicate_hostname.clone(), gateway.duplicate_address.clone());
    assert_eq!(who(&kept[0].1), who(&shown), "and who it was");
    assert!(
        shown.duplicate_hostname.starts_with("host") && shown.duplicate_address.starts_with("127.0.0.1:")
    );
}

#[tokio::test]
async fn an_alarm_that_is_acknowledged_is_off_and_one_that_comes_again_shows_again() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let first = FakeGateway::link(&core, &machine).await;
    let (_dialer, link) = dial(&core, &machine).await;
    greet(&link, Hello { instance: vec![9; 16].into(), ..hello() }).await.unwrap_err();
    let shown = the_gateway(&admin).await;
    let acknowledge = async |duplicate_unix_ms| {
        let gateway = first.id.clone();
        let request = FleetAcknowledgeDuplicateRequest { gateway, duplicate_unix_ms };
        fleet(&admin).acknowledge_duplicate(request).await
    };
    // Somebody has seen another alarm than the one that stands.
    let refused = acknowledge(shown.duplicate_unix_ms - 1).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert_eq!(the_gateway(&admin).await.duplicate_unix_ms, shown.duplicate_unix_ms);

    let mut events = watch(&admin).await;
    event(&mut events, |event| matches!(event, Event::Synced(_)).then_some(())).await;
    let off = acknowledge(shown.duplicate_unix_ms).await.unwrap().into_inner().gateway.unwrap();
    assert_eq!((off.duplicate_unix_ms, off.duplicate_address.as_str()), (0, ""));
    let told = event(&mut events, |event| match event {
        Event::GatewayChanged(gateway) => Some(gateway.duplicate_unix_ms),
        _ => None,
    });
    assert_eq!(told.await, 0, "who watches sees it");
    let kept = core.shared.store.gateways().await.unwrap();
    assert_eq!(kept[0].1.duplicate_unix_ms, 0, "also after a restart");
    let row = core.audited(|row| row.action == "duplicate.acknowledged").await;
    assert_eq!(row.gateway, first.id);
    assert!(row.detail.contains(&shown.duplicate_address), "{}", row.detail);
    acknowledge(shown.duplicate_unix_ms).await.expect("a lost answer is asked for again");

    let (_dialer, link) = dial(&core, &machine).await;
    greet(&link, Hello { instance: vec![8; 16].into(), ..hello() }).await.unwrap_err();
    let again = the_gateway(&admin).await;
    assert!(again.duplicate_unix_ms > shown.duplicate_unix_ms, "it came again");
    assert_eq!(
        code(&acknowledge(shown.duplicate_unix_ms).await.unwrap_err()),
        Code::Invalid,
        "the older one"
    );
    let kept = core.shared.store.gateways().await.unwrap();
    assert_eq!(kept[0].1.duplicate_unix_ms, again.duplicate_unix_ms);
}

#[tokio::test]
async fn a_new_run_of_the_daemon_takes_the_place_of_one_that_does_not_answer() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let dead = Arc::new(Seen::default());
    dead.is_silent.store(true, Ordering::Relaxed);
    let killed = FakeGateway::link_as(&core, &machine, hello(), dead).await;
    let again = Hello { instance: vec![9; 16].into(), ..hello() };
    let again = FakeGateway::link_as(&core, &machine, again, Arc::default()).await;
    assert!(again.welcome.epoch > killed.welcome.epoch);
    assert_eq!(killed.ended().await.code, Some(Code::Fenced));
    assert!(!core.audit().await.iter().any(|row| row.action == "link.duplicate"), "a restart is no alarm");
}

#[tokio::test]
async fn two_machines_that_take_turns_with_one_identity_raise_an_alarm() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let instance = |byte: u8| Hello { instance: vec![byte; 16].into(), ..hello() };
    for byte in [1, 2] {
        let turn = FakeGateway::link_as(&core, &machine, instance(byte), Arc::default()).await;
        turn.link.close(Code::Done, "switched off");
        core.audited(|row| row.action == "link.down").await;
        eventually("the link is gone", async || {
            core.shared.links.get(turn.id.parse().unwrap()).is_none().then_some(())
        })
        .await;
    }
    assert!(
        !core.audit().await.iter().any(|row| row.result() == Code::DuplicateIdentity),
        "a restart is none"
    );
    let _one = FakeGateway::link_as(&core, &machine, instance(1), Arc::default()).await;
    core.audited(|row| row.action == "link.duplicate" && row.result() == Code::DuplicateIdentity).await;
}

#[tokio::test]
async fn a_revoked_machine_is_told_closed_and_does_not_come_back() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut gateway = FakeGateway::link(&core, &machine).await;
    let request = FleetRevokeRequest { gateway: gateway.id.clone() };
    let shown = fleet(&admin).revoke(request).await.unwrap().into_inner().gateway.unwrap();
    assert_eq!(shown.link_state(), LinkState::Revoked);

    let end = tokio::time::timeout(Duration::from_secs(1), gateway.ended()).await.expect("within a second");
    assert_eq!(end.code, Some(Code::Revoked));
    assert!(matches!(gateway.news.recv().await, Some(core_control::Kind::Revoked(_))));

    let (_dialer, link) = dial(&core, &machine).await;
    assert_eq!(link.closed().await.code, Some(Code::Revoked));
    let refused = fleet(&core.channel(&machine)).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Revoked);
    core.audited(|row| row.action == "/chatcode.v1.Fleet/Revoke" && row.result() == Code::Unspecified).await;
    core.audited(|row| row.action == "gateway.revoked" && row.gateway == gateway.id).await;
}

#[tokio::test]
async fn a_hello_that_does_not_fit_is_refused_and_the_link_closed_with_its_code() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    for (hello, expected) in [
        (Hello { versions: vec![99], ..hello() }, Code::UnsupportedVersion),
        (Hello { versions: vec![], ..hello() }, Code::Invalid),
    ] {
        let (_dialer, link) = dial(&core, &machine).await;
        assert_eq!(code(&greet(&link, hello).await.unwrap_err()), expected);
        assert_eq!(link.closed().await.code, Some(expected));
    }
    let (_dialer, link) = dial(&core, &machine).await;
    let (_control, mut inbound) = greet(&link, hello()).await.unwrap();
    welcomed(&mut inbound).await;
    assert_eq!(code(&greet(&link, hello()).await.unwrap_err()), Code::Protocol, "one control stream");
}

#[tokio::test]
async fn a_link_serves_nothing_but_control() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let refused = fleet(&gateway.link.channel()).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::UnknownMethod);
}

#[tokio::test]
async fn a_link_without_a_hello_is_closed() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let (_dialer, link) = dial(&core, &machine).await;
    let end = tokio::time::timeout(limits::HELLO * 2, link.closed()).await.expect("in time");
    assert_eq!(end.code, Some(Code::Timeout));
}

#[tokio::test]
async fn a_machine_that_answers_no_heartbeat_is_given_up() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let seen = Arc::new(Seen::default());
    seen.is_silent.store(true, Ordering::Relaxed);
    let gateway = FakeGateway::link_as(&core, &machine, hello(), seen).await;
    let end = tokio::time::timeout(limits::LINK_SILENCE * 2, gateway.ended()).await.expect("in time");
    assert_eq!(end.code, Some(Code::Timeout));
}

#[tokio::test]
async fn drain_tells_machines_when_to_come_back() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut gateway = FakeGateway::link(&core, &machine).await;
    let told = operator(&admin).drain(AdminDrainRequest { retry_after_ms: 900_000 }).await.unwrap();
    assert_eq!(told.into_inner().links, 1);
    let Some(core_control::Kind::Drain(drain)) = gateway.news.recv().await else { panic!("not Drain") };
    assert_eq!(drain.retry_after_ms, 300_000, "cut to the longest");
    gateway.link.close(Code::Done, "as told");
    core.audited(|row| row.action == "link.down").await;
    let _again = FakeGateway::link(&core, &machine).await;
}

#[tokio::test]
async fn a_machine_renews_its_certificate_over_its_link() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut gateway = FakeGateway::link(&core, &machine).await;
    let key = Key::generate().unwrap();
    let request = RenewRequest { csr: csr::create(&key).unwrap().into() };
    let kind = Some(gateway_control::Kind::RenewRequest(request));
    gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    let Some(core_control::Kind::Renewed(renewed)) = gateway.news.recv().await else { panic!("not Renewed") };
    let chain = renewed.chain.iter().map(|der| der.to_vec().into()).collect();
    let renewed = chatcode_certs::Identity::new(key, chain, machine.roots().to_vec()).unwrap();
    assert_eq!(renewed.name(), machine.name());
    let hello = Hello { epoch: gateway.welcome.epoch, ..hello() };
    let _again = FakeGateway::link_as(&core, &renewed, hello, Arc::default()).await;
}

#[tokio::test]
async fn how_a_certificate_stands_is_shown_from_its_enrollment_over_renewals_and_refusals() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let ends = |identity: &chatcode_certs::Identity| identity.validity_unix_s().end * 1000;
    let enrolled = the_gateway(&admin).await.certificate.unwrap();
    assert_eq!(
        (enrolled.not_after_unix_ms, enrolled.renewed_unix_ms, enrolled.failures),
        (ends(&machine), 0, 0)
    );

    let gateway = FakeGateway::link(&core, &machine).await;
    let mut events = watch(&admin).await;
    let ask = async |csr: Vec<u8>| {
        let kind = Some(gateway_control::Kind::RenewRequest(RenewRequest { csr: csr.into() }));
        gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    };
    let stands = |fits: fn(&GatewayCertificate) -> bool| {
        move |event: &Event| match event {
            Event::GatewayChanged(gateway) => gateway.certificate.filter(fits),
            _ => None,
        }
    };
    ask(csr::create(&Key::generate().unwrap()).unwrap()).await;
    let renewed = event(&mut events, stands(|one| one.renewed_unix_ms != 0)).await;
    assert!(renewed.not_after_unix_ms >= enrolled.not_after_unix_ms);
    ask(b"no request".to_vec()).await;
    let refused = event(&mut events, stands(|one| one.failures != 0)).await;
    assert_eq!((refused.failures, refused.not_after_unix_ms), (1, renewed.not_after_unix_ms));
    let kept = core.shared.store.gateways().await.unwrap();
    assert_eq!(kept[0].1.certificate, Some(refused), "also after a restart");
}
