//! Members and the allow-list of their certificates.

use chatcode_certs::{MachinePublicKey, Serial};
use chatcode_proto::{
    id::MemberId,
    label::{self, Labels},
    limits,
    pb::MemberKind,
};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row, to_row,
};
use crate::clock;

/// A member as the allow-list knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it was enrolled as.
    pub kind: MemberKind,
    /// The name that people gave it.
    pub name: String,
}

/// Whether a certificate may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// By this member.
    Member(Member),
    /// Never again: it or its member is revoked.
    Revoked,
    /// Not this one: it has ended, or the list does not have it (any more).
    Unknown,
}

/// A certificate that joins the allow-list.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// Whose.
    pub member: MemberId,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of its public key.
    pub spki: [u8; 32],
    /// When it ends, milliseconds since 1970.
    pub not_after_ms: u64,
    /// SHA-256 of the public key of the intermediate that signed it.
    pub issuer: [u8; 32],
    /// The same of the root above it.
    pub root: [u8; 32],
}

/// A member that is made of a token.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its name.
    pub name: String,
    /// Its first certificate.
    pub certificate: NewCertificate,
    /// The durable key of its machine.
    pub machine_key: Option<MachinePublicKey>,
    /// The encoded answer, for the same key that asks again.
    pub answer: Vec<u8>,
}

/// A member that may be revived.
#[derive(Clone, Debug)]
pub struct Revivable {
    /// What it was enrolled as: gateway or edge.
    pub kind: MemberKind,
    /// The durable key of its machine.
    pub key: MachinePublicKey,
    /// It was revoked since.
    pub is_revoked: bool,
}

/// The name of a kind in the store.
pub(crate) const fn kind_text(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Edge => "edge",
        MemberKind::Admin => "admin",
        MemberKind::Gateway | MemberKind::Unspecified => "gateway",
    }
}

pub(super) fn kind_of(text: &str) -> Result<MemberKind, StoreError> {
    match text {
        "gateway" => Ok(MemberKind::Gateway),
        "edge" => Ok(MemberKind::Edge),
        "admin" => Ok(MemberKind::Admin),
        _ => Err(StoreError::Corrupt("members.kind")),
    }
}

impl Store {
    /// Whether a member of this kind that is not revoked has this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_member(&self, kind: MemberKind, name: &str) -> Result<bool, StoreError> {
        let one: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM members WHERE kind = $1 AND name = $2 AND revoked_ms IS NULL LIMIT 1",
        )
        .bind(kind_text(kind))
        .bind(name)
        .fetch_optional(&self.read)
        .await?;
        Ok(one.is_some())
    }

    /// Adds a certificate of a member that exists and is not revoked, a renewal or
    /// revival; `false` when it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_certificate(
        &self,
        certificate: &NewCertificate,
        act: &Entry,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let current: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM members WHERE id = $1 AND revoked_ms IS NULL")
                .bind(certificate.member.to_string())
                .fetch_optional(&mut *tx)
                .await?;
        if current.is_none() {
            return Ok(false);
        }
        put_certificate(&mut tx, certificate).await?;
        sqlx::query("UPDATE members SET renewed_ms = $2, renewal_failures = 0 WHERE id = $1")
            .bind(certificate.member.to_string())
            .bind(to_row(clock::unix_ms()))
            .execute(&mut *tx)
            .await?;
        audit::append(&mut tx, act).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// What a gateway or edge may be revived by; `None` when there is no such member,
    /// or it has no durable key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revivable(&self, member: MemberId) -> Result<Option<Revivable>, StoreError> {
        let row: Option<(String, Vec<u8>, Option<i64>)> = sqlx::query_as(
            "SELECT kind, machine_key, revoked_ms FROM members
             WHERE id = $1 AND kind IN ('gateway', 'edge') AND machine_key IS NOT NULL",
        )
        .bind(member.to_string())
        .fetch_optional(&self.read)
        .await?;
        let revivable = |(kind, key, revoked): (String, Vec<u8>, Option<i64>)| {
            let key = MachinePublicKey::from_bytes(key);
            Ok(Revivable { kind: kind_of(&kind)?, key, is_revoked: revoked.is_some() })
        };
        row.map(revivable).transpose()
    }

    /// Who may use this certificate now: the serial is on the allow-list, for
    /// this member and this key, has not ended, and neither it nor the member is
    /// revoked.
    ///
    /// # Errors
    /// [`StoreError`]; then the certificate must be refused.
    pub async fn allowed(
        &self,
        serial: &Serial,
        member: MemberId,
        spki: &[u8; 32],
    ) -> Result<Allowed, StoreError> {
        type Row = (String, String, Option<i64>, Option<i64>, Option<i64>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT members.kind, members.name, members.revoked_ms, certificates.revoked_ms,
                    certificates.not_after_ms
             FROM members LEFT JOIN certificates ON certificates.member = members.id
               AND certificates.serial = $1 AND certificates.spki = $3
             WHERE members.id = $2",
        )
        .bind(serial.as_str())
        .bind(member.to_string())
        .bind(&spki[..])
        .fetch_optional(&self.read)
        .await?;
        Ok(match row {
            Some((_, _, Some(_), ..) | (_, _, _, Some(_), _)) => Allowed::Revoked,
            Some((kind, name, .., Some(not_after))) if from_row(not_after) > clock::unix_ms() => {
                Allowed::Member(Member { kind: kind_of(&kind)?, name })
            }
            _ => Allowed::Unknown,
        })
    }

    /// Revokes a gateway and all its certificates, forgets its sessions, and
    /// writes `act` with it; says when it was revoked, `None` when there is no
    /// such gateway. A second call changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_gateway(&self, gateway: MemberId, act: &Entry) -> Result<Option<u64>, StoreError> {
        let now = to_row(clock::unix_ms());
        let mut tx = self.begin().await?;
        let revoked: Option<i64> = sqlx::query_scalar(
            "UPDATE members SET revoked_ms = COALESCE(revoked_ms, $2)
             WHERE id = $1 AND kind = 'gateway' RETURNING revoked_ms",
        )
        .bind(gateway.to_string())
        .bind(now)
        .fetch_optional(&mut *tx)
        .await?;
        sqlx::query("UPDATE certificates SET revoked_ms = COALESCE(revoked_ms, $2) WHERE member = $1")
            .bind(gateway.to_string())
            .bind(now)
            .execute(&mut *tx)
            .await?;
        if revoked.is_some() {
            sqlx::query("DELETE FROM sessions WHERE gateway = $1")
                .bind(gateway.to_string())
                .execute(&mut *tx)
                .await?;
            audit::append(&mut tx, act).await?;
        }
        tx.commit().await?;
        Ok(revoked.map(from_row))
    }
}

/// Adds a member with its first certificate.
pub(super) async fn add_member(
    tx: &mut Tx,
    kind: MemberKind,
    labels: &Labels,
    member: &NewMember,
    now: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO members (id, kind, name, enrolled_ms, machine_key, labels) VALUES ($1, $2, $3, $4, $5, $6)",
    )
        .bind(member.certificate.member.to_string())
        .bind(kind_text(kind))
        .bind(&member.name)
        .bind(to_row(now))
        .bind(member.machine_key.as_ref().map(MachinePublicKey::as_bytes))
        .bind(label::to_text(labels))
        .execute(&mut **tx)
        .await?;
    put_certificate(tx, &member.certificate).await
}

async fn put_certificate(tx: &mut Tx, certificate: &NewCertificate) -> Result<(), StoreError> {
    // Ended certificates are refused by their own dates; the list stays short.
    sqlx::query("DELETE FROM certificates WHERE member = $1 AND not_after_ms <= $2")
        .bind(certificate.member.to_string())
        .bind(to_row(clock::unix_ms()))
        .execute(&mut **tx)
        .await?;
    // Answers to requests that were asked twice pile up otherwise.
    sqlx::query(
        "DELETE FROM certificates WHERE member = $1 AND serial NOT IN
           (SELECT serial FROM certificates WHERE member = $1 ORDER BY not_after_ms DESC LIMIT $2)",
    )
    .bind(certificate.member.to_string())
    .bind(limits::CERTIFICATES_OF_MEMBER - 1)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO certificates (serial, member, spki, not_after_ms, issuer, root)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(certificate.serial.as_str())
    .bind(certificate.member.to_string())
    .bind(&certificate.spki[..])
    .bind(to_row(certificate.not_after_ms))
    .bind(&certificate.issuer[..])
    .bind(&certificate.root[..])
    .execute(&mut **tx)
    .await?;
    Ok(())
}
