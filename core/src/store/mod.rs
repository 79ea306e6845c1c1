//! What the core keeps, in one SQLite file. Written in SQL that PostgreSQL
//! speaks too, so that a second backend is a second pool and no second logic.
//!
//! One connection writes and several read: rows of the audit and single-use
//! secrets need one order, and SQLite has one writer anyway. A write is on the
//! disk when its function returns.

pub mod api_tokens;
pub mod audit;
pub mod bindings;
pub mod certificates;
pub mod challenges;
pub mod counts;
pub mod devices;
pub mod fleet;
pub mod identities;
pub mod mail;
pub mod members;
pub mod pending;
pub mod people;
pub mod schema;
pub mod shares;
pub mod sign_ins;
pub mod teams;
pub mod tickets;
mod together;
pub mod tokens;
pub mod vouched;

use std::{
    fs::{self, OpenOptions},
    io,
    ops::{Deref, DerefMut},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chatcode_process::observe::{Counter, Histogram};
use chatcode_proto::{code::Refusal, pb::Code};
use sqlx::{
    Connection as _, SqlSafeStr as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

use together::Together;

/// Every migration, oldest first; one that was released is never changed.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "begin", include_str!("../../migrations/0001_begin.sql")),
    (2, "machine keys", include_str!("../../migrations/0002_machine_keys.sql")),
    (3, "tokens", include_str!("../../migrations/0003_tokens.sql")),
    (4, "certificates", include_str!("../../migrations/0004_certificates.sql")),
    (5, "people", include_str!("../../migrations/0005_people.sql")),
    (6, "identities", include_str!("../../migrations/0006_identities.sql")),
    (7, "audit", include_str!("../../migrations/0007_audit.sql")),
    (8, "mail and groups", include_str!("../../migrations/0008_mail_and_groups.sql")),
    (9, "shares", include_str!("../../migrations/0009_shares.sql")),
    (10, "device codes", include_str!("../../migrations/0010_device_codes.sql")),
];

/// How long a statement waits for another process that writes, such as
/// `chatcode-core token` beside a running core.
const BUSY: Duration = Duration::from_secs(5);

/// The name in `meta` under which it is noted that the store can be written again.
const CHECKED: &str = "checked_unix_ms";

/// Connections that read at once; more wait.
const READERS: u32 = 4;

/// The store cannot be used, or a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("the store failed")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A newer program has written it.
    #[error(
        "the store was written by a newer chatcode-core (schema {found}, this one knows {known}); start that \
         version, or put back the copy that it kept when it came: core.db.schema-{known}"
    )]
    Newer {
        /// The schema that was found.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
    /// An older program keeps it.
    #[error(
        "the store is that of an older chatcode-core (schema {found}, this one's is {known}); do this with the \
         version that keeps it"
    )]
    Older {
        /// The schema that was found.
        found: i64,
        /// That of this program.
        known: i64,
    },
    /// The file could not be made or read.
    #[error("the store's file {path} cannot be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the store's file {path} may be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    Loose {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A row of the audit could not be written.
    #[error("an act could not be written to the audit")]
    NotAudited(#[source] sqlx::Error),
    /// A row holds what this program never writes.
    #[error("the store holds something that this program does not understand: {0}")]
    Corrupt(&'static str),
    /// The store belongs to another installation than the CA beside it.
    #[error("the store is of installation {store}, the CA beside it of {ca}; put back the matching pair")]
    OtherInstallation {
        /// The installation in the store.
        store: String,
        /// The installation of the CA.
        ca: String,
    },
}

impl From<StoreError> for Refusal {
    /// The log says what failed, the caller learns only that, and whether nothing at
    /// all can be written.
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        if error.is_unwritable() {
            let words =
                "the core cannot write it down, so it was not done; is its disk full? its log says why";
            return Self::new(Code::Unwritable, words);
        }
        Self::new(Code::Internal, "the core's store failed; its log says why")
    }
}

impl StoreError {
    /// Whether what has to be kept cannot be written: the disk is full, read-only or
    /// broken (<https://www.sqlite.org/rescode.html>), or the audit takes no row.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        const READ_ONLY: u32 = 8;
        const IO: u32 = 10;
        const FULL: u32 = 13;
        match self {
            Self::NotAudited(_) => true,
            Self::Database(error) => {
                let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
                // The lowest byte is the cause, the others say more of it.
                code.is_some_and(|code| matches!(code & 0xff, READ_ONLY | IO | FULL))
            }
            _ => false,
        }
    }
}

/// What is counted of a store.
#[derive(Debug, Default)]
pub struct StoreMeters {
    /// From the wish to write to what is on the disk, each.
    pub writes: Histogram,
    /// Transactions that could not begin or not be finished.
    pub failed: Counter,
    /// Rows of the audit that could not be written.
    pub audit_failed: Counter,
    /// Whether the last thing that was to be written was not.
    unwritable: AtomicBool,
}

impl StoreMeters {
    fn failed<E>(&self, error: E) -> E {
        self.failed.inc();
        self.unwritable.store(true, Ordering::Relaxed);
        error
    }

    fn not_audited<E>(&self, error: E) -> E {
        self.audit_failed.inc();
        self.unwritable.store(true, Ordering::Relaxed);
        error
    }
}

/// A transaction that writes. Dropped without a commit it leaves nothing behind.
pub(crate) struct Tx {
    inner: Transaction<'static, Sqlite>,
    /// The number of the last row of the audit that it appended.
    appended: Option<u64>,
    newest: watch::Sender<u64>,
    begun: Instant,
    meters: Arc<StoreMeters>,
}

impl Tx {
    /// Everything counts, and is on the disk; then those who wait for rows of the
    /// audit are told.
    async fn commit(self) -> Result<(), sqlx::Error> {
        if let Err(error) = self.inner.commit().await {
            if self.appended.is_some() {
                self.meters.audit_failed.inc();
            }
            return Err(self.meters.failed(error));
        }
        self.meters.unwritable.store(false, Ordering::Relaxed);
        self.meters.writes.took(self.begun.elapsed());
        if let Some(number) = self.appended {
            self.newest.send_replace(number);
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

/// The store. Clones share the same connections.
#[derive(Clone, Debug)]
pub struct Store {
    read: SqlitePool,
    write: SqlitePool,
    /// The number of the last row of the audit that this process has written.
    newest: watch::Sender<u64>,
    meters: Arc<StoreMeters>,
    together: Arc<Together>,
}

impl Store {
    /// Opens the store at `path`, makes it when it is missing (0600), and
    /// brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`]; a file that others may read is refused.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        private_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            // A full disk makes SQLite take the transaction back by itself, of which the
            // library learns nothing: such a connection takes no other one, and goes.
            .before_acquire(|connection, _| {
                let is_free = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_free) })
            })
            .connect_with(options.clone())
            .await?;
        schema::bring_up_to_date(&write, &migrator(), path).await?;
        let read =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self {
            read,
            write,
            newest: watch::Sender::new(0),
            meters: Arc::default(),
            together: Arc::default(),
        })
    }

    /// What is counted of it.
    #[must_use]
    pub fn meters(&self) -> &StoreMeters {
        &self.meters
    }

    /// Whether it can be read and written now. Nothing is written to find out, unless
    /// the last thing that was to be written could not be.
    ///
    /// # Errors
    /// [`StoreError`]: why not.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.audit_head().await?;
        let mut tx = self.begin().await?;
        if self.meters.unwritable.load(Ordering::Relaxed) {
            set_meta(&mut tx, CHECKED, &crate::clock::unix_ms().to_string()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Closes the connections; the file is whole when it returns.
    pub async fn close(&self) {
        self.together.close().await;
        self.read.close().await;
        self.write.close().await;
    }

    /// The value of a name in `meta`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        Ok(value)
    }

    /// Sets the value of a name in `meta`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_meta(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        set_meta(&mut tx, name, value).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ties the store to the CA beside it at the first start, and refuses
    /// another one later.
    ///
    /// # Errors
    /// [`StoreError::OtherInstallation`] or a failure of the database.
    pub async fn belongs_to(&self, installation: &str) -> Result<(), StoreError> {
        match self.meta("installation").await? {
            None => self.set_meta("installation", installation).await,
            Some(ours) if ours == installation => Ok(()),
            Some(store) => Err(StoreError::OtherInstallation { store, ca: installation.to_owned() }),
        }
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        // At once, not at the first write: a transaction that reads first
        // would be refused when another process wrote in between.
        let begun = Instant::now();
        let inner = self.write.begin_with("BEGIN IMMEDIATE".into_sql_str()).await;
        let inner = inner.map_err(|error| self.meters.failed(error))?;
        Ok(Tx { inner, appended: None, newest: self.newest.clone(), begun, meters: Arc::clone(&self.meters) })
    }
}

pub(crate) async fn set_meta(tx: &mut Tx, name: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn migrator() -> Migrator {
    let one = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(one).collect())
}

/// Makes the file readable by its owner only, or checks that it is. SQLite
/// gives its side files the mode of the main one.
fn private_file(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 == 0 { Ok(()) } else { Err(StoreError::Loose { path: path.to_owned(), mode }) }
        }
        Err(error) => Err(failed(error)),
    }
}

/// A time or a count as the database has it.
pub(crate) fn to_row(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time or a count from the database.
pub(crate) fn from_row(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::Entry;

    /// SQLite refuses then as it does on a full disk.
    async fn fill_up(store: &Store) {
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.write).await.expect("is taken");
    }

    #[tokio::test]
    async fn a_store_that_may_not_grow_says_so_is_read_on_and_is_written_again_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("core.db")).await.expect("opens");
        fill_up(&store).await;
        let long = Entry { detail: "x".repeat(256), ..Entry::new("core", "filling") };
        let mut refused = None;
        for _ in 0..10_000 {
            if let Err(error) = store.audit(&long).await {
                refused = Some(error);
                break;
            }
        }
        let refused = refused.expect("it is full at last");
        assert!(matches!(refused, StoreError::NotAudited(_)), "{refused:?}");
        assert_eq!(Refusal::from(refused).code, Code::Unwritable);
        assert_eq!(store.meters().audit_failed.get(), 1);
        let (last, _) = store.audit_head().await.expect("is read");
        let rows = store.audit_rows(0, 1).await.expect("is read");
        assert_eq!(rows[0].number, last);
        // The limit is that of the connection, and another one has none.
        store.audit(&long).await.expect("there is room again");
        fill_up(&store).await;
        assert!(store.check().await.is_ok(), "the last row was written");
        let meta = store.set_meta("a name", &"x".repeat(100_000)).await.expect_err("is full");
        assert!(meta.is_unwritable(), "{meta:?}");
        assert!(
            matches!(store.verify_audit().await, Ok(audit::Verdict::Whole(number)) if number == last + 1)
        );
    }
}
