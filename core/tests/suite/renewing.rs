//! How edges and administrators renew, and who does not.

use chatcode_certs::{Identity, MachineKey};
use chatcode_core::config::Config;
use chatcode_link::{enroll, renew};
use chatcode_proto::pb::EnrollmentRenewRequest;
use chatcode_proto::pb::{Code, MemberKind, enrollment_client::EnrollmentClient};

use crate::common::{TestCore, code, config, eventually, operator};

fn address(core: &TestCore) -> String {
    core.bound.grpc.to_string()
}

#[tokio::test]
async fn edges_and_administrators_renew_by_the_certificate_that_they_have() {
    let core = TestCore::start().await;
    for kind in [MemberKind::Edge, MemberKind::Admin] {
        let before = core.enroll(kind, "member").await;
        let after = renew::renew(&address(&core), &before, None).await.unwrap();
        assert_eq!(after.name(), before.name());
        assert_ne!(after.serial(), before.serial());
        let who = before.name().to_string();
        core.audited(|row| row.action == "certificate.renewed" && row.principal == who).await;
        for identity in [&before, &after] {
            renew::renew(&address(&core), identity, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lives_are_those_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { edge_certificate_s: 600, admin_certificate_s: 700, ..config(folder.path()) };
    let core = TestCore::start_as(folder, config).await;
    let life = |identity: &Identity| identity.validity_unix_s().end - identity.validity_unix_s().start - 60;
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    assert_eq!((life(&edge), life(&core.enroll(MemberKind::Admin, "admin").await)), (600, 700));
    assert_eq!(life(&renew::renew(&address(&core), &edge, None).await.unwrap()), 600);
}

#[tokio::test]
async fn nobody_renews_without_a_certificate_or_as_a_gateway_or_for_a_person() {
    let core = TestCore::start().await;
    let asks = |channel| async move {
        code(&EnrollmentClient::new(channel).renew(EnrollmentRenewRequest::default()).await.unwrap_err())
    };
    assert_eq!(asks(core.anonymous()).await, Code::Unauthenticated);
    let gateway = core.enroll(MemberKind::Gateway, "machine").await;
    assert_eq!(asks(core.channel(&gateway)).await, Code::Invalid);
    let page = core.page().await;
    let call = page.request(EnrollmentRenewRequest::default());
    let status = EnrollmentClient::new(page.edge.clone()).renew(call).await.unwrap_err();
    assert_eq!(code(&status), Code::Forbidden);
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    assert_eq!(asks(core.channel(&edge)).await, Code::Invalid, "no signing request");
    let who = edge.name().to_string();
    let row = core.audited(|row| row.action.ends_with("/Renew") && row.principal == who).await;
    assert_eq!(row.result(), Code::Invalid);
}

#[tokio::test]
async fn a_connection_does_not_renew_by_a_certificate_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { edge_certificate_s: 5, ..config(folder.path()) };
    let core = TestCore::start_as(folder, config).await;
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    let client = EnrollmentClient::new(core.channel(&edge));
    // The same connection all the time.
    eventually("the end of the certificate", async || {
        let status = client.clone().renew(EnrollmentRenewRequest::default()).await.unwrap_err();
        (code(&status) == Code::Unauthenticated).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_edge_that_slept_past_its_certificate_is_revived_and_an_administrator_is_not() {
    let core = TestCore::start().await;
    for (kind, is_revived) in [(MemberKind::Edge, true), (MemberKind::Admin, false)] {
        let (token, key) = (core.token(kind).await, MachineKey::generate().unwrap());
        let (member, _) = enroll::enroll(&address(&core), &token, "member", Some(&key)).await.unwrap();
        let revived = renew::revive(&address(&core), &member, &key).await;
        assert_eq!(revived.is_ok(), is_revived, "{kind:?}");
        if let Ok(revived) = revived {
            assert_eq!(revived.name(), member.name());
            let who = member.name().to_string();
            core.audited(|row| row.action == "edge.revived" && row.principal == who).await;
        }
    }
}

#[tokio::test]
async fn an_edge_enrolled_before_edges_had_a_durable_key_tells_it_at_a_renewal_once() {
    let core = TestCore::start().await;
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    let (first, second) = (MachineKey::generate().unwrap(), MachineKey::generate().unwrap());
    assert!(renew::revive(&address(&core), &edge, &first).await.is_err());
    for key in [&first, &second] {
        renew::renew(&address(&core), &edge, Some(key)).await.unwrap();
    }
    assert!(renew::revive(&address(&core), &edge, &second).await.is_err());
    renew::revive(&address(&core), &edge, &first).await.unwrap();
}

#[tokio::test]
async fn the_core_renews_its_own_certificate_and_no_connection_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { core_certificate_s: 5, ..config(folder.path()) };
    let core = TestCore::start_as(folder, config).await;
    let (stands, before) = (core.admin().await, core.shared.own.identity());
    operator(&stands).status(chatcode_proto::pb::AdminStatusRequest {}).await.unwrap();
    let after = eventually("the renewal", async || {
        let now = core.shared.own.identity();
        (now.serial() != before.serial()).then_some(now)
    })
    .await;
    assert_eq!(after.name(), before.name());
    operator(&stands).status(chatcode_proto::pb::AdminStatusRequest {}).await.unwrap();
    operator(&core.admin().await).status(chatcode_proto::pb::AdminStatusRequest {}).await.unwrap();
}
