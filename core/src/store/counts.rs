//! How many rows there are of what is limited.

use super::{Store, StoreError, from_row, to_row};
use crate::clock;

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// People, suspended ones too.
    pub people: u64,
    /// Teams.
    pub teams: u64,
    /// Roles that were given.
    pub bindings: u64,
    /// Join tokens that can be used.
    pub join_tokens: u64,
    /// The most API tokens of one person that can be used.
    pub api_tokens: u64,
    /// Logins of programs that wait for a person.
    pub devices: u64,
}

impl Store {
    /// Counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let row: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM people), (SELECT COUNT(*) FROM teams), (SELECT COUNT(*) FROM bindings),
                    (SELECT COUNT(*) FROM join_tokens
                     WHERE expires_ms > $1 AND revoked_ms IS NULL AND used < uses),
                    (SELECT COALESCE(MAX(count), 0) FROM
                       (SELECT COUNT(*) AS count FROM api_tokens
                        WHERE expires_ms > $1 AND revoked_ms IS NULL GROUP BY person)),
                    (SELECT COUNT(*) FROM device_codes WHERE state = 'pending' AND expires_ms > $1)",
        )
        .bind(to_row(clock::unix_ms()))
        .fetch_one(&self.read)
        .await?;
        let (people, teams, bindings, join_tokens, api_tokens, devices) = row;
        Ok(Counts {
            people: from_row(people),
            teams: from_row(teams),
            bindings: from_row(bindings),
            join_tokens: from_row(join_tokens),
            api_tokens: from_row(api_tokens),
            devices: from_row(devices),
        })
    }
}
