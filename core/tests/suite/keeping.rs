//! What outlives the core, and what it refuses to start with.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chatcode_core::{
    Core,
    store::{
        Store,
        audit::{Entry, Verdict},
    },
};
use chatcode_proto::pb::{
    AccountsWhoAmIRequest, FleetListRequest, FleetRevokeRequest, LinkState, MemberKind,
};

use crate::{
    common::{TestCore, config, eventually, fleet},
    gateway::{FakeGateway, Seen, hello, session},
};

#[tokio::test]
async fn a_restart_keeps_members_people_sessions_audit_and_ports() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let admin = core.enroll(MemberKind::Admin, "operator").await;
    let edge = core.enroll(MemberKind::Edge, "edge").await;
    let page = core.page().await;
    let seen = std::sync::Arc::new(Seen::default());
    seen.sessions.lock().unwrap().push(session(1, "shell"));
    let gateway = FakeGateway::link_as(&core, &machine, hello(), seen).await;
    let kept = async || (!core.shared.store.sessions().await.unwrap().is_empty()).then_some(());
    eventually("the session is kept", kept).await;
    let (bound, epoch) = (core.bound.clone(), gateway.welcome.epoch);
    let folder = core.stop().await;

    let core = TestCore::start_in(folder).await;
    assert_eq!(core.bound, bound, "the same installation at the same ports");
    let all =
        fleet(&core.channel(&admin)).list(FleetListRequest::default()).await.unwrap().into_inner().gateways;
    assert_eq!((all.len(), all[0].link_state(), all[0].link_epoch), (1, LinkState::Offline, epoch));
    assert_eq!(core.shared.hub.watch().0.sessions.len(), 1);
    let mut accounts = chatcode_proto::pb::accounts_client::AccountsClient::new(core.channel(&edge));
    accounts.who_am_i(page.request(AccountsWhoAmIRequest {})).await.unwrap();
    let again = FakeGateway::link(&core, &machine).await;
    assert!(again.welcome.epoch > epoch);
    assert!(matches!(core.shared.store.verify_audit().await.unwrap(), Verdict::Whole(rows) if rows > 5));
}

#[tokio::test]
async fn the_sessions_of_a_revoked_machine_are_forgotten_and_stay_so() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let admin = core.admin().await;
    let seen = std::sync::Arc::new(Seen::default());
    seen.sessions.lock().unwrap().push(session(1, "shell"));
    let gateway = FakeGateway::link_as(&core, &machine, hello(), seen).await;
    let known = async || (!core.shared.hub.watch().0.sessions.is_empty()).then_some(());
    eventually("the session is known", known).await;

    let request = FleetRevokeRequest { gateway: gateway.id.clone() };
    fleet(&admin).revoke(request).await.unwrap();
    assert_eq!(core.shared.hub.watch().0.sessions, []);
    // A mirror that is not at its end yet tells nobody and comes back to nobody.
    let (id, late) = (gateway.id.parse().unwrap(), session(2, "late"));
    assert!(core.shared.hub.put_session(id, late.id.parse().unwrap(), late.clone()).is_none());
    core.shared.store.put_session(id, &late).await.unwrap();
    let core = TestCore::start_in(core.stop().await).await;
    assert_eq!(core.shared.hub.watch().0.sessions, []);
}

#[tokio::test]
async fn a_stop_sends_machines_and_watchers_away_at_once() {
    let core = TestCore::start().await;
    let admin = core.admin().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    let gateway = FakeGateway::link(&core, &machine).await;
    let request = chatcode_proto::pb::FleetWatchRequest {};
    let mut events = fleet(&admin).watch(request).await.unwrap().into_inner();
    let told = tokio::spawn(async move {
        loop {
            if let Err(status) = events.message().await {
                return crate::common::code(&status);
            }
        }
    });
    let link = gateway.link.clone();
    let mut news = gateway.news;
    let leaving = tokio::spawn(async move {
        let drain = news.recv().await;
        link.close(chatcode_proto::pb::Code::Done, "as told");
        drain
    });
    drop(admin);
    let stopped = tokio::time::timeout(chatcode_proto::limits::SHUTDOWN, core.stop()).await;
    assert!(stopped.is_ok(), "nothing held it up");
    assert_eq!(told.await.unwrap(), chatcode_proto::pb::Code::Draining);
    assert!(matches!(leaving.await.unwrap(), Some(chatcode_proto::pb::core_control::Kind::Drain(_))));
}

#[tokio::test]
async fn files_that_others_may_read_stop_the_start() {
    for loose in ["core.db", "ca", "identity"] {
        let folder = TestCore::start().await.stop().await;
        let path = folder.path().join("core").join(loose);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{loose} is private at first");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o044)).unwrap();
        let refused = Core::build(config(folder.path())).await;
        assert!(refused.is_err(), "{loose}");
    }
}

#[tokio::test]
async fn a_store_of_another_installation_is_refused() {
    let one = TestCore::start().await.stop().await;
    let two = TestCore::start().await.stop().await;
    // With what SQLite keeps beside it, which may outlive the process.
    for name in ["core.db", "core.db-wal", "core.db-shm"] {
        let [from, to] = [&two, &one].map(|core| core.path().join("core").join(name));
        let _ = fs::remove_file(&to);
        if from.exists() {
            fs::copy(from, to).unwrap();
        }
    }
    let refused = Core::build(config(one.path())).await.unwrap_err();
    assert!(refused.to_string().contains("installation"), "{refused}");
}

#[tokio::test]
async fn the_audit_chain_shows_a_changed_missing_or_cut_row() {
    for (tampering, broken_at) in [
        ("UPDATE audit SET detail = 'x' WHERE number = 3", 3),
        ("UPDATE audit SET result = 1 - result WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number > 8", 9),
        ("UPDATE audit SET number = number + 1 WHERE number = 10", 10),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.db");
        let store = Store::open(&path).await.unwrap();
        for number in 1..=10 {
            store.audit(&Entry::new("somebody", format!("act {number}"))).await.unwrap();
        }
        assert_eq!(store.verify_audit().await.unwrap(), Verdict::Whole(10));
        store.close().await;

        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        assert!(sqlx::query(tampering).execute(&pool).await.is_err(), "rows are guarded: {tampering}");
        for guard in ["audit_rows_stay_as_they_are", "audit_rows_stay"] {
            let drop = sqlx::AssertSqlSafe(format!("DROP TRIGGER {guard}"));
            sqlx::query(drop).execute(&pool).await.unwrap();
        }
        sqlx::query(tampering).execute(&pool).await.unwrap();
        pool.close().await;

        let store = Store::open(&path).await.unwrap();
        let verdict = store.verify_audit().await.unwrap();
        assert!(
            matches!(&verdict, Verdict::Broken(fault) if fault.row() == broken_at),
            "{tampering}: {verdict:?}"
        );
    }
}
