//! The audit: looked for, followed, exported, checked, and what happens when it
//! cannot be written.

use std::{fs, path::Path, sync::atomic::Ordering};

use chatcode_audit::{Begin, FileCheck, FileFault, Found, Line, hex};
use chatcode_core::store::audit::Entry;
use chatcode_proto::{
    id::{GatewayId, SessionId},
    limits,
    pb::{
        self, AccountsListSessionsRequest, AuditExportRequest, AuditFilter, AuditHeadRequest,
        AuditListRequest, AuditListResponse, AuditRow, AuditVerifyRequest, AuditWatchRequest, ClientFrame,
        Code, FleetAcknowledgeDuplicateRequest, FleetListRequest, FleetRevokeRequest, MemberKind,
        PeopleCreateRequest, PeopleListApiTokensRequest, PeopleListRequest, PersonRole,
        audit_client::AuditClient, audit_export_response::Part, audit_watch_response::Event, client_frame,
        terminal_client::TerminalClient,
    },
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, transport::Channel};

use crate::{
    common::{Page, TestCore, aim, code, eventually, fleet},
    gateway::FakeGateway,
    people::{Town, everything, gateway, label},
    rights::{add_gateway, ended},
};

pub(crate) fn audit(channel: &Channel) -> AuditClient<Channel> {
    AuditClient::new(channel.clone())
}

impl Page {
    fn audit(&self) -> AuditClient<Channel> {
        audit(&self.edge)
    }
}

/// The store's file, as another process has it.
pub(crate) async fn store_file(core: &TestCore) -> SqliteConnection {
    opened(&core.folder.path().join("core/core.db")).await
}

async fn opened(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(5));
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn execute(store: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(store).await.unwrap();
}

/// Lets rows be changed, as whoever can write the file can.
pub(crate) async fn tamper(path: &Path, sql: &'static str) {
    let mut store = opened(path).await;
    execute(&mut store, "DROP TRIGGER audit_rows_stay").await;
    execute(&mut store, "DROP TRIGGER audit_rows_stay_as_they_are").await;
    execute(&mut store, sql).await;
    store.close().await.unwrap();
}

async fn search(channel: &Channel, filter: AuditFilter) -> Vec<AuditRow> {
    let request = AuditListRequest { filter: Some(filter), ..Default::default() };
    audit(channel).list(request).await.unwrap().into_inner().rows
}

/// The lines of an export, as the CLI writes them.
async fn lines(mut parts: Streaming<pb::AuditExportResponse>) -> Vec<Line> {
    let mut lines = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        match part.part.unwrap() {
            Part::Begin(begin) => lines.push(Line::Begin(Begin::from(begin))),
            Part::Rows(rows) => lines.extend(rows.rows.into_iter().map(Line::Row)),
            Part::Head(head) => lines.push(Line::Head(head)),
        }
    }
    lines
}

pub(crate) async fn exported(channel: &Channel, from_number: u64) -> Vec<Line> {
    let request = AuditExportRequest { from_number, filter: None };
    lines(audit(channel).export(request).await.unwrap().into_inner()).await
}

pub(crate) fn rows(lines: &[Line]) -> Vec<&AuditRow> {
    lines.iter().filter_map(|line| if let Line::Row(row) = line { Some(row) } else { None }).collect()
}

pub(crate) fn check(mut check: FileCheck, files: &[Vec<Line>]) -> Result<Found, FileFault> {
    for file in files {
        file.iter().try_for_each(|line| check.line(&line.to_text().unwrap()))?;
        check.end_of_file()?;
    }
    check.end()
}

/// The next row of a watch.
async fn next(events: &mut Streaming<pb::AuditWatchResponse>) -> AuditRow {
    let row = async {
        loop {
            if let Event::Row(row) = events.message().await.unwrap().unwrap().event.unwrap() {
                return row;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), row).await.unwrap()
}

#[tokio::test]
async fn rows_are_found_by_who_what_where_when_how_it_ended_and_what_they_say() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let (machine, session) = (GatewayId::from_random([5; 16]), SessionId::from_random([6; 16]));
    let entry = |principal: &str, action: &str, result, detail: &str| Entry {
        gateway: machine.to_string(),
        session: session.to_string(),
        request_id: format!("request of {action}"),
        result,
        detail: detail.to_owned(),
        ..Entry::new(principal, action)
    };
    for each in [
        entry("person/ada", "/chatcode.v1.Terminal/Attach", Code::Unspecified, ""),
        entry("person/ada/api-token/t", "/chatcode.v1.Fleet/Revoke", Code::Forbidden, "50% of_it!"),
        entry("person/adam", "gateway.revoked", Code::Done, "The Words"),
        Entry::new("core", "elsewhere"),
    ] {
        core.shared.store.audit(&each).await.unwrap();
    }
    let found = async |filter: AuditFilter| -> Vec<String> {
        let here = AuditFilter { gateway: machine.to_string(), ..filter };
        search(&admin, here).await.into_iter().map(|row| row.action).collect()
    };
    let attach = "/chatcode.v1.Terminal/Attach";
    let revoke = "/chatcode.v1.Fleet/Revoke";
    let any = AuditFilter::default;
    assert_eq!(found(any()).await, ["gateway.revoked", revoke, attach], "newest first");
    let principal = AuditFilter { principal: "person/ada".to_owned(), ..any() };
    assert_eq!(found(principal).await, [attach]);
    let person = AuditFilter { person: "ada".to_owned(), ..any() };
    assert_eq!(found(person).await, [revoke, attach], "with the tokens, and nobody of a longer name");
    let action = |action: &str| AuditFilter { action: action.to_owned(), ..any() };
    assert_eq!(found(action("gateway.")).await, ["gateway.revoked"]);
    assert_eq!(found(action("Fleet/")).await, [revoke]);
    assert_eq!(found(action("/chatcode.v1.Fleet/Revoke")).await, [revoke]);
    assert_eq!(found(action("evoke")).await, [""; 0]);
    let result = AuditFilter { result: Code::Done.into(), ..any() };
    assert_eq!(found(result).await, ["gateway.revoked"]);
    assert_eq!(found(AuditFilter { refused: true, ..any() }).await, [revoke]);
    let text = |text: &str| AuditFilter { text: text.to_owned(), ..any() };
    assert_eq!(found(text("the words")).await, ["gateway.revoked"]);
    assert_eq!(found(text("0% of_it!")).await, [revoke]);
    assert_eq!(found(text("_")).await, [revoke], "no wild cards");
    let request = AuditFilter { request_id: format!("request of {attach}"), ..any() };
    assert_eq!(found(request).await, [attach]);
    let here = search(&admin, AuditFilter { session: session.to_string(), ..any() }).await;
    assert_eq!(here.len(), 3);

    let middle = here[1].unix_ms;
    let from = AuditFilter { from_unix_ms: middle + 60_000, ..any() };
    assert_eq!(found(from).await, [""; 0]);
    assert_eq!(found(AuditFilter { until_unix_ms: middle - 60_000, ..any() }).await, [""; 0]);
    let between = AuditFilter { from_unix_ms: middle - 60_000, until_unix_ms: middle + 60_000, ..any() };
    assert_eq!(found(between).await.len(), 3);
    let long = AuditListRequest { filter: Some(text(&"x".repeat(257))), ..Default::default() };
    assert_eq!(code(&audit(&admin).list(long).await.unwrap_err()), Code::Invalid);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_hole_and_a_search_for_rare_words_comes_back_in_between() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let page = async |before, limit, text: &str| -> AuditListResponse {
        let filter = Some(AuditFilter { text: text.to_owned(), ..Default::default() });
        audit(&admin).list(AuditListRequest { before, limit, filter }).await.unwrap().into_inner()
    };
    core.shared
        .store
        .audit(&Entry { detail: "a needle".to_owned(), ..Entry::new("core", "x") })
        .await
        .unwrap();
    let all: Vec<u64> = page(0, 1000, "").await.rows.iter().map(|row| row.number).collect();
    let (mut read, mut before) = (Vec::new(), 0);
    loop {
        let got = page(before, 2, "").await;
        read.extend(got.rows.iter().map(|row| row.number));
        before = got.next;
        if before == 0 {
            break;
        }
    }
    assert_eq!(read, all);

    let last = all[0];
    let mut store = store_file(&core).await;
    sqlx::query(
        "WITH RECURSIVE more (n) AS (SELECT $1 + 1 UNION ALL SELECT n + 1 FROM more WHERE n < $1 + $2)
         INSERT INTO audit SELECT n, n, 'core', 'hay', '', '', 1, '', '', '', x'00' FROM more",
    )
    .bind(i64::try_from(last).unwrap())
    .bind(i64::try_from(limits::AUDIT_SCAN).unwrap() + 10)
    .execute(&mut store)
    .await
    .unwrap();
    let first = page(0, 10, "needle").await;
    assert!(first.rows.is_empty() && first.next > last, "{first:?}");
    let second = page(first.next, 10, "needle").await;
    assert_eq!((second.rows.len(), second.next), (1, 0));
}

#[tokio::test]
async fn who_reads_the_audit_of_a_place_sees_the_rows_of_its_machines_and_no_others() {
    let core = TestCore::start().await;
    let (attic, cellar) = (add_gateway(&core, 1, "attic"), add_gateway(&core, 2, "cellar"));
    let town = Town::of(&core).await;
    let (ada, page, _) = town.with_role("Ada", PersonRole::Admin, label("site", "attic")).await;
    for (machine, what) in [(attic, "here"), (cellar, "there"), (attic, "here again")] {
        let act = Entry { gateway: machine.to_string(), ..Entry::new("core", what) };
        core.shared.store.audit(&act).await.unwrap();
    }
    core.shared.store.audit(&Entry::new("core", "about no machine")).await.unwrap();
    let actions = |rows: &[AuditRow]| rows.iter().map(|row| row.action.clone()).collect::<Vec<_>>();
    let list = async |filter: Option<AuditFilter>| {
        let request = AuditListRequest { filter, ..Default::default() };
        page.audit().list(page.request(request)).await.unwrap().into_inner().rows
    };
    assert_eq!(actions(&list(None).await), ["here again", "here"]);
    let there = AuditFilter { gateway: cellar.to_string(), ..Default::default() };
    assert!(list(Some(there)).await.is_empty());

    let export = page.audit().export(page.request(AuditExportRequest::default())).await.unwrap();
    let export = lines(export.into_inner()).await;
    assert!(matches!(&export[0], Line::Begin(begin) if begin.chosen), "{:?}", export[0]);
    let seen: Vec<&str> = rows(&export).iter().map(|row| row.action.as_str()).collect();
    assert_eq!(seen, ["here", "here again"]);
    assert!(!export.iter().any(|line| matches!(line, Line::Head(_))), "the head tells of all rows");
    assert_eq!(check(FileCheck::default(), &[export]).unwrap_err(), FileFault::Chosen);

    let watch = page.audit().watch(page.request(AuditWatchRequest::default())).await;
    let mut events = watch.unwrap().into_inner();
    events.message().await.unwrap();
    for (machine, what) in [(cellar, "there"), (attic, "now")] {
        let act = Entry { gateway: machine.to_string(), ..Entry::new("core", what) };
        core.shared.store.audit(&act).await.unwrap();
    }
    assert_eq!(next(&mut events).await.action, "now");

    let head = page.audit().head(page.request(AuditHeadRequest {})).await.unwrap_err();
    let verify = page.audit().verify(page.request(AuditVerifyRequest::default())).await.unwrap_err();
    assert_eq!((code(&head), code(&verify)), (Code::Forbidden, Code::Forbidden));

    // A machine that moves away is not hers any more; one more place is.
    town.give(&ada.id, PersonRole::Admin, gateway(&cellar.to_string())).await;
    assert_eq!(actions(&list(None).await), ["now", "there", "here again", "there", "here"]);
}

#[tokio::test]
async fn a_watch_tells_each_row_once_as_it_comes_and_ends_with_the_right_to_it() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (_, page, binding) = town.with_role("Ada", PersonRole::Admin, everything()).await;
    let filter = Some(AuditFilter { principal: "robot".to_owned(), ..Default::default() });
    let wanted = AuditWatchRequest { filter, ..Default::default() };
    let mut events = audit(&town.admin).watch(wanted).await.unwrap().into_inner();
    let mut hers = page.audit().watch(page.request(AuditWatchRequest::default())).await.unwrap().into_inner();
    events.message().await.unwrap();
    hers.message().await.unwrap();
    for number in 0..200 {
        let who = if number % 2 == 0 { "robot" } else { "other" };
        core.shared.store.audit(&Entry::new(who, format!("act {number}"))).await.unwrap();
    }
    for number in (0..200).step_by(2) {
        assert_eq!(next(&mut events).await.action, format!("act {number}"));
    }
    town.people().remove_binding(pb::PeopleRemoveBindingRequest { id: binding.id }).await.unwrap();
    assert_eq!(code(&ended(&mut hers).await), Code::Forbidden);
}

#[tokio::test]
async fn an_export_proves_itself_and_what_is_taken_from_it_later() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    for number in 0..1200 {
        core.shared.store.audit(&Entry::new("core", format!("act {number}"))).await.unwrap();
    }
    let whole = exported(&admin, 0).await;
    let pin = core.shared.audit.key.public().pin();
    let found = check(FileCheck::new(vec![pin]), std::slice::from_ref(&whole)).unwrap();
    let numbers: Vec<u64> = rows(&whole).iter().map(|row| row.number).collect();
    assert_eq!((found.first, found.last), (1, *numbers.last().unwrap()));
    assert_eq!(found.installation, core.shared.installation());
    assert_eq!(numbers, (1..=found.last).collect::<Vec<_>>());
    let by_itself = rows(&whole).iter().any(|row| row.action == "/chatcode.v1.Audit/Export");
    assert!(by_itself, "an export is in the audit, and so in itself");

    // From a row on, it goes on where another one ends.
    let rest = exported(&admin, found.last + 1).await;
    check(FileCheck::new(vec![pin]), &[whole.clone(), rest]).unwrap();
    let later = AuditExportRequest { from_number: found.last + 100, filter: None };
    assert_eq!(code(&audit(&admin).export(later).await.unwrap_err()), Code::Invalid);

    let mut cut = whole.clone();
    cut.remove(cut.len() - 2);
    assert!(check(FileCheck::default(), &[cut]).is_err());
    let mut changed = whole.clone();
    if let Line::Row(row) = &mut changed[600] {
        row.detail = "nothing happened".to_owned();
    }
    let fault = check(FileCheck::default(), &[changed]).unwrap_err();
    assert_eq!(fault.to_string().split(':').next(), Some("row 600 is changed"));
}

#[tokio::test]
async fn the_core_names_the_first_broken_row_and_a_kept_head_shows_that_the_end_was_cut() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let head = audit(&admin).head(AuditHeadRequest {}).await.unwrap().into_inner().head.unwrap();
    let verify = async |channel: &Channel, kept: Vec<pb::AuditHead>| {
        audit(channel).verify(AuditVerifyRequest { kept }).await.map(tonic::Response::into_inner)
    };
    let whole = verify(&admin, vec![head.clone()]).await.unwrap();
    assert_eq!((whole.broken, whole.first, whole.reason.as_str()), (0, 1, ""));
    assert!(whole.last >= head.number && whole.head.is_some());
    let forged = pb::AuditHead { number: 1, ..head.clone() };
    assert_eq!(code(&verify(&admin, vec![forged]).await.unwrap_err()), Code::Invalid);

    let identity = core.enroll(MemberKind::Admin, "auditor").await;
    let path = core.folder.path().join("core/core.db");
    let folder = core.stop().await;
    // Whoever can write the file cuts the tail, and makes all else fit.
    tamper(&path, "DELETE FROM audit WHERE number > 2").await;
    let mut store = opened(&path).await;
    let (number, hash): (i64, Vec<u8>) =
        sqlx::query_as("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
            .fetch_one(&mut store)
            .await
            .unwrap();
    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'audit_head'")
        .bind(format!("{number}:{}", hex(&hash)))
        .execute(&mut store)
        .await
        .unwrap();
    store.close().await.unwrap();
    let core = TestCore::start_in(folder).await;
    let admin = core.channel(&identity);
    assert_eq!(verify(&admin, vec![]).await.unwrap().broken, 0, "by itself it looks whole");
    let found = verify(&admin, vec![head]).await.unwrap();
    assert!(found.broken >= 3 && found.reason.contains("cut off"), "{found:?}");
    assert!(found.head.is_none());

    let path = core.folder.path().join("core/core.db");
    let folder = core.stop().await;
    let mut store = opened(&path).await;
    execute(&mut store, "UPDATE audit SET principal = 'somebody else' WHERE number = 2").await;
    store.close().await.unwrap();
    let core = TestCore::start_in(folder).await;
    let found = verify(&core.channel(&identity), vec![]).await.unwrap();
    assert_eq!(found.broken, 2);
    assert!(found.reason.contains("changed"), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done_and_reading_goes_on() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let machine = FakeGateway::link(&core, &machine).await;
    let town = Town::of(&core).await;
    let (_, page, _) = town.with_role("Ada", PersonRole::Owner, everything()).await;
    let (typed, keys) = mpsc::channel(8);
    let mut request = page.request(ReceiverStream::new(keys));
    aim(&mut request, &machine.id, &SessionId::from_random([3; 16]).to_string());
    let _terminal = TerminalClient::new(page.edge.clone()).attach(request).await.unwrap();

    let mut store = store_file(&core).await;
    execute(
        &mut store,
        "CREATE TRIGGER no_room BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )
    .await;
    let person = PeopleCreateRequest { display_name: "Bob".to_owned(), email: String::new() };
    let refused = page.people().create(page.request(person.clone())).await.unwrap_err();
    assert_eq!(code(&refused), Code::Unwritable);
    assert!(refused.message().contains("disk"), "{}", refused.message());
    let revoke = FleetRevokeRequest { gateway: machine.id.clone() };
    assert_eq!(code(&fleet(&town.admin).revoke(revoke).await.unwrap_err()), Code::Unwritable);
    let mut again = page.request(futures_util::stream::pending());
    aim(&mut again, &machine.id, &SessionId::from_random([3; 16]).to_string());
    let attach = TerminalClient::new(page.edge.clone()).attach(again).await.unwrap_err();
    assert_eq!(code(&attach), Code::Unwritable, "a new terminal would not be in the audit");

    let people = page.people().list(page.request(PeopleListRequest::default())).await.unwrap();
    assert!(people.into_inner().people.iter().all(|one| one.display_name != "Bob"));
    let machines = page.fleet().list(page.request(FleetListRequest::default())).await.unwrap();
    assert_eq!(machines.into_inner().gateways.len(), 1);
    let key = || ClientFrame { kind: Some(client_frame::Kind::Ping(pb::Ping { stamp: 1 })) };
    typed.send(key()).await.unwrap();
    let pings = || machine.seen.pings.load(Ordering::SeqCst);
    eventually("the terminal that runs goes on", async || (pings() == 1).then_some(())).await;

    execute(&mut store, "DROP TRIGGER no_room").await;
    page.people().create(page.request(person)).await.expect("there is room again");
}

#[tokio::test]
async fn a_new_key_for_heads_is_in_the_audit_with_the_one_before() {
    let core = TestCore::start().await;
    let identity = core.enroll(MemberKind::Admin, "auditor").await;
    let old = core.shared.audit.key.public().pin();
    core.audited(|row| row.action == "audit.key_made" && row.detail == hex(&old)).await;
    let folder = core.stop().await;
    let core = TestCore::start_in(folder).await;
    assert_eq!(core.shared.audit.key.public().pin(), old, "it stays");
    let folder = core.stop().await;
    fs::remove_file(folder.path().join("core/audit/head.key")).unwrap();
    let core = TestCore::start_in(folder).await;
    let new = core.shared.audit.key.public().pin();
    assert_ne!(new, old);
    let words = format!("{} instead of {}", hex(&new), hex(&old));
    core.audited(|row| row.action == "audit.key_made" && row.detail == words).await;
    let export = exported(&core.channel(&identity), 0).await;
    let refused = check(FileCheck::new(vec![old]), std::slice::from_ref(&export)).unwrap_err();
    assert!(matches!(refused, FileFault::OtherKey { .. }), "{refused:?}");
    check(FileCheck::new(vec![old, new]), &[export]).unwrap();
}

#[tokio::test]
async fn a_refused_act_on_a_machine_names_the_machine() {
    let core = TestCore::start().await;
    let attic = add_gateway(&core, 1, "attic");
    let town = Town::of(&core).await;
    let ada = town.person("Ada").await;
    town.give(&ada.id, PersonRole::Viewer, gateway(&attic.to_string())).await;
    town.give(&ada.id, PersonRole::Admin, label("site", "cellar")).await;
    let page = town.sign_in(&ada.id, None).await;
    let revoke = FleetRevokeRequest { gateway: attic.to_string() };
    assert_eq!(code(&page.fleet().revoke(page.request(revoke)).await.unwrap_err()), Code::Forbidden);
    let acknowledge = FleetAcknowledgeDuplicateRequest { gateway: attic.to_string(), duplicate_unix_ms: 1 };
    let refused = page.fleet().acknowledge_duplicate(page.request(acknowledge)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Forbidden);
    for method in ["Revoke", "AcknowledgeDuplicate"] {
        let action = format!("/chatcode.v1.Fleet/{method}");
        let row = core.audited(|row| row.action == action && row.result() == Code::Forbidden).await;
        assert_eq!(row.gateway, attic.to_string(), "{method}");
    }
}

#[tokio::test]
async fn tokens_and_sessions_say_who_made_them() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let ada = town.person("Ada").await;
    town.give(&ada.id, PersonRole::Viewer, everything()).await;
    let page = town.sign_in(&ada.id, None).await;
    town.program(&ada.id, PersonRole::Viewer).await;
    let sessions = page.accounts().list_sessions(page.request(AccountsListSessionsRequest {})).await;
    let by = sessions.unwrap().into_inner().sessions.remove(0).created_by;
    assert!(by.starts_with("admin/"), "{by}");
    let list = page.people().list_api_tokens(page.request(PeopleListApiTokensRequest::default())).await;
    assert_eq!(list.unwrap().into_inner().tokens[0].created_by, by);
}

#[tokio::test]
async fn one_holder_has_a_bounded_number_of_roles() {
    let core = TestCore::start().await;
    let town = Town::of(&core).await;
    let (ada, bob) = (town.person("Ada").await, town.person("Bob").await);
    for number in 0..limits::BINDINGS_OF_HOLDER {
        town.give(&ada.id, PersonRole::Viewer, label("n", &number.to_string())).await;
    }
    let request = |person: &str| pb::PeopleCreateBindingRequest {
        holder: Some(pb::people_create_binding_request::Holder::Person(person.to_owned())),
        role: PersonRole::Viewer.into(),
        place: Some(everything()),
    };
    let refused = town.people().create_binding(request(&ada.id)).await.unwrap_err();
    assert_eq!(code(&refused), Code::Limit);
    town.people().create_binding(request(&bob.id)).await.expect("another one has room");
}

#[tokio::test]
async fn too_many_readers_at_once_are_told_so() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let mut watches = Vec::new();
    for _ in 0..limits::AUDIT_STREAMS {
        let request = Request::new(AuditWatchRequest::default());
        watches.push(audit(&admin).watch(request).await.unwrap().into_inner());
    }
    let refused = audit(&admin).watch(AuditWatchRequest::default()).await.unwrap_err();
    assert_eq!(code(&refused), Code::Limit);
    watches.pop();
    eventually("a place is free again", async || {
        audit(&admin).watch(AuditWatchRequest::default()).await.ok()
    })
    .await;
}
