//! Tickets: each opens one call of a page, once, and dies with its session.

use chatcode_proto::limits;

use super::{Store, StoreError, from_row, sign_ins::SecretHash, to_row};
use crate::clock::{self, millis};

/// What a ticket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketBinding {
    /// The hash of the token of who asked for it: a person's session, or a guest.
    pub holder: SecretHash,
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
        .bind(&binding.holder[..])
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
        let Some((holder, origin, method, gateway, session, expires_ms)) = row else {
            return Ok(None);
        };
        if from_row(expires_ms) <= clock::unix_ms() {
            return Ok(None);
        }
        let holder = holder.try_into().map_err(|_| StoreError::Corrupt("tickets.person_session"))?;
        Ok(Some(TicketBinding { holder, origin, method, gateway, session }))
    }
}
