//! Machines that wait for a person's approval.

use chatcode_certs::{fingerprint, random};
use chatcode_proto::{limits, pb};
use prost::Message as _;

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row, to_row,
    tokens::{ShownToken, Terms, facts_of, labels_of},
};
use crate::clock::{self, millis};

/// `pending.decided`.
const APPROVED: i64 = 1;
const REFUSED: i64 = 2;

/// What was decided about a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing yet; until when it may be, milliseconds since 1970.
    Waits(u64),
    /// It is let in, with this name; empty: the core makes one.
    Approved(String),
    Refused,
    TooLate,
}

impl Store {
    /// The machines that wait, those that wait longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending(&self) -> Result<Vec<pb::PendingGateway>, StoreError> {
        type Row = (String, String, Vec<u8>, String, Vec<u8>, String, i64, i64, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT pending.id, pending.token, pending.spki, pending.name, pending.facts, pending.address,
                    pending.asked_ms, pending.expires_ms, join_tokens.labels
             FROM pending JOIN join_tokens ON join_tokens.id = pending.token
             WHERE pending.decided = 0 AND pending.expires_ms > $1
             ORDER BY pending.asked_ms, pending.id",
        )
        .bind(to_row(clock::unix_ms()))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(id, token, spki, name, facts, address, asked, expires, labels)| {
                let spki = spki.try_into().map_err(|_| StoreError::Corrupt("pending.spki"))?;
                Ok(pb::PendingGateway {
                    id,
                    name,
                    host: Some(facts_of(&facts)?),
                    fingerprint: fingerprint(&spki),
                    address,
                    asked_unix_ms: from_row(asked),
                    expires_unix_ms: from_row(expires),
                    token,
                    labels: labels_of(&labels)?,
                })
            })
            .collect()
    }

    /// Decides on a machine that waits, and writes `act` with it; `false` when it
    /// does not wait (any more).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn decide(&self, id: &str, approve: bool, act: &Entry) -> Result<bool, StoreError> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        let decided: Option<i64> = sqlx::query_scalar(
            "UPDATE pending SET decided = $2, expires_ms = $4
             WHERE id = $1 AND decided = 0 AND expires_ms > $3 RETURNING 1",
        )
        .bind(id)
        .bind(if approve { APPROVED } else { REFUSED })
        .bind(to_row(now))
        .bind(to_row(now + millis(limits::APPROVED)))
        .fetch_optional(&mut *tx)
        .await?;
        if decided.is_none() {
            return Ok(false);
        }
        audit::append(&mut tx, act).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Adds a machine that waits; `None` when there are [`limits::PENDING_GATEWAYS`].
pub(super) async fn add(
    tx: &mut Tx,
    token: &ShownToken<'_>,
    terms: &Terms,
    now: u64,
) -> Result<Option<pb::PendingGateway>, StoreError> {
    let waiting: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pending WHERE decided = 0 AND expires_ms > $1")
            .bind(to_row(now))
            .fetch_one(&mut **tx)
            .await?;
    if from_row(waiting) >= limits::PENDING_GATEWAYS as u64 {
        return Ok(None);
    }
    let name = if terms.name.is_empty() { token.name } else { &terms.name };
    let asked = pb::PendingGateway {
        id: random::text_id(),
        name: name.to_owned(),
        host: Some(token.host.clone()),
        fingerprint: fingerprint(&token.spki),
        address: token.address.to_string(),
        asked_unix_ms: now,
        expires_unix_ms: now + millis(limits::APPROVAL),
        token: token.id.to_owned(),
        labels: terms.labels.clone(),
    };
    sqlx::query(
        "INSERT INTO pending (id, token, spki, name, facts, address, asked_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&asked.id)
    .bind(&asked.token)
    .bind(&token.spki[..])
    .bind(&asked.name)
    .bind(token.host.encode_to_vec())
    .bind(&asked.address)
    .bind(to_row(now))
    .bind(to_row(asked.expires_unix_ms))
    .execute(&mut **tx)
    .await?;
    Ok(Some(asked))
}

/// What was decided about the machine with this key.
pub(super) async fn decision(tx: &mut Tx, token: &ShownToken<'_>, now: u64) -> Result<Decision, StoreError> {
    let (decided, expires, name): (i64, i64, String) =
        sqlx::query_as("SELECT decided, expires_ms, name FROM pending WHERE token = $1 AND spki = $2")
            .bind(token.id)
            .bind(&token.spki[..])
            .fetch_one(&mut **tx)
            .await?;
    Ok(match decided {
        REFUSED => Decision::Refused,
        _ if from_row(expires) <= now => Decision::TooLate,
        APPROVED => Decision::Approved(name),
        _ => Decision::Waits(from_row(expires)),
    })
}

/// Refuses all that wait, or were approved and have no certificate yet, by this
/// token; their ids.
pub(super) async fn refuse_all_of(tx: &mut Tx, token: &str, now: i64) -> Result<Vec<String>, StoreError> {
    let ids = sqlx::query_scalar(
        "UPDATE pending SET decided = $2
         WHERE token = $1 AND decided <> $2 AND expires_ms > $3
           AND EXISTS (SELECT 1 FROM token_uses WHERE token_uses.token = pending.token
                       AND token_uses.spki = pending.spki AND token_uses.answer IS NULL)
         RETURNING id",
    )
    .bind(token)
    .bind(REFUSED)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids)
}
