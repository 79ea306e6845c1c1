//! Who did what: rows that are only appended, each with a hash over the row
//! before it. The number and hash of the last row are kept apart as well, so
//! that a cut tail shows too. Old rows leave only for an archive, which holds on to
//! the same chain.

mod archive;
mod search;

use chatcode_audit::{Checker, Fault, chained, hex, unhex};
use chatcode_proto::{
    limits,
    pb::{self, Code},
};
use sqlx::SqliteConnection;

use super::{Store, StoreError, Tx, from_row, set_meta, to_row, together::Write};
use crate::clock;

/// The name in `meta` under which the last row's number and hash are kept.
const HEAD: &str = "audit_head";
/// The name of the number of the last row that is in an archive. A trigger lets
/// nothing behind it go.
const ARCHIVED: &str = "audit_archived";
/// The name of that row's hash.
const ARCHIVED_HASH: &str = "audit_archived_hash";
/// The name of the pin of the key that signs heads.
const KEY: &str = "audit_key";

/// One act to be written. Never holds terminal content or a secret.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who, as in grants.
    pub principal: String,
    /// The full method, or the name of an act of the core's own.
    pub action: String,
    /// The gateway that it is done to; empty: none.
    pub gateway: String,
    /// The session that it is done to; empty: none.
    pub session: String,
    /// The result; unspecified: a call was let in, and its end is not known.
    pub result: Code,
    /// Names the call in the logs of all hops; empty for acts of the core.
    pub request_id: String,
    /// Address of the peer; empty for acts of the core.
    pub peer: String,
    /// A short word more; cut to 256 bytes.
    pub detail: String,
}

impl Entry {
    /// An act of `principal` that was done, with nothing else known.
    pub fn new(principal: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            principal: principal.into(),
            action: action.into(),
            gateway: String::new(),
            session: String::new(),
            result: Code::Done,
            request_id: String::new(),
            peer: String::new(),
            detail: String::new(),
        }
    }
}

/// What a check of the whole chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written; this is the number of the last.
    Whole(u64),
    /// The first row that is not, and why.
    Broken(Fault),
}

type Row = (i64, i64, String, String, String, String, i64, String, String, String, Vec<u8>);

/// The columns of a row, in its order.
const COLUMNS: &str =
    "number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash";

impl Store {
    /// Appends a row. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; then the act must not be done.
    pub async fn audit(&self, entry: &Entry) -> Result<(), StoreError> {
        self.write_together(Write::Row(entry.clone())).await?;
        Ok(())
    }

    /// At most `limit` rows with numbers below `before` (0: from the newest),
    /// newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_rows(&self, before: u64, limit: u32) -> Result<Vec<pb::AuditRow>, StoreError> {
        let before = if before == 0 { u64::MAX } else { before };
        self.audit_newest(&pb::AuditFilter::default(), 0..before, limit).await
    }

    /// Number and hash of the last row; 0 and empty: there was none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_head(&self) -> Result<(u64, Vec<u8>), StoreError> {
        let head: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
                .fetch_optional(&self.read)
                .await?;
        Ok(head.map(|(number, hash)| (from_row(number), hash)).unwrap_or_default())
    }

    /// Goes up with each row that this process has written: its number.
    #[must_use]
    pub fn audit_news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Checks every row against its hash and the row before it.
    ///
    /// # Errors
    /// [`StoreError`] when the rows cannot be read.
    pub async fn verify_audit(&self) -> Result<Verdict, StoreError> {
        Ok(match self.check_audit(&[]).await? {
            Ok(checker) => Verdict::Whole(checker.last()),
            Err(fault) => Verdict::Broken(fault),
        })
    }

    /// The same, also against heads that were kept, whose signatures were checked.
    ///
    /// # Errors
    /// [`StoreError`] when the rows cannot be read.
    pub async fn check_audit(&self, kept: &[pb::AuditHead]) -> Result<Result<Checker, Fault>, StoreError> {
        // One moment of the store, whatever is appended meanwhile.
        let mut moment = self.read.begin().await?;
        let archived = kept_as(&mut moment, ARCHIVED).await?.parse().unwrap_or(0);
        let previous = unhex(&kept_as(&mut moment, ARCHIVED_HASH).await?).unwrap_or_default();
        let head = kept_as(&mut moment, HEAD).await?;
        let mut checker = Checker::new(archived + 1, &previous);
        if let Err(fault) = kept.iter().try_for_each(|head| checker.keep(head)) {
            return Ok(Err(fault));
        }
        loop {
            let sql = "SELECT number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash
                       FROM audit WHERE number > $1 ORDER BY number LIMIT $2";
            let rows: Vec<Row> = sqlx::query_as(sql)
                .bind(to_row(checker.last()))
                .bind(limits::AUDIT_READ_ROWS)
                .fetch_all(&mut *moment)
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if let Err(fault) = checker.row(&to_message(row)) {
                    return Ok(Err(fault));
                }
            }
        }
        let ends = match head.split_once(':') {
            Some((number, hash)) => {
                checker.ends_at(number.parse().unwrap_or(0), &unhex(hash).unwrap_or_default())
            }
            None => checker.ends_at(archived, &previous),
        };
        Ok(ends.and_then(|()| checker.end()).map(|()| checker))
    }

    /// Notes the pin of the key that signs heads, and writes a row when it is
    /// another one than before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_audit_key(&self, pin: &[u8; 32]) -> Result<(), StoreError> {
        let pin = hex(pin);
        let before = self.meta(KEY).await?;
        if before.as_ref() == Some(&pin) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        set_meta(&mut tx, KEY, &pin).await?;
        let instead = before.map(|before| format!(" instead of {before}")).unwrap_or_default();
        let detail = format!("{pin}{instead}");
        append(&mut tx, &Entry { detail, ..Entry::new("core", "audit.key_made") }).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The value of a name in `meta`, at the moment of a transaction; empty: none.
async fn kept_as(moment: &mut SqliteConnection, name: &str) -> Result<String, StoreError> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(moment)
        .await?;
    Ok(value.unwrap_or_default())
}

/// Appends a row within a transaction that does the act itself.
///
/// # Errors
/// [`StoreError::NotAudited`]; then the act must not be done.
pub(crate) async fn append(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
    let written = write(tx, entry).await;
    written.map_err(|error| match tx.meters.not_audited(error) {
        StoreError::Database(error) => StoreError::NotAudited(error),
        other => other,
    })
}

async fn write(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
    let head: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut **tx)
            .await?;
    let (last, before) = head.unwrap_or_default();
    let mut row = pb::AuditRow {
        number: from_row(last) + 1,
        unix_ms: clock::unix_ms(),
        principal: entry.principal.clone(),
        action: entry.action.clone(),
        gateway: entry.gateway.clone(),
        session: entry.session.clone(),
        result: entry.result.into(),
        request_id: entry.request_id.clone(),
        peer: entry.peer.clone(),
        detail: cut(&entry.detail).to_owned(),
        hash: bytes::Bytes::new(),
    };
    row.hash = chained(&before, &row).to_vec().into();
    sqlx::query(
        "INSERT INTO audit (number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(to_row(row.number))
    .bind(to_row(row.unix_ms))
    .bind(&row.principal)
    .bind(&row.action)
    .bind(&row.gateway)
    .bind(&row.session)
    .bind(i64::from(row.result))
    .bind(&row.request_id)
    .bind(&row.peer)
    .bind(&row.detail)
    .bind(&row.hash[..])
    .execute(&mut **tx)
    .await?;
    set_meta(tx, HEAD, &format!("{}:{}", row.number, hex(&row.hash))).await?;
    tx.appended = Some(row.number);
    Ok(())
}

fn to_message(row: Row) -> pb::AuditRow {
    let (number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash) = row;
    pb::AuditRow {
        number: from_row(number),
        unix_ms: from_row(unix_ms),
        principal,
        action,
        gateway,
        session,
        result: i32::try_from(result).unwrap_or_default(),
        request_id,
        peer,
        detail,
        hash: hash.into(),
    }
}

/// At most [`limits::MESSAGE_BYTES`], whole characters.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::MESSAGE_BYTES)]
}
