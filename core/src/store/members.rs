//! Members and the allow-list of their certificates.

use chatcode_certs::{MachinePublicKey, Serial};
use chatcode_proto::{
    id::MemberId,
    label::{self, Labels},
    limits,
    pb::{AdminMember, MemberKind},
};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row,
    people::{ChangeError, Changer},
    to_row,
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

/// A kind, an id, a name, when it was enrolled and by whose token, when it was
/// revoked, when its newest certificate ends.
type MemberRow = (String, String, String, i64, String, Option<i64>, Option<i64>);

fn member_message(row: MemberRow) -> Result<AdminMember, StoreError> {
    let (kind, id, name, enrolled, created_by, revoked, ends) = row;
    Ok(AdminMember {
        id,
        kind: kind_of(&kind)?.into(),
        name,
        enrolled_unix_ms: from_row(enrolled),
        created_by,
        not_after_unix_ms: ends.map_or(0, from_row),
        revoked_unix_ms: revoked.map_or(0, from_row),
        own: false,
        connections: 0,
        version: String::new(),
    })
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

    /// The edges and administrators after one of them (empty: the first ones), those
    /// that were enrolled last first, and whether there are more.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] when that one is not known; the store's.
    pub async fn members_page(&self, after: &str) -> Result<(Vec<AdminMember>, bool), ChangeError> {
        let before = match after {
            "" => i64::MAX,
            id => {
                let enrolled = sqlx::query_scalar("SELECT enrolled_ms FROM members WHERE id = $1").bind(id);
                enrolled.fetch_optional(&self.read).await?.ok_or(ChangeError::Unknown("member"))?
            }
        };
        let rows: Vec<MemberRow> = sqlx::query_as(
            "SELECT kind, id, name, enrolled_ms, created_by, revoked_ms,
                    (SELECT MAX(not_after_ms) FROM certificates
                     WHERE member = members.id AND not_after_ms > $1 AND revoked_ms IS NULL)
             FROM members WHERE kind IN ('edge', 'admin') AND (enrolled_ms < $2 OR (enrolled_ms = $2 AND id > $3))
             ORDER BY enrolled_ms DESC, id LIMIT $4",
        )
        .bind(to_row(clock::unix_ms()))
        .bind(before)
        .bind(after)
        .bind(i64::from(limits::MEMBERS_PAGE) + 1)
        .fetch_all(&self.read)
        .await?;
        let more = rows.len() > limits::MEMBERS_PAGE as usize;
        let page = rows.into_iter().take(limits::MEMBERS_PAGE as usize);
        Ok((page.map(member_message).collect::<Result<_, _>>()?, more))
    }

    /// Revokes an edge or an administrator and all its certificates, and writes `by`
    /// with it. `own`: the member that asks. A second call changes nothing.
    ///
    /// # Errors
    /// [`ChangeError`]: not known, an administrator by one who manages no owners, and
    /// without `force` the caller's own or the last administrator.
    pub async fn revoke_member(
        &self,
        id: MemberId,
        own: Option<MemberId>,
        force: bool,
        by: &Changer,
    ) -> Result<AdminMember, ChangeError> {
        let now = to_row(clock::unix_ms());
        let mut tx = self.begin().await?;
        let sql = "SELECT kind, id, name, enrolled_ms, created_by, revoked_ms, NULL FROM members
                   WHERE id = $1 AND kind IN ('edge', 'admin')";
        let row: Option<MemberRow> =
            sqlx::query_as(sql).bind(id.to_string()).fetch_optional(&mut *tx).await?;
        let mut member = member_message(row.ok_or(ChangeError::Unknown("edge or administrator"))?)?;
        let is_admin = member.kind() == MemberKind::Admin;
        if is_admin && !by.manages_owners {
            return Err(ChangeError::OwnersOnly);
        }
        if member.revoked_unix_ms != 0 {
            return Ok(member);
        }
        if own == Some(id) && !force {
            return Err(ChangeError::Unsaid("this is the certificate that you use just now"));
        }
        if is_admin && !force && is_last_admin(&mut tx, id, now).await? {
            let words = "this is the last administrator; only `chatcode-core token` would let one in again";
            return Err(ChangeError::Unsaid(words));
        }
        strike_off(&mut tx, id, now).await?;
        let name = format!("{}/{id} {}", kind_text(member.kind()), member.name);
        by.note(&mut tx, name).await?;
        tx.commit().await?;
        member.revoked_unix_ms = from_row(now);
        Ok(member)
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
        let known: Option<Option<i64>> =
            sqlx::query_scalar("SELECT revoked_ms FROM members WHERE id = $1 AND kind = 'gateway'")
                .bind(gateway.to_string())
                .fetch_optional(&mut *tx)
                .await?;
        let revoked = known.map(|before| before.unwrap_or(now));
        if revoked.is_some() {
            strike_off(&mut tx, gateway, now).await?;
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

/// Whether this is the only administrator that is not revoked and has a
/// certificate that counts.
async fn is_last_admin(tx: &mut Tx, id: MemberId, now: i64) -> Result<bool, StoreError> {
    let other: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM members JOIN certificates ON certificates.member = members.id
         WHERE members.kind = 'admin' AND members.id <> $1 AND members.revoked_ms IS NULL
           AND certificates.revoked_ms IS NULL AND certificates.not_after_ms > $2 LIMIT 1",
    )
    .bind(id.to_string())
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(other.is_none())
}

/// Revokes a member and all its certificates.
async fn strike_off(tx: &mut Tx, id: MemberId, now: i64) -> Result<(), StoreError> {
    for statement in [
        "UPDATE members SET revoked_ms = COALESCE(revoked_ms, $2) WHERE id = $1",
        "UPDATE certificates SET revoked_ms = COALESCE(revoked_ms, $2) WHERE member = $1",
    ] {
        sqlx::query(statement).bind(id.to_string()).bind(now).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Adds a member with its first certificate; who made its join token is kept with
/// it.
pub(super) async fn add_member(
    tx: &mut Tx,
    (kind, labels): (MemberKind, &Labels),
    member: &NewMember,
    token: &str,
    now: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO members (id, kind, name, enrolled_ms, machine_key, labels, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, COALESCE((SELECT created_by FROM join_tokens WHERE id = $7), ''))",
    )
    .bind(member.certificate.member.to_string())
    .bind(kind_text(kind))
    .bind(&member.name)
    .bind(to_row(now))
    .bind(member.machine_key.as_ref().map(MachinePublicKey::as_bytes))
    .bind(label::to_text(labels))
    .bind(token)
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
