//! Who may call what, and what of it is written down.

use std::collections::BTreeSet;

use bytes::Bytes;
use chatcode_link::{codec::OpaqueCodec, enroll};
use chatcode_proto::{
    DESCRIPTORS,
    id::GatewayId,
    limits,
    pb::{
        self, AccountsCreateSignInRequest, AccountsWhoAmIRequest, AdminStatusRequest, AuditListRequest,
        AuditRow, Code, FleetCreateTokenRequest, FleetListRequest, MemberKind, Permission,
        accounts_client::AccountsClient, fleet_watch_response::Event,
    },
    rules::RULES,
};
use futures_util::stream;
use http::uri::PathAndQuery;
use prost::Message as _;
use sqlx::Connection as _;
use tonic::{Request, Status, client::Grpc, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::common::{TestCore, authorize, code, eventually, fleet, operator};

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
            // Members act for themselves; the tests of renewals say who may.
            if rule.permission == Permission::Member && credential.is_none() && who != "anonymous" {
                continue;
            }
            let outcome = call(channel, path, credential).await;
            let is_asking = match *path {
                // Whoever is to sign in has to know how.
                "/chatcode.v1.Accounts/SignInMethods" => who.starts_with("an edge"),
                // A program that logs in has nothing yet; a person decides.
                "/chatcode.v1.Devices/Begin" => who.starts_with("anonymous"),
                _ => false,
            };
            if is_asking {
                assert!(outcome.is_ok(), "{who}: {outcome:?}");
                continue;
            }
            let refused = code(&outcome.unwrap_err());
            if rule.permission == Permission::Public {
                // Without a proof, or with none at all.
                let is_shut = matches!(refused, Code::BadToken | Code::Forbidden | Code::Invalid);
                assert!(is_shut, "{who} {path}: {refused:?}");
            } else if who == "anonymous with a token" {
                // Wrong API tokens are counted.
                assert!(matches!(refused, Code::Unauthenticated | Code::RateLimited), "{who} {path}");
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
    let older = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    assert_eq!(code(&call(&core.anonymous(), older, None).await.unwrap_err()), Code::Unauthenticated);
    call(&core.admin().await, older, None).await.unwrap();
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
    assert_eq!(made.result(), Code::Unspecified, "let in");
    assert!(made.principal.starts_with("admin/") && made.request_id.len() == 32, "{made:?}");

    // Let in by the rules, then refused by the service: a second row.
    let request = FleetCreateTokenRequest { ttl_s: 1, ..Default::default() };
    fleet(&channel).create_token(request).await.unwrap_err();
    let later = core.audited(|row| row.result() == Code::Invalid).await;
    let results: Vec<_> = core
        .audit()
        .await
        .iter()
        .filter(|row| row.request_id == later.request_id)
        .map(AuditRow::result)
        .collect();
    assert_eq!(results, [Code::Invalid, Code::Unspecified], "what never was is not done");

    fleet(&core.anonymous()).list(FleetListRequest::default()).await.unwrap_err();
    core.audited(|row| row.principal == "anonymous" && row.result() == Code::Unauthenticated).await;

    let mut client = pb::audit_client::AuditClient::new(channel.clone());
    let rows =
        client.list(AuditListRequest { limit: 2, ..Default::default() }).await.unwrap().into_inner().rows;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].number, rows[1].number + 1, "newest first");
    let status = operator(&channel).status(AdminStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.installation, core.bound.installation);
    assert!(rows.iter().all(|row| row.encoded_len() > 0));
}

#[tokio::test]
async fn who_shows_no_certificate_takes_no_members_place_and_only_a_share_of_the_others() {
    let core = TestCore::start().await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let ask = |channel: &Channel| {
        let mut health = HealthClient::new(channel.clone());
        async move { health.check(HealthCheckRequest::default()).await }
    };
    let mut open = vec![];
    for _ in 0..limits::CORE_ANONYMOUS_PER_ADDRESS {
        let channel = core.anonymous();
        // The connection of the enrollment may still be closing.
        eventually("a place", async || ask(&channel).await.ok()).await;
        open.push(channel);
    }
    ask(&core.anonymous()).await.unwrap_err();
    fleet(&core.channel(&admin)).list(FleetListRequest::default()).await.unwrap();
    open.pop();
    let next = core.anonymous();
    eventually("a place that was given back", async || ask(&next).await.ok()).await;
}

#[tokio::test]
async fn a_call_that_must_be_written_down_and_cannot_be_is_not_made() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let (mut machines, mut people) = (fleet(&channel), AccountsClient::new(channel.clone()));
    let file = format!("sqlite://{}", core.folder.path().join("core/core.db").display());
    let mut store = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let tokens = async |store: &mut sqlx::SqliteConnection| -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM join_tokens").fetch_one(store).await.unwrap()
    };
    let before = (tokens(&mut store).await, core.audit().await.len());
    sqlx::query("ALTER TABLE audit RENAME TO away").execute(&mut store).await.unwrap();

    // ALWAYS: not written, so not made.
    let refused = machines.create_token(FleetCreateTokenRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unwritable);
    let refused = people.create_sign_in(AccountsCreateSignInRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unwritable);
    // ON_DENY and NEVER: nothing to write, and a refusal stands unwritten.
    machines.list(FleetListRequest::default()).await.unwrap();
    people.who_am_i(AccountsWhoAmIRequest {}).await.unwrap();
    let refused = fleet(&core.anonymous()).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);

    sqlx::query("ALTER TABLE away RENAME TO audit").execute(&mut store).await.unwrap();
    assert_eq!((tokens(&mut store).await, core.audit().await.len()), before);
    machines.create_token(FleetCreateTokenRequest::default()).await.unwrap();
    assert_eq!(tokens(&mut store).await, before.0 + 1);
}

#[tokio::test]
async fn what_is_written_down_is_what_the_rule_says() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let anonymous = core.anonymous();
    let count = async |method: &str, result: Code| {
        core.audit().await.iter().filter(|row| row.action == method && row.result() == result).count()
    };
    let (list, who) = ("/chatcode.v1.Fleet/List", "/chatcode.v1.Accounts/WhoAmI");
    for path in [list, who] {
        call(&channel, path, None).await.unwrap();
        call(&anonymous, path, None).await.unwrap_err();
    }
    assert_eq!(
        (count(list, Code::Unspecified).await, count(list, Code::Unauthenticated).await),
        (0, 1),
        "ON_DENY"
    );
    assert_eq!(
        (count(who, Code::Unspecified).await, count(who, Code::Unauthenticated).await),
        (0, 0),
        "NEVER"
    );
}

#[tokio::test]
async fn the_largest_fleet_is_listed_by_pages_watched_whole_and_takes_no_more_machines() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    for number in 0..limits::GATEWAYS {
        let id = GatewayId::from_random(u128::try_from(number).unwrap().to_be_bytes());
        let gateway = pb::Gateway {
            id: id.to_string(),
            name: format!("{:\u{10ffff}<1$}", number, limits::NAME_CHARS),
            program_version: "\u{10ffff}".repeat(limits::NAME_CHARS),
            ..Default::default()
        };
        core.shared.hub.add_gateway(id, gateway);
    }
    let mut client = fleet(&channel).max_decoding_message_size(limits::UNARY_BYTES);
    let (mut seen, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = client.list(FleetListRequest { after }).await.unwrap().into_inner();
        assert!(page.gateways.len() <= limits::FLEET_PAGE);
        seen.extend(page.gateways.into_iter().map(|gateway| gateway.id));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), limits::GATEWAYS, "each once");
    let unknown = FleetListRequest { after: GatewayId::from_random([255; 16]).to_string() };
    assert_eq!(code(&client.list(unknown).await.unwrap_err()), Code::UnknownGateway);

    let mut events = client.watch(pb::FleetWatchRequest {}).await.unwrap().into_inner();
    let mut told = 0;
    while let Event::GatewayChanged(_) = events.message().await.unwrap().unwrap().event.unwrap() {
        told += 1;
    }
    assert_eq!(told, limits::GATEWAYS, "then `synced`");

    let token = core.token(MemberKind::Gateway).await;
    let refused = enroll::enroll(&core.bound.grpc.to_string(), &token, "one more", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Limit, "{refused}");
    core.enroll(MemberKind::Admin, "another operator").await;
}
