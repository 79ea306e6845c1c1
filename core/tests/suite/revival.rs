//! How a machine comes back whose certificate has ended, and who does not.

use chatcode_certs::{Identity, Key, MachineKey, Peer, csr};
use chatcode_core::{caller::Standing, listener::standing};
use chatcode_link::{
    enroll::{self, EnrollError},
    renew,
};
use chatcode_proto::{
    limits,
    pb::{
        AdminStatusRequest, AdminStatusResponse, Code, EnrollmentReviveRequest, FleetRevokeRequest,
        GatewayControl, MemberKind, RenewRequest, core_control, enrollment_client::EnrollmentClient,
        gateway_control,
    },
};

use crate::{
    common::{TestCore, code, config, fleet, operator},
    gateway::{FakeGateway, dial},
};

const ACTION: &str = "gateway.revived";

async fn machine(core: &TestCore) -> (Identity, MachineKey) {
    let (token, key) = (core.token(MemberKind::Gateway).await, MachineKey::generate().unwrap());
    let core = core.bound.grpc.to_string();
    (enroll::enroll(&core, &token, "machine", Some(&key)).await.unwrap().0, key)
}

async fn revive(core: &TestCore, identity: &Identity, key: &MachineKey) -> Result<Identity, Code> {
    renew::revive(&core.bound.grpc.to_string(), identity, key)
        .await
        .map_err(|error: EnrollError| error.code())
}

#[tokio::test]
async fn a_machine_is_revived_by_its_own_key_and_links_with_the_new_certificate() {
    let core = TestCore::start().await;
    let (identity, key) = machine(&core).await;
    let revived = revive(&core, &identity, &key).await.unwrap();
    assert_eq!(revived.name(), identity.name());
    assert_ne!(revived.serial(), identity.serial());
    let gateway = FakeGateway::link(&core, &revived).await;
    let row = core.audited(|row| row.action == ACTION).await;
    assert_eq!((row.result(), row.gateway), (Code::Done, gateway.id.clone()));
}

#[tokio::test]
async fn nobody_else_is_revived_and_outside_all_of_them_look_the_same() {
    let core = TestCore::start().await;
    let (identity, key) = machine(&core).await;
    let (other, other_key) = machine(&core).await;
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    let keyless = core.enroll(MemberKind::Gateway, "keyless").await;
    for (identity, key, detail) in [
        (&identity, &other_key, "wrong proof"),
        (&other, &key, "wrong proof"),
        (&edge, &key, "unknown"),
        (&keyless, &key, "unknown"),
    ] {
        assert_eq!(revive(&core, identity, key).await.unwrap_err(), Code::BadToken);
        core.audited(|row| row.action == ACTION && row.detail == detail && row.principal == "anonymous")
            .await;
    }
    let mut client = EnrollmentClient::new(core.anonymous());
    let garbage = EnrollmentReviveRequest {
        member: "x".to_owned(),
        csr: vec![1; 99].into(),
        proof: vec![2; 999].into(),
    };
    assert_eq!(code(&client.revive(garbage).await.unwrap_err()), Code::BadToken);
    assert!(revive(&core, &identity, &key).await.is_ok());
}

#[tokio::test]
async fn a_machine_that_leaves_revokes_itself_and_nobody_else() {
    let core = TestCore::start().await;
    let (identity, key) = machine(&core).await;
    let (other, other_key) = machine(&core).await;
    let address = core.bound.grpc.to_string();
    for (identity, key) in [(&identity, &other_key), (&other, &key)] {
        let refused = enroll::leave(&address, identity, key).await.unwrap_err();
        assert_eq!(refused.code(), Code::BadToken);
        core.audited(|row| row.action == "gateway.left" && row.detail == "wrong proof").await;
    }
    let gateway = FakeGateway::link(&core, &identity).await;
    enroll::leave(&address, &identity, &key).await.unwrap();
    let row = core.audited(|row| row.action == "gateway.left" && row.result() == Code::Done).await;
    assert_eq!(row.gateway, gateway.id);
    assert_eq!(revive(&core, &identity, &key).await.unwrap_err(), Code::Revoked);
    enroll::leave(&address, &identity, &key).await.expect("it has left already");
    assert!(revive(&core, &other, &other_key).await.is_ok(), "the other one is still there");
}

#[tokio::test]
async fn an_edge_has_a_durable_key_and_does_not_leave_by_it() {
    let core = TestCore::start().await;
    let (token, key) = (core.token(MemberKind::Edge).await, MachineKey::generate().unwrap());
    let address = core.bound.grpc.to_string();
    let (edge, _) = enroll::enroll(&address, &token, "edge", Some(&key)).await.unwrap();
    let refused = enroll::leave(&address, &edge, &key).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadToken);
    core.audited(|row| row.action == "gateway.left" && row.detail == "no gateway").await;
    assert!(revive(&core, &edge, &key).await.is_ok(), "it is still there");
}

#[tokio::test]
async fn a_revoked_machine_hears_that_there_is_no_way_back() {
    let core = TestCore::start().await;
    let (identity, key) = machine(&core).await;
    let gateway = identity.name().id().to_string();
    fleet(&core.admin().await).revoke(FleetRevokeRequest { gateway }).await.unwrap();
    assert_eq!(revive(&core, &identity, &key).await.unwrap_err(), Code::Revoked);
    core.audited(|row| row.action == ACTION && row.detail == "revoked").await;
}

#[tokio::test]
async fn nobody_is_revived_again_and_again() {
    let core = TestCore::start().await;
    let (identity, key) = machine(&core).await;
    let mut refused = None;
    for _ in 0..10 {
        refused = refused.or(revive(&core, &identity, &key).await.err());
    }
    assert_eq!(refused, Some(Code::RateLimited));
}

#[tokio::test]
async fn a_certificate_that_the_core_has_forgotten_is_refused_but_not_for_ever() {
    let core = TestCore::start().await;
    let (mut newest, key) = machine(&core).await;
    let mut all = vec![newest.clone()];
    for _ in 0..limits::CERTIFICATES_OF_MEMBER {
        newest = renewed(&core, &newest).await;
        all.push(newest.clone());
    }
    let mut forgotten = Vec::new();
    for identity in all {
        let peer = Peer::from_chain(identity.chain()).unwrap();
        if matches!(standing(&core.shared, &peer).await.unwrap(), Standing::Unknown) {
            forgotten.push(identity);
        }
    }
    assert_eq!(forgotten.len(), 1);
    let (_dialer, link) = dial(&core, &forgotten[0]).await;
    assert_eq!(link.closed().await.code, Some(Code::Unauthenticated));
    let _gateway = FakeGateway::link(&core, &revive(&core, &forgotten[0], &key).await.unwrap()).await;
}

/// Renews over a link of its own.
async fn renewed(core: &TestCore, identity: &Identity) -> Identity {
    let mut gateway = FakeGateway::link(core, identity).await;
    let key = Key::generate().unwrap();
    let request = RenewRequest { csr: csr::create(&key).unwrap().into() };
    let kind = Some(gateway_control::Kind::RenewRequest(request));
    gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    let Some(core_control::Kind::Renewed(answer)) = gateway.news.recv().await else { panic!("not Renewed") };
    let trust = renew::trust(answer.trust.as_ref());
    identity.renewed(key, enroll::certificates(&answer.chain), &trust).unwrap()
}

#[tokio::test]
async fn a_refused_renewal_is_told_to_the_gateway_the_audit_and_the_count() {
    let core = TestCore::start().await;
    let identity = core.enroll(MemberKind::Gateway, "machine").await;
    let mut gateway = FakeGateway::link(&core, &identity).await;
    let request = RenewRequest { csr: b"no request".to_vec().into() };
    let kind = Some(gateway_control::Kind::RenewRequest(request));
    gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    let Some(core_control::Kind::RenewRefused(refused)) = gateway.news.recv().await else {
        panic!("not told")
    };
    assert_eq!(
        (refused.code(), refused.message.as_str()),
        (Code::Invalid, "the signing request cannot be read")
    );
    let row = core.audited(|row| row.action == "link.renew").await;
    assert_eq!(
        (row.result(), row.detail.as_str(), &row.gateway),
        (Code::Invalid, refused.message.as_str(), &gateway.id)
    );
    let status = operator(&core.admin().await).status(AdminStatusRequest {}).await.unwrap().into_inner();
    let name = identity.name().to_string();
    let age =
        |status: &AdminStatusResponse| status.members.iter().find(|one| one.member == name).cloned().unwrap();
    assert_eq!((age(&status).failures, age(&status).renewed_unix_ms), (1, 0));

    gateway.link.close(Code::Done, "gone");
    let _renewed = renewed(&core, &identity).await;
    let status = operator(&core.admin().await).status(AdminStatusRequest {}).await.unwrap().into_inner();
    let age = age(&status);
    assert!(
        age.failures == 0 && age.renewed_unix_ms > 0 && age.not_after_unix_ms > age.renewed_unix_ms,
        "{age:?}"
    );
}

#[tokio::test]
async fn a_link_does_not_outlive_a_certificate_that_is_not_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let config = chatcode_core::config::Config { gateway_certificate_s: 5, ..config(folder.path()) };
    let core = TestCore::start_as(folder, config).await;
    let gateway = FakeGateway::link(&core, &core.enroll(MemberKind::Gateway, "machine").await).await;
    assert_eq!(gateway.link.closed().await.code, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_life_that_no_certificate_may_have_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    // An operator's from five minutes on; seconds only where the core is a test's.
    for (short_lives, lives) in [(false, [0, 299, 7 * 24 * 3600 + 1]), (true, [0, 4, 7 * 24 * 3600 + 1])] {
        for gateway_certificate_s in lives {
            let config = config(folder.path());
            let config = chatcode_core::config::Config { gateway_certificate_s, short_lives, ..config };
            let error = chatcode_core::Core::build(config).await.unwrap_err().to_string();
            assert!(error.contains("gateway_certificate_s"), "{error}");
        }
    }
    let least = chatcode_core::config::Config::new(folder.path()).lives();
    assert_eq!(least.map(|(_, _, range)| *range.start()), [300, 300, 300, 300, 24 * 3600]);
}
