//! Members, the allow-list of their certificates, and join tokens.

use chatcode_certs::{MachinePublicKey, Serial, secret};
use chatcode_proto::{
    id::MemberId,
    limits,
    pb::{Code, MemberKind},
};

use super::{
    Store, StoreError, Tx,
    audit::{self, Entry},
    from_row, to_row,
};
use crate::clock::{self, millis};

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

/// A join token to be kept; the secret itself is not.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The public id.
    pub id: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// What it enrolls.
    pub kind: MemberKind,
    /// The name that the member will have; empty: its own wish.
    pub name: String,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
}

/// A join token as it was shown.
#[derive(Clone, Debug)]
pub struct ShownToken<'a> {
    /// The public id.
    pub id: &'a str,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// SHA-256 of the public key of the request that came with it.
    pub spki: [u8; 32],
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

/// Why a join token was refused. Told to the audit, never to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// No token has this id.
    #[error("unknown")]
    Unknown,
    /// The id is right, the secret is not.
    #[error("wrong secret")]
    WrongSecret,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Another key used it, or the same one too long ago.
    #[error("used")]
    Used,
}

/// What became of a join token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// It is used up; the member is new.
    New(Vec<u8>),
    /// The same key asks again for a lost answer; this is it.
    Again(Vec<u8>),
    /// It is refused.
    Refused(TokenFault),
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
    /// Keeps a join token and writes the act to the audit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_join_token(&self, token: &NewToken, act: &Entry) -> Result<(), StoreError> {
        // Kept for a while, so that the audit can tell an expired token from
        // one that never was.
        let remembered = limits::JOIN_TOKEN_RANGE.end() * 1000;
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM join_tokens WHERE expires_ms <= $1")
            .bind(to_row(clock::unix_ms().saturating_sub(remembered)))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO join_tokens (id, secret_hash, kind, name, expires_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&token.id)
        .bind(&token.secret_hash[..])
        .bind(kind_text(token.kind))
        .bind(&token.name)
        .bind(to_row(token.expires_ms))
        .execute(&mut *tx)
        .await?;
        audit::append(&mut tx, act).await?;
        tx.commit().await?;
        Ok(())
    }

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

    /// Uses a join token up, makes the member of it by `make`, and writes what
    /// happened to the audit, all or nothing. `act` is completed with the
    /// member or the fault.
    ///
    /// # Errors
    /// [`StoreError`], and whatever `make` fails with.
    pub async fn redeem<E: From<StoreError>>(
        &self,
        token: &ShownToken<'_>,
        act: &Entry,
        make: impl FnOnce(MemberKind, &str) -> Result<NewMember, E> + Send,
    ) -> Result<Redeemed, E> {
        let now = clock::unix_ms();
        let mut tx = self.begin().await?;
        let (redeemed, act) = match claim(&mut tx, token, now).await? {
            Claim::Fault(fault) => {
                let act = Entry { result: Code::BadToken, detail: fault.to_string(), ..act.clone() };
                (Redeemed::Refused(fault), act)
            }
            Claim::Again(answer) => {
                (Redeemed::Again(answer), Entry { detail: "again".to_owned(), ..act.clone() })
            }
            Claim::Fresh(kind, name) => {
                let member = make(kind, &name)?;
                add_member(&mut tx, kind, &member, now).await?;
                sqlx::query("UPDATE join_tokens SET answer = $2 WHERE id = $1")
                    .bind(token.id)
                    .bind(&member.answer)
                    .execute(&mut *tx)
                    .await
                    .map_err(StoreError::from)?;
                let who = format!("{}/{}", kind_text(kind), member.certificate.member);
                let detail = format!("token {}", token.id);
                (Redeemed::New(member.answer), Entry { principal: who, detail, ..act.clone() })
            }
        };
        audit::append(&mut tx, &act).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(redeemed)
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

enum Claim {
    Fault(TokenFault),
    Again(Vec<u8>),
    Fresh(MemberKind, String),
}

/// Judges a token and, when it is good, uses it up in one statement.
async fn claim(tx: &mut Tx, token: &ShownToken<'_>, now: u64) -> Result<Claim, StoreError> {
    type Row = (Vec<u8>, i64, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT secret_hash, expires_ms, used_ms, used_spki, answer FROM join_tokens WHERE id = $1",
    )
    .bind(token.id)
    .fetch_optional(&mut **tx)
    .await?;
    // An unknown id takes the same path as a wrong secret.
    let known = row.is_some();
    let (hash, expires, used, used_spki, answer) = row.unwrap_or_else(|| (vec![0; 32], 0, None, None, None));
    if !secret::equal(&hash, &token.secret_hash) {
        return Ok(Claim::Fault(if known { TokenFault::WrongSecret } else { TokenFault::Unknown }));
    }
    if let Some(used) = used {
        let same_key = used_spki.is_some_and(|spki| secret::equal(&spki, &token.spki));
        let in_time = now <= from_row(used) + millis(limits::ENROLL_AGAIN);
        return Ok(match answer {
            Some(answer) if same_key && in_time => Claim::Again(answer),
            _ => Claim::Fault(TokenFault::Used),
        });
    }
    let claimed: Option<(String, String)> = sqlx::query_as(
        "UPDATE join_tokens SET used_ms = $3, used_spki = $4
         WHERE id = $1 AND secret_hash = $2 AND used_ms IS NULL AND expires_ms > $3
         RETURNING kind, name",
    )
    .bind(token.id)
    .bind(&token.secret_hash[..])
    .bind(to_row(now))
    .bind(&token.spki[..])
    .fetch_optional(&mut **tx)
    .await?;
    match claimed {
        Some((kind, name)) => Ok(Claim::Fresh(kind_of(&kind)?, name)),
        None if from_row(expires) <= now => Ok(Claim::Fault(TokenFault::Expired)),
        None => Ok(Claim::Fault(TokenFault::Used)),
    }
}

async fn add_member(tx: &mut Tx, kind: MemberKind, member: &NewMember, now: u64) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO members (id, kind, name, enrolled_ms, machine_key) VALUES ($1, $2, $3, $4, $5)")
        .bind(member.certificate.member.to_string())
        .bind(kind_text(kind))
        .bind(&member.name)
        .bind(to_row(now))
        .bind(member.machine_key.as_ref().map(MachinePublicKey::as_bytes))
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
