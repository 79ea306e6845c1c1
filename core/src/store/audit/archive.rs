//! Rows that leave for an archive.

use std::ops::RangeInclusive;

use chatcode_audit::{hex, unhex};
use chatcode_proto::limits;

use super::{ARCHIVED, ARCHIVED_HASH, Entry, append};
use crate::store::{Store, StoreError, from_row, set_meta, to_row};

impl Store {
    /// Number and hash of the last row that is in an archive; 0 and empty: there is
    /// no archive.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_archived(&self) -> Result<(u64, Vec<u8>), StoreError> {
        let number = self.meta(ARCHIVED).await?.and_then(|number| number.parse().ok()).unwrap_or(0);
        let hash = self.meta(ARCHIVED_HASH).await?.and_then(|hash| unhex(&hash)).unwrap_or_default();
        Ok((number, hash))
    }

    /// The oldest rows that were written before this moment (milliseconds since
    /// 1970), as far as none of them is newer; at most
    /// [`limits::AUDIT_ARCHIVE_ROWS`]. Never the last row of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_older_than(&self, unix_ms: u64) -> Result<Option<RangeInclusive<u64>>, StoreError> {
        type Ends = (Option<i64>, Option<i64>, Option<i64>);
        let (first, head, newer): Ends = sqlx::query_as(
            "SELECT (SELECT number FROM audit ORDER BY number LIMIT 1),
                    (SELECT number FROM audit ORDER BY number DESC LIMIT 1),
                    (SELECT MIN(number) FROM audit WHERE unix_ms >= $1)",
        )
        .bind(to_row(unix_ms))
        .fetch_one(&self.read)
        .await?;
        let (Some(first), Some(head)) = (first.map(from_row), head.map(from_row)) else { return Ok(None) };
        let end = newer.map_or(head, from_row).min(head).min(first + limits::AUDIT_ARCHIVE_ROWS);
        Ok((first < end).then(|| first..=end - 1))
    }

    /// Lets the rows up to this one go, now that an archive has them; `act` is
    /// appended with it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row is not the one that the archive has; then
    /// nothing is gone.
    pub async fn audit_let_go(&self, last: u64, hash: &[u8], act: &Entry) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let here: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM audit WHERE number = $1")
            .bind(to_row(last))
            .fetch_optional(&mut *tx)
            .await?;
        if here.as_deref() != Some(hash) {
            return Err(StoreError::Corrupt("the audit has another row than its archive"));
        }
        append(&mut tx, act).await?;
        set_meta(&mut tx, ARCHIVED, &last.to_string()).await?;
        set_meta(&mut tx, ARCHIVED_HASH, &hex(hash)).await?;
        sqlx::query("DELETE FROM audit WHERE number <= $1").bind(to_row(last)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
