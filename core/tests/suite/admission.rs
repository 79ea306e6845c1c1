//! Who may call what, and what of it is written down.

use bytes::Bytes;
use chatcode_link::codec::OpaqueCodec;
use chatcode_proto::{
    DESCRIPTORS,
    pb::{
        AdminStatusRequest, AuditListRequest, Code, FleetCreateTokenRequest, FleetListRequest, MemberKind,
        Permission,
    },
    rules::RULES,
};
use futures_util::stream;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::{Request, Status, client::Grpc, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::common::{TestCore, authorize, code, fleet, operator};

/// Calls any method with an empty message; waits for its head only.
async fn call(channel: &Channel, path: &str, credential: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(Bytes::new());
    if let Some(credential) = credential {
        authorize(&mut request, credential);
    }
    let path: PathAndQuery = path.parse().unwrap();
    grpc.server_streaming(request, path, OpaqueCodec).await.map(drop)
}

#[tokio::test]
async fn every_method_is_closed_to_those_whom_the_core_does_not_know() {
    let core = TestCore::start().await;
    let anonymous = core.anonymous();
    let edge = core.channel(&core.enroll(MemberKind::Edge, "edge").await);
    let gateway = core.channel(&core.enroll(MemberKind::Gateway, "machine").await);
    let no_token = format!("Bearer {}", "A".repeat(43));
    let callers = [
        ("anonymous", &anonymous, None),
        ("anonymous with a token", &anonymous, Some(no_token.as_str())),
        ("an edge without a person", &edge, None),
        ("an edge with a foreign token", &edge, Some(no_token.as_str())),
        ("an edge with nonsense", &edge, Some("Basic x")),
        ("a gateway", &gateway, None),
    ];
    for (path, rule) in RULES {
        for (who, channel, credential) in callers {
            let refused = code(&call(channel, path, credential).await.unwrap_err());
            if rule.permission == Permission::Public {
                assert!(matches!(refused, Code::BadToken | Code::Forbidden), "{who} {path}: {refused:?}");
            } else {
                assert_eq!(refused, Code::Unauthenticated, "{who} {path}");
            }
        }
    }
}

#[tokio::test]
async fn an_administrator_may_do_all_but_be_a_gateway() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    for (path, rule) in RULES {
        let outcome = call(&admin, path, None).await;
        if rule.permission == Permission::Link {
            assert_eq!(code(&outcome.unwrap_err()), Code::Forbidden, "{path}");
        } else if let Err(status) = outcome {
            assert!(
                !matches!(code(&status), Code::Unauthenticated | Code::UnknownMethod),
                "{path}: {status:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_method_that_the_contract_does_not_know_is_refused_by_its_code() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    for path in ["/chatcode.v1.Fleet/Nothing", "/chatcode.v2.Fleet/List", "/x.Y/Z"] {
        assert_eq!(code(&call(&admin, path, None).await.unwrap_err()), Code::UnknownMethod, "{path}");
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused() {
    let core = TestCore::start().await;
    let request = FleetCreateTokenRequest { name: "x".repeat(2 * 1024 * 1024), ..Default::default() };
    let refused = fleet(&core.admin().await).create_token(request).await.unwrap_err();
    assert_eq!(code(&refused), Code::TooLarge);
}

#[tokio::test]
async fn health_is_told_to_anybody_and_reflection_only_to_those_who_are_known() {
    let core = TestCore::start().await;
    let status = HealthClient::new(core.anonymous()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(status.into_inner().status, 1);

    let list = |channel| async move {
        let ask = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut client = ServerReflectionClient::new(channel);
        client.server_reflection_info(stream::iter([ask])).await?.into_inner().message().await
    };
    assert_eq!(code(&list(core.anonymous()).await.unwrap_err()), Code::Unauthenticated);
    let gateway = core.channel(&core.enroll(MemberKind::Gateway, "machine").await);
    assert_eq!(code(&list(gateway).await.unwrap_err()), Code::Unauthenticated);
    let answer = list(core.admin().await).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    for wanted in ["chatcode.v1.Fleet", "chatcode.v1.Terminal", "chatcode.v1.Sessions"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is in {names:?}");
    }
    assert!(!DESCRIPTORS.is_empty());
}

#[tokio::test]
async fn what_is_allowed_and_what_is_refused_is_in_the_audit() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    fleet(&channel).create_token(FleetCreateTokenRequest::default()).await.unwrap();
    let made = core.audited(|row| row.action == "/chatcode.v1.Fleet/CreateToken").await;
    assert_eq!(made.result(), Code::Done);
    assert!(made.principal.starts_with("admin/") && made.request_id.len() == 32, "{made:?}");

    // Let in by the rules, then refused by the service: a second row.
    let request = FleetCreateTokenRequest { ttl_s: 1, ..Default::default() };
    fleet(&channel).create_token(request).await.unwrap_err();
    let later = core.audited(|row| row.result() == Code::Invalid).await;
    assert!(
        core.audit().await.iter().any(|row| row.request_id == later.request_id && row.result() == Code::Done)
    );

    fleet(&core.anonymous()).list(FleetListRequest {}).await.unwrap_err();
    core.audited(|row| row.principal == "anonymous" && row.result() == Code::Unauthenticated).await;

    let mut client = chatcode_proto::pb::audit_client::AuditClient::new(channel.clone());
    let rows = client.list(AuditListRequest { before: 0, limit: 2 }).await.unwrap().into_inner().rows;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].number, rows[1].number + 1, "newest first");
    let status = operator(&channel).status(AdminStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.installation, core.bound.installation);
    assert!(rows.iter().all(|row| row.encoded_len() > 0));
}
