//! Who did what: rows that are only appended, each with a hash over the row
//! before it. The number and hash of the last row are kept apart as well, so
//! that a cut tail shows too.

use chatcode_proto::{
    limits,
    pb::{self, Code},
};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, Tx, from_row, set_meta, to_row};
use crate::clock;

/// The name in `meta` under which the last row's number and hash are kept.
const HEAD: &str = "audit_head";

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written; so many there are.
    Whole(u64),
    /// The first row that is changed, missing, out of place or too many.
    BrokenAt(u64),
}

type Row = (i64, i64, String, String, String, String, i64, String, String, String, Vec<u8>);

impl Store {
    /// Appends a row. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; then the act must not be done.
    pub async fn audit(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        append(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(())
    }

    /// At most `limit` rows with numbers below `before` (0: from the newest),
    /// newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_rows(&self, before: u64, limit: u32) -> Result<Vec<pb::AuditRow>, StoreError> {
        let before = if before == 0 { i64::MAX } else { to_row(before) };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash
             FROM audit WHERE number < $1 ORDER BY number DESC LIMIT $2",
        )
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(to_message).collect())
    }

    /// Checks every row against its hash and the row before it.
    ///
    /// # Errors
    /// [`StoreError`] when the rows cannot be read.
    pub async fn verify_audit(&self) -> Result<Verdict, StoreError> {
        // One moment of the store, whatever is appended meanwhile.
        let mut moment = self.read.begin().await?;
        let (mut last, mut hash) = (0_i64, Vec::new());
        loop {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT number, unix_ms, principal, action, gateway, session, result, request_id, peer, detail, hash
                 FROM audit WHERE number > $1 ORDER BY number LIMIT 1000",
            )
            .bind(last)
            .fetch_all(&mut *moment)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let message = to_message(row);
                let expected = last + 1;
                if to_row(message.number) != expected || message.hash != chained(&hash, &message) {
                    return Ok(Verdict::BrokenAt(from_row(expected)));
                }
                (last, hash) = (expected, message.hash.to_vec());
            }
        }
        let head: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(HEAD)
            .fetch_optional(&mut *moment)
            .await?;
        let head = head.unwrap_or_default();
        let whole = head == head_text(last, &hash) || (last == 0 && head.is_empty());
        Ok(if whole { Verdict::Whole(from_row(last)) } else { Verdict::BrokenAt(from_row(last + 1)) })
    }
}

/// Appends a row within a transaction that does the act itself.
pub(crate) async fn append(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
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
    row.hash = chained(&before, &row).into();
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
    set_meta(tx, HEAD, &head_text(to_row(row.number), &row.hash)).await
}

/// The hash of a row: over the hash before it and its fields, each with its
/// length, so that no two rows have the same bytes.
fn chained(before: &[u8], row: &pb::AuditRow) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(before);
    field(&row.number.to_be_bytes());
    field(&row.unix_ms.to_be_bytes());
    for text in [&row.principal, &row.action, &row.gateway, &row.session] {
        field(text.as_bytes());
    }
    field(&row.result.to_be_bytes());
    for text in [&row.request_id, &row.peer, &row.detail] {
        field(text.as_bytes());
    }
    hash.finalize().to_vec()
}

fn head_text(number: i64, hash: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{number}:");
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
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
