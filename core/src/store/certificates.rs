//! What certificates depend on, what members trust, and how renewals go.

use chatcode_proto::{
    id::{GatewayId, MemberId},
    limits,
    pb::{AdminCertificate, CaMember, GatewayCertificate},
};

use super::{Store, StoreError, from_row, members::kind_of, to_row};
use crate::clock::{self, millis};

/// A pin: SHA-256 of a public key.
pub type Pin = [u8; 32];

/// Members with a certificate that counts, and what they trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followers {
    /// How many there are.
    pub members: u32,
    /// Those that have not said that they trust all of what was asked for, the
    /// certificate that ends first first.
    pub waiting: Vec<CaMember>,
}

/// A kind, an id, a name, what it trusts, when its certificate ends.
type Row = (String, String, String, Option<Vec<u8>>, i64);

fn member((kind, id, name, _, ends): Row) -> Result<CaMember, StoreError> {
    Ok(CaMember { id, kind: kind_of(&kind)?.into(), name, not_after_unix_ms: from_row(ends) })
}

impl Store {
    /// Notes what a member trusts; writes nothing when that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_trust(&self, member: MemberId, pins: &[Pin]) -> Result<(), StoreError> {
        let known: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT trusts FROM members WHERE id = $1")
            .bind(member.to_string())
            .fetch_optional(&self.read)
            .await?;
        if known.flatten().is_some_and(|known| known == pins.concat()) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE members SET trusts = $2 WHERE id = $1")
            .bind(member.to_string())
            .bind(pins.concat())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes a renewal that was refused or failed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_failed_renewal(&self, member: MemberId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE members SET renewal_failures = renewal_failures + 1 WHERE id = $1")
            .bind(member.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a member that has none yet the durable key of its machine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn learn_machine_key(&self, member: MemberId, key: &[u8]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE members SET machine_key = $2 WHERE id = $1 AND machine_key IS NULL")
            .bind(member.to_string())
            .bind(key)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says of certificates from before rotations that they depend on these.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn adopt_certificates(&self, issuer: &Pin, root: &Pin) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE certificates SET issuer = $1, root = $2 WHERE issuer IS NULL")
            .bind(&issuer[..])
            .bind(&root[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Who has a certificate that counts, and does not trust all of `pins` yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn followers(&self, pins: &[Pin]) -> Result<Followers, StoreError> {
        let rows = self.current(None).await?;
        let members = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let trusts = |trusted: Option<&[u8]>, pin: &Pin| {
            trusted.is_some_and(|trusted| trusted.chunks(pin.len()).any(|one| one == pin))
        };
        let lags = |row: &Row| !pins.iter().all(|pin| trusts(row.3.as_deref(), pin));
        let waiting = rows.into_iter().filter(lags).map(member).collect::<Result<_, _>>()?;
        Ok(Followers { members, waiting })
    }

    /// Who has a certificate that counts and depends on this root.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn depending(&self, root: &Pin) -> Result<Vec<CaMember>, StoreError> {
        self.current(Some(root)).await?.into_iter().map(member).collect()
    }

    /// Members with certificates that count; only those of this root, when one is
    /// named.
    async fn current(&self, root: Option<&Pin>) -> Result<Vec<Row>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT members.kind, members.id, members.name, members.trusts, MAX(certificates.not_after_ms)
             FROM members JOIN certificates ON certificates.member = members.id
             WHERE members.revoked_ms IS NULL AND certificates.revoked_ms IS NULL
               AND certificates.not_after_ms > $1 AND ($2 = 0 OR certificates.root = $3)
             GROUP BY members.kind, members.id, members.name, members.trusts ORDER BY 5",
        )
        .bind(to_row(clock::unix_ms()))
        .bind(i64::from(root.is_some()))
        .bind(root.map_or(&[][..], |root| &root[..]))
        .fetch_all(&self.read)
        .await?;
        Ok(rows)
    }

    /// Whether a certificate that counts was signed by this intermediate.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_needed(&self, issuer: &Pin) -> Result<bool, StoreError> {
        let one: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM certificates JOIN members ON members.id = certificates.member
             WHERE issuer = $1 AND not_after_ms > $2 AND certificates.revoked_ms IS NULL
               AND members.revoked_ms IS NULL LIMIT 1",
        )
        .bind(&issuer[..])
        .bind(to_row(clock::unix_ms()))
        .fetch_optional(&self.read)
        .await?;
        Ok(one.is_some())
    }

    /// Takes all certificates that depend on this root or intermediate off the
    /// allow-list, as if they had ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_certificates(&self, by: &Pin) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM certificates WHERE revoked_ms IS NULL AND (issuer = $1 OR root = $1)")
            .bind(&by[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// When the last join token ends that may still be shown, also by a machine that
    /// waits for a person; milliseconds since 1970; 0: there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens_until(&self) -> Result<u64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(expires_ms + approval * $2) FROM join_tokens
             WHERE revoked_ms IS NULL AND expires_ms + approval * $2 > $1",
        )
        .bind(to_row(clock::unix_ms()))
        .bind(to_row(millis(limits::APPROVAL)))
        .fetch_one(&self.read)
        .await?;
        Ok(last.map_or(0, from_row))
    }

    /// How a gateway's certificate stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificate(&self, gateway: GatewayId) -> Result<GatewayCertificate, StoreError> {
        let row: Option<(Option<i64>, Option<i64>, i64)> = sqlx::query_as(
            "SELECT (SELECT MAX(not_after_ms) FROM certificates
                     WHERE member = members.id AND revoked_ms IS NULL),
                    renewed_ms, renewal_failures
             FROM members WHERE id = $1",
        )
        .bind(gateway.to_string())
        .fetch_optional(&self.read)
        .await?;
        let (ends, renewed, failures) = row.unwrap_or_default();
        Ok(GatewayCertificate {
            not_after_unix_ms: ends.map_or(0, from_row),
            renewed_unix_ms: renewed.map_or(0, from_row),
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
        })
    }

    /// The age of the members' certificates, the one that ends first first; at most
    /// [`limits::MEMBERS_NAMED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ages(&self) -> Result<Vec<AdminCertificate>, StoreError> {
        type Age = (String, String, String, Option<i64>, Option<i64>, i64);
        let rows: Vec<Age> = sqlx::query_as(
            "SELECT members.kind, members.id, members.name,
                    (SELECT MAX(not_after_ms) FROM certificates
                     WHERE member = members.id AND not_after_ms > $1 AND revoked_ms IS NULL) AS ends,
                    renewed_ms, renewal_failures
             FROM members WHERE revoked_ms IS NULL ORDER BY ends, members.id LIMIT $2",
        )
        .bind(to_row(clock::unix_ms()))
        .bind(to_row(limits::MEMBERS_NAMED as u64))
        .fetch_all(&self.read)
        .await?;
        let age = |(kind, id, name, ends, renewed, failures): Age| AdminCertificate {
            member: format!("{kind}/{id}"),
            name,
            not_after_unix_ms: ends.map_or(0, from_row),
            renewed_unix_ms: renewed.map_or(0, from_row),
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
        };
        Ok(rows.into_iter().map(age).collect())
    }
}
