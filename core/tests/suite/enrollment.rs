//! How machines and programs become members, and who does not.

use std::time::Duration;

use chatcode_certs::{Authority, JoinToken, Key, MemberName, Peer, csr, tls};
use chatcode_core::{
    caller::Standing,
    listener::standing,
    services::tokens::{TokenWish, create_token},
    store::{
        audit::Entry,
        tokens::{NewToken, Terms},
    },
};
use chatcode_link::{enroll, tcp};
use chatcode_proto::{
    id::MemberId,
    pb::{
        Code, EnrollmentEnrollRequest, EnrollmentEnrollResponse, FleetListRequest, MemberKind,
        enrollment_client::EnrollmentClient,
    },
};
use tonic::Status;

use crate::common::{TestCore, code, fleet};

const ENROLL: &str = "/chatcode.v1.Enrollment/Enroll";

fn request(token: &JoinToken, key: &Key) -> EnrollmentEnrollRequest {
    EnrollmentEnrollRequest {
        token_id: token.id().to_owned(),
        token_secret: token.secret().expose_bytes().to_vec().into(),
        csr: csr::create(key).unwrap().into(),
        name: "machine".to_owned(),
        ..Default::default()
    }
}

async fn ask(core: &TestCore, request: EnrollmentEnrollRequest) -> Result<EnrollmentEnrollResponse, Status> {
    let mut client = EnrollmentClient::new(core.anonymous());
    client.enroll(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_token_enrolls_one_machine_and_shows_it_in_the_fleet() {
    let core = TestCore::start().await;
    let token = core.token(MemberKind::Gateway).await;
    let (identity, answer) =
        enroll::enroll(&core.bound.grpc.to_string(), &token, "machine", None).await.unwrap();
    assert_eq!(answer.link_port, u32::from(core.bound.link.port()));

    let all =
        fleet(&core.admin().await).list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id.clone(), all[0].name.as_str()), (identity.name().id().to_string(), "machine"));
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_again_and_another_key_gets_none() {
    let core = TestCore::start().await;
    let token = core.token(MemberKind::Edge).await;
    let key = Key::generate().unwrap();
    let first = ask(&core, request(&token, &key)).await.unwrap();
    assert_eq!(ask(&core, request(&token, &key)).await.unwrap(), first);

    let refused = ask(&core, request(&token, &Key::generate().unwrap())).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadToken);
    core.audited(|row| row.action == ENROLL && row.detail == "other key").await;
}

#[tokio::test]
async fn every_failure_looks_the_same_outside_and_is_told_apart_in_the_audit() {
    let core = TestCore::start().await;
    let key = Key::generate().unwrap();
    let pin = core.shared.authority.root_pin();

    let expired = JoinToken::generate(pin);
    let row = NewToken {
        id: expired.id().to_owned(),
        secret_hash: expired.secret_hash(),
        terms: Terms {
            kind: MemberKind::Gateway,
            name: String::new(),
            labels: chatcode_proto::label::Labels::new(),
            approval: false,
        },
        uses: 1,
        network: None,
        expires_ms: chatcode_core::clock::unix_ms() - 1,
    };
    core.shared.store.add_join_token(&row, &Entry::new("test", "token.created")).await.unwrap();
    let good = core.token(MemberKind::Gateway).await;
    let mut wrong_secret = request(&good, &key);
    wrong_secret.token_secret = vec![0; 32].into();
    let mut bad_csr = request(&good, &key);
    bad_csr.csr = vec![0x30; 10].into();

    let mut outside = Vec::new();
    for (request, detail) in [
        (request(&JoinToken::generate(pin), &key), "unknown"),
        (request(&expired, &key), "expired"),
        (wrong_secret, "wrong secret"),
        (bad_csr, "bad request: the signing request cannot be read"),
    ] {
        let status = ask(&core, request).await.unwrap_err();
        outside.push((code(&status), status.code(), status.message().to_owned()));
        let row = core.audited(|row| row.action == ENROLL && row.detail == detail).await;
        assert_eq!((row.result(), row.principal.as_str()), (Code::BadToken, "anonymous"));
    }
    outside.dedup();
    assert_eq!(outside.len(), 1, "{outside:?}");
    assert!(ask(&core, request(&good, &key)).await.is_ok(), "the good token was not burnt by the others");
}

#[tokio::test]
async fn a_hundred_at_once_make_one_member() {
    let core = TestCore::start().await;
    let token = core.token(MemberKind::Gateway).await;
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let mut client = EnrollmentClient::new(core.anonymous());
            let request = request(&token, &Key::generate().unwrap());
            tokio::spawn(async move { client.enroll(request).await })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => assert_eq!(code(&status), Code::BadToken),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn too_many_enrollments_from_one_address_are_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let config = chatcode_core::config::Config::new(folder.path().join("core"));
    let core = chatcode_core::Core::build(config).await.unwrap();
    let (bound, shared) = (core.bound().clone(), core.shared().clone());
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(core.run(stop.clone()));
    let tls = tls::pinned_client(shared.authority.root_pin());
    let mut client = EnrollmentClient::new(tcp::channel(&bound.grpc.to_string(), tls, tls::UNKNOWN_CORE));
    let mut codes = Vec::new();
    for _ in 0..=chatcode_proto::limits::ENROLL_PER_MINUTE {
        codes.push(code(&client.enroll(EnrollmentEnrollRequest::default()).await.unwrap_err()));
    }
    assert_eq!(codes.pop(), Some(Code::RateLimited));
    assert!(codes.iter().all(|code| *code == Code::BadToken), "{codes:?}");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_member_of_another_installation_is_refused() {
    let core = TestCore::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&elsewhere.path().join("ca")).unwrap();
    let mine = core.enroll(MemberKind::Admin, "operator").await;
    // The same name, signed by another authority.
    let foreign = authority.identity(mine.name(), Duration::from_secs(3600)).unwrap();
    // It trusts our core, and shows the foreign certificate.
    let tls = |identity| tls::core_client(identity, &[tls::H2_ALPN]).unwrap();
    let mut mixed = (*tls(&mine)).clone();
    mixed.client_auth_cert_resolver = tls(&foreign).client_auth_cert_resolver.clone();
    let address = core.bound.grpc.to_string();
    let channel = tcp::channel(&address, mixed.into(), &mine.trust_domain().core_dns());
    let refused = fleet(&channel).list(FleetListRequest::default()).await.unwrap_err();
    let refusal = chatcode_link::exit::refusal(&refused, Code::CoreUnreachable);
    // Whether its alert or the end comes first is the network's choice.
    let by_core = ["alert", "closed", "reset", "broken pipe"];
    assert!(by_core.iter().any(|end| refusal.message.to_lowercase().contains(end)), "{refusal:?}");
    fleet(&core.channel(&mine)).list(FleetListRequest::default()).await.unwrap();
    let peer = Peer::from_chain(foreign.chain()).unwrap();
    assert!(matches!(standing(&core.shared, &peer).await.unwrap(), Standing::Unknown));
}

#[tokio::test]
async fn a_certificate_that_is_not_on_the_allow_list_is_told_so_and_no_more() {
    let core = TestCore::start().await;
    let name = MemberName::Admin(MemberId::from_random([9; 16]));
    // Signed by our own authority, as a stolen CA key would.
    let unlisted = core.shared.authority.identity(&name, Duration::from_secs(3600)).unwrap();
    let channel = core.channel(&unlisted);
    assert_eq!(
        code(&fleet(&channel).list(FleetListRequest::default()).await.unwrap_err()),
        Code::Unauthenticated
    );
    let public = EnrollmentClient::new(channel).enroll(EnrollmentEnrollRequest::default()).await;
    assert_eq!(code(&public.unwrap_err()), Code::Unauthenticated);
}

#[tokio::test]
async fn a_token_for_a_name_that_a_machine_has_is_not_made_until_that_one_is_revoked() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "vm").await;
    let make = async || {
        let wish = TokenWish { name: "vm".to_owned(), ..TokenWish::default() };
        let act = Entry::new("test", "token.created");
        create_token(&core.shared.store, &core.shared.authority, &wish, &act).await
    };
    let refused = make().await.unwrap_err();
    assert_eq!(refused.code, Code::Invalid);
    assert!(refused.message.contains("a gateway called vm"), "{}", refused.message);
    let act = Entry::new("test", "gateway.revoked");
    core.shared.store.revoke_gateway(machine.name().id(), &act).await.unwrap();
    make().await.unwrap();
}

#[tokio::test]
async fn the_life_of_a_token_has_bounds() {
    let core = TestCore::start().await;
    for ttl_s in [1, 59, 86_401] {
        let wish = TokenWish { ttl_s, ..TokenWish::default() };
        let act = Entry::new("test", "token.created");
        let refused = create_token(&core.shared.store, &core.shared.authority, &wish, &act).await;
        assert_eq!(refused.unwrap_err().code, Code::Invalid);
    }
}
