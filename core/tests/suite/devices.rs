//! Logins of programs by a device code: who may begin, who may decide, and that a token
//! is fetched once, by who began alone.

use chatcode_proto::{
    limits,
    pb::{
        AccountsWhoAmIRequest, Code, DeviceState, DevicesBeginRequest, DevicesBeginResponse,
        DevicesDecideRequest, DevicesLookRequest, DevicesPollRequest, DevicesPollResponse, FleetListRequest,
        PeopleSuspendRequest, PersonRole, accounts_client::AccountsClient, devices_client::DevicesClient,
    },
};
use tonic::{Status, transport::Channel};

use crate::{
    common::{Page, TestCore, code},
    people::{Program, Town, everything},
};

fn devices(channel: &Channel) -> DevicesClient<Channel> {
    DevicesClient::new(channel.clone())
}

async fn begin_as(core: &TestCore, role: PersonRole) -> (Channel, DevicesBeginResponse) {
    let channel = core.anonymous();
    let request = DevicesBeginRequest {
        program: "chatcode 0.1.0".to_owned(),
        hostname: "attic\u{202e}".to_owned(),
        role: role.into(),
        ttl_s: 0,
    };
    let begun = devices(&channel).begin(request).await.unwrap().into_inner();
    (channel, begun)
}

async fn poll(channel: &Channel, begun: &DevicesBeginResponse) -> Result<DevicesPollResponse, Status> {
    let request = DevicesPollRequest { device_code: begun.device_code.clone() };
    devices(channel).poll(request).await.map(tonic::Response::into_inner)
}

async fn decide(page: &Page, user_code: &str, approve: bool) -> Result<(), Status> {
    let request = DevicesDecideRequest { user_code: user_code.to_owned(), approve };
    devices(&page.edge).decide(page.request(request)).await.map(drop)
}

async fn look(page: &Page, user_code: &str) -> Result<chatcode_proto::pb::DevicesLookResponse, Status> {
    let request = DevicesLookRequest { user_code: user_code.to_owned() };
    devices(&page.edge).look(page.request(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_person_lets_a_program_in_by_its_code_and_it_fetches_its_token_once() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Operator, everything()).await;
    let (channel, begun) = begin_as(&core, PersonRole::Admin).await;
    assert_eq!(begun.installation, core.bound.installation);
    assert!(!begun.roots.is_empty() && begun.verification_uri.is_empty());
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::Pending);

    let seen = look(&page, &begun.user_code.to_lowercase().replace('-', "")).await.unwrap();
    assert_eq!(
        (seen.user_code.as_str(), seen.program.as_str()),
        (begun.user_code.as_str(), "chatcode 0.1.0")
    );
    assert_eq!((seen.hostname.as_str(), seen.address.as_str()), ("attic\u{fffd}", "127.0.0.1"));
    // No more than she may herself.
    assert_eq!((seen.role(), seen.ttl_s), (PersonRole::Operator, 30 * 24 * 3600));
    decide(&page, &begun.user_code, true).await.unwrap();
    assert_eq!(code(&decide(&page, &begun.user_code, false).await.unwrap_err()), Code::BadToken, "once");

    let approved = poll(&channel, &begun).await.unwrap();
    assert_eq!((approved.state(), approved.display_name.as_str()), (DeviceState::Approved, "Ada"));
    let token = approved.token.unwrap();
    assert_eq!((token.role(), token.person.as_str()), (PersonRole::Operator, ada.id.as_str()));
    assert_eq!(token.name, "chatcode 0.1.0 on attic\u{fffd}");
    assert_eq!(token.created_by, format!("person/{}", ada.id));
    assert_eq!(code(&poll(&channel, &begun).await.unwrap_err()), Code::BadToken, "a second time");
    let program = Program { channel, token: approved.secret.clone() };
    program.fleet().list(program.request(FleetListRequest::default())).await.unwrap();
    let me = AccountsClient::new(program.channel.clone());
    let me = me.clone().who_am_i(program.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(me.principal, format!("person/{}/api-token/{}", ada.id, token.id));

    let rows = core.audit().await;
    let find = |action: &str| rows.iter().find(|row| row.action == action).unwrap();
    let (let_in, made) = (find("device.approved"), find("api_token.created"));
    assert_eq!((&let_in.principal, &made.principal), (&token.created_by, &token.created_by));
    assert!(let_in.detail.contains("operator for 2592000 s, asked from 127.0.0.1"), "{}", let_in.detail);
    let codes = [begun.device_code.as_str(), begun.user_code.as_str(), approved.secret.as_str()];
    assert!(rows.iter().all(|row| codes.iter().all(|code| !row.detail.contains(code))));
    let store = std::fs::read(core.folder.path().join("core/core.db-wal")).unwrap();
    for code in codes {
        let code = code.as_bytes();
        assert!(!store.windows(code.len()).any(|bytes| bytes == code), "codes are hashes at rest");
    }
}

#[tokio::test]
async fn who_polls_too_fast_is_told_to_slow_down_and_who_is_refused_is_told_so_once() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (channel, begun) = begin_as(&core, PersonRole::Viewer).await;
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::Pending);
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::SlowDown);
    decide(&page, &begun.user_code, false).await.unwrap();
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::Denied);
    assert_eq!(code(&poll(&channel, &begun).await.unwrap_err()), Code::BadToken);
    core.audited(|row| row.action == "device.denied").await;
    assert!(core.audit().await.iter().all(|row| row.action != "api_token.created"));
}

#[tokio::test]
async fn a_login_that_nobody_decides_on_expires_and_is_of_no_use_then() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (channel, begun) = begin_as(&core, PersonRole::Viewer).await;
    let (other, let_in) = begin_as(&core, PersonRole::Viewer).await;
    decide(&page, &let_in.user_code, true).await.unwrap();
    let older = i64::try_from(limits::DEVICE.as_millis()).unwrap();
    let age = sqlx::query("UPDATE device_codes SET expires_ms = expires_ms - $1").bind(older);
    age.execute(&mut core.store().await).await.unwrap();
    assert_eq!(code(&look(&page, &begun.user_code).await.unwrap_err()), Code::BadToken);
    assert_eq!(code(&decide(&page, &begun.user_code, true).await.unwrap_err()), Code::BadToken);
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::Expired);
    assert_eq!(
        poll(&other, &let_in).await.unwrap().state(),
        DeviceState::Expired,
        "it was not fetched in time"
    );
}

#[tokio::test]
async fn only_a_person_at_a_page_with_a_fresh_proof_and_a_role_lets_a_program_in() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Owner, everything()).await;
    let (channel, begun) = begin_as(&core, PersonRole::Owner).await;
    let request = || DevicesDecideRequest { user_code: begun.user_code.clone(), approve: true };
    // Neither a certificate nor a token makes what lets somebody in.
    let refused = devices(&town.admin).decide(request()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let (program, _) = town.program(&ada.id, PersonRole::Owner).await;
    let refused = devices(&program.channel).decide(program.request(request())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let looked = DevicesLookRequest { user_code: begun.user_code.clone() };
    let refused = devices(&program.channel).look(program.request(looked)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    let nobody = town.person("nobody").await;
    let at_page = town.sign_in(&nobody.id, None).await;
    assert_eq!(look(&at_page, &begun.user_code).await.unwrap().role(), PersonRole::Unspecified);
    assert_eq!(code(&decide(&at_page, &begun.user_code, true).await.unwrap_err()), Code::Forbidden);
    core.age_proofs().await;
    assert_eq!(code(&decide(&page, &begun.user_code, true).await.unwrap_err()), Code::StepUpRequired);
    assert_eq!(poll(&channel, &begun).await.unwrap().state(), DeviceState::Pending);
}

#[tokio::test]
async fn a_person_who_is_shut_out_before_the_token_is_fetched_lets_nobody_in() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let (channel, begun) = begin_as(&core, PersonRole::Viewer).await;
    decide(&page, &begun.user_code, true).await.unwrap();
    town.people().suspend(PeopleSuspendRequest { id: ada.id, suspended: true }).await.unwrap();
    assert_eq!(code(&poll(&channel, &begun).await.unwrap_err()), Code::BadToken);
    assert!(core.audit().await.iter().all(|row| row.action != "api_token.created"));
}

#[tokio::test]
async fn nobody_finds_a_code_by_trying_and_nobody_floods_the_others() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Viewer, everything()).await;
    let mut codes = Vec::new();
    for _ in 0..=limits::USER_CODES_WRONG_PER_MINUTE {
        codes.push(code(&look(&page, "BCDF-GHJK").await.unwrap_err()));
    }
    assert_eq!(codes.pop(), Some(Code::RateLimited));
    assert!(codes.iter().all(|code| *code == Code::BadToken), "{codes:?}");

    let mut begun = Vec::new();
    for _ in 0..limits::DEVICES_OF_ADDRESS {
        begun.push(begin_as(&core, PersonRole::Viewer).await);
    }
    let refused = devices(&core.anonymous()).begin(DevicesBeginRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::RateLimited);
    assert!(refused.message().contains("wait for a person"), "{}", refused.message());
    // A right code passes all the same for others.
    let (_, other, _) = town.with_role("Bob", PersonRole::Viewer, everything()).await;
    decide(&other, &begun[0].1.user_code, true).await.unwrap();
    for _ in 0..limits::DEVICES_PER_MINUTE {
        let _ = devices(&core.anonymous()).begin(DevicesBeginRequest::default()).await;
    }
    let refused = devices(&core.anonymous()).begin(DevicesBeginRequest::default()).await.unwrap_err();
    assert!(refused.message().contains("in a minute"), "{}", refused.message());
    let mut unknown = Code::BadToken;
    for _ in 0..=limits::DEVICES_UNKNOWN_PER_MINUTE {
        let request = DevicesPollRequest { device_code: "x".repeat(43) };
        unknown = code(&devices(&core.anonymous()).poll(request).await.unwrap_err());
    }
    assert_eq!(unknown, Code::RateLimited);
}
