//! Calls on machines: what reaches them, what does not, and when they end.

use std::time::Duration;

use chatcode_proto::{
    id::{GatewayId, SessionId},
    limits, metadata,
    pb::{
        AdminStatusRequest, ClientFrame, Code, FleetRevokeRequest, MemberKind, Ping, Role,
        SessionsCreateRequest, SessionsEndRequest, SessionsGetRequest, SessionsListRequest,
        SessionsRenameRequest, client_frame, server_frame, sessions_client::SessionsClient,
        terminal_client::TerminalClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;

use crate::{
    common::{TestCore, aim, aimed, code, eventually, fleet, operator},
    gateway::{FakeGateway, session},
};

fn session_id() -> String {
    SessionId::from_random([3; 16]).to_string()
}

fn ping(stamp: u64) -> ClientFrame {
    ClientFrame { kind: Some(client_frame::Kind::Ping(Ping { stamp })) }
}

#[tokio::test]
async fn a_unary_call_reaches_the_machine_with_a_grant_and_its_refusal_comes_back() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    gateway.seen.sessions.lock().unwrap().push(session(1, "shell"));
    let page = core.page().await;

    let mut request = page.request(SessionsListRequest {});
    aim(&mut request, &gateway.id, "");
    let list = SessionsClient::new(page.edge.clone()).list(request).await.unwrap().into_inner();
    assert_eq!(list.sessions[0].name, "shell");
    let grant = gateway.seen.grants.lock().unwrap().pop().unwrap();
    assert!(grant.principal.starts_with("person/") && grant.display_name == "Owner", "{grant:?}");
    assert_eq!((grant.role(), grant.session.as_str()), (Role::Writer, ""));
    assert_eq!(grant.request_id.len(), 32);

    let request = aimed(SessionsGetRequest {}, &gateway.id, &session_id());
    let refused = SessionsClient::new(core.admin().await).get(request).await.unwrap_err();
    assert_eq!((code(&refused), refused.message()), (Code::UnknownSession, "not here"));
    let grant = gateway.seen.grants.lock().unwrap().pop().unwrap();
    assert_eq!(grant.session, session_id());
}

#[tokio::test]
async fn forged_metadata_never_reaches_the_machine() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let page = core.page().await;

    let mut request = page.request(SessionsListRequest {});
    aim(&mut request, &gateway.id, "");
    let map = request.metadata_mut();
    map.insert_bin(metadata::GRANT, MetadataValue::from_bytes(b"forged"));
    map.append_bin(metadata::GRANT, MetadataValue::from_bytes(b"forged twice"));
    map.insert(metadata::SESSION, session_id().parse().unwrap());
    map.insert("chatcode-role", MetadataValue::from_static("root"));
    map.insert("cookie", MetadataValue::from_static("a=b"));
    map.insert("x-forwarded-for", MetadataValue::from_static("192.0.2.1"));
    map.insert("x-kept", MetadataValue::from_static("yes"));
    SessionsClient::new(page.edge.clone()).list(request).await.unwrap();

    let seen = gateway.seen.metadata.lock().unwrap().pop().unwrap();
    let mut ours: Vec<_> = seen.keys().filter(|name| name.starts_with("chatcode-")).cloned().collect();
    ours.sort();
    assert_eq!(ours, [metadata::GATEWAY, metadata::GRANT]);
    for gone in ["authorization", "cookie", "origin", "x-forwarded-for"] {
        assert!(!seen.contains_key(gone), "{gone} in {seen:?}");
    }
    assert_eq!(seen.get("x-kept").map(String::as_str), Some("yes"));
    let grants = gateway.seen.grants.lock().unwrap();
    assert_eq!(grants.len(), 1, "the forged one would not even decode");
}

#[tokio::test]
async fn an_attachment_flows_both_ways_and_is_counted_and_audited() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let admin = core.admin().await;

    let (frames, outgoing) = mpsc::channel(4);
    frames.send(ping(1)).await.unwrap();
    let request = aimed(ReceiverStream::new(outgoing), &gateway.id, &session_id());
    let mut answers = TerminalClient::new(admin.clone()).attach(request).await.unwrap().into_inner();
    for stamp in 1..100 {
        let frame = answers.message().await.unwrap().unwrap();
        assert!(matches!(frame.kind, Some(server_frame::Kind::Pong(pong)) if pong.stamp == stamp));
        frames.send(ping(stamp + 1)).await.unwrap();
    }
    let calls = || async { operator(&admin).status(AdminStatusRequest {}).await.unwrap().into_inner().calls };
    assert_eq!(calls().await, 1);
    let row = core.audited(|row| row.action == metadata::ATTACH).await;
    assert_eq!((row.gateway, row.session), (gateway.id.clone(), session_id()));
    drop((frames, answers));
    eventually("the call is no longer counted", async || (calls().await == 0).then_some(())).await;
}

#[tokio::test]
async fn a_call_for_nobody_is_refused_with_its_code() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let offline = machine.name().id().to_string();
    let unknown = GatewayId::from_random([9; 16]).to_string();
    let mut client = SessionsClient::new(core.admin().await);
    for (target, expected) in [
        (unknown.as_str(), Code::UnknownGateway),
        ("nonsense", Code::UnknownGateway),
        (offline.as_str(), Code::GatewayOffline),
    ] {
        let refused = client.list(aimed(SessionsListRequest {}, target, "")).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{target}");
    }
    assert_eq!(code(&client.list(SessionsListRequest {}).await.unwrap_err()), Code::Invalid);
    let no_session = client.end(aimed(SessionsEndRequest::default(), &offline, "")).await.unwrap_err();
    assert_eq!(code(&no_session), Code::Invalid);
    let bad_session = client.end(aimed(SessionsEndRequest::default(), &offline, "x")).await.unwrap_err();
    assert_eq!(code(&bad_session), Code::UnknownSession);
}

#[tokio::test]
async fn an_oversized_message_is_not_passed_on() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let big = SessionsRenameRequest { name: "x".repeat(2 * 1024 * 1024) };
    let mut client = SessionsClient::new(core.admin().await);
    let refused = client.rename(aimed(big, &gateway.id, &session_id())).await.unwrap_err();
    assert_eq!(code(&refused), Code::TooLarge);
    let fine = client.list(aimed(SessionsListRequest {}, &gateway.id, "")).await;
    assert!(fine.is_ok(), "the pooled stream is unharmed: {fine:?}");
}

#[tokio::test]
async fn an_oversized_answer_ends_with_its_code_and_the_largest_one_passes() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let mut client = SessionsClient::new(core.admin().await);
    for (bytes, expected) in
        [(limits::UNARY_BYTES - 100, None), (limits::UNARY_BYTES + 1, Some(Code::TooLarge))]
    {
        *gateway.seen.sessions.lock().unwrap() = vec![session(1, &"x".repeat(bytes))];
        let answer = client.list(aimed(SessionsListRequest {}, &gateway.id, "")).await;
        assert_eq!(answer.err().map(|refused| code(&refused)), expected, "{bytes}");
    }
    gateway.seen.sessions.lock().unwrap().clear();
    let fine = client.list(aimed(SessionsListRequest {}, &gateway.id, "")).await;
    assert!(fine.is_ok(), "the pooled stream is unharmed: {fine:?}");
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_the_machine_does_not_answer() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let mut request = aimed(SessionsCreateRequest::default(), &gateway.id, "");
    // Set by hand: the client's own timer must not be the one that ends it.
    request.metadata_mut().insert("grpc-timeout", MetadataValue::from_static("200m"));
    let refused = SessionsClient::new(core.admin().await).create(request).await.unwrap_err();
    assert_eq!(chatcode_proto::code::Refusal::from(&refused).code, Code::Timeout, "{refused:?}");
}

#[tokio::test]
async fn calls_are_cut_when_the_link_breaks_or_the_machine_is_revoked() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    for (is_revoked, expected) in [(false, Code::GatewayOffline), (true, Code::UnknownGateway)] {
        let machine = core.enroll(MemberKind::Gateway, "machine").await;
        let gateway = FakeGateway::link(&core, &machine).await;
        let (frames, outgoing) = mpsc::channel(4);
        frames.send(ping(1)).await.unwrap();
        let request = aimed(ReceiverStream::new(outgoing), &gateway.id, &session_id());
        let mut answers = TerminalClient::new(admin.clone()).attach(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap();
        let id = gateway.id.clone();
        if is_revoked {
            fleet(&admin).revoke(FleetRevokeRequest { gateway: id.clone() }).await.unwrap();
        } else {
            gateway.link.close(Code::Done, "gone");
        }
        let end = tokio::time::timeout(Duration::from_secs(1), answers.message()).await;
        let status = end.expect("is cut within a second").unwrap_err();
        assert_eq!(code(&status), expected);
    }
}
