//! Rows that are looked for: by their numbers, and by what they say.

use std::ops::Range;

use chatcode_proto::pb::{AuditFilter, AuditRow, Code};
use sqlx::{QueryBuilder, Sqlite};

use super::{COLUMNS, Row, to_message};
use crate::store::{Store, StoreError, from_row, to_row};

impl Store {
    /// At most `limit` rows with these numbers that the filter means, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_newest(
        &self,
        filter: &AuditFilter,
        numbers: Range<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        self.found(filter, numbers, " ORDER BY number DESC LIMIT ", limit).await
    }

    /// The same, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_oldest(
        &self,
        filter: &AuditFilter,
        numbers: Range<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        self.found(filter, numbers, " ORDER BY number LIMIT ", limit).await
    }

    /// The numbers between which all rows are that the filter's times mean.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_numbers(&self, filter: &AuditFilter) -> Result<Range<u64>, StoreError> {
        type Ends = (Option<i64>, Option<i64>);
        let (mut first, mut last): Ends = sqlx::query_as(
            "SELECT (SELECT number FROM audit ORDER BY number LIMIT 1),
                    (SELECT number FROM audit ORDER BY number DESC LIMIT 1)",
        )
        .fetch_one(&self.read)
        .await?;
        // Clocks are set back now and then, so the times are not in the order of the
        // numbers: the index has both.
        if filter.from_unix_ms != 0 {
            first = sqlx::query_scalar("SELECT MIN(number) FROM audit WHERE unix_ms >= $1")
                .bind(to_row(filter.from_unix_ms))
                .fetch_one(&self.read)
                .await?;
        }
        if filter.until_unix_ms != 0 {
            last = sqlx::query_scalar("SELECT MAX(number) FROM audit WHERE unix_ms < $1")
                .bind(to_row(filter.until_unix_ms))
                .fetch_one(&self.read)
                .await?;
        }
        Ok(match (first, last) {
            (Some(first), Some(last)) => from_row(first)..from_row(last) + 1,
            _ => 0..0,
        })
    }

    /// The hash of a row, or of the last one in an archive; `None` for any other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_hash(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number == 0 {
            return Ok(Some(Vec::new()));
        }
        let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM audit WHERE number = $1")
            .bind(to_row(number))
            .fetch_optional(&self.read)
            .await?;
        if hash.is_some() {
            return Ok(hash);
        }
        let (last, hash) = self.audit_archived().await?;
        Ok((last == number).then_some(hash))
    }

    async fn found(
        &self,
        filter: &AuditFilter,
        numbers: Range<u64>,
        order: &str,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(" FROM audit WHERE number >= ").push_bind(to_row(numbers.start));
        query.push(" AND number < ").push_bind(to_row(numbers.end));
        conditions(&mut query, filter);
        query.push(order).push_bind(i64::from(limit));
        let rows: Vec<Row> = query.build_query_as().fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(to_message).collect())
    }
}

fn conditions(query: &mut QueryBuilder<Sqlite>, filter: &AuditFilter) {
    for (column, value) in [
        (" AND principal = ", &filter.principal),
        (" AND gateway = ", &filter.gateway),
        (" AND session = ", &filter.session),
        (" AND request_id = ", &filter.request_id),
    ] {
        if !value.is_empty() {
            query.push(column).push_bind(value.clone());
        }
    }
    if !filter.person.is_empty() {
        // The person, and "person/ID/api-token/…": "0" comes after "/".
        let person = format!("person/{}", filter.person);
        query.push(" AND (principal = ").push_bind(person.clone());
        query.push(" OR principal >= ").push_bind(format!("{person}/"));
        query.push(" AND principal < ").push_bind(format!("{person}0")).push(")");
    }
    if !filter.action.is_empty() {
        let whole = format!("/chatcode.v1.{}", filter.action);
        query.push(" AND (substr(action, 1, ").push_bind(length(&filter.action));
        query.push(") = ").push_bind(filter.action.clone());
        query
            .push(" OR substr(action, 1, ")
            .push_bind(length(&whole))
            .push(") = ")
            .push_bind(whole)
            .push(")");
    }
    if filter.result != 0 {
        query.push(" AND result = ").push_bind(i64::from(filter.result));
    }
    if filter.refused {
        query.push(" AND result <> ").push_bind(i64::from(i32::from(Code::Unspecified)));
        query.push(" AND result <> ").push_bind(i64::from(i32::from(Code::Done)));
    }
    if filter.from_unix_ms != 0 {
        query.push(" AND unix_ms >= ").push_bind(to_row(filter.from_unix_ms));
    }
    if filter.until_unix_ms != 0 {
        query.push(" AND unix_ms < ").push_bind(to_row(filter.until_unix_ms));
    }
    if !filter.text.is_empty() {
        query.push(" AND lower(detail) LIKE ").push_bind(pattern(&filter.text)).push(" ESCAPE '!'");
    }
}

/// Characters, as the database counts them.
fn length(text: &str) -> i64 {
    to_row(text.chars().count() as u64)
}

/// What a text that holds this one is like.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_ascii_lowercase().chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
