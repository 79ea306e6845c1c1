//! Limits that are passed: who goes beyond one is told so in words or cut, and the next
//! one within it is served.

use std::sync::Arc;

use chatcode_certs::tls;
use chatcode_core::store::audit::Entry;
use chatcode_link::renew;
use chatcode_proto::{
    limits,
    pb::{
        AccountsCreateTicketRequest, AdminStatusRequest, AuditFilter, AuditHead, AuditListRequest,
        AuditVerifyRequest, Code, FleetListRequest, MemberKind, PeopleCreateBindingRequest,
        PeopleCreateTeamRequest, PersonRole, people_client::PeopleClient,
        people_create_binding_request::Holder,
    },
};
use futures_util::future::join_all;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::{Request, Status};

use crate::{
    auditing::audit,
    common::{TestCore, code, eventually, fleet, operator},
    people::everything,
};

/// The error by which HTTP/2 says that somebody asks too much (RFC 9113, 7).
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 0x0b];
/// The kind of the last frame of a connection.
const GOAWAY: u8 = 7;

#[tokio::test]
async fn headers_beyond_their_limit_end_their_call_and_no_other() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let list = async |bytes: usize| -> Result<(), Status> {
        let mut request = Request::new(FleetListRequest::default());
        request.metadata_mut().insert("x-padding", "x".repeat(bytes).parse().unwrap());
        fleet(&channel).list(request).await.map(drop)
    };
    list(limits::HEADER_BYTES as usize / 2).await.unwrap();
    list(limits::HEADER_BYTES as usize + 1).await.unwrap_err();
    list(1).await.unwrap();
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_their_connection_and_no_other() {
    let core = TestCore::start().await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let channel = core.channel(&admin);
    fleet(&channel).list(FleetListRequest::default()).await.unwrap();

    let config = tls::core_client(&admin, &[tls::H2_ALPN]).unwrap();
    let name = ServerName::try_from(admin.trust_domain().core_dns()).unwrap();
    let tcp = TcpStream::connect(core.bound.grpc).await.unwrap();
    let mut stream = TlsConnector::from(Arc::clone(&config)).connect(name, tcp).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for number in 0..4 * limits::HTTP2_RESETS {
        let id = u32::try_from(2 * number + 1).unwrap().to_be_bytes();
        // POST, https, a path, an authority; then CANCEL.
        let block = b"\x83\x87\x04\x01/\x01\x01x";
        let length = u8::try_from(block.len()).unwrap();
        bytes.extend([&[0, 0, length, 1, 4], &id[..], block].concat());
        bytes.extend([&[0, 0, 4, 3, 0], &id[..], &[0, 0, 0, 8]].concat());
    }
    // It may be cut before it has sent all of it.
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(last_error(&answer), Some(ENHANCE_YOUR_CALM), "{}", answer.escape_ascii());
    fleet(&channel).list(FleetListRequest::default()).await.unwrap();
}

/// The error of the last frame GOAWAY.
fn last_error(mut frames: &[u8]) -> Option<[u8; 4]> {
    let mut error = None;
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, next) = rest.split_at_checked(length)?;
        if head[3] == GOAWAY {
            error = payload.get(4..8).and_then(|bytes| bytes.try_into().ok());
        }
        frames = next;
    }
    error
}

#[tokio::test]
async fn handshakes_of_one_address_beyond_its_share_are_closed_at_once() {
    chatcode_process::raise_file_limit();
    let core = TestCore::start().await;
    let channel = core.admin().await;
    fleet(&channel).list(FleetListRequest::default()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..limits::CORE_HANDSHAKES_PER_ADDRESS {
        silent.push(TcpStream::connect(core.bound.grpc).await.unwrap());
    }
    let mut late = TcpStream::connect(core.bound.grpc).await.unwrap();
    let begun = std::time::Instant::now();
    let _ = late.read_to_end(&mut Vec::new()).await;
    assert!(begun.elapsed() < limits::HANDSHAKE, "it was closed for its time: {:?}", begun.elapsed());
    // Who is in stays in, and a place that is given back is had.
    fleet(&channel).list(FleetListRequest::default()).await.unwrap();
    drop(silent);
    eventually("a place", async || {
        fleet(&core.anonymous())
            .list(FleetListRequest::default())
            .await
            .err()
            .filter(|status| status.metadata().contains_key(chatcode_proto::metadata::CODE))
    })
    .await;
}

#[tokio::test]
async fn a_filter_and_a_check_of_the_audit_beyond_their_bounds_are_refused_by_name() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let list = async |filter: AuditFilter| {
        let request = AuditListRequest { filter: Some(filter), ..Default::default() };
        audit(&channel).list(request).await
    };
    let long = |bytes: usize| "x".repeat(bytes + 1);
    for (what, filter) in [
        ("action", AuditFilter { action: long(limits::AUDIT_ACTION_BYTES), ..Default::default() }),
        ("gateway", AuditFilter { gateway: long(limits::AUDIT_ID_BYTES), ..Default::default() }),
        ("request id", AuditFilter { request_id: long(limits::AUDIT_ID_BYTES), ..Default::default() }),
        ("principal", AuditFilter { principal: long(limits::PRINCIPAL_BYTES), ..Default::default() }),
    ] {
        let refused = list(filter).await.unwrap_err();
        assert_eq!(code(&refused), Code::Invalid, "{what}");
        assert!(refused.message().contains(what), "{refused:?}");
    }
    list(AuditFilter { action: "x".repeat(limits::AUDIT_ACTION_BYTES), ..Default::default() }).await.unwrap();
    let kept = vec![AuditHead::default(); limits::AUDIT_HEADS + 1];
    let refused = audit(&channel).verify(AuditVerifyRequest { kept }).await.unwrap_err();
    assert_eq!(code(&refused), Code::Invalid);
    assert!(refused.message().contains(&limits::AUDIT_HEADS.to_string()), "{refused:?}");
}

#[tokio::test]
async fn one_ticket_in_a_minute_too_many_is_told_to_wait() {
    let core = TestCore::start().await;
    let page = core.page().await;
    let ask = async || {
        let method = "/chatcode.v1.Fleet/Watch".to_owned();
        let request = AccountsCreateTicketRequest { method, ..Default::default() };
        page.accounts().create_ticket(page.request(request)).await
    };
    let begun = std::time::Instant::now();
    let mut made = 0;
    let refused = loop {
        match ask().await {
            Ok(_) => made += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(code(&refused), Code::RateLimited);
    // What comes back while they are asked for is had as well.
    let refilled = u64::from(limits::TICKETS_PER_MINUTE) * (begun.elapsed().as_secs() + 1) / 60;
    assert!(made >= u64::from(limits::TICKETS_PER_MINUTE), "{made}");
    assert!(made <= u64::from(limits::TICKETS_PER_MINUTE) + refilled + 1, "{made}");
}

#[tokio::test]
async fn one_team_too_many_is_not_made() {
    let core = TestCore::start().await;
    let mut people = PeopleClient::new(core.admin().await);
    let mut make = async |number: u32| {
        let request = PeopleCreateTeamRequest { name: format!("team {number}"), ..Default::default() };
        people.create_team(request).await
    };
    for number in 0..limits::TEAMS {
        make(number).await.unwrap();
    }
    let refused = make(limits::TEAMS).await.unwrap_err();
    assert_eq!(code(&refused), Code::Limit);
    assert!(refused.message().contains(&limits::TEAMS.to_string()), "{refused:?}");
}

#[tokio::test]
async fn one_binding_too_many_is_not_made() {
    let core = TestCore::start().await;
    let mut people = PeopleClient::new(core.admin().await);
    let mut make = async |number: u32| {
        let request = PeopleCreateTeamRequest { name: format!("team {number}"), ..Default::default() };
        people.create_team(request).await.unwrap().into_inner().team.unwrap().id
    };
    let team = make(0).await;
    // As if they had been made one by one, each of another place.
    let rows = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < $2)
                INSERT INTO bindings (id, team, role, place, created_ms, created_by)
                SELECT 'b' || number, $1, 'viewer', 'gateway/' || number, 1, 'test' FROM numbers";
    let before: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM bindings").fetch_one(&mut core.store().await).await.unwrap();
    sqlx::query(rows)
        .bind(&team)
        .bind(i64::from(limits::BINDINGS) - before)
        .execute(&mut core.store().await)
        .await
        .unwrap();
    let other = make(1).await;
    let request = PeopleCreateBindingRequest {
        holder: Some(Holder::Team(other)),
        role: PersonRole::Viewer.into(),
        place: Some(everything()),
    };
    let refused = people.create_binding(request).await.unwrap_err();
    assert_eq!(code(&refused), Code::Limit);
    assert!(refused.message().contains(&limits::BINDINGS.to_string()), "{refused:?}");
}

#[tokio::test]
async fn one_renewal_in_a_minute_too_many_is_refused_and_the_certificate_stays() {
    let core = TestCore::start().await;
    let mut edge = core.enroll(MemberKind::Edge, "edge").await;
    let address = core.bound.grpc.to_string();
    let begun = std::time::Instant::now();
    let mut made = 0;
    let refused = loop {
        match renew::renew(&address, &edge, None).await {
            Ok(renewed) => (edge, made) = (renewed, made + 1),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::RateLimited, "{refused}");
    let refilled = u64::from(limits::RENEWALS_PER_MINUTE) * (begun.elapsed().as_secs() + 1) / 60;
    assert!(made >= u64::from(limits::RENEWALS_PER_MINUTE), "{made}");
    assert!(made <= u64::from(limits::RENEWALS_PER_MINUTE) + refilled + 1, "{made}");
    // The one that it has is as good as before: it is the person who is missing.
    let status = fleet(&core.channel(&edge)).list(FleetListRequest::default()).await.unwrap_err();
    assert_eq!(code(&status), Code::Unauthenticated);
}

#[tokio::test]
async fn an_answer_of_the_audit_has_so_many_rows_unless_it_is_asked_otherwise() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let row = Entry::new("test", "counted");
    let written = join_all((0..limits::AUDIT_ROWS + 20).map(|_| core.shared.store.audit(&row))).await;
    assert!(written.iter().all(Result::is_ok));
    let list = async |limit: u32| {
        let rows = audit(&channel).list(AuditListRequest { limit, ..Default::default() }).await;
        rows.unwrap().into_inner().rows.len()
    };
    assert_eq!(list(0).await, limits::AUDIT_ROWS as usize);
    assert_eq!(list(limits::AUDIT_ROWS + 1).await, limits::AUDIT_ROWS as usize + 1);
}

#[tokio::test]
async fn an_archive_of_the_audit_takes_so_many_rows_and_the_next_one_goes_on_from_there() {
    let core = TestCore::start().await;
    let rows = "WITH RECURSIVE numbers (number) AS (SELECT $1 UNION ALL SELECT number + 1 FROM numbers WHERE number < $2)
                INSERT INTO audit (number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash)
                SELECT number, 1, 'test', 'counted', '', '', 1, '', '', '', zeroblob(32) FROM numbers";
    let first = core.audit().await.iter().map(|row| row.number).min().unwrap();
    let head = core.audit().await.iter().map(|row| row.number).max().unwrap();
    let last = first + limits::AUDIT_ARCHIVE_ROWS + 10;
    let number = |number: u64| i64::try_from(number).unwrap();
    sqlx::query(rows)
        .bind(number(head + 1))
        .bind(number(last))
        .execute(&mut core.store().await)
        .await
        .unwrap();
    let now = chatcode_core::clock::unix_ms() + 1;
    let taken = core.shared.store.audit_older_than(now).await.unwrap().unwrap();
    assert_eq!(taken, first..=first + limits::AUDIT_ARCHIVE_ROWS - 1);
}

#[tokio::test]
async fn of_more_members_than_are_named_those_whose_certificates_end_first_are() {
    let core = TestCore::start().await;
    let channel = core.admin().await;
    let members = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < $1)
                   INSERT INTO members (id, kind, name, enrolled_ms) SELECT 'm' || number, 'gateway', 'm', 1 FROM numbers";
    let certificates = "INSERT INTO certificates (serial, member, spki, not_after_ms)
                        SELECT id, id, zeroblob(32), $1 + enrolled_ms FROM members WHERE name = 'm'";
    let mut store = core.store().await;
    let count = i64::try_from(limits::MEMBERS_NAMED).unwrap();
    sqlx::query(members).bind(count).execute(&mut store).await.unwrap();
    let soon = i64::try_from(chatcode_core::clock::unix_ms()).unwrap() + 60_000;
    sqlx::query(certificates).bind(soon).execute(&mut store).await.unwrap();
    let status = operator(&channel).status(AdminStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.members.len(), limits::MEMBERS_NAMED);
    assert!(status.members.iter().all(|one| one.name == "m"), "the administrator's ends last");
}
