//! People: sign-in, sessions and tickets.

use std::time::Duration;

use chatcode_proto::{
    limits, metadata,
    pb::{
        AccountsCreateSignInRequest, AccountsCreateTicketRequest, AccountsSignInRequest,
        AccountsSignOutRequest, AccountsWhoAmIRequest, Code, FleetListRequest, FleetWatchRequest, MemberKind,
        accounts_client::AccountsClient, accounts_sign_in_request::Proof, fleet_watch_response::Event,
    },
};
use tonic::{Request, Status};

use crate::common::{Page, TestCore, aim, authorize, code, eventually};

const WATCH: &str = metadata::FLEET_WATCH;

async fn ticket(page: &Page, method: &str, gateway: &str, session: &str) -> Result<String, Status> {
    let request = AccountsCreateTicketRequest {
        method: method.to_owned(),
        gateway: gateway.to_owned(),
        session: session.to_owned(),
    };
    Ok(page.accounts().create_ticket(page.request(request)).await?.into_inner().ticket)
}

fn with_ticket(ticket: &str) -> Request<FleetWatchRequest> {
    let mut request = Request::new(FleetWatchRequest {});
    authorize(&mut request, &format!("Ticket {ticket}"));
    request
}

#[tokio::test]
async fn a_person_signs_in_once_by_a_secret_and_is_known_until_signing_out() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let who = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    assert!(who.principal.starts_with("person/"), "{who:?}");
    assert_eq!(who.installation, core.bound.installation);

    page.accounts().sign_out(page.request(AccountsSignOutRequest {})).await.unwrap();
    let after = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&after), Code::Unauthenticated);
}

#[tokio::test]
async fn a_session_ends_when_it_was_not_used_for_long_and_after_its_time_in_any_case() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap();
    let (idle, whole) = (milliseconds(limits::PERSON_IDLE), milliseconds(limits::PERSON_SESSION));
    // As it is after so long without use, and so long after it began.
    let (unused, old) = (
        "UPDATE person_sessions SET used_ms = used_ms - $1",
        "UPDATE person_sessions SET expires_ms = expires_ms - $1",
    );
    let after = async |page: &Page, age: &'static str, passed: i64| {
        sqlx::query(age).bind(passed).execute(&mut core.store().await).await.unwrap();
        let asked = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await;
        asked.err().map(|status| code(&status))
    };
    assert_eq!(after(&page, unused, idle - 60_000).await, None);
    assert_eq!(after(&page, unused, idle - 60_000).await, None, "it was used in between");
    assert_eq!(after(&page, unused, idle).await, Some(Code::Unauthenticated));
    let page = core.page().await;
    assert_eq!(after(&page, old, whole - 60_000).await, None);
    assert_eq!(after(&page, old, 60_000).await, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_sign_in_secret_works_once_and_only_through_an_edge() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let edge = core.channel(&core.enroll(MemberKind::Edge, "edge").await);
    let made =
        AccountsClient::new(admin.clone()).create_sign_in(AccountsCreateSignInRequest::default()).await;
    let secret = made.unwrap().into_inner().secret;
    let sign_in = |channel, secret: &str| {
        let request =
            AccountsSignInRequest { proof: Some(Proof::Secret(secret.to_owned())), ..Default::default() };
        async move { AccountsClient::new(channel).sign_in(request).await.map(|_| ()) }
    };
    assert_eq!(code(&sign_in(core.anonymous(), &secret).await.unwrap_err()), Code::Forbidden);
    assert_eq!(code(&sign_in(admin, &secret).await.unwrap_err()), Code::Forbidden);
    assert!(sign_in(edge.clone(), &secret).await.is_ok());
    assert_eq!(code(&sign_in(edge.clone(), &secret).await.unwrap_err()), Code::BadToken);
    assert_eq!(code(&sign_in(edge, "nonsense").await.unwrap_err()), Code::BadToken);
    let action = "/chatcode.v1.Accounts/SignIn";
    core.audited(|row| row.action == action && row.principal.starts_with("person/")).await;
    core.audited(|row| row.action == action && row.result() == Code::BadToken).await;
}

#[tokio::test]
async fn many_wrong_sign_ins_are_refused_and_the_right_one_passes() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let mut edge = AccountsClient::new(core.channel(&core.enroll(MemberKind::Edge, "edge").await));
    let made = AccountsClient::new(admin).create_sign_in(AccountsCreateSignInRequest::default()).await;
    let secret = made.unwrap().into_inner().secret;
    let wrong =
        || AccountsSignInRequest { proof: Some(Proof::Secret("nonsense".to_owned())), ..Default::default() };
    for _ in 0..limits::SIGN_IN_PER_MINUTE {
        assert_eq!(code(&edge.sign_in(wrong()).await.unwrap_err()), Code::BadToken);
    }
    // Some are refilled meanwhile.
    let limited = async || {
        let refused = edge.clone().sign_in(wrong()).await.unwrap_err();
        (code(&refused) == Code::RateLimited).then_some(())
    };
    eventually("wrong ones are limited", limited).await;
    edge.sign_in(AccountsSignInRequest { proof: Some(Proof::Secret(secret)), ..Default::default() })
        .await
        .unwrap();
}

#[tokio::test]
async fn running_calls_end_when_their_person_signs_out() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let mut events = page.fleet().watch(page.request(FleetWatchRequest {})).await.unwrap().into_inner();
    while events.message().await.unwrap().unwrap().event != Some(Event::Synced(true)) {}
    page.accounts().sign_out(page.request(AccountsSignOutRequest {})).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            if let Err(status) = events.message().await {
                return status;
            }
        }
    });
    assert_eq!(code(&end.await.expect("is cut within a second")), Code::Unauthenticated);
}

#[tokio::test]
async fn a_ticket_opens_its_call_once() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let ticket = ticket(&page, WATCH, "", "").await.unwrap();
    assert!(page.fleet().watch(with_ticket(&ticket)).await.is_ok());
    assert_eq!(code(&page.fleet().watch(with_ticket(&ticket)).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn a_ticket_of_another_page_method_or_target_is_refused_and_burnt() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let (gateway, session) = ("6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11", "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b12");

    let one = ticket(&page, WATCH, "", "").await.unwrap();
    let mut other_page = with_ticket(&one);
    other_page.metadata_mut().insert("origin", "http://localhost:4001".parse().unwrap());
    assert_eq!(code(&page.fleet().watch(other_page).await.unwrap_err()), Code::BadToken);
    assert_eq!(code(&page.fleet().watch(with_ticket(&one)).await.unwrap_err()), Code::BadToken, "burnt");

    let other_method = ticket(&page, metadata::ATTACH, gateway, session).await.unwrap();
    assert_eq!(code(&page.fleet().watch(with_ticket(&other_method)).await.unwrap_err()), Code::BadToken);

    let two = ticket(&page, WATCH, "", "").await.unwrap();
    let mut other_target = with_ticket(&two);
    aim(&mut other_target, gateway, "");
    assert_eq!(code(&page.fleet().watch(other_target).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn a_ticket_is_made_only_for_a_streaming_method_with_its_target() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let gateway = "6f1c0a52-9d3e-4a37-8f0b-2f6f0d1c9b11";
    for (method, gateway, session, expected) in [
        ("/chatcode.v1.Fleet/List", "", "", Code::UnknownMethod),
        ("/nowhere", "", "", Code::UnknownMethod),
        (metadata::ATTACH, gateway, "", Code::Invalid),
        (metadata::ATTACH, "", "", Code::Invalid),
        (WATCH, gateway, "", Code::Invalid),
    ] {
        let refused = ticket(&page, method, gateway, session).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{method} {gateway} {session}");
    }
    let mut no_origin = page.request(AccountsCreateTicketRequest {
        method: WATCH.to_owned(),
        ..AccountsCreateTicketRequest::default()
    });
    no_origin.metadata_mut().remove("origin");
    let refused = page.accounts().create_ticket(no_origin).await.unwrap_err();
    assert_eq!(code(&refused), Code::BadOrigin);
}

#[tokio::test]
async fn a_ticket_dies_with_the_session_that_asked_for_it() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let ticket = ticket(&page, WATCH, "", "").await.unwrap();
    page.accounts().sign_out(page.request(AccountsSignOutRequest {})).await.unwrap();
    assert_eq!(code(&page.fleet().watch(with_ticket(&ticket)).await.unwrap_err()), Code::BadToken);
}

#[tokio::test]
async fn a_call_of_a_page_that_takes_its_caller_for_another_is_not_made() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let who = page.accounts().who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap().into_inner();
    let as_meant = |principal: &str| {
        let mut request = page.request(FleetListRequest::default());
        request.metadata_mut().insert(metadata::EXPECT, principal.parse().unwrap());
        request
    };
    page.fleet().list(as_meant(&who.principal)).await.unwrap();
    let refused =
        page.fleet().list(as_meant("person/00000000-0000-4000-8000-000000000000")).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
    assert!(refused.message().contains("somebody else has signed in"), "{refused}");
}

#[tokio::test]
async fn t10_a_token_that_somebody_planted_is_nobodys() {
    let core = TestCore::start().await;
    let planted = "p".repeat(43);
    let page = core.page().await;
    let secret = AccountsClient::new(core.admin().await)
        .create_sign_in(AccountsCreateSignInRequest::default())
        .await
        .unwrap()
        .into_inner()
        .secret;
    let request = AccountsSignInRequest {
        proof: Some(Proof::Secret(secret)),
        replaces: planted.clone(),
        ..Default::default()
    };
    let answer = page.accounts().sign_in(request).await.unwrap().into_inner();
    assert_ne!(answer.session_token, planted, "whoever signs in gets another token");
    let theirs = Page { edge: page.edge.clone(), token: planted };
    let refused = theirs.accounts().who_am_i(theirs.request(AccountsWhoAmIRequest {})).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unauthenticated);
}
