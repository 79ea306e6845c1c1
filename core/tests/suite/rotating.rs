//! A rotation of the CA as an operator makes it, and those that the core makes.

use std::{collections::HashSet, sync::Mutex};

use chatcode_certs::{
    CaCertificate, CaOptions, Identity, MachineKey, Passphrase, export_root, sign_intermediate,
};
use chatcode_core::{
    Core,
    config::Config,
    services::tokens::{TokenWish, create_token},
    store::{audit::Entry, people::Changer},
};
use chatcode_link::{enroll, renew};
use chatcode_proto::{
    code::Refusal,
    limits,
    pb::{
        AdminCaImportRequest, AdminCaRequestRequest, AdminCaRotateRequest, AdminCaStatusRequest,
        AdminCaStatusResponse, CaPart, CaStep, CaUse, Code, GatewayControl, MemberKind, Trusts, core_control,
        gateway_control,
    },
};
use tonic::{Status, transport::Channel};

use crate::{
    common::{TestCore, code, config, eventually, operator},
    gateway::FakeGateway,
};

async fn rotate(admin: &Channel, part: CaPart, step: CaStep, force: bool) -> Result<(), Status> {
    let request = AdminCaRotateRequest { part: part.into(), step: step.into(), force };
    operator(admin).ca_rotate(request).await.map(|_| ())
}

async fn status(admin: &Channel) -> AdminCaStatusResponse {
    operator(admin).ca_status(AdminCaStatusRequest {}).await.unwrap().into_inner()
}

async fn follow(core: &TestCore, identity: &Identity) -> Identity {
    let follows = renew::follow(&core.bound.grpc.to_string(), identity).await.unwrap();
    follows.unwrap_or_else(|| identity.clone())
}

fn names(members: &[chatcode_proto::pb::CaMember]) -> Vec<&str> {
    members.iter().map(|member| member.name.as_str()).collect()
}

#[tokio::test]
async fn a_root_is_rotated_when_every_member_follows_and_not_before() {
    let core = TestCore::start().await;
    let operator = core.enroll(MemberKind::Admin, "operator").await;
    let admin = core.channel(&operator);
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let mut gateway = FakeGateway::link(&core, &machine).await;
    let token = core.token(MemberKind::Gateway).await;
    rotate(&admin, CaPart::Root, CaStep::Prepare, false).await.unwrap();

    // The live link is told at once, and what it says counts.
    let Some(core_control::Kind::Trust(told)) = gateway.news.recv().await else { panic!("not told") };
    let follows = machine.trusting(&renew::trust(Some(&told))).unwrap().unwrap();
    assert_eq!(follows.pins(), core.shared.authority.root_pins());
    let refused = rotate(&admin, CaPart::Root, CaStep::Activate, false).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    let words = Refusal::from(&refused).message;
    assert!(words.contains("machine") && words.contains("edge") && words.contains("operator"), "{words}");
    let kind = Some(gateway_control::Kind::Trusts(Trusts { pins: renew::pins(&follows) }));
    gateway.outbound.send(GatewayControl { kind }).await.unwrap();
    eventually("the machine follows", async || {
        (!names(&status(&admin).await.waiting).contains(&"machine")).then_some(())
    })
    .await;
    let (edge, operator) = (follow(&core, &edge).await, follow(&core, &operator).await);
    let now = status(&admin).await;
    assert_eq!((now.members, now.confirmed, now.waiting), (3, 3, vec![]));

    rotate(&admin, CaPart::Root, CaStep::Activate, false).await.unwrap();
    let refused = rotate(&admin, CaPart::Root, CaStep::Retire, false).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert_eq!(status(&admin).await.depending.len(), 3);
    // A token of before is good until the old root is retired, and holds that up.
    assert!(status(&admin).await.tokens_until_unix_ms > 0);
    let address = core.bound.grpc.to_string();
    let (late, _) = enroll::enroll(&address, &token, "late", None).await.unwrap();
    assert_eq!(late.pins(), core.shared.authority.root_pins());

    rotate(&admin, CaPart::Root, CaStep::Retire, true).await.unwrap();
    let now = status(&admin).await;
    assert_eq!((now.depending.len(), now.certificates.len()), (0, 2));
    for forgotten in [&edge, &operator] {
        let refused = renew::renew(&address, forgotten, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    }
    renew::renew(&address, &late, None).await.unwrap_err();
    let shown = core.shared.hub.gateway(machine.name().id().into()).unwrap();
    assert_eq!(shown.certificate.unwrap().not_after_unix_ms, 0, "people see that it has none any more");
    let rows: Vec<_> = core.audit().await.into_iter().filter(|row| row.action == "ca.rotated").collect();
    let said: Vec<_> = rows.iter().rev().map(|row| row.detail.as_str()).collect();
    assert_eq!(said, ["root prepared", "root activated", "root retired by force"]);
}

#[tokio::test]
async fn a_token_holds_a_root_up_as_long_as_it_may_be_shown() {
    let core = TestCore::start().await;
    let store = &core.shared.store;
    assert_eq!(store.tokens_until().await.unwrap(), 0);
    let act = Entry::new("test", "token.created");
    let of = |approval| TokenWish { kind: MemberKind::Gateway, approval, ..TokenWish::default() };
    let authority = &core.shared.authority;
    create_token(store, authority, &of(false), &act).await.unwrap();
    let plain = store.tokens_until().await.unwrap();
    // Shown at its last moment, it still has the time that a person has.
    let (waits, _) = create_token(store, authority, &of(true), &act).await.unwrap();
    let hour = u64::try_from(limits::APPROVAL.as_millis()).unwrap();
    assert!(store.tokens_until().await.unwrap() >= plain + hour);
    let by = Changer { act, manages_owners: true };
    store.revoke_token(waits.id(), &by).await.expect("it was there");
    assert_eq!(store.tokens_until().await.unwrap(), plain);
}

#[tokio::test]
async fn a_machine_that_slept_through_a_whole_rotation_comes_back_by_its_durable_key() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let (token, key) = (core.token(MemberKind::Gateway).await, MachineKey::generate().unwrap());
    let address = core.bound.grpc.to_string();
    let (asleep, _) = enroll::enroll(&address, &token, "laptop", Some(&key)).await.unwrap();
    for step in [CaStep::Prepare, CaStep::Activate, CaStep::Retire] {
        rotate(&admin, CaPart::Root, step, true).await.unwrap();
    }
    let revived = renew::revive(&address, &asleep, &key).await.unwrap();
    assert_eq!((revived.name(), revived.pins()), (asleep.name(), core.shared.authority.root_pins()));
    let gateway = FakeGateway::link(&core, &revived).await;
    let told = renew::trust(gateway.welcome.trust.as_ref());
    assert!(revived.trusting(&told).unwrap().is_none());
}

#[tokio::test]
async fn a_step_that_makes_no_sense_is_refused_and_changes_nothing() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let before = status(&admin).await;
    for (part, step) in [
        (CaPart::Root, CaStep::Activate),
        (CaPart::Root, CaStep::Retire),
        (CaPart::Root, CaStep::RollBack),
        (CaPart::Intermediate, CaStep::Activate),
        (CaPart::Intermediate, CaStep::Retire),
        (CaPart::Intermediate, CaStep::RollBack),
        (CaPart::Unspecified, CaStep::Prepare),
        (CaPart::Root, CaStep::Unspecified),
    ] {
        for force in [false, true] {
            let refused = rotate(&admin, part, step, force).await.unwrap_err();
            assert_eq!(code(&refused), Code::Invalid, "{part:?} {step:?}");
        }
    }
    assert_eq!(status(&admin).await, before);
}

#[tokio::test]
async fn the_core_rotates_its_intermediates_and_forgets_those_that_nobody_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway_certificate_s, admin_certificate_s) = (5, 5);
    let config = Config {
        intermediate_s: 10,
        core_certificate_s: 5,
        gateway_certificate_s,
        admin_certificate_s,
        edge_certificate_s: 5,
        ..config(folder.path())
    };
    let core = TestCore::start_as(folder, config).await;
    let certificates = || core.shared.authority.view().unwrap().certificates;
    let active = || {
        let is_active = |one: &CaCertificate| one.part == CaPart::Intermediate && one.used == CaUse::Active;
        certificates().into_iter().find(is_active).unwrap().pin
    };
    let seen = Mutex::new(HashSet::from([active()]));
    eventually("three generations", async || {
        // Whatever is enrolled meanwhile is good.
        core.enroll(MemberKind::Gateway, "machine").await;
        let mut seen = seen.lock().unwrap();
        seen.insert(active());
        (seen.len() >= 3).then_some(())
    })
    .await;
    eventually("old intermediates go", async || (certificates().len() <= 4).then_some(())).await;
    core.audited(|row| row.action == "ca.rotated" && row.detail == "intermediate retired").await;
}

#[tokio::test]
async fn an_intermediate_is_signed_elsewhere_when_the_root_is_kept_there() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let file = core.folder.path().join("root-offline");
    export_root(&core.folder.path().join("core/ca"), &file, true).unwrap();
    let refused = rotate(&admin, CaPart::Intermediate, CaStep::Prepare, false).await.unwrap_err();
    assert!(Refusal::from(&refused).message.contains("chatcode admin ca request"), "{refused}");
    let csr = operator(&admin).ca_request(AdminCaRequestRequest {}).await.unwrap().into_inner().csr;
    assert!(status(&admin).await.requested);
    let made = sign_intermediate(&file, None, &csr).unwrap();
    let wrong = AdminCaImportRequest { certificate: b"no certificate".to_vec().into() };
    assert_eq!(code(&operator(&admin).ca_import(wrong).await.unwrap_err()), Code::Invalid);
    let request = AdminCaImportRequest { certificate: made.to_vec().into() };
    operator(&admin).ca_import(request).await.unwrap();
    rotate(&admin, CaPart::Intermediate, CaStep::Activate, false).await.unwrap();
    assert_eq!(core.enroll(MemberKind::Edge, "edge").await.chain()[1], made);
}

#[tokio::test]
async fn with_a_passphrase_the_core_starts_only_with_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    chatcode_certs::files::write_private(&file, b"correct horse").unwrap();
    let with = |ca_passphrase_file| Config { ca_passphrase_file, ..config(folder.path()) };
    // Kept in the clear first: encrypted when a passphrase is configured.
    drop(Core::build(with(None)).await.unwrap());
    drop(Core::build(with(Some(file.clone()))).await.unwrap());
    let ca = folder.path().join("core/ca");
    let key = std::fs::read_to_string(ca.join("root.key")).unwrap();
    assert!(key.contains("ENCRYPTED"), "{key}");
    let (store, authority) = chatcode_core::open_existing(&folder.path().join("core")).await.unwrap();
    store.close().await;
    let words = |error: &dyn std::error::Error| {
        std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .collect::<String>()
    };
    let error = Core::build(with(None)).await.unwrap_err();
    assert!(words(&error).contains("ca_passphrase_file"), "{}", words(&error));
    chatcode_certs::files::write_private(&file, b"battery staple").unwrap();
    let error = Core::build(with(Some(file.clone()))).await.unwrap_err();
    assert!(words(&error).contains("not the one"), "{}", words(&error));
    chatcode_certs::files::write_private(&file, b"correct horse").unwrap();
    let options = CaOptions { passphrase: Some(Passphrase::read(&file).unwrap()), ..CaOptions::default() };
    let again = chatcode_certs::Authority::open_or_create_with(&ca, options).unwrap();
    assert_eq!(again.root_pin(), authority.root_pin());
}
