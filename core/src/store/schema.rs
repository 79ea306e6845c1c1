//! Which schema a store has: brought up to date with a copy kept of what was
//! before, never taken back, and copied whole while the core runs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::SqliteConnectOptions,
};

use super::{BUSY, MIGRATIONS, StoreError, private_file};

/// The schema that this program brings a store to.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _, _)| *version)
}

/// The schema of a store; 0 for one that is new.
async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let is_there: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await?;
    if is_there == 0 {
        return Ok(0);
    }
    let version: Option<i64> =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(connection).await?;
    Ok(version.unwrap_or(0))
}

/// Brings the store at `path` up to date. Before its schema changes the whole
/// file is kept beside it, for the program of the version before.
///
/// # Errors
/// [`StoreError::Newer`] for one that a newer program has written; it is not
/// touched then.
pub(super) async fn bring_up_to_date(
    pool: &SqlitePool,
    migrator: &Migrator,
    path: &Path,
) -> Result<(), StoreError> {
    let found = {
        let mut connection = pool.acquire().await?;
        let found = version(&mut connection).await?;
        if found > newest() {
            return Err(StoreError::Newer { found, known: newest() });
        }
        if found != 0 && found < newest() {
            keep(&mut connection, path, found).await?;
        }
        found
    };
    migrator.run(pool).await.map_err(|error| match error {
        // Another process that is newer was quicker.
        MigrateError::VersionMissing(version) => StoreError::Newer { found: version, known: newest() },
        error => error.into(),
    })?;
    if found != 0 && found < newest() {
        tracing::info!(from = found, to = newest(), "the store's schema is up to date");
    }
    Ok(())
}

/// Keeps the whole store as it is with this schema; a copy of an earlier upgrade
/// from it is replaced, and one that broke off counts for nothing.
async fn keep(connection: &mut SqliteConnection, path: &Path, found: i64) -> Result<(), StoreError> {
    let kept = before(path, found);
    let mut aside = kept.as_os_str().to_owned();
    aside.push(format!(".{}.new", chatcode_certs::random::text_id()));
    let aside = PathBuf::from(aside);
    let copied = copy_into(connection, &aside).await;
    // Another process may have been quicker: what was copied is no more that schema then.
    let is_still = copied.is_ok() && version(connection).await? == found;
    if is_still {
        let whole = File::open(&aside).and_then(|file| file.sync_all());
        return whole
            .and_then(|()| fs::rename(&aside, &kept))
            .map_err(|source| StoreError::File { path: kept, source });
    }
    // Nobody reads it.
    let _ = fs::remove_file(&aside);
    copied
}

/// Where a store is kept as it was with this schema.
fn before(path: &Path, version: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema-{version}"));
    PathBuf::from(name)
}

/// Copies a store whole into a new file (0600): as it is at one moment, also
/// while a core writes.
///
/// # Errors
/// [`StoreError::Older`] and [`StoreError::Newer`] when this program is not the
/// one that keeps it.
pub async fn copy(path: &Path, to: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).read_only(true);
    let mut connection = options.connect().await?;
    let (found, known) = (version(&mut connection).await?, newest());
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found < known {
        return Err(StoreError::Older { found, known });
    }
    copy_into(&mut connection, to).await?;
    connection.close().await?;
    Ok(())
}

async fn copy_into(connection: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    // Made before, so that it is private from its first byte: SQLite takes an
    // empty file for none.
    private_file(to)?;
    let name = to.to_str().ok_or(StoreError::Corrupt("a path that is not UTF-8"))?;
    sqlx::query("VACUUM INTO $1").bind(name).execute(connection).await?;
    Ok(())
}
