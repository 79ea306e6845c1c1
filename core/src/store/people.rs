//! People and what lets them in: one-time secrets, sessions, tickets. Only
//! hashes are kept; every single-use secret is spent by the statement that
//! reads it.

use chatcode_proto::limits;

use super::{Store, StoreError, from_row, to_row};
use crate::clock::{self, millis};

/// SHA-256 of a secret of 256 bits.
pub type SecretHash = [u8; 32];

/// A person of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// A random UUID.
    pub id: String,
    /// The name that others see.
    pub display_name: String,
}

/// A person's session that was found alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonSession {
    /// Whose it is.
    pub person: Person,
    /// When it ends in any case, milliseconds since 1970.
    pub expires_ms: u64,
}

/// What a ticket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketBinding {
    /// The hash of the session token of the person who asked for it.
    pub person_session: SecretHash,
    /// The origin of the page, as the edge reported it.
    pub origin: String,
    /// The full method.
    pub method: String,
    /// The gateway of the target; empty: none.
    pub gateway: String,
    /// The session of the target; empty: none.
    pub session: String,
}

impl Store {
    /// The owner; made with the id `fresh` at the first start.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owner(&self, fresh: &str) -> Result<Person, StoreError> {
        let mut tx = self.begin().await?;
        let known: Option<(String, String)> =
            sqlx::query_as("SELECT id, display_name FROM people WHERE role = 'owner'")
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((id, display_name)) = known {
            return Ok(Person { id, display_name });
        }
        let owner = Person { id: fresh.to_owned(), display_name: "Owner".to_owned() };
        sqlx::query("INSERT INTO people (id, display_name, role, created_ms) VALUES ($1, $2, 'owner', $3)")
            .bind(&owner.id)
            .bind(&owner.display_name)
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(owner)
    }

    /// Keeps a one-time sign-in secret of the owner; says when it ends,
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_sign_in(&self, hash: &SecretHash) -> Result<u64, StoreError> {
        let expires = clock::unix_ms() + millis(limits::SIGN_IN);
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM sign_ins WHERE expires_ms <= $1")
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO sign_ins (hash, person, expires_ms)
             SELECT $1, id, $2 FROM people WHERE role = 'owner'",
        )
        .bind(&hash[..])
        .bind(to_row(expires))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(expires)
    }

    /// Spends a one-time secret and begins a session under `session`. `None`:
    /// the secret is unknown, spent or expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_in(
        &self,
        secret: &SecretHash,
        session: &SecretHash,
    ) -> Result<Option<PersonSession>, StoreError> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        let spent: Option<(String, i64)> =
            sqlx::query_as("DELETE FROM sign_ins WHERE hash = $1 RETURNING person, expires_ms")
                .bind(&secret[..])
                .fetch_optional(&mut *tx)
                .await?;
        let Some((id, _)) = spent.filter(|(_, expires)| from_row(*expires) > now) else {
            tx.commit().await?;
            return Ok(None);
        };
        let expires_ms = now + millis(limits::PERSON_SESSION);
        sqlx::query("DELETE FROM person_sessions WHERE expires_ms <= $1 OR used_ms <= $2")
            .bind(to_row(now))
            .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO person_sessions (hash, person, created_ms, used_ms, expires_ms)
             VALUES ($1, $2, $3, $3, $4)",
        )
        .bind(&session[..])
        .bind(&id)
        .bind(to_row(now))
        .bind(to_row(expires_ms))
        .execute(&mut *tx)
        .await?;
        let display_name: String = sqlx::query_scalar("SELECT display_name FROM people WHERE id = $1")
            .bind(&id)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(PersonSession { person: Person { id, display_name }, expires_ms }))
    }

    /// The session with this hash, when it is neither idle for too long nor at
    /// its end; and notes that it was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn person_session(&self, hash: &SecretHash) -> Result<Option<PersonSession>, StoreError> {
        let now = clock::unix_ms();
        let found: Option<(String, String, i64, i64)> = sqlx::query_as(
            "SELECT people.id, people.display_name, person_sessions.expires_ms, person_sessions.used_ms
             FROM person_sessions JOIN people ON people.id = person_sessions.person
             WHERE hash = $1 AND expires_ms > $2 AND used_ms > $3",
        )
        .bind(&hash[..])
        .bind(to_row(now))
        .bind(to_row(now.saturating_sub(millis(limits::PERSON_IDLE))))
        .fetch_optional(&self.read)
        .await?;
        let Some((id, display_name, expires_ms, used_ms)) = found else { return Ok(None) };
        // Once a minute is fine enough for a bound of hours, and spares a
        // write per call.
        if now.saturating_sub(from_row(used_ms)) > 60_000 {
            sqlx::query("UPDATE person_sessions SET used_ms = $2 WHERE hash = $1")
                .bind(&hash[..])
                .bind(to_row(now))
                .execute(&self.write)
                .await?;
        }
        Ok(Some(PersonSession { person: Person { id, display_name }, expires_ms: from_row(expires_ms) }))
    }

    /// Ends a session and forgets its tickets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_person_session(&self, hash: &SecretHash) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for statement in
            ["DELETE FROM tickets WHERE person_session = $1", "DELETE FROM person_sessions WHERE hash = $1"]
        {
            sqlx::query(statement).bind(&hash[..]).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Keeps a ticket for [`limits::TICKET`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_ticket(&self, hash: &SecretHash, binding: &TicketBinding) -> Result<(), StoreError> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM tickets WHERE expires_ms <= $1").bind(to_row(now)).execute(&mut *tx).await?;
        sqlx::query(
            "INSERT INTO tickets (hash, person_session, origin, method, gateway, session, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&hash[..])
        .bind(&binding.person_session[..])
        .bind(&binding.origin)
        .bind(&binding.method)
        .bind(&binding.gateway)
        .bind(&binding.session)
        .bind(to_row(now + millis(limits::TICKET)))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Spends a ticket, whatever it is for: one that was shown to the wrong
    /// method or from the wrong page is burnt. `None`: unknown, spent or
    /// expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_ticket(&self, hash: &SecretHash) -> Result<Option<TicketBinding>, StoreError> {
        let row: Option<(Vec<u8>, String, String, String, String, i64)> = sqlx::query_as(
            "DELETE FROM tickets WHERE hash = $1
             RETURNING person_session, origin, method, gateway, session, expires_ms",
        )
        .bind(&hash[..])
        .fetch_optional(&self.write)
        .await?;
        let Some((person_session, origin, method, gateway, session, expires_ms)) = row else {
            return Ok(None);
        };
        if from_row(expires_ms) <= clock::unix_ms() {
            return Ok(None);
        }
        let person_session =
            person_session.try_into().map_err(|_| StoreError::Corrupt("tickets.person_session"))?;
        Ok(Some(TicketBinding { person_session, origin, method, gateway, session }))
    }
}
