//! Challenges: what some ways of signing in answer. Each is answered once, by the
//! browser that has its secret.

use std::time::Duration;

use chatcode_proto::limits;

use super::{Store, StoreError, from_row, sign_ins::SecretHash, to_row};
use crate::clock::{self, millis};

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// Signing in by a passkey.
    PasskeySignIn,
    /// Adding a passkey.
    PasskeyAdd,
    /// Signing in by an identity provider.
    ProviderSignIn,
    /// Adding an account at one.
    ProviderAdd,
}

impl ChallengeKind {
    const fn text(self) -> &'static str {
        match self {
            Self::PasskeySignIn => "passkey.sign_in",
            Self::PasskeyAdd => "passkey.add",
            Self::ProviderSignIn => "provider.sign_in",
            Self::ProviderAdd => "provider.add",
        }
    }

    /// How long it waits for its answer.
    const fn life(self) -> Duration {
        match self {
            Self::PasskeySignIn | Self::PasskeyAdd => limits::CHALLENGE,
            Self::ProviderSignIn | Self::ProviderAdd => limits::PROVIDER_WAIT,
        }
    }
}

/// A challenge that was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The person in whose session it was made; `None`: nobody was known.
    pub person: Option<String>,
    /// What its answer is judged by.
    pub data: String,
}

impl Store {
    /// Keeps a challenge as long as one of its kind waits; says when it ends, milliseconds
    /// since 1970. Of one kind the newest [`limits::CHALLENGES`] wait, and the newest
    /// one of a person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_challenge(
        &self,
        hash: &SecretHash,
        kind: ChallengeKind,
        challenge: &Challenge,
    ) -> Result<u64, StoreError> {
        let now = clock::unix_ms();
        let expires = now + millis(kind.life());
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM challenges WHERE expires_ms <= $1")
            .bind(to_row(now))
            .execute(&mut *tx)
            .await?;
        if let Some(person) = &challenge.person {
            sqlx::query("DELETE FROM challenges WHERE kind = $1 AND person = $2")
                .bind(kind.text())
                .bind(person)
                .execute(&mut *tx)
                .await?;
        }
        // Nobody can keep the others from beginning: a flood pushes out its own.
        sqlx::query(
            "DELETE FROM challenges WHERE hash IN
               (SELECT hash FROM challenges WHERE kind = $1 ORDER BY expires_ms DESC LIMIT -1 OFFSET $2)",
        )
        .bind(kind.text())
        .bind(limits::CHALLENGES - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO challenges (hash, kind, person, data, expires_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&hash[..])
        .bind(kind.text())
        .bind(&challenge.person)
        .bind(&challenge.data)
        .bind(to_row(expires))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(expires)
    }

    /// Spends a challenge, whatever it is for: one that was answered in the wrong
    /// way is burnt. `None`: unknown, spent, expired or of another kind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_challenge(
        &self,
        hash: &SecretHash,
        kind: ChallengeKind,
    ) -> Result<Option<Challenge>, StoreError> {
        let row: Option<(String, Option<String>, String, i64)> =
            sqlx::query_as("DELETE FROM challenges WHERE hash = $1 RETURNING kind, person, data, expires_ms")
                .bind(&hash[..])
                .fetch_optional(&self.write)
                .await?;
        let now = clock::unix_ms();
        let fits =
            |(found, _, _, expires): &(String, _, _, i64)| found == kind.text() && from_row(*expires) > now;
        Ok(row.filter(fits).map(|(_, person, data, _)| Challenge { person, data }))
    }
}
