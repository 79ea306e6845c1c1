//! The store of the version before, and of the version after.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use chatcode_core::{
    people::{Given, Place},
    store::{Store, StoreError, audit::Verdict, schema},
};
use chatcode_proto::pb::{FleetListRequest, LinkState, MemberKind, PersonRole};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};

use crate::{
    common::{TestCore, eventually, fleet},
    gateway::{FakeGateway, Seen, hello, session},
};

/// The store as version 1 of the schema made it; what was released is never
/// changed.
const FIRST: &str = include_str!("../../migrations/0001_begin.sql");

/// Does to a store what a program of the first version does at its start: makes its
/// tables, and refuses a schema that it does not know.
async fn opened_by_the_first_version(path: &Path) -> SqliteConnection {
    if !path.exists() {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    let mut store = options.connect().await.unwrap();
    let first = Migration::new(1, "begin".into(), MigrationType::Simple, FIRST.into_sql_str(), false);
    Migrator::with_migrations(vec![first]).run(&mut store).await.unwrap();
    store
}

/// A store of the first schema with an owner, who is signed in, and a gateway in it.
async fn of_the_first_schema(path: &Path) {
    let mut store = opened_by_the_first_version(path).await;
    for statement in [
        "INSERT INTO people (id, display_name, role, created_ms) VALUES ('p', 'Owner', 'owner', 1)",
        "INSERT INTO person_sessions (hash, person, created_ms, used_ms, expires_ms)
         VALUES (x'0101010101010101010101010101010101010101010101010101010101010101', 'p', 7,
                 9000000000000, 9000000000000)",
    ] {
        sqlx::query(statement).execute(&mut store).await.unwrap();
    }
    let member = "INSERT INTO members (id, kind, name, enrolled_ms) VALUES ('m', 'gateway', 'box', 1)";
    sqlx::query(member).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
}

/// All of a store that the first schema has a place for, in a store of that schema.
async fn taken_back_to_the_first_schema(now: &Path, path: &Path) {
    let mut store = opened_by_the_first_version(path).await;
    sqlx::query("ATTACH $1 AS now").bind(now.to_str().unwrap()).execute(&mut store).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM main.sqlite_master
         WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
    )
    .fetch_all(&mut store)
    .await
    .unwrap();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        let columns: String = sqlx::query_scalar(
            "SELECT group_concat(name, ', ') FROM pragma_table_info($1, 'main')
             WHERE name IN (SELECT name FROM pragma_table_info($1, 'now'))",
        )
        .bind(&table)
        .fetch_one(&mut store)
        .await
        .unwrap();
        // Who may do what was one word then.
        let (into, from) = if table == "people" { (", role", ", 'owner'") } else { ("", "") };
        let rows =
            format!("INSERT INTO main.{table} ({columns}{into}) SELECT {columns}{from} FROM now.{table}");
        sqlx::query(AssertSqlSafe(rows)).execute(&mut store).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Puts a file in the place of the store, as docs/upgrade.md says.
fn put_in_place(kept: &Path, store: &Path) {
    for side in ["core.db-wal", "core.db-shm"] {
        let _ = fs::remove_file(store.with_file_name(side));
    }
    fs::copy(kept, store).unwrap();
}

/// The machine links to the core, which mirrors its session; a call reaches it.
async fn links(core: &TestCore, machine: &chatcode_certs::Identity) {
    let seen = Arc::new(Seen::default());
    seen.sessions.lock().unwrap().push(session(1, "long-lived"));
    let gateway = FakeGateway::link_as(core, machine, hello(), seen).await;
    let admin = core.admin().await;
    eventually("the machine is online and its session is shown", async || {
        let listed = fleet(&admin).list(FleetListRequest::default()).await.ok()?.into_inner();
        let online = |one: &&chatcode_proto::pb::Gateway| {
            one.id == gateway.id && one.name == "machine" && one.link_state() == LinkState::Online
        };
        let shown = core.shared.store.sessions().await.ok()?;
        (listed.gateways.iter().any(|one| online(&one)) && shown.len() == 1).then_some(())
    })
    .await;
}

async fn names(path: &Path) -> Vec<String> {
    let mut store = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::query_scalar("SELECT name FROM members").fetch_all(&mut store).await.unwrap()
}

#[tokio::test]
async fn a_store_of_the_version_before_is_brought_up_to_date_and_kept_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("core.db");
    of_the_first_schema(&path).await;
    let error = schema::copy(&path, &folder.path().join("copy")).await.unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 1, .. }), "{error}");

    let store = Store::open(&path).await.unwrap();
    store.belongs_to("01234567").await.unwrap();
    store.close().await;
    assert_eq!(names(&path).await, ["box"]);
    let kept = folder.path().join("core.db.schema-1");
    assert_eq!(names(&kept).await, ["box"]);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // Put back, it is what the version before left.
    put_in_place(&kept, &path);
    Store::open(&path).await.unwrap().close().await;
    assert_eq!(names(&path).await, ["box"]);
}

#[tokio::test]
async fn who_owned_the_installation_before_there_were_roles_owns_it_and_stays_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("core.db");
    of_the_first_schema(&path).await;
    let store = Store::open(&path).await.unwrap();
    let given = store.all_given().await.unwrap();
    let owner = Given { role: PersonRole::Owner, place: Place::Everything };
    assert_eq!(given.get("p"), Some(&vec![owner]), "{given:?}");
    assert_eq!(given.len(), 1);
    assert_eq!(store.owner("another").await.unwrap().id, "p");
    let session = store.person_session(&[1; 32]).await.unwrap().expect("lasts");
    assert_eq!((session.person.id.as_str(), session.proven_ms), ("p", 7));
    store.close().await;
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("core.db");
    Store::open(&path).await.unwrap().close().await;
    let mut store = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (1000, 'later', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 1000, .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("newer chatcode-core") && words.contains("core.db.schema-"), "{words}");
    assert!(fs::read(&path).unwrap() == before, "not a byte of it");
}

#[tokio::test]
async fn a_machine_stays_linked_through_an_upgrade_of_the_schema_the_way_back_and_the_way_there_again() {
    let core = TestCore::start().await;
    let machine = core.enroll(MemberKind::Gateway, "machine").await;
    links(&core, &machine).await;
    let folder = core.stop().await;
    let path = folder.path().join("core/core.db");
    let before = folder.path().join("before.db");
    taken_back_to_the_first_schema(&path, &before).await;
    put_in_place(&before, &path);
    let rows = names(&path).await;
    assert!(rows.contains(&"machine".to_owned()), "{rows:?}");

    // The new core on the store of the old one.
    let core = TestCore::start_in(folder).await;
    links(&core, &machine).await;
    core.enroll(MemberKind::Gateway, "later").await;
    assert!(matches!(core.shared.store.verify_audit().await.unwrap(), Verdict::Whole(rows) if rows > 0));
    let folder = core.stop().await;

    // Back: the store is what the old core left, and it takes it.
    let kept = folder.path().join("core/core.db.schema-1");
    put_in_place(&kept, &path);
    let mut old = opened_by_the_first_version(&path).await;
    let serial: String = sqlx::query_scalar(
        "SELECT serial FROM certificates JOIN members ON member = id WHERE name = 'machine' AND certificates.revoked_ms IS NULL",
    )
    .fetch_one(&mut old)
    .await
    .unwrap();
    assert_eq!(serial, machine.serial().to_string(), "the machine's certificate is known to it");
    assert_eq!(names(&path).await, rows, "what happened in between is lost, and nothing else");
    let member = "INSERT INTO members (id, kind, name, enrolled_ms) VALUES ('m', 'admin', 'meanwhile', 1)";
    sqlx::query(member).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    // And there again: what is kept is the store of now.
    let core = TestCore::start_in(folder).await;
    links(&core, &machine).await;
    assert!(matches!(core.shared.store.verify_audit().await.unwrap(), Verdict::Whole(rows) if rows > 0));
    assert!(names(&kept).await.contains(&"meanwhile".to_owned()), "it would be lost on the way back");
    let left: Vec<_> = fs::read_dir(kept.parent().unwrap()).unwrap().flatten().collect();
    assert!(left.iter().all(|file| !file.file_name().to_string_lossy().ends_with(".new")), "{left:?}");
}
