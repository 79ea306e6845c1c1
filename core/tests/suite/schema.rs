//! The store of the version before, and of the version after.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use chatcode_core::{
    people::{Given, Place},
    store::{Store, StoreError, schema},
};
use chatcode_proto::pb::PersonRole;
use sqlx::{
    Connection as _, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
};

/// The store as version 1 of the schema made it; what was released is never
/// changed.
const FIRST: &str = include_str!("../../migrations/0001_begin.sql");

/// A store of the first schema with a gateway in it.
async fn of_the_first_schema(path: &Path) {
    std::fs::write(path, "").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut store = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let first = Migration::new(1, "begin".into(), MigrationType::Simple, FIRST.into_sql_str(), false);
    Migrator::with_migrations(vec![first]).run(&mut store).await.unwrap();
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
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // Put back, it is what the version before left.
    std::fs::copy(&kept, &path).unwrap();
    for side in ["core.db-wal", "core.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(side));
    }
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
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 1000, .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("newer chatcode-core") && words.contains("core.db.schema-"), "{words}");
    assert!(std::fs::read(&path).unwrap() == before, "not a byte of it");
}
